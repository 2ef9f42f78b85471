//! What is particular to this adapter: erasure, syncs, migration.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::memory::locked;
use super::schema::{self, Format};
use super::{Sqlite, SqliteConfig};
use crate::conformance::Fault;
use crate::{
    Error, GrantRow, Insert, RecordId, RecordStore, RevocationRow, Row, SessionRef, Swap,
    UnixMillis,
};

const SESSION: SessionRef = SessionRef([3; 32]);

fn id(number: u16) -> RecordId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.wrapping_mul(40_503).to_be_bytes());
    RecordId(bytes)
}

fn row(version: u64, outer: Vec<u8>) -> Row {
    Row {
        version,
        kek: 1,
        root: 1,
        due: UnixMillis::NEVER,
        outer,
        meta: None,
    }
}

fn grant(version: u64) -> GrantRow {
    GrantRow {
        version,
        keep_until: UnixMillis(10),
        bytes: vec![1],
    }
}

fn open(directory: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(config(directory)).unwrap()
}

fn config(directory: &tempfile::TempDir) -> SqliteConfig {
    SqliteConfig::new(directory.path().join("records.db"))
}

/// How often `mark` stands in any file of the directory.
fn found(directory: &Path, mark: &[u8]) -> usize {
    let files = fs::read_dir(directory).unwrap();
    let bytes = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    bytes
        .map(|bytes| {
            bytes
                .windows(mark.len())
                .filter(|window| *window == mark)
                .count()
        })
        .sum()
}

async fn fill_and_delete(store: &Sqlite, mark: &[u8]) {
    for number in 0..400 {
        let row = Row {
            meta: Some(mark.repeat(3)),
            ..row(1, mark.repeat(10))
        };
        assert_eq!(
            store.insert(id(number), row).await.unwrap(),
            Insert::Inserted
        );
        let grant = GrantRow {
            bytes: mark.to_vec(),
            ..grant(1)
        };
        let put = store
            .put_grant(id(number), SESSION, None, grant)
            .await
            .unwrap();
        assert_eq!(put, Swap::Swapped);
    }
    for number in 0..400 {
        assert_eq!(store.delete(id(number), 1).await.unwrap(), Swap::Swapped);
    }
    let revoked = RevocationRow {
        keep_until: UnixMillis(1),
        bytes: mark.to_vec(),
    };
    store.put_revocation(SESSION, revoked).await.unwrap();
    assert_eq!(store.sweep(UnixMillis(1), 10).await.unwrap(), 1);
}

#[tokio::test]
async fn deleted_bytes_leave_all_files_at_close() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let mark = b"DELETED-SEALED-BYTES";
    fill_and_delete(&store, mark).await;
    assert!(
        found(directory.path(), mark) > 0,
        "the log still has them, or the test is blind"
    );
    store.close().await.unwrap();
    assert_eq!(found(directory.path(), mark), 0);
}

#[tokio::test]
async fn deleted_bytes_leave_all_files_in_time_without_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let truncate_every = Duration::from_millis(20);
    let store = Sqlite::open(SqliteConfig {
        truncate_every,
        ..config(&directory)
    })
    .unwrap();
    let mark = b"DELETED-SEALED-BYTES";
    fill_and_delete(&store, mark).await;
    let log = directory.path().join("records.db-wal");
    let mut tries = 0;
    while fs::metadata(&log).unwrap().len() > 0 {
        tries += 1;
        assert!(tries < 5000, "the log is never emptied");
        tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_millis(2)))
            .await
            .unwrap();
    }
    assert_eq!(found(directory.path(), mark), 0);
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = config(&directory).path;
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&directory);
    assert_eq!(
        store.insert(id(1), row(1, vec![1])).await.unwrap(),
        Insert::Inserted
    );
    let mut names = Vec::new();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
        names.push(file.file_name());
    }
    assert_eq!(names.len(), 3, "database, log and its index: {names:?}");
}

