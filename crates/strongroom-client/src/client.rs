//! The calls of the contract, one method each.

use crate::transport::{self, Repeat, Transport, host_text, retry_after_s, sensitive};
use crate::upload::{self, Outcome};
use crate::{Download, Error, Identity, JwtSigner, Now, Value, limits};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use strongroom_core::Token;
use strongroom_wire::answer::Done;
use strongroom_wire::{
    DetokenizeRequest, GrantSetRequest, GrantValidity, GrantVerifyRequest, Metadata,
    MetadataAnswer, MetadataGetRequest, MetadataSetRequest, SecretText, TokenizeRequest, Upload,
    duration, envelope, header,
};

/// What a [`Client`] is made of.
pub struct ClientConfig {
    /// The vault, such as `https://vault.example.com`; a path prefix is kept.
    pub url: String,
    /// Signs the JWT of every call.
    pub signer: JwtSigner,
    /// As whom the client speaks.
    pub identity: Identity,
    /// Reads the time for the JWTs.
    pub now: Now,
    /// PEM certificates to trust beside the system's, such as a private CA.
    pub ca_pem: Option<Vec<u8>>,
}

/// A connection to one vault, cheap to clone.
#[derive(Clone)]
pub struct Client {
    base: Url,
    signer: JwtSigner,
    identity: Identity,
    now: Now,
    transport: Transport,
}

/// Who holds a grant.
#[derive(Debug, Clone)]
pub enum GrantHolder {
    /// The calling application itself.
    Application,
    /// A user session of the application.
    Session(SecretText),
}

impl GrantHolder {
    fn session_id(&self) -> Option<SecretText> {
        match self {
            Self::Application => None,
            Self::Session(id) => Some(id.clone()),
        }
    }

    fn is_application(&self) -> bool {
        matches!(self, Self::Application)
    }
}

