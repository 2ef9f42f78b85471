//! The service from outside: real stores, a real log, signed JWTs, and a clock that the tests move.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod audit;
mod clock;
mod durable;
mod forged;
mod grants;
mod house;
mod metadata;
mod policy;
mod races;
mod refusal;
mod restore;
mod revoked;
mod simple;
mod sweep;
