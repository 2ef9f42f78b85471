//! What the index holds and what it answers: plain data, without SQL.

use super::{IndexError, Result};
use bytes::Bytes;
use std::fmt;
use strongroom_core::UnixMillis;

/// Longest object key in bytes of UTF-8, as AWS S3 has it.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// Longest `head` of an object: room for the sealed manifest of 10,000 parts.
pub(crate) const HEAD_BYTES_MAX: usize = 2 << 20;
/// Longest sealed value that lies in the index itself: 1 MiB of plaintext, sealed.
pub(crate) const INLINE_BYTES_MAX: usize = (1 << 20) + (64 << 10);
/// Longest of the other opaque fields: a sealed key, an upload's or a part's sealed bytes, a
/// bucket's CORS rules.
pub(crate) const FIELD_BYTES_MAX: usize = 128 << 10;
/// Longest name: of a bucket, an owner, an `ETag`, an upload.
pub(crate) const NAME_BYTES_MAX: usize = 256;
/// Most files of one object, and the highest number of a part.
pub(crate) const PARTS_MAX: u32 = 10_000;
/// Most buckets of one index; all of them are kept in memory.
pub(crate) const BUCKETS_MAX: u32 = 10_000;
/// Most keys or uploads of one page, and most keys of one `delete_many`.
pub(crate) const PAGE_MAX: usize = 1000;

/// Names a file of the store; drawn at random, never used twice.
pub(crate) type RunName = [u8; 16];

/// Files that nothing names any more, in the table of garbage since the same transaction.
pub(crate) type Freed = Vec<RunName>;

/// A bucket for as long as it exists; never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BucketId(pub(crate) i64);

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// What its objects refer to.
    pub(crate) id: BucketId,
    /// Unique among all owners.
    pub(crate) name: String,
    /// The name of the credential that made it.
    pub(crate) owner: String,
    /// When it was made.
    pub(crate) created_at: UnixMillis,
    /// The CORS rules as they were put, XML.
    pub(crate) cors: Option<String>,
}

/// One run of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunFile {
    /// The file.
    pub(crate) name: RunName,
    /// Where the run begins in it, in bytes.
    pub(crate) run_at: u32,
}

/// Where an object's sealed value lies.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum BodyPlace {
    /// In the index, whole.
    Inline(Bytes),
    /// In files, in the order of the value.
    Files(Vec<RunFile>),
}

/// An object.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    /// Plaintext bytes; at most `i64::MAX`.
    pub(crate) size: u64,
    /// When it was stored.
    pub(crate) stored_at: UnixMillis,
    /// Without quotes; empty if unknown, which no [`Condition::IfMatch`] but `*` matches.
    pub(crate) etag: String,
    /// Parts it was completed from; 0 if it was put whole.
    pub(crate) parts: u32,
    /// Sealed, opaque here.
    pub(crate) head: Vec<u8>,
    /// The sealed data key of a server-keyed object, opaque here.
    pub(crate) sealed_key: Option<Vec<u8>>,
    /// Its sealed value.
    pub(crate) place: BodyPlace,
}

/// What can be said of an object without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// As [`ObjectRow::size`].
    pub(crate) size: u64,
    /// As [`ObjectRow::stored_at`].
    pub(crate) stored_at: UnixMillis,
    /// As [`ObjectRow::etag`].
    pub(crate) etag: String,
}

/// What must stand under a key for a write to happen; judged in the write's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Anything or nothing.
    None,
    /// Nothing (`If-None-Match: *`).
    IfNoneMatch,
    /// An object of this `ETag`, without quotes, or with `*` any object.
    IfMatch(String),
}

/// The answer to a bucket's creation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum CreateBucket {
    /// It is there now.
    Created(Bucket),
    /// It was there before, perhaps another owner's; unchanged.
    Exists(Bucket),
    /// There are [`BUCKETS_MAX`] already.
    TooMany,
}