impl Client {
    /// Checks URL and certificates; nothing is sent yet.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        Ok(Self {
            base: base_url(&config.url)?,
            signer: config.signer,
            identity: config.identity,
            now: config.now,
            transport: Transport::new(config.ca_pem.as_deref())?,
        })
    }

    /// The same connection speaking as somebody else.
    #[must_use]
    pub fn speaking_as(&self, identity: Identity) -> Self {
        Self {
            identity,
            ..self.clone()
        }
    }

    /// Stores a value and returns its token.
    ///
    /// If an upload breaks and turns out to be stored nevertheless, the value is tokenized anew,
    /// so that the returned token is one whose upload was confirmed.
    pub async fn tokenize(
        &self,
        mut value: Value,
        metadata: Option<Metadata>,
    ) -> Result<Token, Error> {
        let request = TokenizeRequest {
            metadata,
            content_length: value.length_bytes(),
        };
        let mut attempt = 1;
        loop {
            let upload: Upload = self.call("tokenize", Repeat::IfUnsent, &request).await?;
            match upload::put(&self.transport, &upload, &mut value).await? {
                Outcome::Stored => {
                    return Token::parse(upload.token_id.expose()).map_err(|_| self.bad_answer());
                }
                Outcome::Unknown if attempt < limits::TOKENIZE_ATTEMPTS_MAX && value.can_open() => {
                    attempt += 1;
                }
                Outcome::Unknown => {
                    let code = Some("PreconditionFailed".to_owned());
                    return Err(Error::ObjectStore { status: 412, code });
                }
            }
        }
    }

    /// Opens the value of a token; needs a live grant.
    pub async fn detokenize(&self, token: &Token) -> Result<Download, Error> {
        let request = DetokenizeRequest {
            token_id: token.expose().into(),
        };
        let access: strongroom_wire::Download =
            self.call("detokenize", Repeat::IfUnsent, &request).await?;
        Download::open(&self.transport, &access).await
    }

    /// Grants a token to the calling application itself.
    pub async fn self_grant(&self, token: &Token, ttl: Duration) -> Result<(), Error> {
        let ttl = duration::format_secs(ttl.as_secs());
        self.grant_set(token, &GrantHolder::Application, Some(ttl))
            .await
    }

    /// Grants a token, for the vault's default time unless a duration in Go's notation is given.
    /// Setting again replaces the expiry.
    pub async fn grant_set(
        &self,
        token: &Token,
        holder: &GrantHolder,
        custom_duration: Option<String>,
    ) -> Result<(), Error> {
        let request = GrantSetRequest {
            session_id: holder.session_id(),
            self_: holder.is_application(),
            token_id: token.expose().into(),
            custom_duration,
        };
        self.call("grant/set", Repeat::Always, &request)
            .await
            .map(|Done {}| ())
    }

    /// Whether the holder has a live grant on the token.
    pub async fn grant_verify(&self, token: &Token, holder: &GrantHolder) -> Result<bool, Error> {
        let request = GrantVerifyRequest {
            session_id: holder.session_id(),
            self_: holder.is_application(),
            token_id: token.expose().into(),
        };
        let answer: GrantValidity = self.call("grant/verify", Repeat::Always, &request).await?;
        Ok(answer.valid)
    }

    /// The metadata of a token; a token without any is `NoSuchToken`.
    pub async fn metadata_get(&self, token: &Token) -> Result<Metadata, Error> {
        let request = MetadataGetRequest {
            token_id: token.expose().into(),
        };
        let answer: MetadataAnswer = self.call("metadata/get", Repeat::Always, &request).await?;
        Ok(answer.metadata)
    }

    /// Replaces the metadata of a token; for developers only.
    pub async fn metadata_set(&self, token: &Token, metadata: Metadata) -> Result<(), Error> {
        let request = MetadataSetRequest {
            token_id: token.expose().into(),
            metadata: Some(metadata),
        };
        self.call("metadata/set", Repeat::IfUnsent, &request)
            .await
            .map(|Done {}| ())
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        route: &str,
        repeat: Repeat,
        request: &impl Serialize,
    ) -> Result<T, Error> {
        let url = self.base.join(route).map_err(|_| Error::BadUrl)?;
        let body = serde_json::to_vec(request).map_err(|_| self.bad_answer())?;
        let client = self.transport.client(&url);
        let make = || {
            let jwt = self
                .signer
                .mint(&self.identity, (self.now)(), limits::JWT_TTL)?;
            let jwt = sensitive(jwt.expose()).ok_or(Error::BadKey)?;
            let request = client.post(url.clone()).header(AUTHORIZATION, jwt);
            Ok(request
                .header(CONTENT_TYPE, envelope::CONTENT_TYPE)
                .body(body.clone()))
        };
        let answer = transport::send(&url, repeat, make).await?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(refused(&url, status, answer).await);
        }
        let body = transport::read_bounded(&url, answer, limits::ANSWER_BYTES_MAX).await?;
        envelope::parse_success(&body).map_err(|_| self.bad_answer())
    }

    fn bad_answer(&self) -> Error {
        Error::BadAnswer {
            host: host_text(&self.base),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("vault", &host_text(&self.base))
            .field("subject", &self.identity.subject())
            .finish_non_exhaustive()
    }
}

/// The vault's refusal.
pub(crate) async fn refused(url: &Url, status: u16, answer: Response) -> Error {
    let retry_after_s = retry_after_s(answer.headers());
    let id = answer
        .headers()
        .get(header::REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    let id = id.map(str::to_owned);
    let body = transport::read_bounded(url, answer, limits::ANSWER_BYTES_MAX).await;
    let text = envelope::parse_failure(&body.unwrap_or_default());
    Error::Refused {
        name: text.name,
        status,
        message: text.message,
        request_id: text.request_id.or(id),
        retry_after_s,
    }
}

/// With exactly one slash at the end, so that routes can be joined to it.
pub(crate) fn base_url(text: &str) -> Result<Url, Error> {
    let mut url: Url = text.parse().map_err(|_| Error::BadUrl)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        return Err(Error::BadUrl);
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}
