//! Harness of the end-to-end tests: starts the real binary in a directory of its own, speaks raw
//! HTTP to it, mints JWTs, and searches everything the vault left behind for secrets.
//!
//! It knows the wire and the command line. It must not use the product's own crates: a fault in
//! them would then be on both sides and not be seen.

pub mod binary;
pub mod clock;
mod contract;
pub mod http;
pub mod issuer;
pub mod jwt;
pub mod marks;
pub mod sigv4;
pub mod tls;
pub mod vault;
mod wait;

pub use clock::FakeClock;
pub use http::{Answer, Request};
pub use issuer::Issuer;
pub use jwt::Key;
pub use marks::Marks;
pub use sigv4::Access;
pub use tls::Authority;
pub use vault::{Setup, Signed, Vault};
pub use wait::{eventually, now_s};
