//! The record store: trait [`RecordStore`], `SQLite` adapter, conformance suite.
//!
//! A store keeps rows and answers races. It never interprets a sealed layer, a grant or a
//! revocation, holds no key and reads no clock: whatever it returns is authenticated by the
//! caller before use.

pub mod conformance;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
pub use strongroom_core::{RecordId, SessionRef, UnixMillis};

pub use sqlite::{Snapshot, Sqlite, SqliteConfig};

/// Most bytes that `outer` and `meta` of one row hold together, and most bytes of a grant,
/// a revocation or a mark. `DynamoDB`'s limit for an item, 400 KiB, is the tightest of all.
pub const ROW_BYTES_MAX: usize = 256 * 1024;

/// An id that no token derives: HKDF would have to give 32 zero bytes.
pub(crate) const NO_RECORD: RecordId = RecordId([0; 32]);

/// Longest name of a mark, in bytes.
pub const MARK_NAME_BYTES_MAX: usize = 64;

/// Most rows that one [`RecordStore::scan`] returns, whatever its limit says.
pub const SCAN_ROWS_MAX: usize = 1000;

/// A token's record as the store sees it: hints in the clear around sealed bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Row version, chosen by the caller; every replacement carries a higher one.
    /// At most `i64::MAX`.
    pub version: u64,
    /// KEK that sealed `outer`. A hint for scans, and what [`RecordStore::raise_kek_floor`]
    /// is compared with.
    pub kek: u32,
    /// Generation of the root secret inside. A hint for scans.
    pub root: u32,
    /// When the sweeper should look at the row, rounded up to the hour;
    /// [`UnixMillis::NEVER`] if it need not. Times beyond `i64::MAX` are kept as that.
    pub due: UnixMillis,
    /// The sealed outer layer, opaque here.
    pub outer: Vec<u8>,
    /// The sealed metadata, opaque here.
    pub meta: Option<Vec<u8>>,
}

/// An explicit grant, keyed by record and session.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Row version, as in [`Row::version`].
    pub version: u64,
    /// From when on [`RecordStore::sweep`] may drop the row; [`UnixMillis::NEVER`] keeps it
    /// as long as its record.
    pub keep_until: UnixMillis,
    /// Body and tag, opaque here.
    pub bytes: Vec<u8>,
}

/// The end of a session, keyed by the session.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationRow {
    /// From when on [`RecordStore::sweep`] may drop the row; [`UnixMillis::NEVER`] keeps it
    /// for ever.
    pub keep_until: UnixMillis,
    /// Body and tag, opaque here.
    pub bytes: Vec<u8>,
}

/// What the gate needs to decide, all of one instant.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// The record, if there is one.
    pub record: Option<Arc<Row>>,
    /// The session's explicit grant on that record; `None` wherever `record` is.
    pub grant: Option<GrantRow>,
    /// The session's revocation, whether or not the record exists.
    pub revocation: Option<RevocationRow>,
}

/// The answer to a conditional insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Insert {
    /// The row is stored.
    Inserted,
    /// A row stood there already and still does, unchanged.
    Exists,
}

/// The answer to a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// What was expected stood there, and the change is stored.
    Swapped,
    /// Something else, or nothing, stood there; nothing changed.
    Lost,
}

