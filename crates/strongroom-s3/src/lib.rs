//! The S3 protocol: signatures, headers, bodies and XML, as pure functions and state machines.
//!
//! It is reviewed and fuzzed without the rest. This crate must not know storage, tokens, a server
//! or a runtime: it takes headers and bytes and gives values and errors.

pub mod bucket_name;
pub mod checksum;
pub mod chunked;
pub mod conditions;
pub mod continuation;
pub mod copy_source;
pub mod cors;
pub mod date;
mod error;
pub mod post;
pub mod query;
pub mod range;
pub mod sigv4;
pub mod sse_c;
pub mod target;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod xml;

pub use error::S3Error;
