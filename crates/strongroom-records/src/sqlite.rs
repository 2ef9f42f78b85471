//! The embedded record store: `SQLite` with one writer, a few readers and a memory.
//!
//! Writes queue for one thread that commits them in groups. A read whose record is in memory,
//! and for whose session no grant or revocation exists, is answered there, without a query or
//! a change of thread; any other read is one statement on a reading connection.
//!
//! Files: `path`, and beside it `SQLite`'s `-wal` and `-shm`, all of mode 0600. They must be held
//! exclusively: the caller guarantees that no other process opens them. Of a deleted record or
//! grant, and of a row that a sweep dropped, the file keeps no byte, and the log none after
//! [`SqliteConfig::truncate_every`] or [`RecordStore::close`]. Dropping the store without
//! closing it finishes what is queued and blocks until that is done.

mod memory;
mod ops;
mod readers;
mod schema;
mod snapshot;
mod writer;

pub use self::snapshot::Snapshot;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode};
use strongroom_core::{RecordId, SessionRef, UnixMillis};
use tokio::sync::oneshot;

use self::memory::{Effect, Memory};
use self::ops::{Op, Outcome};
use self::readers::Readers;
use self::writer::{Message, Write, Writer};
use crate::{
    Admission, Error, GrantRow, Insert, MARK_NAME_BYTES_MAX, NO_RECORD, ROW_BYTES_MAX, RecordStore,
    RevocationRow, Row, SCAN_ROWS_MAX, Swap, within,
};

/// Most writes that wait for the writer; one more is answered [`Error::Busy`].
const QUEUE_MAX: usize = 4096;

/// Where the store is and what it may use.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database file; made if it does not exist, its directory is not.
    pub path: PathBuf,
    /// Most bytes of records that memory keeps. Default 64 MiB.
    pub cache_bytes: usize,
    /// Most bytes of database pages that each of the four reading connections keeps, beside
    /// what the system keeps of the file. Default 16 MiB.
    pub page_cache_bytes: usize,
    /// Most grants, and most revocations, whose existence memory keeps, at about 60 bytes each.
    /// Beyond it every read is a query until the store is opened again. Default 1,000,000.
    pub presence_max: usize,
    /// Longest time that deleted bytes stay in the log. Default 30 s; twice as long if a
    /// reader is in the way.
    pub truncate_every: Duration,
    /// Largest size of the database file; a write beyond it is answered [`Error::Full`].
    /// Default: what the disk has.
    pub file_bytes_max: Option<u64>,
}

/// The embedded record store.
pub struct Sqlite {
    memory: Arc<Memory>,
    readers: Readers,
    /// `None` only while it is being dropped.
    queue: Option<SyncSender<Message>>,
    stop_ticker: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    #[cfg(test)]
    fault: Arc<std::sync::Mutex<Option<crate::conformance::Fault>>>,
}

impl SqliteConfig {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 64 << 20,
            page_cache_bytes: 16 << 20,
            presence_max: 1_000_000,
            truncate_every: Duration::from_secs(30),
            file_bytes_max: None,
        }
    }
}

impl Sqlite {
    /// Opens the store, after making the file or bringing it up to date. An older file is
    /// first copied beside itself as `<path>.v<its version>`.
    ///
    /// Blocks; meant for start-up. Only the file's header and schema are checked here: damage
    /// elsewhere is [`Error::Corrupt`] when it is met.
    pub fn open(config: SqliteConfig) -> Result<Self, Error> {
        schema::prepare(&config.path, &schema::FORMAT)?;
        let conn = schema::open_writer(&config)?;
        let memory = Arc::new(Memory::new(config.cache_bytes, config.presence_max));
        memory.apply(existing(&conn, config.presence_max)?);
        let writer = Writer::new(config.clone(), Arc::clone(&memory), conn)?;
        #[cfg(test)]
        let fault = Arc::clone(&writer.fault);
        let (queue, queued) = sync_channel(QUEUE_MAX);
        let (stop_ticker, stopped) = channel();
        let (ticks, interval) = (queue.clone(), config.truncate_every);
        let threads = vec![
            spawn("records-ticker", move || {
                writer::tick(&ticks, &stopped, interval);
            })?,
            spawn("records-writer", move || writer.run(&queued))?,
        ];
        Ok(Self {
            memory,
            readers: Readers::new(config),
            queue: Some(queue),
            stop_ticker: Some(stop_ticker),
            threads,
            #[cfg(test)]
            fault,
        })
    }

    /// The store as of now, for a backup. Blocks for a moment.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::take(self.readers.config())
    }

    async fn write(&self, op: Op) -> Result<Outcome, Error> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Write(Box::new(Write { op, reply }));
        match self.queue.as_ref().ok_or(Error::Closed)?.try_send(message) {
            Ok(()) => answer.await.map_err(|_| Error::Closed)?,
            Err(TrySendError::Full(_)) => Err(Error::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Error::Closed),
        }
    }

    async fn swap(&self, op: Op) -> Result<Swap, Error> {
        match self.write(op).await? {
            Outcome::Refused => Ok(Swap::Lost),
            Outcome::KekRetired => Err(Error::KekRetired),
            Outcome::Applied | Outcome::Dropped(_) => Ok(Swap::Swapped),
        }
    }
}

