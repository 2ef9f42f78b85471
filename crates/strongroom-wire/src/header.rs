//! Names of headers and cookies, in the lower case that HTTP libraries want.

/// Lower-case hexadecimal SHA-1 of the caller's `session_id`: a change detector.
pub const SESSION_HASH: &str = "lunasec-session-hash";
/// Random name of one request, repeated in the body of every failure.
pub const REQUEST_ID: &str = "x-request-id";
/// Holds the compact JWT, raw or behind `Bearer `.
pub const AUTHORIZATION: &str = "authorization";
/// Whole seconds after which a throttled or unavailable request may be repeated.
pub const RETRY_AFTER: &str = "retry-after";
/// The one key of an answer's `headers` that clients never send themselves.
pub const HOST: &str = "host";

/// Scheme word that may stand before the JWT in [`AUTHORIZATION`].
pub const BEARER: &str = "Bearer ";

/// Cookie of clients that are not browsers: the JWT.
pub const ACCESS_TOKEN_COOKIE: &str = "access_token";
/// Cookie of clients that are not browsers: the one-time state of a log-in.
pub const STATE_COOKIE: &str = "state";
/// Browsers' cookie for the JWT (RFC 6265bis §4.1.3.2: `Secure`, `Path=/`, no `Domain`).
pub const HOST_ACCESS_TOKEN_COOKIE: &str = "__Host-access_token";
/// Browsers' cookie for the one-time state of a log-in.
pub const HOST_STATE_COOKIE: &str = "__Host-state";
