//! Reading connections, a few, lent to one read at a time on the blocking pool.

use super::{IndexConfig, IndexError, Result, locked, schema};
use rusqlite::Connection;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Connections that read at the same time.
const READERS_MAX: u32 = 4;

/// The pool.
pub(super) struct Readers {
    config: IndexConfig,
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl Readers {
    /// No connection yet; they are opened as they are needed.
    pub(super) fn new(config: IndexConfig) -> Self {
        let free = Arc::new(Semaphore::new(READERS_MAX as usize));
        Self {
            config,
            idle: Arc::default(),
            free,
        }
    }

    /// What the connections are opened with.
    pub(super) fn config(&self) -> &IndexConfig {
        &self.config
    }

    /// Runs one read. A connection that failed is closed, not lent again.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .map_err(|_| IndexError::Closed)?;
        let (idle, config) = (Arc::clone(&self.idle), self.config.clone());
        let work = move || {
            let lent = locked(&idle).pop();
            let conn = lent.map_or_else(|| schema::open_reader(&config), Ok)?;
            let answer = read(&conn)?;
            locked(&idle).push(conn);
            drop(permit);
            Ok(answer)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(IndexError::io)?
    }

    /// Waits for reads under way and closes every connection.
    pub(super) async fn close(&self) {
        // Refused only if it is closed already.
        let _all = self.free.acquire_many(READERS_MAX).await;
        self.free.close();
        locked(&self.idle).clear();
    }
}
