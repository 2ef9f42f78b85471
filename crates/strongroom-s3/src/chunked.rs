//! Bodies of `content-encoding: aws-chunked` (AWS, *Signature calculations for the Authorization
//! header: transferring payload in multiple chunks*, and *… trailing headers*).
//!
//! A state machine without I/O. Bytes of a signed chunk are handed on before the chunk's signature
//! is known to be right: whoever takes them must not acknowledge anything before
//! [`Decoder::finish`] returned.

use crate::S3Error;
use bytes::Bytes;
use std::fmt;

/// How a body is chunked and signed; made by [`crate::verify::verify`].
pub struct Signing {
    decoded_length: u64,
}

impl Signing {
    /// Bytes of the body when decoded: `x-amz-decoded-content-length`.
    pub fn decoded_length(&self) -> u64 {
        self.decoded_length
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signing([REDACTED])")
    }
}

/// The trailing headers that the body ended with; each was announced in `x-amz-trailer`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailers(Vec<(String, String)>);

impl Trailers {
    /// The value of a lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|pair| pair.0 == name);
        found.map(|pair| pair.1.as_str())
    }
}

/// Reads one body.
pub struct Decoder {}

impl Decoder {
    /// At the body's start.
    pub fn new(_signing: Signing) -> Self {
        Self {}
    }

    /// Takes the next bytes of the body, and appends what they hold of the value. 400
    /// `IncompleteBody` or `InvalidRequest` for bad framing, 403 `SignatureDoesNotMatch` at the end
    /// of a chunk whose signature is wrong.
    pub fn push(&mut self, _data: Bytes, _out: &mut Vec<Bytes>) -> Result<(), S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }

    /// At the body's end: all signatures were right, the last chunk and the announced trailers
    /// came, and the length is `x-amz-decoded-content-length`.
    pub fn finish(self) -> Result<Trailers, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}