#[tokio::test]
async fn every_connection_is_set_up_to_erase_and_the_writer_to_sync() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    let number = |conn: &Connection, pragma: &str| -> i64 {
        conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .unwrap()
    };
    let writer = schema::open_writer(&config(&directory)).unwrap();
    let reader = schema::open_reader(&config(&directory)).unwrap();
    assert_eq!(number(&writer, "synchronous"), 2, "FULL");
    for conn in [&writer, &reader] {
        assert_eq!(number(conn, "secure_delete"), 1);
        let mode: String = conn
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }
    assert!(
        reader.execute("DELETE FROM records", []).is_err(),
        "readers only read"
    );
}

#[test]
fn newer_format_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    let conn = Connection::open(config(&directory).path).unwrap();
    conn.execute_batch("PRAGMA user_version = 9; PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    drop(conn);
    let before = fs::read(config(&directory).path).unwrap();
    let refused = Sqlite::open(config(&directory)).map(drop);
    assert!(
        matches!(refused, Err(Error::Newer { found: 9, known: 1 })),
        "{refused:?}"
    );
    assert_eq!(fs::read(config(&directory).path).unwrap(), before);
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = config(&directory).path;
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE other (a)").unwrap();
    drop(conn);
    for content in [
        fs::read(&path).unwrap(),
        b"no database, but long enough. ".repeat(99),
    ] {
        fs::write(&path, &content).unwrap();
        let refused = Sqlite::open(config(&directory)).map(drop);
        assert!(matches!(refused, Err(Error::Foreign)), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn older_format_is_copied_aside_and_then_migrated() {
    const OLDER: Format = Format {
        version: 0,
        create: "CREATE TABLE things (a); INSERT INTO things VALUES (1)",
        steps: &[],
    };
    const NEWER: Format = Format {
        version: 2,
        create: "",
        steps: &[
            "ALTER TABLE things ADD COLUMN b DEFAULT 2",
            "ALTER TABLE things ADD COLUMN c DEFAULT 3",
        ],
    };
    const LATER: Format = Format {
        version: 3,
        create: "",
        steps: &["DROP TABLE things"],
    };
    let directory = tempfile::tempdir().unwrap();
    let path = config(&directory).path;
    schema::prepare(&path, &OLDER).unwrap();
    let refused = schema::prepare(&path, &LATER);
    assert!(
        matches!(
            refused,
            Err(Error::TooOld {
                found: 0,
                oldest: 2
            })
        ),
        "{refused:?}"
    );
    // What a copy that was cut short would leave behind.
    fs::write(schema::aside_path(&path, 0), b"half a copy").unwrap();
    schema::prepare(&path, &NEWER).unwrap();
    schema::prepare(&path, &NEWER).unwrap();

    let all = |path: &Path| -> (u32, Vec<i64>) {
        let conn = Connection::open(path).unwrap();
        let version = conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        let columns = if version == 0 { "a" } else { "a, b, c" };
        let count = if version == 0 { 1 } else { 3 };
        let row = conn
            .query_row(&format!("SELECT {columns} FROM things"), [], |row| {
                (0..count).map(|column| row.get(column)).collect()
            })
            .unwrap();
        (version, row)
    };
    assert_eq!(all(&path), (2, vec![1, 2, 3]));
    let aside = schema::aside_path(&path, 0);
    assert_eq!(aside.file_name().unwrap(), "records.db.v0");
    assert_eq!(all(&aside), (0, vec![1]));
    assert_eq!(
        fs::metadata(&aside).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn failed_migration_leaves_the_file_as_it_was() {
    const OLDER: Format = Format {
        version: 0,
        create: "CREATE TABLE things (a)",
        steps: &[],
    };
    const BROKEN: Format = Format {
        version: 1,
        create: "",
        steps: &["DROP TABLE things; DROP TABLE missing"],
    };
    let directory = tempfile::tempdir().unwrap();
    let path = config(&directory).path;
    schema::prepare(&path, &OLDER).unwrap();
    assert!(schema::prepare(&path, &BROKEN).is_err());
    let conn = Connection::open(&path).unwrap();
    assert!(conn.table_exists(None, "things").unwrap());
    let version: u32 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 0);
}

#[tokio::test]
async fn damaged_page_fails_its_own_rows_alone() {
    const PAGE: usize = 4096;
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for number in 0..300_u16 {
        let outer = [&b"ROW"[..], &number.to_be_bytes(), &[7; 250]].concat();
        assert_eq!(
            store.insert(id(number), row(1, outer)).await.unwrap(),
            Insert::Inserted
        );
    }
    store.close().await.unwrap();
    let path = config(&directory).path;
    let mut bytes = fs::read(&path).unwrap();
    let mark = [&b"ROW"[..], &150_u16.to_be_bytes(), &[7; 9]].concat();
    let at = bytes
        .windows(mark.len())
        .position(|window| window == mark)
        .unwrap();
    let page = at / PAGE * PAGE;
    bytes[page..page + 100].fill(0xff);
    fs::write(&path, bytes).unwrap();

    let store = Arc::new(open(&directory));
    let damaged = store.admit(id(150), SESSION).await;
    assert!(matches!(damaged, Err(Error::Corrupt)), "{damaged:?}");
    assert!(store.admit(id(1), SESSION).await.unwrap().record.is_some());
    // In one batch with a write that meets the damage, the others still succeed.
    let writes: Vec<_> = (0..300)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.replace(id(number), 1, row(2, vec![8; 250])).await })
        })
        .collect();
    let (mut swapped, mut corrupt) = (0, 0);
    for write in writes {
        match write.await.unwrap() {
            Ok(Swap::Swapped) => swapped += 1,
            Err(Error::Corrupt) => corrupt += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        (1..20).contains(&corrupt) && swapped + corrupt == 300,
        "{swapped} and {corrupt}"
    );
    assert_eq!(
        store
            .admit(id(2), SESSION)
            .await
            .unwrap()
            .record
            .unwrap()
            .version,
        2
    );
}

#[tokio::test]
async fn full_store_says_so_and_still_reads_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let limited = SqliteConfig {
        file_bytes_max: Some(200_000),
        ..config(&directory)
    };
    let store = Sqlite::open(limited).unwrap();
    let mut stored = 0;
    let full = loop {
        match store.insert(id(stored), row(1, vec![7; 3000])).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the limit does not hold");
    };
    assert!(matches!(full, Error::Full), "{full:?}");
    assert!(
        store
            .admit(id(stored), SESSION)
            .await
            .unwrap()
            .record
            .is_none()
    );
    for number in 0..stored {
        assert!(
            store
                .admit(id(number), SESSION)
                .await
                .unwrap()
                .record
                .is_some()
        );
    }
    assert_eq!(store.delete(id(0), 1).await.unwrap(), Swap::Swapped);
    assert_eq!(
        store
            .insert(id(stored), row(1, vec![7; 3000]))
            .await
            .unwrap(),
        Insert::Inserted
    );
}

