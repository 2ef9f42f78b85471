//! What can go wrong, by what the caller can do about it. No variant carries a secret.

use strongroom_wire::ErrorName;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The vault answered with a failure.
    #[error("the vault answered {status} {}: {message}{}", name_text(*.name), quote(request_id.as_deref()))]
    Refused {
        /// `None` for a name that is not in the contract.
        name: Option<ErrorName>,
        /// HTTP status.
        status: u16,
        /// The vault's words, safe to show.
        message: String,
        /// Names the request in the vault's log.
        request_id: Option<String>,
        /// Seconds after which the same request may succeed.
        retry_after_s: Option<u32>,
    },
    /// The object store answered with a failure; 404 means that no value was ever uploaded.
    #[error("the object store answered {status}{}", code.as_deref().map(|code| format!(" {code}")).unwrap_or_default())]
    ObjectStore {
        /// HTTP status.
        status: u16,
        /// The store's error code, if it sent one.
        code: Option<String>,
    },
    /// No connection came about; nothing was sent.
    #[error("no connection to {host}")]
    Unreachable {
        /// Host and port, without path and query.
        host: String,
        /// For the log.
        source: reqwest::Error,
    },
    /// The connection broke; whether the request took effect is unknown.
    #[error("the connection to {host} broke")]
    Interrupted {
        /// Host and port, without path and query.
        host: String,
        /// For the log.
        source: reqwest::Error,
    },
    /// Nothing moved for the time that `limits` allows.
    #[error("{host} did not answer in time")]
    TimedOut {
        /// Host and port, without path and query.
        host: String,
    },
    /// The answer is not what the contract promises.
    #[error("{host} does not answer like a vault")]
    BadAnswer {
        /// Host and port, without path and query.
        host: String,
    },
    /// The caller's own value could not be read to its end.
    #[error("the value could not be read: {0}")]
    Value(std::io::Error),
    /// The URL of the vault cannot be used.
    #[error(
        "the vault's URL must be http:// or https:// with a host, without user, query or fragment"
    )]
    BadUrl,
    /// The signing key cannot be used.
    #[error(
        "the signing key must be an unencrypted PEM private key: RSA of 2048 to 8192 bits, P-256 or Ed25519, \
         in PKCS#8 (`BEGIN PRIVATE KEY`) or for RSA in PKCS#1 (`BEGIN RSA PRIVATE KEY`)"
    )]
    BadKey,
    /// The certificate file cannot be used.
    #[error("the CA file must hold at least one PEM certificate")]
    BadCertificate,
    /// The HTTP client could not be set up.
    #[error("TLS could not be set up")]
    Setup,
}

impl Error {
    /// The contract's name of the failure, if the vault gave one.
    pub fn name(&self) -> Option<ErrorName> {
        match self {
            Self::Refused { name, .. } => *name,
            _ => None,
        }
    }

    /// HTTP status of the vault's or the object store's answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::ObjectStore { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::TimedOut { .. } => true,
            _ => matches!(self.status(), Some(408 | 429 | 502 | 503 | 504)),
        }
    }
}

fn name_text(name: Option<ErrorName>) -> &'static str {
    name.map_or("without a known name", ErrorName::as_str)
}

fn quote(request_id: Option<&str>) -> String {
    request_id
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}
