//! The one thread that writes: it takes everything that is queued, commits it as one
//! transaction, lets memory follow, and then answers each write.

use super::buckets::{Buckets, Change};
use super::{IndexConfig, IndexError, Result, schema};
use rusqlite::{Connection, TransactionBehavior};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use strongroom_core::crowd::{self, Group};
use tokio::sync::oneshot;

/// Most writes in one transaction.
const BATCH_MAX: usize = 256;

/// What the writer is asked; a close is answered when the file is closed.
pub(super) type Message = crowd::Message<Box<dyn Write>, oneshot::Sender<Result<()>>>;

/// A write and whom to answer.
pub(super) trait Write: Send {
    /// Does it; again after a transaction that was rolled back.
    fn apply(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;
    /// Once it is durable, or failed.
    fn answer(self: Box<Self>, failure: Option<IndexError>);
}

/// A write as a function of its transaction.
struct Act<T, F> {
    on: F,
    outcome: Option<T>,
    /// Gone if the caller was cancelled; the write is done all the same.
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Write for Act<T, F>
where
    T: Send,
    F: Fn(&mut Batch<'_>) -> rusqlite::Result<T> + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        self.outcome = Some((self.on)(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<IndexError>) {
        let answer = match (failure, self.outcome) {
            (Some(error), _) => Err(error),
            (None, Some(outcome)) => Ok(outcome),
            (None, None) => Err(IndexError::Closed),
        };
        let _ = self.reply.send(answer);
    }
}

/// A write that acts `on` its transaction and is answered with what it returned.
pub(super) fn write<T: Send + 'static>(
    on: impl Fn(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    reply: oneshot::Sender<Result<T>>,
) -> Message {
    Message::Write(Box::new(Box::new(Act {
        on,
        outcome: None,
        reply,
    })))
}

/// A transaction under way, and what memory must follow once it is durable.
pub(super) struct Batch<'a> {
    /// In the transaction.
    pub(super) conn: &'a Connection,
    /// For memory, in order.
    pub(super) changes: Vec<Change>,
    /// Something was deleted or replaced, which the log still holds.
    pub(super) erased: bool,
}

/// How a transaction failed.
enum Failure {
    /// Before its commit was tried: it is rolled back and left nothing.
    Undone(IndexError),
    /// At its commit: kept or lost.
    Unknown(IndexError),
}

/// The thread's state.
pub(super) struct Writer {
    config: IndexConfig,
    buckets: Arc<Buckets>,
    /// `None` after a failure, until it is opened anew.
    conn: Option<Connection>,
    /// Deleted bytes may still stand in the log.
    erased: bool,
    #[cfg(test)]
    pub(super) fault: Arc<std::sync::Mutex<Option<super::tests::Fault>>>,
}

impl Writer {
    /// Opens the writing connection and fills memory.
    pub(super) fn open(config: IndexConfig, buckets: Arc<Buckets>) -> Result<Self> {
        let mut writer = Self {
            config,
            buckets,
            conn: None,
            // A process that was killed may have left deleted bytes in the log.
            erased: true,
            #[cfg(test)]
            fault: Arc::default(),
        };
        writer.conn = Some(writer.connection()?);
        Ok(writer)
    }

