//! The one thread that writes: it takes everything that is queued, commits it as one
//! transaction, lets memory follow, and then answers each write.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use strongroom_core::crowd::{self, Group};
use tokio::sync::oneshot;

use super::memory::Memory;
use super::ops::{Batch, Op, Outcome};
use super::{SqliteConfig, schema};
use crate::Error;

/// Most writes in one transaction.
const BATCH_MAX: usize = 256;

/// What the writer is asked; a close is answered when the file is closed.
pub(super) type Message = crowd::Message<Write, oneshot::Sender<Result<(), Error>>>;

/// A write and whom to answer.
pub(super) struct Write {
    /// What to do.
    pub(super) op: Op,
    /// Gone if the caller was cancelled; the write is done all the same.
    pub(super) reply: oneshot::Sender<Result<Outcome, Error>>,
}

/// How a transaction failed.
enum Failure {
    /// Before its commit was tried: it is rolled back and left nothing.
    Undone(Error),
    /// At its commit: kept or lost.
    Unknown(Error),
}

/// The thread's state.
pub(super) struct Writer {
    config: SqliteConfig,
    memory: Arc<Memory>,
    /// `None` after a failure, until it is opened anew.
    conn: Option<Connection>,
    kek_floor: u32,
    /// Deleted bytes may still stand in the log.
    erased: bool,
    #[cfg(test)]
    pub(super) fault: Arc<std::sync::Mutex<Option<crate::conformance::Fault>>>,
}

/// Sends a tick at every `interval` until `stop` or the writer is gone. A thread of its own,
/// because under load the writer never waits.
pub(super) fn tick(queue: &SyncSender<Message>, stop: &Receiver<()>, interval: Duration) {
    while stop.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        if queue.send(Message::Tick).is_err() {
            return;
        }
    }
}

impl Writer {
    /// Takes over the writing connection.
    pub(super) fn new(
        config: SqliteConfig,
        memory: Arc<Memory>,
        conn: Connection,
    ) -> Result<Self, Error> {
        let kek_floor = read_kek_floor(&conn)?;
        Ok(Self {
            config,
            memory,
            conn: Some(conn),
            kek_floor,
            // A process that was killed may have left deleted bytes in the log.
            erased: true,
            #[cfg(test)]
            fault: Arc::default(),
        })
    }

    /// Works until it is told to close or nobody is left to ask.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        let mut group = Group::new(BATCH_MAX);
        while group.gather(queue) {
            let committed = group.writes.len();
            if committed > 0 {
                self.commit(&mut group.writes);
            }
            if let Some(reply) = group.closing.take() {
                // Gone if the caller was cancelled.
                let _ = reply.send(self.finish());
                return;
            }
            if std::mem::take(&mut group.tick) && self.erased {
                self.truncate();
            }
            group.committed(committed, queue);
        }
        if let Err(error) = self.finish() {
            log(&error, "closing the record store failed");
        }
    }

    /// Commits a batch and answers. If one write fails by itself, each gets its own
    /// transaction, so that a damaged page fails only those that touch it.
    fn commit(&mut self, writes: &mut Vec<Write>) {
        match self.transact(writes) {
            Ok(outcomes) => answer(writes, outcomes.into_iter().map(Ok)),
            Err(Failure::Unknown(error)) => give_up(writes, &error),
            Err(Failure::Undone(error)) if writes.len() == 1 => give_up(writes, &error),
            Err(Failure::Undone(_)) => {
                for write in writes.drain(..) {
                    let mut alone = vec![write];
                    match self.transact(&alone) {
                        Ok(outcomes) => answer(&mut alone, outcomes.into_iter().map(Ok)),
                        Err(Failure::Undone(error) | Failure::Unknown(error)) => {
                            give_up(&mut alone, &error);
                        }
                    }
                }
            }
        }
    }

    fn transact(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, Failure> {
        let mut conn = self.connection().map_err(Failure::Undone)?;
        let mut batch = Batch::new(self.kek_floor);
        let outcomes = match apply(&mut conn, &mut batch, writes) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // The transaction is rolled back; keep the connection only if it agrees.
                self.conn = conn.is_autocommit().then_some(conn);
                return Err(Failure::Undone(error.into()));
            }
        };
        self.memory.announce(&batch.effects);
        let committed = self.commit_transaction(&conn);
        self.erased |= batch.erased;
        if let Err(error) = committed {
            // After a failed sync nothing that this connection believes is certain: close it,
            // and forget what memory believes.
            drop(conn);
            self.memory.doubt(batch.effects);
            return Err(Failure::Unknown(error.into()));
        }
        self.conn = Some(conn);
        self.kek_floor = batch.kek_floor;
        self.memory.apply(batch.effects);
        Ok(outcomes)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the test build reads a fault from it")]
    fn commit_transaction(&self, conn: &Connection) -> rusqlite::Result<()> {
        commit_once(conn)
    }

    #[cfg(test)]
    fn commit_transaction(&self, conn: &Connection) -> rusqlite::Result<()> {
        use crate::conformance::Fault;
        let fault = super::memory::locked(&self.fault).take();
        if fault == Some(Fault::Lost) {
            conn.execute_batch("ROLLBACK")?;
        } else {
            commit_once(conn)?;
        }
        fault.map_or(Ok(()), |_| Err(rusqlite::Error::InvalidQuery))
    }

    /// The connection, opened anew after a failure.
    fn connection(&mut self) -> Result<Connection, Error> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let conn = schema::open_writer(&self.config)?;
        self.kek_floor = read_kek_floor(&conn)?;
        Ok(conn)
    }

    /// Copies the whole log into the file and empties it, or leaves that to the next tick.
    fn truncate(&mut self) {
        let truncated = self.connection().and_then(|conn| {
            let truncated = truncate(&conn);
            self.conn = Some(conn);
            truncated
        });
        match truncated {
            Ok(done) => self.erased = !done,
            Err(error) => log(&error, "emptying the log of the record store failed"),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        let conn = self.connection()?;
        let truncated = truncate(&conn)?;
        conn.close().map_err(|(_, error)| error)?;
        if truncated {
            Ok(())
        } else {
            Err(Error::io("a reader kept the log from being emptied"))
        }
    }
}

/// Applies the writes in one transaction and leaves it open; rolls it back if one fails.
fn apply(
    conn: &mut Connection,
    batch: &mut Batch,
    writes: &[Write],
) -> rusqlite::Result<Vec<Outcome>> {
    let mut transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = writes
        .iter()
        .map(|write| batch.apply(&transaction, &write.op))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    transaction.set_drop_behavior(rusqlite::DropBehavior::Ignore);
    Ok(outcomes)
}

fn commit_once(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// Whether the log is empty now.
fn truncate(conn: &Connection) -> Result<bool, Error> {
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(!busy)
}

fn read_kek_floor(conn: &Connection) -> Result<u32, Error> {
    Ok(conn.query_row("SELECT floor FROM kek_floor", [], |row| row.get(0))?)
}

/// The same error for all.
fn give_up(writes: &mut Vec<Write>, error: &Error) {
    log(error, "a write to the record store failed");
    let count = writes.len();
    answer(
        writes,
        std::iter::repeat_n(error, count).map(|error| Err(error.clone())),
    );
}

fn answer(writes: &mut Vec<Write>, outcomes: impl Iterator<Item = Result<Outcome, Error>>) {
    for (write, outcome) in writes.drain(..).zip(outcomes) {
        // Gone if the caller was cancelled.
        let _ = write.reply.send(outcome);
    }
}

/// The cause is logged here once; callers are told its kind.
fn log(error: &Error, message: &'static str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "{message}");
}
