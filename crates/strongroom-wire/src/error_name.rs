//! The closed list of error names. A name is added here and in the contract's list, together.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What a failure is called on the wire; every name has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// The body, a parameter or a token is malformed.
    InvalidRequest,
    /// `customDuration` is malformed, not positive, or above the maximum.
    InvalidDuration,
    /// Credentials are missing or bad.
    NotAuthenticated,
    /// `lunasec-session-hash` belongs to another session.
    SessionMismatch,
    /// The subject may not use this route.
    NotAllowed,
    /// Unknown, expired, deleted or not granted: one answer for all.
    NoSuchToken,
    /// No route has this path.
    NoSuchRoute,
    /// The route has another method; `allow` names it.
    MethodNotAllowed,
    /// The request did not arrive in time.
    Timeout,
    /// The token is held and can be neither changed nor deleted.
    OnHold,
    /// The idempotency key was used with another request.
    IdempotencyConflict,
    /// The body or the announced value is above a limit.
    TooLarge,
    /// A cookie-authenticated POST must be `application/json`.
    UnsupportedMediaType,
    /// The `host` is none of the vault's names.
    WrongHost,
    /// A limit is used up; `retry-after` says for how long.
    TooManyRequests,
    /// The vault failed; the cause is in its log under the request id.
    Internal,
    /// The vault cannot serve now; `retry-after` says when to come back.
    Unavailable,
}

impl ErrorName {
    /// Every name, in the order of the contract's list.
    pub const ALL: [Self; 17] = [
        Self::InvalidRequest,
        Self::InvalidDuration,
        Self::NotAuthenticated,
        Self::SessionMismatch,
        Self::NotAllowed,
        Self::NoSuchToken,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::OnHold,
        Self::IdempotencyConflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::WrongHost,
        Self::TooManyRequests,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The HTTP status that goes with the name.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidDuration => 400,
            Self::NotAuthenticated | Self::SessionMismatch => 401,
            Self::NotAllowed => 403,
            Self::NoSuchToken | Self::NoSuchRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::OnHold | Self::IdempotencyConflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::WrongHost => 421,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The name as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidDuration => "InvalidDuration",
            Self::NotAuthenticated => "NotAuthenticated",
            Self::SessionMismatch => "SessionMismatch",
            Self::NotAllowed => "NotAllowed",
            Self::NoSuchToken => "NoSuchToken",
            Self::NoSuchRoute => "NoSuchRoute",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::Timeout => "Timeout",
            Self::OnHold => "OnHold",
            Self::IdempotencyConflict => "IdempotencyConflict",
            Self::TooLarge => "TooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::WrongHost => "WrongHost",
            Self::TooManyRequests => "TooManyRequests",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
        }
    }
}

impl JsonSchema for ErrorName {
    fn schema_name() -> Cow<'static, str> {
        "ErrorName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Self::ALL.map(Self::as_str);
        json_schema!({
            "type": "string",
            "enum": names,
            "description": "What a failure is called; the list is closed, and every name has \
                one status.",
        })
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not one of [`ErrorName::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an error name of the contract")]
pub struct UnknownErrorName;

impl FromStr for ErrorName {
    type Err = UnknownErrorName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or(UnknownErrorName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for name in ErrorName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
        }
    }

    #[test]
    fn names_are_exact() {
        for text in ["", "nosuchtoken", "NoSuchToken ", "TokenizerError"] {
            assert_eq!(text.parse::<ErrorName>(), Err(UnknownErrorName));
        }
    }

    #[test]
    fn statuses_are_those_of_the_contract() {
        let statuses: Vec<u16> = ErrorName::ALL.into_iter().map(ErrorName::status).collect();
        assert_eq!(
            statuses,
            [
                400, 400, 401, 401, 403, 404, 404, 405, 408, 409, 409, 413, 415, 421, 429, 500, 503
            ]
        );
    }
}