    /// Works until it is told to close or nobody is left to ask.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        let mut group = Group::new(BATCH_MAX);
        while group.gather(queue) {
            let committed = group.writes.len();
            if committed > 0 {
                self.commit(std::mem::take(&mut group.writes));
            }
            if let Some(reply) = group.closing.take() {
                // Gone if the caller was cancelled.
                let _ = reply.send(self.finish());
                return;
            }
            if std::mem::take(&mut group.tick) && self.erased {
                self.empty_log();
            }
            group.committed(committed, queue);
        }
        if let Err(error) = self.finish() {
            log(&error, "closing the object index failed");
        }
    }

    /// Commits a batch and answers. If one write fails by itself, each gets its own
    /// transaction, so that a damaged page fails only those that touch it.
    fn commit(&mut self, mut writes: Vec<Box<dyn Write>>) {
        match self.transact(&mut writes) {
            Ok(()) => answer(writes, None),
            Err(Failure::Undone(_)) if writes.len() > 1 => {
                for write in writes {
                    let mut alone = vec![write];
                    match self.transact(&mut alone) {
                        Ok(()) => answer(alone, None),
                        Err(Failure::Undone(error) | Failure::Unknown(error)) => {
                            give_up(alone, &error);
                        }
                    }
                }
            }
            Err(Failure::Undone(error) | Failure::Unknown(error)) => give_up(writes, &error),
        }
    }

    fn transact(&mut self, writes: &mut [Box<dyn Write>]) -> std::result::Result<(), Failure> {
        let mut conn = self.connection().map_err(Failure::Undone)?;
        let (changes, erased) = match apply(&mut conn, writes) {
            Ok(applied) => applied,
            Err(error) => {
                // The transaction is rolled back; keep the connection only if it agrees.
                self.conn = conn.is_autocommit().then_some(conn);
                return Err(Failure::Undone(error.into()));
            }
        };
        self.erased |= erased;
        if let Err(error) = self.commit_transaction(&conn) {
            // After a failed sync nothing that this connection believes is certain: close it,
            // and forget what memory believes.
            drop(conn);
            self.buckets.forget();
            return Err(Failure::Unknown(error.into()));
        }
        self.conn = Some(conn);
        self.buckets.follow(changes);
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the test build reads a fault from it")]
    fn commit_transaction(&self, conn: &Connection) -> rusqlite::Result<()> {
        commit_once(conn)
    }

    #[cfg(test)]
    fn commit_transaction(&self, conn: &Connection) -> rusqlite::Result<()> {
        use super::tests::Fault;
        let fault = super::locked(&self.fault).take();
        if fault == Some(Fault::Lost) {
            conn.execute_batch("ROLLBACK")?;
        } else {
            commit_once(conn)?;
        }
        fault.map_or(Ok(()), |_| Err(rusqlite::Error::InvalidQuery))
    }

    /// The connection, opened anew after a failure; memory is then filled anew too.
    fn connection(&mut self) -> Result<Connection> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let conn = schema::open_writer(&self.config)?;
        self.buckets.fill(&conn)?;
        Ok(conn)
    }

    /// Takes deleted bytes out of the log. If a reader is in the way, the next tick tries again.
    fn empty_log(&mut self) {
        match self.try_empty_log() {
            Ok(emptied) => self.erased = !emptied,
            Err(error) => log(&error, "emptying the object index's log failed"),
        }
    }

    fn try_empty_log(&mut self) -> Result<bool> {
        let conn = self.connection()?;
        let emptied = truncate(&conn);
        self.conn = Some(conn);
        emptied
    }

    /// Copies the whole log into the file, empties it and closes the file.
    fn finish(&mut self) -> Result<()> {
        let conn = self.connection()?;
        let emptied = truncate(&conn)?;
        conn.close().map_err(|(_, error)| error)?;
        if emptied {
            Ok(())
        } else {
            Err(IndexError::io("a reader kept the log from being emptied"))
        }
    }
}

/// Whether the log is empty now.
fn truncate(conn: &Connection) -> Result<bool> {
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(!busy)
}

/// Applies the writes in one transaction and leaves it open; rolls it back if one fails. Gives
/// what memory must follow, and whether anything was erased.
fn apply(
    conn: &mut Connection,
    writes: &mut [Box<dyn Write>],
) -> rusqlite::Result<(Vec<Change>, bool)> {
    let mut transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut batch = Batch {
        conn: &transaction,
        changes: Vec::new(),
        erased: false,
    };
    for write in writes {
        write.apply(&mut batch)?;
    }
    let applied = (batch.changes, batch.erased);
    transaction.set_drop_behavior(rusqlite::DropBehavior::Ignore);
    Ok(applied)
}

fn commit_once(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// The same error for all.
fn give_up(writes: Vec<Box<dyn Write>>, error: &IndexError) {
    log(error, "a write to the object index failed");
    answer(writes, Some(error));
}

fn answer(writes: Vec<Box<dyn Write>>, failure: Option<&IndexError>) {
    for write in writes {
        write.answer(failure.cloned());
    }
}

/// The cause is logged here once; callers are told its kind.
fn log(error: &IndexError, message: &'static str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "{message}");
}
