//! Credentials of the applications that use the S3 endpoint for themselves.

use strongroom_s3::sigv4::SigningSecret;

/// One access key. Two of one name are the old and the new key of one application.
///
/// No credential reaches the vault's own bucket, whatever its patterns say.
#[derive(Debug)]
pub struct S3Credential {
    /// Owner of the buckets that it makes.
    pub name: String,
    /// Sent with every request; not secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: SigningSecret,
    /// Buckets that it may make and use; a `*` at the end makes a name a prefix. Names without
    /// are made at start.
    pub buckets: Vec<String>,
    /// It may store objects without a customer key, under keys that the store keeps.
    pub server_keyed: bool,
}
