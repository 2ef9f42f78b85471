//! The HTTP contract's words: request bodies, answers, error names, header names, durations.
//!
//! Shared by the server and the client, so that neither can misspell what the other reads.
//! Pure text in and text out: nothing in here knows HTTP libraries, time, storage or policy.

pub mod answer;
pub mod duration;
pub mod envelope;
pub mod error_name;
pub mod header;
mod members;
pub mod request;
pub mod schema;
pub mod text;

pub use answer::{Download, GrantValidity, MetadataAnswer, Upload};
pub use error_name::ErrorName;
pub use members::{BadBody, METADATA_DEPTH_MAX};
pub use request::{
    DetokenizeRequest, GrantSetRequest, GrantVerifyRequest, MetadataGetRequest, MetadataSetRequest,
    TokenizeRequest,
};
pub use text::{Metadata, SecretText};
