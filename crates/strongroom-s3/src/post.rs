//! Uploads from HTML forms: `multipart/form-data` with a policy (AWS, *Browser-based uploads using
//! POST*).
//!
//! A state machine without I/O, like [`crate::chunked`].

use crate::S3Error;
use crate::verify::Credential;
use bytes::Bytes;
use std::sync::Arc;
use strongroom_core::UnixMillis;

/// The form's fields before its file, names lower case. A field that comes twice is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    fields: Vec<(String, String)>,
    file_name: String,
}

impl Fields {
    /// The value of a lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|pair| pair.0 == name);
        found.map(|pair| pair.1.as_str())
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The last component of the file's name, empty if the form gives none.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The `key` field with `${filename}` replaced; 400 `InvalidArgument` without one.
    pub fn key(&self) -> Result<String, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

/// Reads one form.
pub struct Reader {}

impl Reader {
    /// From the request's `content-type`; 412 `PreconditionFailed` (AWS) if it is no form.
    pub fn new(_content_type: &[u8]) -> Result<Self, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }

    /// Takes the next bytes of the body, and appends what they hold of the file. At most 20 KiB may
    /// come before the file. 400 `MalformedPOSTRequest`, `MaxPostPreDataLengthExceeded` or
    /// `InvalidArgument`.
    pub fn push(&mut self, _data: Bytes, _out: &mut Vec<Bytes>) -> Result<(), S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }

    /// The fields, once the file has begun: the policy can be checked before a byte is kept.
    pub fn fields(&self) -> Option<&Fields> {
        None
    }

    /// At the body's end: the file was ended by the boundary.
    pub fn finish(self) -> Result<(), S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

/// A form whose signature and policy were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Whose signature it is.
    pub access_key_id: String,
    /// Least bytes of the file; fewer are 400 `EntityTooSmall`.
    pub length_min: u64,
    /// Most bytes of the file; more are 400 `EntityTooLarge`.
    pub length_max: u64,
}

/// Checks the policy's signature and every condition: 403 `AccessDenied` ("Invalid according to
/// Policy: …"), `SignatureDoesNotMatch`, `InvalidAccessKeyId`, 400 `InvalidPolicyDocument`. Without
/// a policy field the form is anonymous: 403 `AccessDenied`.
pub fn verify(
    _region: &str,
    _find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    _bucket: &str,
    _fields: &Fields,
    _now: UnixMillis,
) -> Result<Accepted, S3Error> {
    Err(S3Error::NOT_IMPLEMENTED)
}
