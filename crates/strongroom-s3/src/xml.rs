//! XML of requests, read within bounds and without DTD or entities beyond XML's five, and a small
//! writer for answers.

mod writer;

use crate::S3Error;
use crate::checksum::Value;
pub use writer::Writer;

/// Largest body that [`DeleteRequest::parse`] takes: 1,000 keys of 1 KiB, escaped.
pub const DELETE_BYTES_MAX: usize = 2 << 20;
/// Largest body that [`CompleteRequest::parse`] takes: 10,000 parts with a checksum each.
pub const COMPLETE_BYTES_MAX: usize = 4 << 20;
/// Largest body that [`CreateBucket::parse`] takes.
pub const CREATE_BUCKET_BYTES_MAX: usize = 64 << 10;

/// The body of `DeleteObjects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Only failures are to be reported.
    pub quiet: bool,
    /// 1 to 1,000.
    pub objects: Vec<DeleteObject>,
}

/// One object of a [`DeleteRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteObject {
    /// Its name, not empty.
    pub key: String,
    /// The version asked for.
    pub version_id: Option<String>,
    /// Delete only if it has this `ETag`, without quotes, or `*`.
    pub etag: Option<String>,
}

impl DeleteRequest {
    /// 400 `MalformedXML`, or `KeyTooLongError`.
    pub fn parse(_xml: &[u8]) -> Result<Self, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

/// The body of `CompleteMultipartUpload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteRequest {
    /// 1 to 10,000, in the order sent (whether it ascends is the reader's to check).
    pub parts: Vec<CompletePart>,
}

/// One part of a [`CompleteRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletePart {
    /// 1 to 10,000.
    pub number: u32,
    /// Without quotes.
    pub etag: String,
    /// What the client says of it.
    pub checksums: Vec<Value>,
}

impl CompleteRequest {
    /// 400 `MalformedXML`, `InvalidArgument` for a part number out of range.
    pub fn parse(_xml: &[u8]) -> Result<Self, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

/// The body of `CreateBucket`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateBucket {
    /// The region asked for.
    pub location: Option<String>,
}

impl CreateBucket {
    /// An empty body is an empty configuration. 400 `MalformedXML`.
    pub fn parse(_xml: &[u8]) -> Result<Self, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}
