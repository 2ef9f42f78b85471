//! The file as of one instant, copied while the index goes on: for backups.

use super::{IndexConfig, IndexError, Result, RunName, schema};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Pages copied between two pauses (1 MiB).
const STEP_PAGES: i32 = 256;
/// The pause: the copy takes at most 1 MiB in 2 ms from the disk, so that commits come between.
const STEP_PAUSE: Duration = Duration::from_millis(2);
/// Page cache of the connection; each page is read once.
const CACHE_BYTES: usize = 1 << 20;

/// Everything that was answered before it was taken, and nothing that began after. While it lives
/// the write-ahead log grows and is not emptied.
pub(crate) struct IndexSnapshot {
    conn: Connection,
}

impl IndexSnapshot {
    /// Starts a reading transaction on a connection of its own. Blocks.
    pub(super) fn take(config: &IndexConfig) -> Result<Self> {
        let config = IndexConfig {
            page_cache_bytes: CACHE_BYTES,
            ..config.clone()
        };
        let conn = schema::open_reader(&config)?;
        // The first read fixes the instant.
        conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
        Ok(Self { conn })
    }

    /// The files of all objects and parts.
    pub(crate) fn names(&self) -> Result<Vec<RunName>> {
        let mut statement = self.conn.prepare("SELECT name FROM names")?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }

    /// Format of the file (`PRAGMA user_version`).
    pub(crate) fn format(&self) -> Result<u32> {
        Ok(self
            .conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))?)
    }

    /// Bytes that the copy will have.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let pragma = |text| self.conn.query_row(text, [], |row| row.get::<_, u32>(0));
        let (pages, page) = (pragma("PRAGMA page_count")?, pragma("PRAGMA page_size")?);
        Ok(u64::from(pages) * u64::from(page))
    }

    /// Writes the copy to a new file of mode 0600, synced on return. Blocks, a pause after each
    /// MiB; `go_on` is asked at each, and `false` ends it with [`IndexError::Closed`].
    pub(crate) fn copy_to(self, path: &Path, go_on: impl Fn() -> bool) -> Result<()> {
        let mut copy = schema::open_copy(path)?;
        let backup = Backup::new(&self.conn, &mut copy)?;
        // The reading transaction holds the source still, so the copy never starts over.
        while backup.step(STEP_PAGES)? != StepResult::Done {
            if !go_on() {
                return Err(IndexError::Closed);
            }
            thread::sleep(STEP_PAUSE);
        }
        drop(backup);
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}
