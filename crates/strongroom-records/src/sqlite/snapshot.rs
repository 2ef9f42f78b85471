//! The file as of one instant, copied while the store goes on: for backups.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::{SqliteConfig, schema};
use crate::Error;

/// Pages copied between two pauses (1 MiB).
const STEP_PAGES: i32 = 256;
/// The pause: the copy takes at most 1 MiB in 2 ms from the disk, so that commits come between.
const STEP_PAUSE: Duration = Duration::from_millis(2);
/// Page cache of the connection; each page is read once.
const CACHE_BYTES: usize = 1 << 20;

/// Everything that was answered before it was taken, and nothing that began after.
///
/// While it lives the write-ahead log grows and is not emptied, so deleted bytes stay in it: copy
/// it soon, and drop it before the store is closed.
pub struct Snapshot {
    conn: Connection,
}

impl Snapshot {
    /// Starts a reading transaction on a connection of its own. Blocks.
    pub(super) fn take(config: &SqliteConfig) -> Result<Self, Error> {
        let config = SqliteConfig {
            page_cache_bytes: CACHE_BYTES,
            ..config.clone()
        };
        let conn = schema::open_reader(&config)?;
        // The first read fixes the instant.
        conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
        Ok(Self { conn })
    }

    /// Format of the file (`PRAGMA user_version`).
    pub fn format(&self) -> Result<u32, Error> {
        Ok(self
            .conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))?)
    }

    /// Bytes that the copy will have.
    pub fn bytes(&self) -> Result<u64, Error> {
        let pragma = |text| self.conn.query_row(text, [], |row| row.get::<_, u32>(0));
        let (pages, page) = (pragma("PRAGMA page_count")?, pragma("PRAGMA page_size")?);
        Ok(u64::from(pages) * u64::from(page))
    }

    /// Writes the copy to a new file of mode 0600, synced on return. Blocks, a pause after each
    /// MiB; `go_on` is asked at each, and `false` ends it with [`Error::Closed`].
    pub fn copy_to(self, path: &Path, go_on: impl Fn() -> bool) -> Result<(), Error> {
        let mut copy = schema::open_copy(path)?;
        let backup = Backup::new(&self.conn, &mut copy)?;
        // The reading transaction holds the source still, so the copy never starts over.
        while backup.step(STEP_PAGES)? != StepResult::Done {
            if !go_on() {
                return Err(Error::Closed);
            }
            thread::sleep(STEP_PAUSE);
        }
        drop(backup);
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}