#[async_trait]
impl RecordStore for Sqlite {
    async fn admit(&self, record: RecordId, session: SessionRef) -> Result<Admission, Error> {
        if let Some(row) = self.memory.admit(record, session) {
            return Ok(Admission {
                record: Some(row),
                grant: None,
                revocation: None,
            });
        }
        let changes = self.memory.changes(record);
        let admission = self
            .readers
            .read(move |conn| readers::admit(conn, record, session));
        let admission = admission.await?;
        if let Some(row) = &admission.record {
            self.memory.fill(record, row, changes);
        }
        Ok(admission)
    }

    async fn revocation(&self, session: SessionRef) -> Result<Option<RevocationRow>, Error> {
        if self.memory.is_unrevoked(session) {
            return Ok(None);
        }
        let read = self
            .readers
            .read(move |conn| readers::admit(conn, NO_RECORD, session));
        Ok(read.await?.revocation)
    }

    async fn insert(&self, id: RecordId, row: Row) -> Result<Insert, Error> {
        row.check()?;
        Ok(
            match self
                .swap(Op::Insert {
                    id,
                    row: Arc::new(row),
                })
                .await?
            {
                Swap::Swapped => Insert::Inserted,
                Swap::Lost => Insert::Exists,
            },
        )
    }

    async fn replace(&self, id: RecordId, expected_version: u64, row: Row) -> Result<Swap, Error> {
        row.check_after(expected_version)?;
        self.swap(Op::Replace {
            id,
            expected: expected_version,
            row: Arc::new(row),
        })
        .await
    }

    async fn put_grant(
        &self,
        id: RecordId,
        session: SessionRef,
        expected: Option<u64>,
        row: GrantRow,
    ) -> Result<Swap, Error> {
        row.check_after(expected)?;
        self.swap(Op::PutGrant {
            id,
            session,
            expected,
            grant: row,
        })
        .await
    }

    async fn charge(
        &self,
        id: RecordId,
        expected_version: u64,
        row: Row,
        session: SessionRef,
        expected_grant: u64,
        grant: GrantRow,
    ) -> Result<Swap, Error> {
        row.check_after(expected_version)?;
        grant.check_after(Some(expected_grant))?;
        let row = Arc::new(row);
        let expected = expected_version;
        self.swap(Op::Charge {
            id,
            expected,
            row,
            session,
            expected_grant,
            grant,
        })
        .await
    }

    async fn put_revocation(&self, session: SessionRef, row: RevocationRow) -> Result<(), Error> {
        row.check()?;
        self.write(Op::PutRevocation { session, row })
            .await
            .map(drop)
    }

    async fn delete(&self, id: RecordId, expected_version: u64) -> Result<Swap, Error> {
        self.swap(Op::Delete {
            id,
            expected: expected_version,
        })
        .await
    }

    async fn scan(
        &self,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Arc<Row>)>, Error> {
        let limit = limit.min(SCAN_ROWS_MAX);
        self.readers
            .read(move |conn| readers::scan(conn, after, limit))
            .await
    }

    async fn sweep(&self, now: UnixMillis, limit: usize) -> Result<u64, Error> {
        match self.write(Op::Sweep { now, limit }).await? {
            Outcome::Dropped(count) => Ok(count),
            Outcome::Applied | Outcome::Refused | Outcome::KekRetired => Ok(0),
        }
    }

    async fn mark(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = name.to_owned();
        self.readers
            .read(move |conn| readers::mark(conn, &name))
            .await
    }

    async fn swap_mark(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Swap, Error> {
        within("the mark's name", name.len() <= MARK_NAME_BYTES_MAX)?;
        within("the mark", value.len() <= ROW_BYTES_MAX)?;
        let expected = expected.map(<[u8]>::to_vec);
        self.swap(Op::SwapMark {
            name: name.to_owned(),
            expected,
            value: value.to_vec(),
        })
        .await
    }

    async fn raise_kek_floor(&self, floor: u32) -> Result<(), Error> {
        self.write(Op::RaiseKekFloor { floor }).await.map(drop)
    }

    async fn close(&self) -> Result<(), Error> {
        self.readers.close().await;
        self.memory.close();
        let Some(queue) = self.queue.clone() else {
            return Ok(());
        };
        let (reply, answer) = oneshot::channel();
        // Sending waits while the queue is full.
        let sent = tokio::task::spawn_blocking(move || queue.send(Message::Close(reply)));
        match sent.await.map_err(Error::io)? {
            // The writer is gone: closed before.
            Err(_) => Ok(()),
            Ok(()) => answer.await.unwrap_or(Ok(())),
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        drop(self.stop_ticker.take());
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // A thread that panicked has been reported by the panic itself.
            let _ = thread.join();
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Corrupt,
            _ => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Self::Full,
                Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt,
                Some(ErrorCode::NotADatabase) => Self::Foreign,
                _ => Self::io(error),
            },
        }
    }
}

/// The grants and revocations that exist, up to just more than can be remembered.
fn existing(conn: &Connection, presence_max: usize) -> Result<Vec<Effect>, Error> {
    let limit = i64::try_from(presence_max)
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    let mut grants = conn.prepare("SELECT record, session FROM grants LIMIT ?1")?;
    let grants = grants.query_map([limit], |row| {
        Ok(Effect::GrantAdded(
            RecordId(row.get(0)?),
            SessionRef(row.get(1)?),
        ))
    })?;
    let mut revocations = conn.prepare("SELECT session FROM revocations LIMIT ?1")?;
    let revocations = revocations.query_map([limit], |row| {
        Ok(Effect::RevocationAdded(SessionRef(row.get(0)?)))
    })?;
    Ok(grants.chain(revocations).collect::<rusqlite::Result<_>>()?)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(Error::io)
}
