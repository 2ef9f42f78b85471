//! The embedded store as of one instant, for a backup.

use crate::embedded::failed;
use crate::store::snapshot::StoreSnapshot;
use crate::store::StoreError;
use crate::{Embedded, Error};
use std::fs::File;
use std::path::Path;

/// Everything that was answered before it was taken. While it lives, no file of it is removed:
/// the room of what is deleted meanwhile is free afterwards. Drop it within a runtime.
pub struct ObjectsSnapshot {
    store: StoreSnapshot,
}

impl Embedded {
    /// The store as of now. Deletions wait while the names of its files are read, for a moment.
    pub async fn snapshot(&self) -> Result<ObjectsSnapshot, Error> {
        let store = self.store.snapshot().await;
        let store = store.map_err(failed("taking a snapshot"))?;
        Ok(ObjectsSnapshot { store })
    }
}

impl ObjectsSnapshot {
    /// Format of the index, and the bytes that its copy will have. Not after
    /// [`ObjectsSnapshot::copy_index`].
    pub fn index(&self) -> Result<(u32, u64), Error> {
        let index = self.store.index.as_ref().ok_or_else(copied)?;
        let read = || Ok((index.format()?, index.bytes()?));
        read().map_err(|error: StoreError| failed("reading the index")(error))
    }

    /// Writes the index's copy to a new file of mode 0600, synced on return; once. Blocks, a pause
    /// after each MiB; `go_on` is asked at each, and `false` ends it with an error.
    pub fn copy_index(&mut self, path: &Path, go_on: impl Fn() -> bool) -> Result<(), Error> {
        let index = self.store.index.take().ok_or_else(copied)?;
        let written = index.copy_to(path, go_on).map_err(StoreError::from);
        written.map_err(failed("copying the index"))
    }

    /// Number and bytes of the files beside the index. Blocks.
    pub fn measure(&self) -> Result<(u64, u64), Error> {
        self.store
            .measure()
            .map_err(Error::storage("measuring the files"))
    }

    /// The next file and its path below the store's directory; each once. What was taken before
    /// may be removed from then on.
    pub fn next_file(&mut self) -> Option<Result<(String, File), Error>> {
        let next = self.store.next_file()?;
        Some(next.map_err(Error::storage("opening a file")))
    }
}

fn copied() -> Error {
    Error::storage("copying the index")(std::io::ErrorKind::NotFound.into())
}
