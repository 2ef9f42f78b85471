//! The embedded store's directory: unfinished files, finished files, durability.
//!
//! ```text
//! dir/format           version of this layout
//! dir/lock             held by the process that has the store open
//! dir/incoming/<name>  uploads under way, removed at the next start
//! dir/objects/<2 hex>/<name>
//! ```
//!
//! A file appears under `objects` whole and synced, or not at all. Must not know what is in it.

pub(crate) mod direct;
mod format;

use crate::Error;
use rand_core::{Rng, UnwrapErr};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of an object's file: the object key if it is 64 lower-case hex digits, as the vault's
/// are, otherwise `x` and the SHA-256 of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName(String);

impl FileName {
    pub(crate) fn new(object_key: &str) -> Self {
        let hex_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if object_key.len() == 64 && object_key.bytes().all(hex_digit) {
            return Self(object_key.to_owned());
        }
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, object_key.as_bytes());
        Self(format!("x{}", hex::encode(hash)))
    }

    /// The two digits that spread files over directories.
    fn shelf(&self) -> &str {
        &self.0[self.0.len() - 64..][..2]
    }
}

/// The opened directory; locked until dropped.
pub(crate) struct Disk {
    dir: PathBuf,
    reserve_bytes: u64,
    _lock: File,
}

/// Whether a finished file took its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// Durable under its name.
    Stored,
    /// Another file was there before; nothing was changed.
    AlreadyThere,
}

impl Disk {
    /// Makes or opens the directory, locks it, checks its format, and removes unfinished uploads.
    pub(crate) fn open(dir: &Path, reserve_bytes: u64) -> Result<Self, Error> {
        let doing = Error::storage;
        make_dir(dir).map_err(doing("making the directory"))?;
        let lock = lock(dir)?;
        format::check(dir)?;
        let (incoming, objects) = (dir.join("incoming"), dir.join("objects"));
        make_dir(&incoming).map_err(doing("making the incoming directory"))?;
        make_dir(&objects).map_err(doing("making the objects directory"))?;
        for shelf in 0..=255_u8 {
            make_dir(&objects.join(hex::encode([shelf])))
                .map_err(doing("making the objects directories"))?;
        }
        empty_dir(&incoming).map_err(doing("removing unfinished uploads"))?;
        for made in [&objects, dir] {
            sync_dir(made).map_err(doing("syncing the directory"))?;
        }
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(doing("syncing the parent directory"))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            reserve_bytes,
            _lock: lock,
        })
    }

    /// The finished file, if there is one.
    pub(crate) fn read(&self, name: &FileName) -> io::Result<Option<File>> {
        match File::open(self.path(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a finished file.
    pub(crate) fn exists(&self, name: &FileName) -> io::Result<bool> {
        self.path(name).try_exists()
    }

    /// An empty unfinished file that nobody else can read.
    pub(crate) fn incoming(&self) -> io::Result<Incoming> {
        let mut random = [0; 16];
        UnwrapErr(getrandom::SysRng).fill_bytes(&mut random);
        let path = self.dir.join("incoming").join(hex::encode(random));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Incoming { file, path })
    }

    /// Syncs an unfinished file and gives it its name, unless the name is taken.
    pub(crate) fn publish(&self, incoming: &Incoming, name: &FileName) -> io::Result<Published> {
        incoming.file.sync_all()?;
        let path = self.path(name);
        // A hard link, unlike a rename, fails atomically when the name is taken.
        match fs::hard_link(&incoming.path, &path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Ok(Published::AlreadyThere);
            }
            Err(error) => return Err(error),
        }
        if let Err(error) = sync_dir(&self.shelf(name)) {
            // Not acknowledged, so it must not be found either.
            fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(Published::Stored)
    }

    /// Removes a finished file; durable on return, also when there was none.
    pub(crate) fn remove(&self, name: &FileName) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            // Synced even if it was gone: the one who removed it may not have synced yet.
            _ => sync_dir(&self.shelf(name)),
        }
    }

    /// Refuses, as a full disk does, to let free space fall below the reserve.
    pub(crate) fn check_room(&self, bytes: u64) -> io::Result<()> {
        let space = rustix::fs::statvfs(&self.dir)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < self.reserve_bytes.saturating_add(bytes) {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn shelf(&self, name: &FileName) -> PathBuf {
        self.dir.join("objects").join(name.shelf())
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.shelf(name).join(&name.0)
    }
}

/// An upload under way; its unfinished file goes when this is dropped.
pub(crate) struct Incoming {
    pub(crate) file: File,
    path: PathBuf,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // A file that stays for whatever reason is removed at the next start.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "an unfinished upload could not be removed");
        }
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

fn empty_dir(dir: &Path) -> io::Result<()> {
    fs::read_dir(dir)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, PermissionsExt};

    fn opened() -> (tempfile::TempDir, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 0).unwrap();
        (dir, disk)
    }

    fn incoming_files(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path().join("incoming")).unwrap().count()
    }

    #[test]
    fn a_name_is_given_once_and_free_again_after_removal() {
        let (dir, disk) = opened();
        let name = FileName::new(&"ab".repeat(32));
        for (text, expected) in [("one", Published::Stored), ("two", Published::AlreadyThere)] {
            let incoming = disk.incoming().unwrap();
            incoming.file.write_all_at(text.as_bytes(), 0).unwrap();
            assert_eq!(disk.publish(&incoming, &name).unwrap(), expected);
        }
        assert_eq!(incoming_files(&dir), 0);
        let path = dir.path().join("objects/ab").join("ab".repeat(32));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        disk.remove(&name).unwrap();
        disk.remove(&name).unwrap();
        assert!(!disk.exists(&name).unwrap());
    }

    #[test]
    fn unfinished_files_are_gone_after_a_restart() {
        let (dir, disk) = opened();
        drop(disk);
        fs::write(dir.path().join("incoming/left"), "over").unwrap();
        let _disk = Disk::open(dir.path(), 0).unwrap();
        assert_eq!(incoming_files(&dir), 0);
    }

    #[test]
    fn a_directory_in_use_is_refused() {
        let (dir, _disk) = opened();
        assert!(matches!(Disk::open(dir.path(), 0), Err(Error::InUse)));
    }

    #[test]
    fn the_reserve_is_kept_free() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), u64::MAX).unwrap();
        assert_eq!(
            disk.check_room(1).unwrap_err().kind(),
            ErrorKind::StorageFull
        );
    }

    #[test]
    fn other_keys_get_names_that_no_object_id_has() {
        let odd = FileName::new("photos/../cat");
        assert_eq!((odd.0.len(), odd.0.starts_with('x')), (65, true));
        assert_ne!(odd, FileName::new("photos/../dog"));
        assert_ne!(FileName::new(&"AB".repeat(32)).0, "AB".repeat(32));
    }
}
