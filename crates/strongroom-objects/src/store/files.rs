//! Which files live, and the removal of those that do not.
//!
//! The index says what a file is for; a file whose object is being read stays until the reader
//! has gone. Removal is durable before a deletion is answered; that a file is removed is told to
//! the index later, and whatever was missed is found in its table of garbage.

use super::StoreError;
use crate::disk::Disk;
use crate::index::{Freed, Index, PAGE_MAX, RunName};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio::task::spawn_blocking;

/// See the module.
pub(super) struct Files {
    disk: Arc<Disk>,
    index: Arc<Index>,
    /// Held while a row has been read and its files are not yet held.
    opening: RwLock<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Files that are being read.
    held: HashMap<RunName, Holders>,
    /// Removed, and not yet told to the index.
    removed: Vec<RunName>,
    /// Named by a write of which is not known whether it was kept.
    unknown: Vec<RunName>,
}

#[derive(Default)]
struct Holders {
    count: usize,
    /// Nothing names the file any more: the last holder removes it.
    doomed: bool,
}

/// Files that stay until this is dropped.
pub(super) struct Held {
    files: Arc<Files>,
    names: Vec<RunName>,
}

impl Files {
    pub(super) fn new(disk: Arc<Disk>, index: Arc<Index>) -> Self {
        Self {
            disk,
            index,
            opening: RwLock::default(),
            state: Mutex::default(),
        }
    }

    /// Files that the index names now are not removed while this is held.
    pub(super) async fn opening(&self) -> RwLockReadGuard<'_, ()> {
        self.opening.read().await
    }

    /// Holds files; to be called under [`Files::opening`].
    pub(super) fn hold(self: &Arc<Self>, names: Vec<RunName>) -> Held {
        let mut state = self.state();
        for name in &names {
            state.held.entry(*name).or_default().count += 1;
        }
        drop(state);
        let files = Arc::clone(self);
        Held { files, names }
    }

    /// Moves a file that the index names now to its place.
    pub(super) async fn settle(&self, name: RunName) {
        let disk = Arc::clone(&self.disk);
        let settled = spawn_blocking(move || disk.settle(&name)).await;
        if let Err(error) = settled.map_err(io::Error::other).flatten() {
            // It is found where it is, and moved at the next start.
            tracing::warn!(%error, "a stored file could not be moved to its place");
        }
    }

    /// Remembers a file of which only the index can tell later whether it is named.
    pub(super) fn unknown(&self, name: RunName) {
        self.state().unknown.push(name);
    }

    /// Removes files that the index does not name any more.
    pub(super) async fn remove(&self, freed: Freed) {
        if freed.is_empty() {
            return;
        }
        // Whoever has read a row that named them holds them from here on.
        drop(self.opening.write().await);
        let freed = self.not_held(freed);
        self.unlink(freed).await;
    }

    /// Marks those that are held, and returns the others.
    fn not_held(&self, mut names: Vec<RunName>) -> Vec<RunName> {
        let mut state = self.state();
        names.retain(|name| match state.held.get_mut(name) {
            Some(holders) => {
                holders.doomed = true;
                false
            }
            None => true,
        });
        names
    }

    async fn unlink(&self, names: Vec<RunName>) {
        if names.is_empty() {
            return;
        }
        let disk = Arc::clone(&self.disk);
        let removed = spawn_blocking(move || disk.remove(&names).map(|()| names)).await;
        match removed.map_err(io::Error::other).flatten() {
            Ok(names) => self.state().removed.extend(names),
            Err(error) => {
                tracing::warn!(%error, "deleted files could not be removed; they will be later");
            }
        }
    }

    /// Tells the index what was removed, and removes what was missed.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let unknown = std::mem::take(&mut self.state().unknown);
        self.resolve(unknown).await?;
        self.tell_removed().await?;
        let mut after = None;
        loop {
            let names = self.index.garbage(after, PAGE_MAX).await?;
            let Some(last) = names.last() else { break };
            after = Some(*last);
            self.remove(names).await;
            self.tell_removed().await?;
        }
        Ok(())
    }

    async fn tell_removed(&self) -> Result<(), StoreError> {
        let removed = std::mem::take(&mut self.state().removed);
        for names in removed.chunks(PAGE_MAX) {
            // If this fails, the index lists them again.
            self.index.garbage_done(names.to_vec()).await?;
        }
        Ok(())
    }

    /// Settles the unfinished files that the index names and removes the others.
    async fn resolve(&self, names: Vec<RunName>) -> Result<(), StoreError> {
        for page in names.chunks(PAGE_MAX) {
            let living = self.index.names_in(page.to_vec()).await?;
            let (kept, lost): (Vec<_>, Vec<_>) =
                page.iter().partition(|name| living.contains(name));
            for name in kept {
                self.settle(name).await;
            }
            self.unlink(lost).await;
        }
        Ok(())
    }

    /// Finishes what a crash left: every unfinished file, and all garbage.
    pub(super) async fn recover(&self) -> Result<(), StoreError> {
        let unsettled = self.disk.unsettled()?;
        self.resolve(unsettled).await?;
        self.sweep().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The files.
    pub(super) fn names(&self) -> &[RunName] {
        &self.names
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut doomed = Vec::new();
        let mut state = self.files.state();
        for name in &self.names {
            let Some(holders) = state.held.get_mut(name) else {
                continue;
            };
            holders.count -= 1;
            if holders.count == 0 {
                if holders.doomed {
                    doomed.push(*name);
                }
                state.held.remove(name);
            }
        }
        drop(state);
        // Without a runtime they stay until the next sweep.
        if let (false, Ok(runtime)) = (doomed.is_empty(), tokio::runtime::Handle::try_current()) {
            let files = Arc::clone(&self.files);
            runtime.spawn(async move { files.unlink(doomed).await });
        }
    }
}
