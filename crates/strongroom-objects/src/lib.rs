//! The object store: trait, presigned URLs, and the embedded S3 endpoint.
//!
//! Values go between client and object store by presigned URL; the vault names objects, hands out
//! customer keys (SSE-C) and deletes. This crate must not know tokens, records or sessions.

mod blocking;
mod buffers;
mod credential;
mod disk;
mod embedded;
mod endpoint;
mod index;
mod presign;
mod runs;
mod snapshot;
mod store;

pub use credential::S3Credential;
pub use embedded::{Embedded, EmbeddedConfig};
pub use endpoint::unreadable;
pub use presign::{Presigned, Presigner};
pub use snapshot::ObjectsSnapshot;

use async_trait::async_trait;
use strongroom_core::secret::DataKey;
use strongroom_core::{ObjectId, UnixMillis};
pub use strongroom_s3::sigv4::SigningSecret;

/// Why the object store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work; the text names the field.
    #[error("object store configuration: {0}")]
    Config(String),
    /// Another process holds the store's directory.
    #[error("the object store's directory is in use by another process")]
    InUse,
    /// The directory was written by a newer program.
    #[error("the object store has format {found}, this program knows up to {known}")]
    NewerFormat {
        /// The version in the store's `format` file.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// The directory's `format` file is missing beside objects, or unreadable.
    #[error("the object store's format file is missing or damaged")]
    UnknownFormat,
    /// The directory is of an older format and cannot be brought to this one; the text says why.
    #[error("the object store cannot be brought to this program's format: {0}")]
    Migration(String),
    /// The file system failed; the cause is for the log alone.
    #[error("object store failed while {doing}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// The operating system's answer.
        #[source]
        cause: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: what was being done when the file system failed.
    pub(crate) fn storage(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self::Storage { doing, cause }
    }
}

/// How a request came to the S3 endpoint; the listener puts it into the request's extensions.
///
/// Customer keys (SSE-C) are accepted over [`Transport::Secure`] alone, as AWS does. A request
/// without the extension counts as [`Transport::Insecure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Nobody on the way could read it: TLS, this machine's loopback, or a proxy with TLS.
    Secure,
    /// It may have been read on the way.
    Insecure,
}

/// Says that a request to the S3 endpoint came by a name that is not the endpoint's; the listener
/// puts it into the request's extensions, and the request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignHost;

/// Where sealed values are kept.
///
/// Contract: an object is write-once under its name. What [`ObjectStore::presence`] reports was
/// uploaded completely. After [`ObjectStore::delete`] returns, the object is gone even if the
/// power fails at once; an upload that was under way may still store it again, so the caller
/// deletes once more when the upload URL has expired.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// A URL that stores the object once, for `life_s` seconds from `now` (at most 7 days). With
    /// `content_length` the signature binds that length.
    fn presign_put(
        &self,
        object: &ObjectId,
        key: &DataKey,
        now: UnixMillis,
        life_s: u32,
        content_length: Option<u64>,
    ) -> Presigned;

    /// A URL that reads the object, for `life_s` seconds from `now` (at most 7 days).
    fn presign_get(
        &self,
        object: &ObjectId,
        key: &DataKey,
        now: UnixMillis,
        life_s: u32,
    ) -> Presigned;

    /// The value's bytes as far as can be told without the customer key (not authenticated), or
    /// nothing if there is no such object.
    async fn presence(&self, object: &ObjectId) -> Result<Option<u64>, Error>;

    /// Removes the object; durable on return. No such object is no error.
    async fn delete(&self, object: &ObjectId) -> Result<(), Error>;
}