/// The answer to a bucket's deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum DeleteBucket {
    /// It is gone, and with it its open uploads, as on AWS.
    Deleted(Freed),
    /// It holds objects; unchanged.
    NotEmpty,
    /// There is no such bucket.
    NoBucket,
}

/// The answer to a put.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Put {
    /// Stored; the files are those of the object that stood there before.
    Stored(Freed),
    /// Refused: an object stands there.
    Exists,
    /// Refused: no object stands there.
    Missing,
    /// Refused: an object with another `ETag` stands there.
    Differs,
    /// Refused: the bucket is gone.
    NoBucket,
}

/// The answer to a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delete {
    /// Gone; the files are those it had.
    Deleted(Freed),
    /// There was no object.
    Missing,
    /// Refused: an object with another `ETag` stands there.
    Differs,
}

/// What to list of a bucket's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ListQuery {
    /// Only keys that begin so.
    pub(crate) prefix: String,
    /// Only what comes behind this: a marker, or the `next` of the page before. If it lies in a
    /// common prefix, all of that prefix is passed over.
    pub(crate) after: Option<String>,
    /// Only keys behind this (`start-after`). A common prefix that it lies in is listed if keys
    /// behind it are there.
    pub(crate) start_after: Option<String>,
    /// Keys that hold this behind `prefix` are one common prefix up to its end. Empty is none.
    pub(crate) delimiter: Option<String>,
    /// Most keys and common prefixes together; at most [`PAGE_MAX`].
    pub(crate) max: usize,
}

/// A page of a bucket's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Listing {
    /// By the bytes of their keys.
    pub(crate) entries: Vec<Entry>,
    /// By their bytes; between the entries in order.
    pub(crate) prefixes: Vec<String>,
    /// The last key or common prefix of the page, if there is more behind it.
    pub(crate) next: Option<String>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its key.
    pub(crate) key: String,
    /// What is known of it.
    pub(crate) stat: Stat,
}

/// A multipart upload.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UploadRow {
    /// Drawn at random by the caller; unique in the index.
    pub(crate) id: String,
    /// The bucket that it is for.
    pub(crate) bucket: BucketId,
    /// The key that it is for.
    pub(crate) key: String,
    /// When it was begun.
    pub(crate) created_at: UnixMillis,
    /// The object will be server-keyed.
    pub(crate) server_keyed: bool,
    /// The sealed keys of the upload, opaque here.
    pub(crate) kept: Vec<u8>,
    /// What the object will be described by, sealed, opaque here.
    pub(crate) draft: Vec<u8>,
}

/// The answer to an upload's creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum CreateUpload {
    /// It is open now.
    Created,
    /// As many as may be open are open.
    TooMany,
    /// The bucket is gone.
    NoBucket,
}

/// A part of an upload. Its value is always a file, wholly one run.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PartRow {
    /// 1 to [`PARTS_MAX`].
    pub(crate) number: u32,
    /// Plaintext bytes; at most `i64::MAX`.
    pub(crate) size: u64,
    /// When it was stored.
    pub(crate) stored_at: UnixMillis,
    /// Length, salt, `ETag` and checksums, sealed, opaque here.
    pub(crate) sealed: Vec<u8>,
    /// Its file. As names are never used twice, this is also the part's identity.
    pub(crate) file: RunName,
}

/// The answer to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum PutPart {
    /// Stored; the file is that of the part of this number before.
    Stored(Freed),
    /// There is no such upload.
    NoUpload,
}

/// The answer to an upload's completion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Complete {
    /// The object is stored and the upload gone; the files are those of the parts that were not
    /// chosen and of the object that stood there before.
    Stored(Freed),
    /// There is no such upload.
    NoUpload,
    /// A file of the row is not a part of the upload any more: it was replaced meanwhile.
    PartsChanged,
    /// Refused: an object stands there; the upload stays open.
    Exists,
    /// Refused: no object stands there; the upload stays open.
    Missing,
    /// Refused: an object with another `ETag` stands there; the upload stays open.
    Differs,
}

