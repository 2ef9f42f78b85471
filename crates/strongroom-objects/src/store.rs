//! The data plane of the embedded store: objects in, objects out, multipart uploads, listings.
//!
//! Bytes are sealed on arrival and opened on the way out; names and places are the index's. Must
//! not know HTTP: who may do what, digests of bodies and XML are the endpoint's.

mod entity_tag;
mod files;
mod multipart;
mod reading;
pub(crate) mod snapshot;
mod writing;

pub(crate) use multipart::Assembly;
pub(crate) use reading::Stored;
pub(crate) use writing::Writing;

use crate::disk::Disk;
use crate::index::{
    Bucket, Condition, CreateBucket, Delete, DeleteBucket, Index, IndexConfig, IndexError,
    KEY_BYTES_MAX, ListQuery, Listing, Stat, UploadListing, UploadQuery,
};
use crate::runs::Channel;
use files::Files;
use rand_core::{Rng, UnwrapErr};
use std::io;
use std::sync::Arc;
use strongroom_core::UnixMillis;
use strongroom_core::secret::{DataKey, StoreKey};
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_core::stream::kept::StoreKeys;
use strongroom_core::time::Clock;

/// Whose key seals an object.
#[derive(Debug)]
pub(crate) enum Keying {
    /// The customer's, which is not kept.
    Customer(DataKey),
    /// A random one, kept under the store key.
    Server,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The bucket is gone.
    #[error("no such bucket")]
    NoSuchBucket,
    /// No object of that name.
    #[error("no such key")]
    NoSuchKey,
    /// No upload of that id for that bucket and key.
    #[error("no such upload")]
    NoSuchUpload,
    /// The object has a customer key and none was given.
    #[error("no customer key")]
    NoKey,
    /// The object has another customer key.
    #[error("another customer key")]
    WrongKey,
    /// The object is server-keyed and a customer key was given.
    #[error("the object takes no customer key")]
    KeyNotApplicable,
    /// The [`Condition`] does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// A part named at Complete is not there, or has another entity tag or checksum.
    #[error("invalid part")]
    InvalidPart,
    /// The parts named at Complete do not rise.
    #[error("invalid order of parts")]
    InvalidPartOrder,
    /// A part that is not the last has less than 5 MiB.
    #[error("part {number} is too small")]
    EntityTooSmall {
        /// The part.
        number: u32,
        /// Its bytes.
        proposed: u64,
        /// The fewest it may have.
        min: u64,
        /// Its entity tag.
        etag: String,
    },
    /// A part number outside 1 to 10,000.
    #[error("part number out of range")]
    PartNumber,
    /// The upload was begun with a customer key and the part has none.
    #[error("the upload wants a customer key")]
    UploadWantsKey,
    /// The upload was begun with another key (or a server key).
    #[error("the upload was begun with another key")]
    UploadKeyDiffers,
    /// More bytes than an object or a part may have.
    #[error("too large")]
    TooLarge {
        /// The bytes so far, or as announced.
        proposed: u64,
        /// The most.
        max: u64,
    },
    /// Other bytes came than were announced.
    #[error("not the announced length")]
    Length,
    /// Names or headers that the formats have no room for.
    #[error("names or headers are too long")]
    TooLong,
    /// `uploads_max` uploads are open.
    #[error("too many open uploads")]
    TooManyUploads,
    /// The disk's reserve would be touched.
    #[error("the disk is full")]
    Full,
    /// What is kept is not what was stored: damage or an attack. The text is for the log.
    #[error("broken: {0}")]
    Broken(&'static str),
    /// Too many writes wait; try later.
    #[error("too many writes are waiting")]
    Busy,
    /// The index failed; what was being written may have been kept or lost.
    #[error("the index failed")]
    Index(#[source] IndexError),
    /// The file system failed.
    #[error("storage failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full,
            _ => Self::Io(error),
        }
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Full => Self::Full,
            IndexError::Busy => Self::Busy,
            IndexError::Limit(_) => Self::TooLong,
            error => Self::Index(error),
        }
    }
}

/// What a finished write made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) stored_at: UnixMillis,
    /// Plaintext bytes.
    pub(crate) size: u64,
}

/// One part of an open upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartInfo {
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) stored_at: UnixMillis,
    /// Algorithm and value; empty in a [`PartList`] that was asked for without the upload's key.
    pub(crate) checksums: Vec<(String, String)>,
}

/// A page of an upload's parts.
#[derive(Debug, Clone)]
pub(crate) struct PartList {
    pub(crate) parts: Vec<PartInfo>,
    /// Algorithm and type, as given to `create_upload`.
    pub(crate) checksum: Option<(String, String)>,
    /// Give it as `after` for the next page.
    pub(crate) next: Option<u32>,
}

/// A part as Complete names it.
#[derive(Debug, Clone)]
pub(crate) struct NamedPart {
    pub(crate) number: u32,
    /// Without quotes.
    pub(crate) etag: String,
    /// Those that the request states; each must be the part's.
    pub(crate) checksums: Vec<(String, String)>,
}

/// What the store may use and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Plaintext bytes of an object, however it is uploaded.
    pub(crate) object_bytes_max: u64,
    /// Up to here an object is kept in the index.
    pub(crate) inline_bytes_max: u64,
    /// Open multipart uploads.
    pub(crate) uploads_max: u32,
    /// Milliseconds after which an open upload is ended.
    pub(crate) upload_life_ms: u64,
}

