//! What the embedded store holds, in `SQLite`: buckets, objects, multipart uploads, and the names
//! of files, living and dead. It knows no key, no HTTP and no file but its own.
//!
//! Writes queue for one thread that commits them in groups; what it answers is durable. Reads are
//! one statement or one read transaction on a reading connection. Buckets are answered from
//! memory.
//!
//! Files: `path`, and beside it `SQLite`'s `-wal` and `-shm`, all of mode 0600. They must be held
//! exclusively: the caller guarantees that no other process opens them. Dropping the index without
//! closing it finishes what is queued and blocks until that is done.

mod error;
mod rows;

pub(crate) use self::error::IndexError;
pub(crate) use self::rows::*;

use std::path::PathBuf;
use std::sync::Arc;
use strongroom_core::UnixMillis;

type Result<T> = std::result::Result<T, IndexError>;

/// Where the index is and what it may use.
#[derive(Debug, Clone)]
pub(crate) struct IndexConfig {
    /// The database file; made if it does not exist, its directory is not.
    pub(crate) path: PathBuf,
    /// Most bytes of database pages that each of the four reading connections keeps, beside
    /// what the system keeps of the file. Default 16 MiB.
    pub(crate) page_cache_bytes: usize,
    /// Largest size of the database file; a write beyond it is answered
    /// [`IndexError::Full`]. Default: what the disk has.
    pub(crate) file_bytes_max: Option<u64>,
}

impl IndexConfig {
    /// The defaults for a file.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            page_cache_bytes: 16 << 20,
            file_bytes_max: None,
        }
    }
}

/// The opened index.
pub(crate) struct Index {
    _config: IndexConfig,
}

#[expect(clippy::unused_async, reason = "signatures first")]
impl Index {
    /// Opens the index, after making the file. Blocks; meant for start-up.
    pub(crate) fn open(_config: IndexConfig) -> Result<Self> {
        Err(IndexError::Closed)
    }

    /// Makes a bucket.
    pub(crate) async fn create_bucket(
        &self,
        _name: &str,
        _owner: &str,
        _created_at: UnixMillis,
    ) -> Result<CreateBucket> {
        Err(IndexError::Closed)
    }

    /// The bucket of this name.
    pub(crate) async fn bucket(&self, _name: &str) -> Result<Option<Arc<Bucket>>> {
        Err(IndexError::Closed)
    }

    /// An owner's buckets, by name.
    pub(crate) async fn buckets(&self, _owner: &str) -> Result<Vec<Arc<Bucket>>> {
        Err(IndexError::Closed)
    }

    /// Removes a bucket that holds no object, with its open uploads.
    pub(crate) async fn delete_bucket(&self, _bucket: BucketId) -> Result<DeleteBucket> {
        Err(IndexError::Closed)
    }

    /// Keeps a bucket's CORS rules, or takes them away; `false` if there is no such bucket.
    pub(crate) async fn set_cors(&self, _bucket: BucketId, _cors: Option<String>) -> Result<bool> {
        Err(IndexError::Closed)
    }

    /// Stores an object; the last writer wins unless the condition says otherwise. Files that the
    /// row names are of it once the answer is [`Put::Stored`].
    pub(crate) async fn put(
        &self,
        _bucket: BucketId,
        _key: &str,
        _row: ObjectRow,
        _condition: Condition,
    ) -> Result<Put> {
        Err(IndexError::Closed)
    }

    /// The object under a key.
    pub(crate) async fn object(&self, _bucket: BucketId, _key: &str) -> Result<Option<ObjectRow>> {
        Err(IndexError::Closed)
    }

    /// What can be said of an object without its key; cheaper than [`Index::object`].
    pub(crate) async fn stat(&self, _bucket: BucketId, _key: &str) -> Result<Option<Stat>> {
        Err(IndexError::Closed)
    }

    /// Removes an object. No such object is no error.
    pub(crate) async fn delete(
        &self,
        _bucket: BucketId,
        _key: &str,
        _condition: Condition,
    ) -> Result<Delete> {
        Err(IndexError::Closed)
    }

    /// Removes up to [`PAGE_MAX`] objects in one transaction; answers in the order of the keys.
    pub(crate) async fn delete_many(
        &self,
        _bucket: BucketId,
        _keys: Vec<(String, Condition)>,
    ) -> Result<Vec<Delete>> {
        Err(IndexError::Closed)
    }

    /// A page of a bucket's objects, of one instant.
    pub(crate) async fn list(&self, _bucket: BucketId, _query: &ListQuery) -> Result<Listing> {
        Err(IndexError::Closed)
    }

    /// Opens an upload, unless `open_max` are open in all buckets.
    pub(crate) async fn create_upload(
        &self,
        _row: UploadRow,
        _open_max: u32,
    ) -> Result<CreateUpload> {
        Err(IndexError::Closed)
    }

    /// An open upload. The caller compares its bucket and key with those of the request.
    pub(crate) async fn upload(&self, _id: &str) -> Result<Option<UploadRow>> {
        Err(IndexError::Closed)
    }

    /// Stores a part, in place of an earlier one of its number.
    pub(crate) async fn put_part(&self, _upload: &str, _row: PartRow) -> Result<PutPart> {
        Err(IndexError::Closed)
    }

    /// An upload's parts with numbers over `after`, by number, at most `max`; none if there is no
    /// such upload. `max` may go up to [`PARTS_MAX`].
    pub(crate) async fn parts(
        &self,
        _upload: &str,
        _after: u32,
        _max: u32,
    ) -> Result<Vec<PartRow>> {
        Err(IndexError::Closed)
    }

    /// Makes an upload the object under its key, in one transaction. The row's place names the
    /// chosen parts' files; all of them must still be parts of the upload.
    pub(crate) async fn complete(
        &self,
        _upload: &str,
        _row: ObjectRow,
        _condition: Condition,
    ) -> Result<Complete> {
        Err(IndexError::Closed)
    }

    /// Ends an upload and drops its parts.
    pub(crate) async fn abort(&self, _upload: &str) -> Result<Abort> {
        Err(IndexError::Closed)
    }

    /// A page of a bucket's open uploads.
    pub(crate) async fn uploads(
        &self,
        _bucket: BucketId,
        _query: &UploadQuery,
    ) -> Result<UploadListing> {
        Err(IndexError::Closed)
    }

    /// Ids of uploads begun before this, the oldest first, at most [`PAGE_MAX`].
    pub(crate) async fn stale_uploads(&self, _before: UnixMillis) -> Result<Vec<String>> {
        Err(IndexError::Closed)
    }

    /// Files to unlink, by name, behind `after`. Each stays listed until
    /// [`Index::garbage_done`].
    pub(crate) async fn garbage(
        &self,
        _after: Option<RunName>,
        _limit: usize,
    ) -> Result<Vec<RunName>> {
        Err(IndexError::Closed)
    }

    /// Forgets files that are unlinked, durably. Names that are no garbage are left alone.
    pub(crate) async fn garbage_done(&self, _names: Vec<RunName>) -> Result<()> {
        Err(IndexError::Closed)
    }

    /// Those of these names that an object or a part has.
    pub(crate) async fn names_in(&self, _names: Vec<RunName>) -> Result<Vec<RunName>> {
        Err(IndexError::Closed)
    }

    /// Finishes what is queued, empties the log and closes the file; later calls are answered
    /// [`IndexError::Closed`].
    pub(crate) async fn close(&self) -> Result<()> {
        Err(IndexError::Closed)
    }
}
