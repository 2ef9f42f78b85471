//! The store as of one instant: index and files, for a backup.

use super::files::Held;
use super::{Store, StoreError};
use crate::disk::Disk;
use crate::index::{IndexSnapshot, PAGE_MAX};
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Index and files of one instant. The files stay, even those whose objects are deleted meanwhile,
/// until each has been taken or this is dropped.
pub(crate) struct StoreSnapshot {
    pub(crate) index: Option<IndexSnapshot>,
    disk: Arc<Disk>,
    held: Vec<Held>,
    /// Of the page that is being taken.
    taking: Option<Held>,
    at: usize,
}

impl Store {
    /// What is answered by now is in it; nothing of it is removed while it lives.
    pub(crate) async fn snapshot(&self) -> Result<StoreSnapshot, StoreError> {
        // What the index names from here on is not removed until it is held.
        let opening = self.files.opening().await;
        let index = Arc::clone(&self.index);
        let read = spawn_blocking(move || {
            let snapshot = index.snapshot()?;
            let names = snapshot.names()?;
            Ok::<_, StoreError>((snapshot, names))
        });
        let (snapshot, names) = read.await.map_err(io::Error::other)??;
        let pages = names.chunks(PAGE_MAX);
        let held = pages.map(|page| self.files.hold(page.to_vec())).collect();
        drop(opening);
        Ok(StoreSnapshot {
            index: Some(snapshot),
            disk: Arc::clone(&self.channel.disk),
            held,
            taking: None,
            at: 0,
        })
    }
}

impl StoreSnapshot {
    /// Number and bytes of the files.
    pub(crate) fn measure(&self) -> io::Result<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for name in self.held.iter().flat_map(Held::names) {
            count += 1;
            bytes += self.disk.open_run(name)?.metadata()?.len();
        }
        Ok((count, bytes))
    }

    /// The next file, by its path below the store's directory once it is settled; each once.
    pub(crate) fn next_file(&mut self) -> Option<io::Result<(String, File)>> {
        loop {
            let page = match &self.taking {
                Some(page) => page,
                None => self.taking.insert(self.held.pop()?),
            };
            if let Some(name) = page.names().get(self.at) {
                self.at += 1;
                let path = format!("runs/{}/{}", hex::encode(&name[..1]), hex::encode(name));
                return Some(self.disk.open_run(name).map(|file| (path, file)));
            }
            self.taking = None;
            self.at = 0;
        }
    }
}