/// The store: index, files, keys and limits.
pub(crate) struct Store {
    index: Arc<Index>,
    channel: Channel,
    files: Arc<Files>,
    keys: StoreKeys,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Store {
    /// Opens the index of an opened directory and finishes what a crash left. Blocks.
    pub(crate) fn start(
        disk: Disk,
        store_key: &StoreKey,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Arc<Self>, StoreError> {
        let disk = Arc::new(disk);
        let index = Arc::new(Index::open(IndexConfig::new(disk.index_path()))?);
        let files = Arc::new(Files::new(Arc::clone(&disk), Arc::clone(&index)));
        crate::blocking::wait(files.recover())??;
        Ok(Arc::new(Self {
            index,
            channel: Channel::new(disk),
            files,
            keys: StoreKeys::new(store_key),
            clock,
            limits,
        }))
    }

    // --- buckets ------------------------------------------------------------------------

    /// Makes a bucket.
    pub(crate) async fn create_bucket(
        &self,
        name: &str,
        owner: &str,
    ) -> Result<CreateBucket, StoreError> {
        let now = self.clock.now();
        Ok(self.index.create_bucket(name, owner, now).await?)
    }

    /// The bucket of this name, from memory.
    pub(crate) async fn bucket(&self, name: &str) -> Result<Option<Arc<Bucket>>, StoreError> {
        Ok(self.index.bucket(name).await?)
    }

    /// An owner's buckets, by name.
    pub(crate) async fn buckets(&self, owner: &str) -> Result<Vec<Arc<Bucket>>, StoreError> {
        Ok(self.index.buckets(owner).await?)
    }

    /// Removes a bucket that holds no object, with its open uploads; their files are gone.
    pub(crate) async fn delete_bucket(&self, bucket: &Bucket) -> Result<DeleteBucket, StoreError> {
        let mut answer = self.index.delete_bucket(bucket.id).await?;
        if let DeleteBucket::Deleted(freed) = &mut answer {
            self.files.remove(std::mem::take(freed)).await;
        }
        Ok(answer)
    }

    /// Keeps a bucket's CORS rules, or takes them away; `false` if there is no such bucket.
    pub(crate) async fn set_cors(
        &self,
        bucket: &Bucket,
        cors: Option<String>,
    ) -> Result<bool, StoreError> {
        Ok(self.index.set_cors(bucket.id, cors).await?)
    }

    // --- objects without their keys -----------------------------------------------------

    /// Size, time and entity tag as the index states them: without key and so without proof.
    pub(crate) async fn stat(
        &self,
        bucket: &Bucket,
        key: &str,
    ) -> Result<Option<Stat>, StoreError> {
        Ok(self.index.stat(bucket.id, key).await?)
    }

    /// Removes an object, durable on return. No such object is no error.
    pub(crate) async fn delete(
        &self,
        bucket: &Bucket,
        key: &str,
        condition: Condition,
    ) -> Result<(), StoreError> {
        let deleted = self.index.delete(bucket.id, key, condition).await?;
        self.deleted(deleted).await
    }

    /// Removes up to [`crate::index::PAGE_MAX`] objects in one transaction, durable on return;
    /// answers in the order of the keys.
    pub(crate) async fn delete_many(
        &self,
        bucket: &Bucket,
        keys: Vec<(String, Condition)>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut done = Vec::with_capacity(keys.len());
        let mut all_freed = Vec::new();
        for deleted in self.index.delete_many(bucket.id, keys).await? {
            done.push(match deleted {
                Delete::Deleted(freed) => {
                    all_freed.extend(freed);
                    Ok(())
                }
                other => self.deleted(other).await,
            });
        }
        self.files.remove(all_freed).await;
        Ok(done)
    }

    async fn deleted(&self, deleted: Delete) -> Result<(), StoreError> {
        match deleted {
            Delete::Deleted(freed) => self.files.remove(freed).await,
            Delete::Missing => {}
            Delete::Differs => return Err(StoreError::PreconditionFailed),
        }
        Ok(())
    }

    /// A page of a bucket's objects.
    pub(crate) async fn list(
        &self,
        bucket: &Bucket,
        query: &ListQuery,
    ) -> Result<Listing, StoreError> {
        Ok(self.index.list(bucket.id, query).await?)
    }

    /// A page of a bucket's open uploads.
    pub(crate) async fn uploads(
        &self,
        bucket: &Bucket,
        query: &UploadQuery,
    ) -> Result<UploadListing, StoreError> {
        Ok(self.index.uploads(bucket.id, query).await?)
    }

    // --- house keeping ------------------------------------------------------------------

    /// Ends uploads that are too old, and removes files that nothing names.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        self.sweep_stale().await?;
        self.files.sweep().await
    }

    /// Takes deleted rows out of the index's log as well; to be called again and again.
    pub(crate) fn erase_log(&self) {
        self.index.erase_log();
    }

    /// Finishes what is queued and closes the index.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        Ok(self.index.close().await?)
    }

    /// Most bytes of one PUT or part.
    fn run_bytes_max(&self) -> u64 {
        self.limits.object_bytes_max.min(RUN_BYTES_MAX)
    }
}

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

/// Fresh random bytes.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rng().fill_bytes(&mut bytes);
    bytes
}

fn check_names(key: &str) -> Result<(), StoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::TooLong);
    }
    Ok(())
}

/// Names and headers that the formats have no room for.
fn too_long(_: strongroom_core::Error) -> StoreError {
    StoreError::TooLong
}

/// A second handle on a key, wiped on its own.
fn copy_of(key: &DataKey) -> DataKey {
    DataKey::init_with(|bytes| bytes.copy_from_slice(key.expose()))
}

#[cfg(test)]
mod tests;
