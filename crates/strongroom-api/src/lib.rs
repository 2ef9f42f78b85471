//! HTTP: wire to types and back. HTTP ends here, and nothing is decided here.
//!
//! [`Front`] is the whole API listener: it judges a request's header and host, and then its route
//! is looked for. A handler authenticates, lets the vault check the subject, reads the body, waits
//! for its turn, calls one operation and answers; every failure leaves through [`answer`], in the
//! contract's envelope.

mod answer;
mod body;
mod credentials;
mod docs;
mod front;
mod host;
mod network;
mod openapi;
mod public;
mod request_id;
mod router;
mod routes;
mod work;

pub use credentials::Origin;
pub use front::Front;
pub use host::{BadHostName, HostFault, HostNames};
pub use network::{BadRange, ClientNetwork, Connection, Proxies};
pub use openapi::openapi;
pub use router::{Api, ApiConfig, Simple};

#[cfg(test)]
mod tests;
