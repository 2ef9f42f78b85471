//! The file: how it is created, recognized, brought up to date and opened. It knows tables
//! and pragmas, not what the rows are for.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::SqliteConfig;
use crate::Error;

/// The format this program writes.
pub(super) const FORMAT: Format = Format {
    version: 1,
    // Records lie in the order of arrival behind an index of random ids: a tokenize then
    // dirties one leaf of a small index instead of one page of a large table, at 60 %
    // of the processor time.
    create: "
        CREATE TABLE records (
            id BLOB NOT NULL UNIQUE,
            version INTEGER NOT NULL,
            kek INTEGER NOT NULL,
            root INTEGER NOT NULL,
            due INTEGER NOT NULL,
            outer_layer BLOB NOT NULL,
            meta BLOB
        ) STRICT;
        CREATE TABLE grants (
            record BLOB NOT NULL,
            session BLOB NOT NULL,
            version INTEGER NOT NULL,
            keep_until INTEGER NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (record, session)
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX grants_by_end ON grants (keep_until) WHERE keep_until > 0;
        CREATE TABLE revocations (
            session BLOB NOT NULL PRIMARY KEY,
            keep_until INTEGER NOT NULL,
            body BLOB NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX revocations_by_end ON revocations (keep_until) WHERE keep_until > 0;
        CREATE TABLE marks (
            name TEXT NOT NULL PRIMARY KEY,
            value BLOB NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE kek_floor (floor INTEGER NOT NULL) STRICT;
        INSERT INTO kek_floor VALUES (0);",
    steps: &[],
};

/// Marks the file as ours (`PRAGMA application_id`): `SRrd`.
const APPLICATION_ID: i32 = 0x5352_7264;

/// Bytes per page of a new file.
const PAGE_BYTES: u32 = 4096;

/// Pages in the write-ahead log at which the writer copies them into the file (64 MiB).
const CHECKPOINT_PAGES: u32 = 16_000;

/// Page cache of the writing connection. More is slower: a page split moves a page to a number
/// beyond the end of the file for a moment, and the commit after it walks the whole cache for
/// such pages. The system's cache of the file is close enough.
const WRITER_CACHE_BYTES: usize = 4 << 20;

/// How long a truncation of the log waits for readers before it is put off.
const BUSY_WAIT: Duration = Duration::from_millis(250);

/// Prepared statements that a connection keeps; the adapter has fewer.
const STATEMENTS_MAX: usize = 32;

/// Pages copied at a time when the file is set aside before a migration.
const COPY_PAGES: i32 = 1024;

/// A file format: how to create it and how to come to it from earlier ones.
pub(super) struct Format {
    /// `PRAGMA user_version` of this format.
    pub(super) version: u32,
    /// Creates an empty store.
    pub(super) create: &'static str,
    /// The last step leads to `version`, the one before it to the version before, and so on.
    pub(super) steps: &'static [&'static str],
}

/// Creates the file or brings it up to date. A file that is refused is not changed.
pub(super) fn prepare(path: &Path, format: &Format) -> Result<(), Error> {
    make_private(path)?;
    let mut conn = Connection::open_with_flags(path, flags(Access::Write))?;
    conn.busy_timeout(BUSY_WAIT)?;
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let empty: bool = conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
        row.get(0)
    })?;
    let oldest = format
        .version
        .saturating_sub(u32::try_from(format.steps.len()).unwrap_or(0));
    if empty && id == 0 && found == 0 {
        create(&mut conn, format)?;
    } else if id != APPLICATION_ID {
        return Err(Error::Foreign);
    } else if found > format.version {
        return Err(Error::Newer {
            found,
            known: format.version,
        });
    } else if found < oldest {
        return Err(Error::TooOld { found, oldest });
    } else if found < format.version {
        set_aside(&conn, path, found)?;
        migrate(&mut conn, format, (found - oldest) as usize)?;
    }
    conn.close().map_err(|(_, error)| error)?;
    sync_directory(path)
}

/// The one connection that writes.
pub(super) fn open_writer(config: &SqliteConfig) -> Result<Connection, Error> {
    let conn = open(config, Access::Write)?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    if let Some(bytes_max) = config.file_bytes_max {
        let page: u64 = conn
            .query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?
            .into();
        conn.execute_batch(&format!(
            "PRAGMA max_page_count = {};",
            (bytes_max / page).max(1)
        ))?;
    }
    Ok(conn)
}

/// One of the connections that read.
pub(super) fn open_reader(config: &SqliteConfig) -> Result<Connection, Error> {
    open(config, Access::Read)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn open(config: &SqliteConfig, access: Access) -> Result<Connection, Error> {
    let conn = Connection::open_with_flags(&config.path, flags(access))?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let pages_kib = match access {
        Access::Read => config.page_cache_bytes / 1024,
        Access::Write => WRITER_CACHE_BYTES / 1024,
    };
    // INVARIANT: deleted bytes are overwritten by every connection (`secure_delete`), and none
    // reaches a temporary file (`temp_store`).
    conn.execute_batch(&format!(
        "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
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

fn create(conn: &mut Connection, format: &Format) -> Result<(), Error> {
    conn.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES};"))?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::io(
            "the file system does not support a write-ahead log",
        ));
    }
    let transaction = conn.transaction()?;
    transaction.execute_batch(format.create)?;
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
        format.version
    ))?;
    Ok(transaction.commit()?)
}

/// Copies the file to `<name>.v<version>` before a migration. A copy left by an earlier
/// attempt is replaced: the migration is one transaction, so the file is still what it was.
fn set_aside(conn: &Connection, path: &Path, version: u32) -> Result<(), Error> {
    let aside = aside_path(path, version);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(error)),
        _ => {}
    }
    let mut copy = open_copy(&aside)?;
    Backup::new(conn, &mut copy)?.run_to_completion(COPY_PAGES, Duration::ZERO, None)?;
    copy.close().map_err(|(_, error)| error)?;
    sync_directory(path)
}

/// A file that a copy goes to, and that is durable once it is closed.
pub(super) fn open_copy(path: &Path) -> Result<Connection, Error> {
    make_private(path)?;
    let copy = Connection::open_with_flags(path, flags(Access::Write))?;
    copy.execute_batch("PRAGMA synchronous = FULL;")?;
    Ok(copy)
}

/// Where the file of an older version is kept.
pub(super) fn aside_path(path: &Path, version: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}"));
    PathBuf::from(name)
}

fn migrate(conn: &mut Connection, format: &Format, done: usize) -> Result<(), Error> {
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    let transaction = conn.transaction()?;
    for step in format.steps.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.execute_batch(&format!("PRAGMA user_version = {};", format.version))?;
    Ok(transaction.commit()?)
}

/// Makes the file exist, readable by its owner alone; `SQLite` gives its other files the same
/// mode.
fn make_private(path: &Path) -> Result<(), Error> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(Error::io)?.permissions().mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(Error::io)?;
            }
            Ok(())
        }
        other => other.map(drop).map_err(Error::io),
    }
}

/// Makes the file's name durable. `SQLite` does so only for its journals.
fn sync_directory(path: &Path) -> Result<(), Error> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(Error::io)
}