#[tokio::test]
async fn writer_goes_on_after_a_commit_whose_outcome_is_unknown() {
    for (fault, version) in [(Fault::Kept, 2), (Fault::Lost, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        assert_eq!(
            store.insert(id(1), row(1, vec![1])).await.unwrap(),
            Insert::Inserted
        );
        *locked(&store.fault) = Some(fault);
        let failed = store.replace(id(1), 1, row(2, vec![2])).await;
        assert!(matches!(failed, Err(Error::Io(_))), "{failed:?}");
        let found = store.admit(id(1), SESSION).await.unwrap().record.unwrap();
        assert_eq!(
            found.version, version,
            "memory must not answer for {fault:?}"
        );

        *locked(&store.fault) = Some(fault);
        let failed = store.put_grant(id(1), SESSION, None, grant(1)).await;
        assert!(matches!(failed, Err(Error::Io(_))), "{failed:?}");
        let found = store.admit(id(1), SESSION).await.unwrap().grant;
        assert_eq!(found.is_some(), fault == Fault::Kept);

        *locked(&store.fault) = Some(fault);
        assert!(store.raise_kek_floor(5).await.is_err());
        let late = store.insert(id(2), row(1, vec![1])).await;
        assert_eq!(late.is_err(), fault == Fault::Kept, "{late:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn deleted_record_leaves_no_grant_for_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for _ in 0..2 {
        assert_eq!(
            store.insert(id(1), row(1, vec![1])).await.unwrap(),
            Insert::Inserted
        );
        assert_eq!(store.admit(id(1), SESSION).await.unwrap().grant, None);
        let put = store
            .put_grant(id(1), SESSION, None, grant(1))
            .await
            .unwrap();
        assert_eq!(put, Swap::Swapped);
        assert_eq!(store.delete(id(1), 1).await.unwrap(), Swap::Swapped);
    }
}

#[tokio::test]
async fn concurrent_writes_share_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&directory));
    // On one thread every task queues its write before the first answer can be seen.
    let writes: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.insert(id(number), row(1, vec![1; 200])).await })
        })
        .collect();
    for write in writes {
        assert_eq!(write.await.unwrap().unwrap(), Insert::Inserted);
    }
    let log = fs::metadata(directory.path().join("records.db-wal"))
        .unwrap()
        .len();
    assert!(
        log < 200 * 4096,
        "{log} bytes of log: one page or more for every row"
    );
}

