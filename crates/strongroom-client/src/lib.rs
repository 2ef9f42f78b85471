//! Rust SDK of the vault: speaks the wire contract as an application or as a developer.
//!
//! [`Client`] turns values into tokens and back. Values stream in both directions in constant
//! memory and are never looked at. The crate knows nothing of how the vault stores or decides,
//! and reads neither clock nor environment: time is an argument.
//!
//! Nothing secret (token, JWT, signed URL, customer key) is ever in an error or in `Debug`.

mod client;
mod download;
mod error;
mod probe;
mod signer;
mod transport;
mod upload;
mod value;

pub use client::{Client, ClientConfig, GrantHolder};
pub use download::Download;
pub use error::Error;
pub use probe::Probe;
pub use signer::{Identity, JwtSigner};
pub use transport::is_loopback;
pub use value::{ByteStream, Value};

/// Reads the time: milliseconds since the epoch.
pub type Now = std::sync::Arc<dyn Fn() -> strongroom_core::UnixMillis + Send + Sync>;

/// Named limits of the client.
pub mod limits {
    use std::time::Duration;

    /// For a TCP and TLS connection to stand.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// For one call of the vault's API, from sending to the end of its answer.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
    /// For a value under way to move by at least one byte, and for the object store to confirm
    /// it once it has all of it.
    pub const STALL_TIMEOUT: Duration = Duration::from_mins(2);
    /// Times that one request is sent, the first included.
    pub const ATTEMPTS_MAX: u32 = 4;
    /// Times that one value is tokenized because an upload's outcome was unknown.
    pub const TOKENIZE_ATTEMPTS_MAX: u32 = 3;
    /// First pause between attempts; it doubles each time.
    pub const BACKOFF: Duration = Duration::from_millis(200);
    /// Longest `retry-after` that the client waits for by itself.
    pub const RETRY_AFTER_MAX_S: u32 = 5;
    /// Longest answer of the vault's API that is read.
    pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// For a vault to say how it is, connecting included.
    pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
    /// Longest error of the object store that is read.
    pub const STORE_ERROR_BYTES_MAX: usize = 64 * 1024;
    /// Life of a JWT that the client mints for itself.
    pub const JWT_TTL: Duration = Duration::from_mins(15);
}

#[cfg(test)]
mod tests;
