//! The data plane of the embedded store: objects in, objects out, multipart uploads, listings.
//!
//! Bytes are sealed on arrival and opened on the way out; names and places are the index's. Must
//! not know HTTP: who may do what, digests of bodies and XML are the endpoint's.

use bytes::Bytes;
use futures_util::Stream;
use std::io;
use std::ops::Range;
use strongroom_core::UnixMillis;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::manifest::Manifest;

/// A bucket as the index keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// The credential's name that made it.
    pub(crate) owner: String,
    pub(crate) created_at: UnixMillis,
    /// The XML as put.
    pub(crate) cors: Option<String>,
}

/// What must hold for a write to take place; decided in the index's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// `if-none-match: *`: there is no object of the name.
    IfNoneMatch,
    /// `if-match`: the object's entity tag, without quotes, is this.
    IfMatch(String),
}

/// Which names a listing shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListQuery {
    pub(crate) prefix: String,
    /// Names (and prefixes) after this one.
    pub(crate) after: Option<String>,
    pub(crate) delimiter: Option<String>,
    /// Entries and prefixes together.
    pub(crate) max: u32,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) stored_at: UnixMillis,
    /// Empty if unknown.
    pub(crate) etag: String,
}

/// A page of a listing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page starts, if there is one: give it as `after`.
    pub(crate) next: Option<String>,
}

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
    /// Fewer or more bytes came than were announced.
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
    /// The file system or the index failed.
    #[error("storage failed")]
    Io(#[from] io::Error),
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

/// One open upload of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadInfo {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) begun_at: UnixMillis,
}

/// A page of a bucket's open uploads, by key, then by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct UploadList {
    pub(crate) uploads: Vec<UploadInfo>,
    /// Key and id markers for the next page.
    pub(crate) next: Option<(String, String)>,
}

/// The store: index, files, keys and limits.
pub(crate) struct Store {}

/// A body on its way in. Dropped unfinished, it leaves nothing.
pub(crate) struct Writing {}

/// An object whose key was right. While it lives, its files stay.
pub(crate) struct Stored {
    pub(crate) manifest: Manifest,
    pub(crate) server_keyed: bool,
    /// 0 unless it was uploaded in parts.
    pub(crate) parts: u32,
}

/// A Complete whose parts were found and authenticated; nothing is changed before `finish`.
pub(crate) struct Assembly {
    /// Algorithm and type, as given to `create_upload`.
    pub(crate) checksum: Option<(String, String)>,
    /// As named, with their checksums.
    pub(crate) parts: Vec<PartInfo>,
    /// Plaintext bytes of all parts.
    pub(crate) size: u64,
}

const NOT_YET: StoreError = StoreError::Broken("not built yet");

impl Store {
    // --- buckets (by the index) ---------------------------------------------------------

    /// A bucket by its name, from memory.
    pub(crate) fn bucket(&self, _name: &str) -> Option<Bucket> {
        None
    }

    // --- objects ------------------------------------------------------------------------

    /// Begins an object. `headers` are those that a download repeats; `length` is the body's if
    /// it is known.
    pub(crate) async fn put(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _keying: Keying,
        _headers: Vec<(String, String)>,
        _length: Option<u64>,
    ) -> Result<Writing, StoreError> {
        Err(NOT_YET)
    }

    /// Opens an object with its customer key, or without one if it is server-keyed.
    pub(crate) async fn open(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _customer: Option<&DataKey>,
    ) -> Result<Stored, StoreError> {
        Err(NOT_YET)
    }

    /// Size, time and entity tag as the index states them: without key and so without proof.
    pub(crate) async fn stat(
        &self,
        _bucket: &Bucket,
        _key: &str,
    ) -> Result<Option<Entry>, StoreError> {
        Err(NOT_YET)
    }

    /// Removes an object, durable on return. No such object is no error, unless the condition
    /// asks for one ([`StoreError::PreconditionFailed`]).
    pub(crate) async fn delete(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _condition: Condition,
    ) -> Result<(), StoreError> {
        Err(NOT_YET)
    }

    /// Removes objects in one transaction.
    pub(crate) async fn delete_many(
        &self,
        _bucket: &Bucket,
        _keys: Vec<String>,
    ) -> Result<(), StoreError> {
        Err(NOT_YET)
    }

