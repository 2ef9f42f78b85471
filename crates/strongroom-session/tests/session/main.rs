//! The verifier from outside: sources, attacks on the format, the cache, keys that come and go.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod attacks;
mod cached;
mod fetched;
mod key_sets;
mod mint;
mod sources;
