//! HTTP: wire to types and back. HTTP ends here, and nothing is decided here.
//!
//! [`router`] is the whole API listener. A handler authenticates, lets the vault check the
//! subject, reads the body, calls one operation and answers; every failure leaves through
//! [`answer`], in the contract's envelope.

mod answer;
mod body;
mod credentials;
mod docs;
mod openapi;
mod public;
mod request_id;
mod router;
mod routes;

pub use credentials::Origin;
pub use openapi::openapi;
pub use router::{Api, ApiConfig, router};

#[cfg(test)]
mod tests;
