//! The writer thread: takes what waits, writes it, syncs it, tells everyone.

use crate::log::{Durability, Limits};
use crate::{Entry, Error};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use strongroom_core::crowd::Crowd;
use tokio::sync::oneshot;

/// Buffered entries reach the disk at least this often, so that a cut loses at most a second.
const BUFFERED_FLUSH: Duration = Duration::from_millis(500);
/// How often a full disk is looked at again without an entry.
const FULL_RETRY: Duration = Duration::from_secs(1);
/// Buffered bytes that wake the writer before its timer does.
const BUFFERED_BYTES_WAKE: usize = 1024 * 1024;

type Answer = oneshot::Sender<Result<(), Error>>;

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    answers: Vec<Answer>,
    writer_idle: bool,
    closed: bool,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
enum Fault {
    Full,
    Broken,
}

impl Fault {
    fn error(self) -> Error {
        match self {
            Self::Full => Error::Full,
            Self::Broken => Error::Broken,
        }
    }
}

pub(crate) struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    durability: Durability,
    limits: Limits,
    /// Length of the file at its last sync.
    synced: AtomicU64,
}

impl Shared {
    pub(crate) fn new(durability: Durability, limits: Limits, synced: u64) -> Self {
        Self {
            synced: AtomicU64::new(synced),
            queue: Mutex::default(),
            filled: Condvar::new(),
            durability,
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(
        &self,
        entry: &Entry,
    ) -> Result<Option<oneshot::Receiver<Result<(), Error>>>, Error> {
        let durable = self.durability == Durability::Durable;
        let (answer, receipt) = if durable {
            let (answer, receipt) = oneshot::channel();
            (Some(answer), Some(receipt))
        } else {
            (None, None)
        };
        let mut queue = self.lock();
        if queue.closed {
            return Err(Error::Closed);
        }
        match queue.fault {
            Some(Fault::Broken) => return Err(Error::Broken),
            // A durable log tries again with every entry; a buffered one would acknowledge what
            // it cannot write, so it waits for the writer's own retry.
            Some(Fault::Full) if !durable => return Err(Error::Full),
            _ => {}
        }
        if queue.lines.len() >= self.limits.queue_bytes_max {
            return Err(Error::Slow);
        }
        entry.write_line(&mut queue.lines);
        queue.answers.extend(answer);
        // A buffered log is woken by its timer: a wake per entry would cost a system call.
        let wake = durable || queue.lines.len() >= BUFFERED_BYTES_WAKE;
        if wake && queue.writer_idle {
            queue.writer_idle = false;
            self.filled.notify_one();
        }
        Ok(receipt)
    }

    pub(crate) fn health(&self) -> Result<(), Error> {
        let queue = self.lock();
        match queue.fault {
            Some(fault) => Err(fault.error()),
            None if queue.closed => Err(Error::Closed),
            None => Ok(()),
        }
    }

    pub(crate) fn durable_bytes(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Ends a full disk's fault once an entry would fit.
    fn look_for_room(&self, file: &File, len: u64) {
        if matches!(self.lock().fault, Some(Fault::Full)) && has_room(file, len) {
            self.lock().fault = None;
        }
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Waits for work and takes it; `None` when closed and empty. `batch` holds what a buffered
    /// log could not write the last time.
    fn take(&self, batch: &mut Vec<u8>, crowd: &Crowd) -> Option<Vec<Answer>> {
        let mut queue = self.lock();
        if !queue.closed && queue.lines.is_empty() {
            queue.writer_idle = true;
            queue = match self.durability {
                Durability::Durable if queue.fault.is_none() => self
                    .filled
                    .wait_while(queue, |queue| queue.lines.is_empty() && !queue.closed)
                    .unwrap_or_else(PoisonError::into_inner),
                // A full disk is looked at again by the clock too: whoever waits for health
                // before sending another entry would wait for ever.
                Durability::Durable => {
                    let waited = self.filled.wait_timeout(queue, FULL_RETRY);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Durability::Buffered => {
                    let waited = self.filled.wait_timeout(queue, BUFFERED_FLUSH);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.writer_idle = false;
        }
        if queue.closed && queue.lines.is_empty() && batch.is_empty() {
            return None;
        }
        let waiting = queue.answers.len();
        drop(queue);
        crowd.linger(waiting, || {
            let queue = self.lock();
            (!queue.closed).then_some(queue.answers.len())
        });
        let mut queue = self.lock();
        batch.append(&mut queue.lines);
        Some(std::mem::take(&mut queue.answers))
    }
}

/// Runs until the log is closed and everything that waited is written.
pub(crate) fn run(shared: &Shared, file: &File, mut len: u64) {
    let mut batch = Vec::new();
    let mut crowd = Crowd::default();
    while let Some(answers) = shared.take(&mut batch, &crowd) {
        if batch.is_empty() {
            shared.look_for_room(file, len);
            continue;
        }
        let committed = answers.len();
        let fault = write_batch(file, &mut len, &batch).err();
        // Before anyone is told.
        shared.synced.store(len, Ordering::Release);
        let came_meanwhile = {
            let mut queue = shared.lock();
            queue.fault = fault;
            queue.answers.len()
        };
        crowd.note(committed, came_meanwhile);
        // A durable batch that failed was refused, so it must not be written later.
        if fault.is_none() || shared.durability == Durability::Durable || shared.lock().closed {
            batch.clear();
        }
        for answer in answers {
            // A caller that went away does not need to know.
            let _ = answer.send(fault.map_or(Ok(()), |fault| Err(fault.error())));
        }
        if matches!(fault, Some(Fault::Broken)) {
            refuse_the_rest(shared);
            return;
        }
    }
}

/// After a failed sync nobody can say which pages reached the disk, so nothing more is written.
fn refuse_the_rest(shared: &Shared) {
    let answers = std::mem::take(&mut shared.lock().answers);
    for answer in answers {
        let _ = answer.send(Err(Error::Broken));
    }
}

/// Writes zeros behind the last entry and takes them away again. What a crash leaves of them is
/// cut off when the log is opened.
fn has_room(file: &File, len: u64) -> bool {
    const ENTRIES: [u8; 4096] = [0; 4096];
    let written = file.write_all_at(&ENTRIES, len);
    written.is_ok() & file.set_len(len).is_ok()
}

fn write_batch(file: &File, len: &mut u64, batch: &[u8]) -> Result<(), Fault> {
    if let Err(error) = file.write_all_at(batch, *len) {
        tracing::error!(%error, "audit log write failed");
        // What was written of the batch goes, so that the next one starts on a line of its own.
        return match file.set_len(*len) {
            Ok(()) if is_full(&error) => Err(Fault::Full),
            _ => Err(Fault::Broken),
        };
    }
    if let Err(error) = file.sync_data() {
        tracing::error!(%error, "audit log sync failed; the log stays shut until a restart");
        return Err(Fault::Broken);
    }
    *len += batch.len() as u64;
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
