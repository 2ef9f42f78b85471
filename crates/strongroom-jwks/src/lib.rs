//! The keys of others: fetches the JWK Sets (RFC 7517 §5) that issuers publish, and keeps a
//! [`Verifier`] supplied with them.
//!
//! This is the only code by which the server opens a connection of its own accord, and it opens
//! one to the configured URLs alone: no redirect is followed and no proxy is used. It sends nothing
//! but the request for the keys. What is a sound set, which key verifies what, and when keys are
//! too old is [`strongroom_session`]'s business; HTTP requests, users and grants are not known in
//! here.
//!
//! [`Verifier`]: strongroom_session::Verifier

mod fetch;
#[cfg(test)]
mod issuer;
mod pace;
mod remote;
mod sources;
mod url;

use std::time::Duration;

pub use sources::{Issuer, KeySources};
pub use url::JwksUrl;

/// How often keys are fetched, and what an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long keys may be used when no newer ones come.
    pub stale_max: Duration,
    /// Time between two fetches, if the answer names no longer one by `cache-control: max-age`.
    pub refresh: Duration,
    /// The longest time that an answer may name.
    pub refresh_max: Duration,
    /// Least time between a fetch and the next one that a request asks for, whose JWT is signed by
    /// a key that is not known.
    pub fetch_interval_min: Duration,
    /// Longest time for a fetch, from the look-up of the name to the last byte. A request whose JWT
    /// is signed by an unknown key waits no longer either.
    pub timeout: Duration,
    /// Most bytes of a set.
    pub body_bytes_max: usize,
    /// Most keys of a set, whether they can be used or not.
    pub keys_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stale_max: Duration::from_hours(24),
            refresh: Duration::from_mins(5),
            refresh_max: Duration::from_hours(1),
            fetch_interval_min: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            body_bytes_max: 64 * 1024,
            keys_max: 32,
        }
    }
}

/// What is wrong with the configuration of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL cannot be one that keys are fetched from.
    #[error("{0}")]
    Url(&'static str),
    /// The text holds no certificate, or one that is none.
    #[error("not certificates in PEM")]
    Certificate,
    /// Nobody vouches for the issuer's certificate.
    #[error("this system has no CA certificates: install them, or set jwks_ca_file")]
    NoAuthorities,
    /// The TLS or HTTP library does not work here.
    #[error("the HTTP client cannot be set up")]
    Setup,
}
