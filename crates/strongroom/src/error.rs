//! What can go wrong, sorted by what the caller can do about it.

use strongroom_wire::ErrorName;

/// Why an operation was refused or failed. HTTP turns it into an answer in one place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown, expired, deleted or not granted: one answer for all.
    #[error("no such token")]
    NoSuchToken,
    /// The subject may not do this, whatever the token.
    #[error("this subject may not use this route")]
    NotAllowed,
    /// The session was revoked after the JWT was issued.
    #[error("the session is no longer valid")]
    Revoked,
    /// A field is malformed; the text names it and never its value.
    #[error("{0}")]
    Invalid(&'static str),
    /// A grant's duration is not positive or above the limit.
    #[error("a duration is more than 0 and at most {max_s} s")]
    InvalidDuration {
        /// Longest grant in seconds.
        max_s: u64,
    },
    /// A field or the announced value is larger than a configured limit.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// The system clock is behind the vault's own time.
    #[error("the system clock is {behind_ms} ms behind the vault's time")]
    ClockBehind {
        /// How far.
        behind_ms: u64,
    },
    /// The decision could not be written down, so nothing was done.
    #[error("the decision could not be written down")]
    Audit(#[from] strongroom_audit::Error),
    /// The record store failed; the cause is for the log alone.
    #[error("the record store did not do its part")]
    Records(#[from] strongroom_records::Error),
    /// The object store failed; the cause is for the log alone.
    #[error("the object store did not do its part")]
    Objects(#[from] strongroom_objects::Error),
    /// A row failed authentication: it was damaged, forged or swapped.
    #[error("a record was refused: {0}")]
    Refused(strongroom_core::Error),
    /// The record store was made by another vault.
    #[error("the record store belongs to another vault than the keyring")]
    ForeignStore,
    /// An old copy of the keyring lies where a newer one was.
    #[error("the keyring is version {version}, but version {seen} was already in use here")]
    OldKeyring {
        /// Version of the keyring.
        version: u64,
        /// Highest version that the record store has seen.
        seen: u64,
    },
    /// Others changed the row again and again.
    #[error("the record changed too often meanwhile")]
    Contended,
}

impl Error {
    /// The name and status of the wire contract.
    pub fn name(&self) -> ErrorName {
        use strongroom_records::Error as Records;
        match self {
            Self::NoSuchToken => ErrorName::NoSuchToken,
            Self::NotAllowed => ErrorName::NotAllowed,
            Self::Revoked => ErrorName::NotAuthenticated,
            Self::Invalid(_) => ErrorName::InvalidRequest,
            Self::InvalidDuration { .. } => ErrorName::InvalidDuration,
            Self::TooLarge { .. } => ErrorName::TooLarge,
            Self::ClockBehind { .. }
            | Self::Audit(_)
            | Self::Objects(_)
            | Self::Contended
            | Self::Records(Records::Full | Records::Busy | Records::Closed | Records::Io(_)) => {
                ErrorName::Unavailable
            }
            Self::Records(_) | Self::Refused(_) | Self::ForeignStore | Self::OldKeyring { .. } => {
                ErrorName::Internal
            }
        }
    }

    /// The text for the caller: internals stay in the log.
    pub fn public_message(&self) -> String {
        match self {
            Self::ClockBehind { .. } => "the vault's clock is being set; try again later".into(),
            Self::Audit(_) | Self::Records(_) | Self::Objects(_) | Self::Contended => {
                match self.name() {
                    ErrorName::Unavailable => "the vault cannot serve now; try again later".into(),
                    _ => "the vault failed; its log has the cause under the request id".into(),
                }
            }
            Self::Refused(_) | Self::ForeignStore | Self::OldKeyring { .. } => {
                "the vault failed; its log has the cause under the request id".into()
            }
            other => other.to_string(),
        }
    }
}
