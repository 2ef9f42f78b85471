//! The verifier from outside: sources, attacks on the format, the cache.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod attacks;
mod cached;
mod mint;
mod sources;
