//! From format 1, where an object was one file named after its key, to format 2.
//!
//! ```text
//! objects/<2 hex>/<key: 64 hex> = 0x01 ‖ head length u32 ‖ head ‖ run
//! ```
//!
//! Each file gets a second name under `runs` and a row in the index. The step begins by removing
//! what an earlier, interrupted try has made: nothing of format 2 is in use before it is done.

use super::format::Layout;
use super::{index_path, make_dir, make_shelves, random_name, shelf, sync_dir};
use crate::Error;
use crate::blocking::wait;
use crate::index::{
    BodyPlace, Condition, CreateBucket, Index, IndexConfig, ObjectRow, Put, RunFile,
};
use futures_util::future::join_all;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use strongroom_core::stream::plain_bytes;
use strongroom_core::{UnixMillis, VERSION};

/// Version byte and head length.
const PREFIX_BYTES: usize = 5;
/// Longest head that format 1 wrote.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Rows that are written at a time, to share a sync.
const BATCH: usize = 256;

/// See the module.
pub(super) fn step(layout: &Layout<'_>) -> Result<(), Error> {
    let dir = layout.dir;
    let failed = Error::storage;
    remove_attempt(dir).map_err(failed("removing an unfinished migration"))?;
    let files = old_files(&dir.join("objects")).map_err(failed("listing old files"))?;
    if let Some(unnamed) = files.iter().find(|path| key_of(path).is_none()) {
        return Err(Error::Migration(format!(
            "{} is not named after its key, which cannot be found again; move it away",
            unnamed.display()
        )));
    }
    make_shelves(dir).map_err(failed("making the directories of files"))?;
    let mut rows = Vec::with_capacity(files.len());
    for path in &files {
        rows.push(row_of(dir, path)?);
    }
    for number in 0..=255_u8 {
        sync_dir(&shelf(dir, &[number; 16])).map_err(failed("syncing files"))?;
    }
    wait(write_rows(layout, rows)).map_err(failed("making the index"))?
}

fn remove_attempt(dir: &Path) -> io::Result<()> {
    let index = index_path(dir);
    for suffix in ["", "-wal", "-shm"] {
        let mut path = index.clone().into_os_string();
        path.push(suffix);
        gone(fs::remove_file(path))?;
    }
    gone(fs::remove_dir_all(dir.join("runs")))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn old_files(objects: &Path) -> io::Result<Vec<PathBuf>> {
    make_dir(objects)?;
    let mut files = Vec::new();
    for shelf in fs::read_dir(objects)? {
        for file in fs::read_dir(shelf?.path())? {
            files.push(file?.path());
        }
    }
    Ok(files)
}

/// The object's key, unless the file's name is only made of it.
fn key_of(path: &Path) -> Option<&str> {
    let hex_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let name = path.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(hex_digit)).then_some(name)
}

/// Reads what the row needs and gives the file its new name.
fn row_of(dir: &Path, path: &Path) -> Result<(String, ObjectRow), Error> {
    let damaged = || Error::Migration(format!("{} is damaged; move it away", path.display()));
    let name = random_name();
    let read = || {
        let mut file = super::open_plain(path)?;
        let head = read_head(&mut file)?;
        let known = file.metadata()?;
        fs::hard_link(path, shelf(dir, &name).join(hex::encode(name)))?;
        Ok((head, known.len(), known.modified()?))
    };
    let (head, length, modified) = read().map_err(|error: io::Error| match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged(),
        _ => Error::storage("migrating a file")(error),
    })?;
    let run_at = PREFIX_BYTES + head.len();
    let run = length.checked_sub(run_at as u64).ok_or_else(damaged)?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let row = ObjectRow {
        size: plain_bytes(run).map_err(|_| damaged())?,
        stored_at: UnixMillis(u64::try_from(since.as_millis()).unwrap_or_default()),
        etag: String::new(),
        parts: 0,
        head,
        sealed_key: None,
        place: BodyPlace::Files(vec![RunFile {
            name,
            run_at: u32::try_from(run_at).map_err(|_| damaged())?,
        }]),
    };
    let key = key_of(path).ok_or_else(damaged)?;
    Ok((key.to_owned(), row))
}

fn read_head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact(&mut prefix)?;
    let [version, length @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|length| version == VERSION && *length <= HEAD_BYTES_MAX);
    let mut head = vec![0; length.ok_or(ErrorKind::InvalidData)?];
    file.read_exact(&mut head)?;
    Ok(head)
}

async fn write_rows(layout: &Layout<'_>, rows: Vec<(String, ObjectRow)>) -> Result<(), Error> {
    let failed = |error| Error::storage("making the index")(io::Error::other(error));
    let index = Index::open(IndexConfig::new(index_path(layout.dir))).map_err(failed)?;
    let created = index.create_bucket(layout.bucket, layout.owner, layout.now);
    let CreateBucket::Created(bucket) = created.await.map_err(failed)? else {
        return Err(Error::UnknownFormat);
    };
    let mut rows = rows.into_iter();
    loop {
        let batch: Vec<_> = rows.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let puts = batch.into_iter().map(async |(key, row)| {
            index
                .put(bucket.id, &key, row, Condition::IfNoneMatch)
                .await
        });
        for put in join_all(puts).await {
            let Put::Stored(_) = put.map_err(failed)? else {
                return Err(Error::UnknownFormat);
            };
        }
    }
    index.close().await.map_err(failed)
}

#[cfg(test)]
mod tests;