    /// A page of a bucket's objects.
    pub(crate) async fn list(
        &self,
        _bucket: &Bucket,
        _query: &ListQuery,
    ) -> Result<Listing, StoreError> {
        Err(NOT_YET)
    }

    // --- multipart ----------------------------------------------------------------------

    /// Begins a multipart upload and returns its id: 64 hex digits. `checksum` is algorithm and
    /// type.
    pub(crate) async fn create_upload(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _keying: Keying,
        _headers: Vec<(String, String)>,
        _checksum: Option<(String, String)>,
    ) -> Result<String, StoreError> {
        Err(NOT_YET)
    }

    /// Begins a part; finish it with [`Condition::None`]. A second one of the number replaces
    /// the first.
    pub(crate) async fn part(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _upload_id: &str,
        _number: u32,
        _customer: Option<DataKey>,
        _length: Option<u64>,
    ) -> Result<Writing, StoreError> {
        Err(NOT_YET)
    }

    /// A page of an upload's parts. Checksums are shown if `customer` is the upload's key, or if
    /// the upload is server-keyed.
    pub(crate) async fn parts(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _upload_id: &str,
        _customer: Option<&DataKey>,
        _after: u32,
        _max: u32,
    ) -> Result<PartList, StoreError> {
        Err(NOT_YET)
    }

    /// Finds and authenticates the parts that Complete names. The endpoint then computes the
    /// object's checksums and finishes the assembly.
    pub(crate) async fn assemble(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _upload_id: &str,
        _named: Vec<NamedPart>,
    ) -> Result<Assembly, StoreError> {
        Err(NOT_YET)
    }

    /// Ends an upload and removes its parts.
    pub(crate) async fn abort(
        &self,
        _bucket: &Bucket,
        _key: &str,
        _upload_id: &str,
    ) -> Result<(), StoreError> {
        Err(NOT_YET)
    }

    /// A page of a bucket's open uploads. Markers as in `ListMultipartUploads`: without an id
    /// marker, uploads of keys after the key marker.
    pub(crate) async fn uploads(
        &self,
        _bucket: &Bucket,
        _prefix: &str,
        _key_marker: &str,
        _id_marker: &str,
        _max: u32,
    ) -> Result<UploadList, StoreError> {
        Err(NOT_YET)
    }

    /// Ends uploads that are older than `upload_life_s`.
    pub(crate) async fn sweep_stale(&self) -> Result<(), StoreError> {
        Err(NOT_YET)
    }
}

impl Writing {
    /// Of a part: algorithm and type of the upload's checksum.
    pub(crate) fn checksum(&self) -> Option<&(String, String)> {
        None
    }

    /// Whether the server keeps the key.
    pub(crate) fn server_keyed(&self) -> bool {
        false
    }

    /// Takes the next bytes of the body.
    pub(crate) async fn push(&mut self, _data: &[u8]) -> Result<(), StoreError> {
        Err(NOT_YET)
    }

    /// Seals the end and makes the object or part durable. `checksums` are algorithm and value.
    pub(crate) async fn finish(
        self,
        _checksums: Vec<(String, String)>,
        _condition: Condition,
    ) -> Result<Written, StoreError> {
        Err(NOT_YET)
    }

    /// Ends a refused body; on return nothing of it is left.
    pub(crate) async fn abandon(self) {}
}

impl Stored {
    /// Where part `number` is in the object, for `partNumber=`; part 1 of an object that was put
    /// in one piece is all of it.
    pub(crate) fn part_range(&self, _number: u32) -> Option<Range<u64>> {
        None
    }

    /// The bytes of `range`, which must lie in the object. The first of them are authenticated
    /// before this returns. An error in the stream means that what follows cannot be trusted:
    /// the receiver must see the transfer break.
    ///
    /// An empty object's only segment is authenticated too, by an empty range.
    pub(crate) async fn stream(
        self,
        _range: Range<u64>,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, StoreError> {
        if self.parts == u32::MAX {
            return Ok(futures_util::stream::empty());
        }
        Err(NOT_YET)
    }
}

impl Assembly {
    /// Whether the server keeps the key.
    pub(crate) fn server_keyed(&self) -> bool {
        false
    }

    /// Makes the object of the parts, in one transaction.
    pub(crate) async fn finish(
        self,
        _checksums: Vec<(String, String)>,
        _condition: Condition,
    ) -> Result<Written, StoreError> {
        Err(NOT_YET)
    }
}