/// Why the store did not answer. No message holds bytes of a row.
///
/// After [`Error::Full`], [`Error::Corrupt`] and [`Error::Io`] a write may have been *kept or
/// lost*: the same write may be sent again, and converges as each method says. After any other
/// error nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk, the file's limit or the account is full; reads and deletions still work.
    #[error("the record store is full")]
    Full,
    /// The store holds damaged bytes where it looked; other rows still work.
    #[error("the record store is damaged where it was asked")]
    Corrupt,
    /// The store failed otherwise; the cause is for the log alone.
    #[error("the record store failed")]
    Io(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Too many writes are waiting; try again later.
    #[error("too many writes are waiting")]
    Busy,
    /// The store was closed.
    #[error("the record store is closed")]
    Closed,
    /// The row's KEK lies below the floor: it is being destroyed. Load the keyring again and
    /// seal under a newer one.
    #[error("the row is sealed under a key that is being destroyed")]
    KekRetired,
    /// An argument is beyond a limit of this crate.
    #[error("{what} is beyond the record store's limit")]
    Limit {
        /// Which argument.
        what: &'static str,
    },
    /// A newer program wrote the store; nothing was touched.
    #[error("the record store has format {found}, this program knows formats up to {known}")]
    Newer {
        /// The store's format.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// The store has a format that this program can no longer bring up to date.
    #[error("the record store has format {found}, this program migrates from {oldest} on")]
    TooOld {
        /// The store's format.
        found: u32,
        /// The oldest format this program knows.
        oldest: u32,
    },
    /// What stands at the configured place is something else.
    #[error("the file is not a record store")]
    Foreign,
}

/// Keeps records, grants, revocations and marks.
///
/// What holds for all methods:
///
/// - **Durable on return.** A write that returned `Ok` survives a crash and a power cut.
/// - **Nothing is stale.** Every read sees every write whose reply came before the read began,
///   on every node. A write that is not durable yet is never seen.
/// - **Absence** is `None`, [`Swap::Lost`] or an empty page, never an error.
/// - **A lost race is a value**; an [`Error`] means that the outcome is unknown (see there).
///   Sent again with the same content, every write converges: the state ends as if it had
///   been sent once, and the methods say how the second answer reads. The one exception is a
///   row that others changed in between, which compare-and-set leaves to them.
/// - **Cancelling** a write's future does not recall the write.
///
/// Versions are the caller's; a replacement's version must be higher than the expected one
/// ([`Error::Limit`] otherwise), so that no version ever names two contents of one row.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Reads record, explicit grant and revocation as of one instant: a snapshot in which each
    /// write is seen whole or not at all, and none without all that were answered before it.
    async fn admit(&self, record: RecordId, session: SessionRef) -> Result<Admission, Error>;

    /// The session's revocation, for a caller that has no record yet.
    async fn revocation(&self, session: SessionRef) -> Result<Option<RevocationRow>, Error> {
        Ok(self.admit(NO_RECORD, session).await?.revocation)
    }

    /// Stores a new record unless one stands there.
    ///
    /// After an error, send it again: [`Insert::Inserted`] if the first try was lost,
    /// [`Insert::Exists`] if it was kept. Record ids are derived from random tokens, so the
    /// row that exists is the caller's own; [`RecordStore::admit`] shows it.
    async fn insert(&self, id: RecordId, row: Row) -> Result<Insert, Error>;

    /// Replaces the record if its version is `expected_version`.
    ///
    /// After an error, send it again: [`Swap::Lost`] then means either that the first try was
    /// kept or that somebody else won; [`RecordStore::admit`] tells which.
    async fn replace(&self, id: RecordId, expected_version: u64, row: Row) -> Result<Swap, Error>;

    /// Stores an explicit grant if the record exists and the grant's version is `expected`
    /// (`None`: no such grant). After an error as in [`RecordStore::replace`].
    async fn put_grant(
        &self,
        id: RecordId,
        session: SessionRef,
        expected: Option<u64>,
        row: GrantRow,
    ) -> Result<Swap, Error>;

    /// Replaces record and grant together, both or neither: the charge for a release that
    /// spends a read of the record and a use of the grant. [`Swap::Lost`] if either version is
    /// not the expected one. After an error as in [`RecordStore::replace`].
    async fn charge(
        &self,
        id: RecordId,
        expected_version: u64,
        row: Row,
        session: SessionRef,
        expected_grant: u64,
        grant: GrantRow,
    ) -> Result<Swap, Error>;

    /// Stores a revocation. It never shortens one: a row that is kept at least as long stays,
    /// and the answer is the same. After an error, send it again.
    async fn put_revocation(&self, session: SessionRef, row: RevocationRow) -> Result<(), Error>;

    /// Deletes the record and its grants if the record's version is `expected_version`.
    ///
    /// On return no read shows any of them. The bytes of the record and of its grants leave
    /// the live store at once or within the time the adapter states. After an error, send it
    /// again: [`Swap::Lost`] and no record means that it is done.
    async fn delete(&self, id: RecordId, expected_version: u64) -> Result<Swap, Error>;

    /// The next records after `after`, at most `limit` and at most [`SCAN_ROWS_MAX`], in an
    /// order that the adapter chooses and keeps. An empty page, and only that, is the end.
    ///
    /// Walking from `None`, always handing in the last id seen, shows each record that stood
    /// all the time exactly once, and no record twice; one inserted or deleted meanwhile may
    /// be missing. Each page is read from the primary. `after` need not exist any more.
    async fn scan(
        &self,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Arc<Row>)>, Error>;

    /// Drops up to `limit` grants and revocations whose `keep_until` is not after `now`, and
    /// says how many. Fewer than `limit`: none is left. After an error, send it again.
    async fn sweep(&self, now: UnixMillis, limit: usize) -> Result<u64, Error>;

    /// A small named value, such as the highest version of the keyring seen; `None` if it was
    /// never set.
    async fn mark(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Sets a mark if it is `expected` (`None`: never set). After an error, send it again:
    /// [`Swap::Lost`] with [`RecordStore::mark`] equal to `value` means that it is done.
    async fn swap_mark(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Swap, Error>;

    /// Raises the lowest KEK under which records may be written; a lower floor than the present
    /// one changes nothing. From the reply on, [`RecordStore::insert`],
    /// [`RecordStore::replace`] and [`RecordStore::charge`] compare the row's `kek` with the
    /// floor in the write's own transaction and answer [`Error::KekRetired`] below it, on every
    /// node and after every restart. After an error, send it again.
    async fn raise_kek_floor(&self, floor: u32) -> Result<(), Error>;

    /// Finishes what is queued and closes the store; every later call answers
    /// [`Error::Closed`]. Closing twice is no error.
    async fn close(&self) -> Result<(), Error>;
}

impl Row {
    /// Checks the limits that hold for every adapter.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let meta = self.meta.as_ref().map_or(0, Vec::len);
        within(
            "the row",
            self.outer.len().saturating_add(meta) <= ROW_BYTES_MAX,
        )?;
        within("the row version", i64::try_from(self.version).is_ok())
    }

    /// The same for a row that replaces version `expected`.
    pub(crate) fn check_after(&self, expected: u64) -> Result<(), Error> {
        within("the row version", self.version > expected)?;
        self.check()
    }
}

impl GrantRow {
    /// Checks the limits that hold for every adapter, for a row that replaces `expected`.
    pub(crate) fn check_after(&self, expected: Option<u64>) -> Result<(), Error> {
        within(
            "the grant version",
            expected.is_none_or(|expected| self.version > expected),
        )?;
        within("the grant version", i64::try_from(self.version).is_ok())?;
        within("the grant", self.bytes.len() <= ROW_BYTES_MAX)
    }
}

impl RevocationRow {
    /// Checks the limits that hold for every adapter.
    pub(crate) fn check(&self) -> Result<(), Error> {
        within("the revocation", self.bytes.len() <= ROW_BYTES_MAX)
    }
}

/// `Ok` if the limit holds.
pub(crate) fn within(what: &'static str, holds: bool) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Limit { what })
    }
}

impl Error {
    /// A failure whose cause is for the log alone.
    pub fn io(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Io(Arc::from(cause.into()))
    }
}

/// Shows hints and lengths, never bytes.
impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("version", &self.version)
            .field("kek", &self.kek)
            .field("root", &self.root)
            .field("due", &self.due)
            .field("outer_bytes", &self.outer.len())
            .field("meta_bytes", &self.meta.as_ref().map(Vec::len))
            .finish()
    }
}

/// Shows hints and lengths, never bytes.
impl std::fmt::Debug for GrantRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantRow")
            .field("version", &self.version)
            .field("keep_until", &self.keep_until)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Shows hints and lengths, never bytes.
impl std::fmt::Debug for RevocationRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationRow")
            .field("keep_until", &self.keep_until)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission")
            .field("record", &self.record)
            .field("grant", &self.grant)
            .field("revocation", &self.revocation)
            .finish()
    }
}