/// The answer to an upload's abort.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Abort {
    /// Gone; the files are those of its parts.
    Aborted(Freed),
    /// There is no such upload.
    NoUpload,
}

/// What to list of a bucket's open uploads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UploadQuery {
    /// Only uploads whose keys begin so.
    pub(crate) prefix: String,
    /// Only uploads whose keys come behind this; a common prefix that it lies in is passed over.
    pub(crate) key_marker: Option<String>,
    /// With it, also uploads of the very key `key_marker` whose ids come behind this. Without a
    /// key marker it means nothing, as on AWS.
    pub(crate) upload_marker: Option<String>,
    /// As [`ListQuery::delimiter`].
    pub(crate) delimiter: Option<String>,
    /// Most uploads and common prefixes together; at most [`PAGE_MAX`].
    pub(crate) max: usize,
}

/// A page of a bucket's open uploads, by key and then by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UploadListing {
    /// The uploads.
    pub(crate) entries: Vec<UploadEntry>,
    /// The common prefixes of their keys.
    pub(crate) prefixes: Vec<String>,
    /// The markers for the page behind this one, if there is one: the last key and its upload,
    /// or a common prefix alone.
    pub(crate) next: Option<(String, Option<String>)>,
}

/// An upload in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadEntry {
    /// The key that it is for.
    pub(crate) key: String,
    /// The upload.
    pub(crate) id: String,
    /// When it was begun.
    pub(crate) created_at: UnixMillis,
}

/// Refuses a field over its limit.
pub(super) fn within(what: &'static str, is_within: bool) -> Result<()> {
    is_within.then_some(()).ok_or(IndexError::Limit(what))
}

/// Refuses a key that no object may have.
pub(super) fn check_key(key: &str) -> Result<()> {
    within("the key", (1..=KEY_BYTES_MAX).contains(&key.len()))
}

impl ObjectRow {
    /// Refuses what the index does not keep.
    pub(super) fn check(&self) -> Result<()> {
        let sealed_key = self.sealed_key.as_ref().map_or(0, Vec::len);
        within("the size", i64::try_from(self.size).is_ok())?;
        within("the ETag", self.etag.len() <= NAME_BYTES_MAX)?;
        within("the number of parts", self.parts <= PARTS_MAX)?;
        within("the head", self.head.len() <= HEAD_BYTES_MAX)?;
        within("the sealed key", sealed_key <= FIELD_BYTES_MAX)?;
        match &self.place {
            BodyPlace::Inline(bytes) => within("the value", bytes.len() <= INLINE_BYTES_MAX),
            BodyPlace::Files(files) => within(
                "the number of files",
                u32::try_from(files.len()).is_ok_and(|count| count <= PARTS_MAX),
            ),
        }
    }
}

impl UploadRow {
    /// Refuses what the index does not keep.
    pub(super) fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        within("the upload's id", self.id.len() <= NAME_BYTES_MAX)?;
        within("the upload's keys", self.kept.len() <= FIELD_BYTES_MAX)?;
        within("the upload's draft", self.draft.len() <= FIELD_BYTES_MAX)
    }
}

impl PartRow {
    /// Refuses what the index does not keep.
    pub(super) fn check(&self) -> Result<()> {
        within("the part's number", (1..=PARTS_MAX).contains(&self.number))?;
        within("the size", i64::try_from(self.size).is_ok())?;
        within("the part", self.sealed.len() <= FIELD_BYTES_MAX)
    }
}

// The fields that `Debug` leaves out are sealed, but a log is no place for them either.
impl fmt::Debug for BodyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Files(files) => write!(f, "Files({})", files.len()),
        }
    }
}

impl fmt::Debug for ObjectRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectRow")
            .field("size", &self.size)
            .field("stored_at", &self.stored_at)
            .field("parts", &self.parts)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UploadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadRow")
            .field("bucket", &self.bucket)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PartRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartRow")
            .field("number", &self.number)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
