//! The embedded store's directory: unfinished files, finished files, durability.
//!
//! ```text
//! dir/format             version of this layout
//! dir/lock               held by the process that has the store open
//! dir/index.sqlite3      what there is, and -wal and -shm beside it
//! dir/incoming/<32 hex>  written, perhaps not yet named by the index
//! dir/runs/<2 hex>/<32 hex>
//! ```
//!
//! A file is synced under `incoming`, then named by a row of the index, and only then moved to
//! `runs`; so a reader looks in both. Names are random and never used twice. Must not know what
//! is in the files, or what names them.

pub(crate) mod direct;
pub(crate) mod format;
mod from_1;

use crate::Error;
use crate::index::RunName;
use rand_core::{Rng, UnwrapErr};
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use strongroom_core::UnixMillis;

/// For how long a look at the free space is good enough for small writes.
const ROOM_MS: u64 = 1000;

/// The opened directory; locked until dropped.
pub(crate) struct Disk {
    dir: PathBuf,
    reserve_bytes: u64,
    room: Mutex<Room>,
    _lock: File,
}

/// The room above the reserve when it was last looked at, less what was taken since.
#[derive(Default)]
struct Room {
    seen_at: Option<UnixMillis>,
    bytes: u64,
}

impl Disk {
    /// Makes or opens the directory, locks it and brings it to this program's format.
    pub(crate) fn open(layout: &format::Layout<'_>, reserve_bytes: u64) -> Result<Self, Error> {
        let doing = Error::storage;
        let dir = layout.dir;
        make_dir(dir).map_err(doing("making the directory"))?;
        let lock = lock(dir)?;
        format::check(layout)?;
        make_shelves(dir).map_err(doing("making the directories of files"))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(doing("syncing the parent directory"))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            reserve_bytes,
            room: Mutex::default(),
            _lock: lock,
        })
    }

    /// Where the index is kept.
    pub(crate) fn index_path(&self) -> PathBuf {
        index_path(&self.dir)
    }

    /// A finished file; nothing else is ever opened under its name.
    pub(crate) fn open_run(&self, name: &RunName) -> io::Result<File> {
        // It may be moved between the first look and the second.
        let places = [self.run(name), self.unfinished(name), self.run(name)];
        let mut missing = ErrorKind::NotFound.into();
        for path in places {
            match open_plain(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => missing = error,
                done => return done,
            }
        }
        Err(missing)
    }

    /// An empty unfinished file that nobody else can read.
    pub(crate) fn incoming(&self) -> io::Result<Incoming> {
        let name = random_name();
        let path = self.unfinished(&name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Incoming {
            file,
            name,
            path: Some(path),
        })
    }

    /// Makes an unfinished file durable, under its name.
    pub(crate) fn sync(&self, incoming: &Incoming) -> io::Result<()> {
        incoming.file.sync_all()?;
        sync_dir(&self.dir.join("incoming"))
    }

    /// Moves a file that the index names to its shelf. If it is gone, its object was deleted.
    pub(crate) fn settle(&self, name: &RunName) -> io::Result<()> {
        match fs::rename(self.unfinished(name), self.run(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Removes files; durable on return, also when there were none.
    pub(crate) fn remove(&self, names: &[RunName]) -> io::Result<()> {
        let mut touched = BTreeSet::new();
        for name in names {
            // In this order: a file that is being moved is found by the second.
            for path in [self.unfinished(name), self.run(name)] {
                match fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            touched.insert(self.dir.join("incoming"));
            touched.insert(self.shelf(name));
        }
        // Synced even if they were gone: the one who removed them may not have synced yet.
        touched.iter().try_for_each(|dir| sync_dir(dir))
    }

    /// The names of all files under `incoming`; what else lies there is removed.
    pub(crate) fn unsettled(&self) -> io::Result<Vec<RunName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.dir.join("incoming"))? {
            let entry = entry?;
            let mut name = RunName::default();
            let text = entry.file_name();
            match hex::decode_to_slice(text.as_encoded_bytes(), &mut name) {
                Ok(()) => names.push(name),
                Err(_) => fs::remove_file(entry.path())?,
            }
        }
        Ok(names)
    }

    /// Refuses, as a full disk does, to let free space fall below the reserve.
    pub(crate) fn check_room(&self, bytes: u64) -> io::Result<()> {
        if self.look()? < bytes {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// As [`Disk::check_room`], for small writes: looks once a second at most, and counts between.
    pub(crate) fn take_room(&self, bytes: u64, now: UnixMillis) -> io::Result<()> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = room.seen_at.is_some_and(|at| now.since(at) < ROOM_MS);
        if !fresh || room.bytes < bytes {
            room.bytes = self.look()?;
            room.seen_at = Some(now);
        }
        match room.bytes.checked_sub(bytes) {
            Some(left) => room.bytes = left,
            None => return Err(ErrorKind::StorageFull.into()),
        }
        Ok(())
    }

    /// Free bytes above the reserve.
    fn look(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.dir)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        Ok(free.saturating_sub(self.reserve_bytes))
    }

    fn unfinished(&self, name: &RunName) -> PathBuf {
        self.dir.join("incoming").join(hex::encode(name))
    }

    fn shelf(&self, name: &RunName) -> PathBuf {
        shelf(&self.dir, name)
    }

    fn run(&self, name: &RunName) -> PathBuf {
        self.shelf(name).join(hex::encode(name))
    }
}

/// A file being written; it goes when this is dropped, unless it is kept.
pub(crate) struct Incoming {
    pub(crate) file: File,
    name: RunName,
    path: Option<PathBuf>,
}

impl Incoming {
    /// Its name, for the index.
    pub(crate) fn name(&self) -> RunName {
        self.name
    }

    /// Leaves it to the index, which names it or will say that it does not.
    pub(crate) fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        // A file that stays for whatever reason is removed at the next start.
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, "an unfinished upload could not be removed");
        }
    }
}

/// A name that no file has or will have.
fn random_name() -> RunName {
    let mut name = RunName::default();
    UnwrapErr(getrandom::SysRng).fill_bytes(&mut name);
    name
}

fn index_path(dir: &Path) -> PathBuf {
    dir.join("index.sqlite3")
}

fn shelf(dir: &Path, name: &RunName) -> PathBuf {
    dir.join("runs").join(hex::encode(&name[..1]))
}

/// Makes the directories of files, durably.
fn make_shelves(dir: &Path) -> io::Result<()> {
    let runs = dir.join("runs");
    make_dir(&dir.join("incoming"))?;
    make_dir(&runs)?;
    for number in 0..=255_u8 {
        make_dir(&runs.join(hex::encode([number])))?;
    }
    sync_dir(&runs)?;
    sync_dir(dir)
}

/// Opens a regular file for reading and nothing else: no link, no pipe, no device.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, "not a plain file"))
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    let file = file.map_err(Error::storage("opening the lock file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse),
        Err(TryLockError::Error(cause)) => Err(Error::storage("locking the directory")(cause)),
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
