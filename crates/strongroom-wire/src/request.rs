//! Request bodies: read tolerantly by the server, written exactly by the client.
//!
//! Keys match in any case, unknown members are ignored, a known member that stands there twice
//! is refused. Whether a token, session or duration is a good one is for the server to say.

use crate::members::{BadBody, Members};
use crate::schema::{ContentLength, DurationText, SessionIdText, TokenText};
use crate::schema::{either_spelling, one_session};
use crate::text::{Metadata, SecretText};
use schemars::JsonSchema;
use serde::Serialize;

/// Body of `POST /tokenize`.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenizeRequest {
    /// Kept with the token. `null`, `{}` and absence are the same: nothing is kept.
    pub metadata: Option<Metadata>,
    /// Length of the value in bytes, without fraction or exponent. When given it is signed into
    /// the upload URL, which then takes exactly so many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ContentLength>")]
    pub content_length: Option<u64>,
}

impl TokenizeRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        Ok(Self {
            metadata: members.metadata()?,
            content_length: members.count("contentLength")?,
        })
    }
}

/// Body of `POST /detokenize`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = either_spelling)]
pub struct DetokenizeRequest {
    /// The token, read in either case of its digits.
    #[schemars(with = "TokenText")]
    pub token_id: SecretText,
}

impl DetokenizeRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        Ok(Self {
            token_id: Members::parse(body)?.required_text(TOKEN_ID)?,
        })
    }
}

/// Body of `POST /grant/set`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = either_spelling, transform = one_session)]
pub struct GrantSetRequest {
    /// The user session that gets the grant: 1 to 256 bytes of UTF-8 without control characters,
    /// which the server checks, not the parser.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SessionIdText>")]
    pub session_id: Option<SecretText>,
    /// `true` for the application's own session instead of a user's.
    // INVARIANT: exactly when `session_id` is `None`.
    #[serde(rename = "self", skip_serializing_if = "is_false")]
    #[schemars(with = "Option<bool>")]
    pub self_: bool,
    /// The token, read in either case of its digits.
    #[schemars(with = "TokenText")]
    pub token_id: SecretText,
    /// Life of the grant in Go's notation, such as `15m` or `1h30m`: more than nothing and at
    /// most the configured maximum. Empty is the same as absent: the configured default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub custom_duration: Option<String>,
}

impl GrantSetRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        let (session_id, self_) = session(&members)?;
        let duration = members.text("customDuration")?;
        let custom_duration = duration
            .filter(|text| !text.is_empty())
            .map(|text| text.expose().to_owned());
        Ok(Self {
            session_id,
            self_,
            token_id: members.required_text(TOKEN_ID)?,
            custom_duration,
        })
    }
}

/// Body of `POST /grant/verify`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = either_spelling, transform = one_session)]
pub struct GrantVerifyRequest {
    /// The user session that is asked about, bounded as in `/grant/set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SessionIdText>")]
    pub session_id: Option<SecretText>,
    /// `true` for the application's own session instead of a user's.
    // INVARIANT: exactly when `session_id` is `None`.
    #[serde(rename = "self", skip_serializing_if = "is_false")]
    #[schemars(with = "Option<bool>")]
    pub self_: bool,
    /// The token, read in either case of its digits.
    #[schemars(with = "TokenText")]
    pub token_id: SecretText,
}

impl GrantVerifyRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        let (session_id, self_) = session(&members)?;
        Ok(Self {
            session_id,
            self_,
            token_id: members.required_text(TOKEN_ID)?,
        })
    }
}

/// Body of `POST /metadata/get`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = either_spelling)]
pub struct MetadataGetRequest {
    /// The token, read in either case of its digits.
    #[schemars(with = "TokenText")]
    pub token_id: SecretText,
}

impl MetadataGetRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        Ok(Self {
            token_id: Members::parse(body)?.required_text(TOKEN_ID)?,
        })
    }
}

/// Body of `POST /metadata/set`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = either_spelling)]
pub struct MetadataSetRequest {
    /// The token, read in either case of its digits.
    #[schemars(with = "TokenText")]
    pub token_id: SecretText,
    /// Replaces what was kept. `null`, `{}` and absence are the same: nothing is kept any longer.
    pub metadata: Option<Metadata>,
}

impl MetadataSetRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        Ok(Self {
            token_id: members.required_text(TOKEN_ID)?,
            metadata: members.metadata()?,
        })
    }
}

const TOKEN_ID: &str = "tokenId";

/// `sessionId` or `"self": true`, never both.
fn session(members: &Members<'_>) -> Result<(Option<SecretText>, bool), BadBody> {
    match (members.text("sessionId")?, members.flag("self")?) {
        (Some(id), false) => Ok((Some(id), false)),
        (None, true) => Ok((None, true)),
        _ => Err(BadBody::WhichSession),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
