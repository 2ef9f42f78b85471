//! The log as the gate sees it: append, then learn that it is durable.

use crate::open;
use crate::writer::{self, Shared};
use crate::{Entry, Error};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use strongroom_core::UnixMillis;
use tokio::sync::oneshot;

/// When an appended entry counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced to the disk before anything is released.
    Durable,
    /// Written and synced within a second; a power cut may lose that second.
    Buffered,
}

/// Named limits of the log.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of entries that may wait for the disk; beyond it appends are refused.
    pub queue_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_bytes_max: 8 * 1024 * 1024,
        }
    }
}

/// The open decision log. One per data directory, held by the gate.
pub struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    newest: UnixMillis,
    path: PathBuf,
}

impl Log {
    /// Opens or makes `dir/decisions.jsonl`, cuts off a torn last line, and starts the writer.
    ///
    /// A torn line was never acknowledged: a batch is synced before anyone learns of it.
    pub fn open(dir: &Path, durability: Durability, limits: Limits) -> Result<Self, Error> {
        let path = dir.join("decisions.jsonl");
        let opened = open::open(dir, &path, limits.queue_bytes_max as u64)?;
        let shared = Arc::new(Shared::new(durability, limits, opened.len));
        let for_thread = Arc::clone(&shared);
        let (file, len) = (opened.file, opened.len);
        let thread = std::thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer::run(&for_thread, &file, len))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            newest: opened.newest,
            path,
        })
    }

    /// Time of the newest entry when the log was opened; 0 in an empty log.
    pub fn newest_at_open(&self) -> UnixMillis {
        self.newest
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts an entry in line. The act it decides must wait for the receipt.
    pub fn append(&self, entry: &Entry) -> Result<Receipt, Error> {
        self.shared.append(entry).map(Receipt)
    }

    /// Whether entries are accepted at present.
    pub fn health(&self) -> Result<(), Error> {
        self.shared.health()
    }

    /// Bytes of the file that are whole entries and synced. With [`Durability::Durable`] every
    /// entry whose receipt has resolved is in them, and all that were appended before it.
    pub fn durable_bytes(&self) -> u64 {
        self.shared.durable_bytes()
    }

    /// Writes and syncs what waits, and refuses everything after.
    pub fn close(&self) {
        self.shared.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The writer never panics on purpose; if it did, there is nothing left to write.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// Proof to come that an entry is written.
#[must_use = "an entry counts once its receipt says so"]
pub struct Receipt(Option<oneshot::Receiver<Result<(), Error>>>);

impl Receipt {
    /// Resolves when the entry is as durable as the log's setting promises.
    pub async fn durable(self) -> Result<(), Error> {
        match self.0 {
            None => Ok(()),
            Some(answer) => answer.await.unwrap_or(Err(Error::Broken)),
        }
    }
}

#[cfg(test)]
mod tests;
