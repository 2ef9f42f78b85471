//! The two files: keyring and master key, private to the process's user, replaced durably.
//!
//! A file is written under a temporary name in the same directory, synced and renamed, and the
//! directory is synced: after a crash either the old or the new file is there, whole. Writers
//! exclude each other by a lock on `<file>.lock`, which stays.

use crate::{Error, Keyring, master, sealed};
use rand_core::CryptoRng;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use strongroom_core::secret::MasterKey;
use zeroize::Zeroizing;

const MODE: u32 = 0o600;
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;
/// The group may read.
const GROUP_READS: u32 = 0o040;
/// User and group of root.
const ROOT: (u32, u32) = (0, 0);
/// Room for every list full (180,280 bytes) and a slot of the largest size (65,538).
const KEYRING_BYTES_MAX: u64 = 256 << 10;
/// One line of 66 bytes, and white space.
const MASTER_KEY_BYTES_MAX: u64 = 256;

/// Refuses a secret file that is missing, is no plain file, or that group or others may use. Root's
/// own group may read what is root's.
pub fn check_private(path: &Path) -> Result<(), Error> {
    open_private(path).map(|_| ())
}

/// Reads a secret file of at most `bytes_max` bytes; refuses what [`check_private`] refuses.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (file, len) = open_private(path)?;
    if len > bytes_max {
        return Err(Error::NotASecretFile(path.to_owned()));
    }
    // Room for all of it at once: growing would leave a copy of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or(0)));
    file.take(len)
        .read_to_end(&mut bytes)
        .map_err(reading(path))?;
    Ok(bytes)
}

/// Reads the master key.
pub fn read_master_key(path: &Path) -> Result<MasterKey, Error> {
    let text = read_private(path, MASTER_KEY_BYTES_MAX)?;
    master::decode(&text).ok_or_else(|| Error::NotAMasterKey(path.to_owned()))
}

/// Makes a random master key and writes it; [`Error::Exists`] if the file is there.
pub fn create_master_key(path: &Path, rng: &mut impl CryptoRng) -> Result<MasterKey, Error> {
    let _lock = lock(path)?;
    if fs::symlink_metadata(path).is_ok() {
        return Err(Error::Exists(path.to_owned()));
    }
    let key = MasterKey::generate(rng);
    replace(path, &master::encode(&key))?;
    Ok(key)
}

/// Reads and opens the keyring; `at_least` as in [`Keyring::open`].
pub fn read(path: &Path, master: &MasterKey, at_least: u64) -> Result<Keyring, Error> {
    let bytes = read_private(path, KEYRING_BYTES_MAX)?;
    Keyring::open(&bytes, master, at_least)
}

/// Seals and writes the keyring if the file holds the version just below the keyring's, or, at
/// version 1, does not exist; else [`Error::Conflict`]. Durable on return.
pub fn write(
    path: &Path,
    keyring: &Keyring,
    master: &MasterKey,
    rng: &mut impl CryptoRng,
) -> Result<(), Error> {
    let bytes = keyring.seal(master, rng)?;
    let _lock = lock(path)?;
    let found = version_of_file(path)?;
    let expected = keyring.version() - 1;
    if found != expected {
        return Err(Error::Conflict { expected, found });
    }
    replace(path, &bytes)
}

/// 0 if the file is absent; a keyring's version is never 0.
fn version_of_file(path: &Path) -> Result<u64, Error> {
    match read_private(path, KEYRING_BYTES_MAX) {
        Ok(bytes) => sealed::claimed_version(&bytes),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// The opened file and its length. What is checked is the opened file, not the name.
fn open_private(path: &Path) -> Result<(File, u64), Error> {
    // Before it is opened: opening a named pipe would wait for a writer.
    if !fs::metadata(path).map_err(reading(path))?.is_file() {
        return Err(Error::NotASecretFile(path.to_owned()));
    }
    let file = File::open(path).map_err(reading(path))?;
    let metadata = file.metadata().map_err(reading(path))?;
    let mode = metadata.mode() & 0o7777;
    // A credential of systemd is root's, and its access list for the service's user shows as the
    // group's bit (`acl(5)`, mask). The group is root's own, which reads everything in any case.
    let is_credential = (metadata.uid(), metadata.gid()) == ROOT && mode & OTHERS == GROUP_READS;
    if mode & OTHERS != 0 && !is_credential {
        return Err(Error::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok((file, metadata.len()))
}

/// Held until the file is dropped.
fn lock(path: &Path) -> Result<File, Error> {
    let beside = beside(path, ".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(MODE)
        .open(&beside)
        .map_err(writing(&beside))?;
    file.lock().map_err(writing(&beside))?;
    Ok(file)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = beside(path, ".tmp");
    write_new(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_directory(path))
        .map_err(writing(path))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A crash may have left one behind; its mode and owner are not to be trusted.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(MODE)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> Error {
    io_error("read", path)
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
    io_error("write", path)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