#[tokio::test]
async fn store_dropped_without_a_close_has_kept_what_it_answered() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    assert_eq!(
        store.insert(id(1), row(1, vec![1])).await.unwrap(),
        Insert::Inserted
    );
    drop(store);
    let store = open(&directory);
    assert!(store.admit(id(1), SESSION).await.unwrap().record.is_some());
}

#[tokio::test]
async fn times_beyond_the_limit_are_kept_as_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let config = SqliteConfig {
        cache_bytes: 0,
        ..config(&directory)
    };
    let store = Sqlite::open(config).unwrap();
    let far = Row {
        due: UnixMillis(u64::MAX),
        ..row(1, vec![1])
    };
    assert_eq!(store.insert(id(1), far).await.unwrap(), Insert::Inserted);
    let found = store.admit(id(1), SESSION).await.unwrap().record.unwrap();
    assert_eq!(found.due, UnixMillis(i64::MAX.cast_unsigned()));
}

#[test]
fn debug_and_errors_show_no_bytes() {
    let text = format!("{:?} {:?}", row(1, b"SEALED".to_vec()), grant(1));
    assert!(
        !text.contains("SEALED") && !text.contains("83, 69"),
        "{text}"
    );
    assert_eq!(
        Error::io("the cause").to_string(),
        "the record store failed"
    );
}

#[tokio::test]
async fn a_snapshot_is_of_its_instant_while_writes_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for number in 0..50 {
        let inserted = store.insert(id(number), row(1, vec![7; 3000])).await;
        assert_eq!(inserted.unwrap(), Insert::Inserted);
    }
    let snapshot = store.snapshot().unwrap();
    for number in 50..100 {
        let inserted = store.insert(id(number), row(1, vec![8; 3000])).await;
        assert_eq!(inserted.unwrap(), Insert::Inserted);
        let deleted = store.delete(id(number - 50), 1).await;
        assert_eq!(deleted.unwrap(), Swap::Swapped);
    }
    assert_eq!(snapshot.format().unwrap(), schema::FORMAT.version);
    let path = directory.path().join("copy.db");
    let bytes = snapshot.bytes().unwrap();
    snapshot.copy_to(&path, || true).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(
        (metadata.len(), metadata.permissions().mode() & 0o777),
        (bytes, 0o600)
    );
    store.close().await.unwrap();

    let copy = Sqlite::open(SqliteConfig::new(&path)).unwrap();
    let rows = copy.scan(None, 1000).await.unwrap();
    assert_eq!(rows.len(), 50);
    assert!(rows.iter().all(|(_, row)| row.outer == [7; 3000]));
    copy.close().await.unwrap();
}

#[tokio::test]
async fn a_copy_ends_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for number in 0..500 {
        let _ = store
            .insert(id(number), row(1, vec![7; 3000]))
            .await
            .unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let stopped = snapshot.copy_to(&directory.path().join("copy.db"), || false);
    assert!(matches!(stopped, Err(Error::Closed)));
    store.close().await.unwrap();
}
