//! The file: how it is created, recognized and opened. It knows tables and pragmas, not what the
//! rows are for.

use super::{IndexConfig, IndexError, Result};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

/// The format this program writes (`PRAGMA user_version`).
pub(super) const FORMAT: u32 = 1;

// Keys are blobs, so that they are compared by their bytes. `objects` holds only what a listing
// shows: heads and values lie apart, in the order of arrival, so that a page of a listing is a
// short range. `names` are the files of bodies and parts, for the question whether one is alive.
const CREATE: &str = "
    CREATE TABLE buckets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        cors TEXT
    ) STRICT;
    CREATE TABLE objects (
        bucket INTEGER NOT NULL,
        key BLOB NOT NULL,
        size INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        etag TEXT NOT NULL,
        parts INTEGER NOT NULL,
        body INTEGER NOT NULL,
        PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE bodies (
        id INTEGER PRIMARY KEY,
        head BLOB NOT NULL,
        sealed_key BLOB,
        files BLOB NOT NULL,
        inline BLOB
    ) STRICT;
    CREATE TABLE uploads (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        bucket INTEGER NOT NULL,
        key BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        server_keyed INTEGER NOT NULL,
        kept BLOB NOT NULL,
        draft BLOB NOT NULL
    ) STRICT;
    CREATE INDEX uploads_by_key ON uploads (bucket, key, id, created_at);
    CREATE INDEX uploads_by_age ON uploads (created_at);
    CREATE TABLE parts (
        upload INTEGER NOT NULL,
        number INTEGER NOT NULL,
        size INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        file BLOB NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (upload, number)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE names (name BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID, STRICT;
    CREATE TABLE garbage (name BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID, STRICT;";

/// Marks the file as ours (`PRAGMA application_id`): `SRix`.
const APPLICATION_ID: i32 = 0x5352_6978;

/// Bytes per page of a new file.
const PAGE_BYTES: u32 = 4096;

/// Pages in the write-ahead log at which the writer copies them into the file (64 MiB).
const CHECKPOINT_PAGES: u32 = 16_000;

/// What the log is cut back to once it was copied, after a transaction larger than usual.
const LOG_BYTES_KEPT: u32 = CHECKPOINT_PAGES * PAGE_BYTES;

/// Page cache of the writing connection; what does not fit goes to the log before the commit.
const WRITER_CACHE_BYTES: usize = 4 << 20;

/// How long emptying the log waits for readers.
const BUSY_WAIT: Duration = Duration::from_millis(250);

/// Prepared statements that a connection keeps; there are fewer.
const STATEMENTS_MAX: usize = 64;

/// Creates the file if it is not there. A file that is refused is not changed.
pub(super) fn prepare(path: &Path) -> Result<()> {
    make_private(path)?;
    let mut conn = Connection::open_with_flags(path, flags(Access::Write))?;
    conn.busy_timeout(BUSY_WAIT)?;
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let empty: bool = conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
        row.get(0)
    })?;
    if empty && id == 0 && found == 0 {
        create(&mut conn)?;
    } else if id != APPLICATION_ID || found == 0 {
        return Err(IndexError::Foreign);
    } else if found > FORMAT {
        return Err(IndexError::Newer {
            found,
            known: FORMAT,
        });
    }
    conn.close().map_err(|(_, error)| error)?;
    sync_directory(path)
}

/// The one connection that writes.
pub(super) fn open_writer(config: &IndexConfig) -> Result<Connection> {
    let conn = open(config, Access::Write)?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_BYTES_KEPT};"
    ))?;
    if let Some(bytes_max) = config.file_bytes_max {
        let page: u64 = conn
            .query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?
            .into();
        let pages = (bytes_max / page).max(1);
        conn.execute_batch(&format!("PRAGMA max_page_count = {pages};"))?;
    }
    Ok(conn)
}

/// One of the connections that read.
pub(super) fn open_reader(config: &IndexConfig) -> Result<Connection> {
    open(config, Access::Read)
}

/// A file that a copy goes to, and that is durable once it is closed.
pub(super) fn open_copy(path: &Path) -> Result<Connection> {
    make_private(path)?;
    let copy = Connection::open_with_flags(path, flags(Access::Write))?;
    copy.execute_batch("PRAGMA synchronous = FULL;")?;
    Ok(copy)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn open(config: &IndexConfig, access: Access) -> Result<Connection> {
    let conn = Connection::open_with_flags(&config.path, flags(access))?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let pages_kib = match access {
        Access::Read => config.page_cache_bytes / 1024,
        Access::Write => WRITER_CACHE_BYTES / 1024,
    };
    conn.execute_batch(&format!(
        "PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON; PRAGMA cache_size = -{pages_kib};"
    ))?;
    Ok(conn)
}

fn flags(access: Access) -> OpenFlags {
    let mode = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn create(conn: &mut Connection) -> Result<()> {
    conn.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES};"))?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(IndexError::io(
            "the file system does not support a write-ahead log",
        ));
    }
    let transaction = conn.transaction()?;
    transaction.execute_batch(CREATE)?;
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
    ))?;
    Ok(transaction.commit()?)
}

/// Makes the file exist, readable by its owner alone; `SQLite` gives its other files the same
/// mode.
fn make_private(path: &Path) -> Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path)
                .map_err(IndexError::io)?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(IndexError::io)?;
            }
            Ok(())
        }
        other => other.map(drop).map_err(IndexError::io),
    }
}

/// Makes the file's name durable. `SQLite` does so only for its journals.
fn sync_directory(path: &Path) -> Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(IndexError::io)
}
