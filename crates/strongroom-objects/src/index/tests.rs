//! Tests of the index: durability, faults, limits. What operations and listings answer is
//! compared with models in `tests/`.

use super::*;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

mod listing;
mod model;

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is done, the answer is an error.
    Kept,
    /// It is not done, the answer is an error.
    Lost,
}

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn config(directory: &TempDir) -> IndexConfig {
    IndexConfig::new(directory.path().join("index.sqlite3"))
}

fn open(directory: &TempDir) -> Index {
    Index::open(config(directory)).unwrap()
}

async fn bucket(index: &Index, name: &str) -> BucketId {
    match index.create_bucket(name, "owner", NOW).await.unwrap() {
        CreateBucket::Created(bucket) | CreateBucket::Exists(bucket) => bucket.id,
        CreateBucket::TooMany => panic!("too many buckets"),
    }
}

fn name(number: u64) -> RunName {
    u128::from(number).to_be_bytes()
}

fn inline(etag: &str, bytes: &[u8]) -> ObjectRow {
    ObjectRow {
        size: bytes.len() as u64,
        stored_at: NOW,
        etag: etag.to_owned(),
        parts: 0,
        head: b"head".to_vec(),
        sealed_key: None,
        place: BodyPlace::Inline(bytes::Bytes::copy_from_slice(bytes)),
    }
}

fn filed(etag: &str, names: &[u64]) -> ObjectRow {
    let file = |number: &u64| RunFile {
        name: name(*number),
        run_at: u32::try_from(*number).unwrap(),
    };
    ObjectRow {
        sealed_key: Some(b"key".to_vec()),
        place: BodyPlace::Files(names.iter().map(file).collect()),
        ..inline(etag, b"")
    }
}

fn upload(id: &str, bucket: BucketId, key: &str) -> UploadRow {
    UploadRow {
        id: id.to_owned(),
        bucket,
        key: key.to_owned(),
        created_at: NOW,
        server_keyed: true,
        kept: b"kept".to_vec(),
        draft: b"draft".to_vec(),
    }
}

fn part(number: u32, file: u64) -> PartRow {
    PartRow {
        number,
        size: file,
        stored_at: NOW,
        sealed: b"sealed".to_vec(),
        file: name(file),
    }
}

async fn etag(index: &Index, bucket: BucketId, key: &str) -> Option<String> {
    let stat = index.stat(bucket, key).await.unwrap();
    stat.map(|stat| stat.etag)
}

async fn garbage(index: &Index) -> Vec<RunName> {
    index.garbage(None, 1000).await.unwrap()
}

#[tokio::test]
async fn everything_stands_after_it_was_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let id = bucket(&index, "things").await;
    assert!(index.set_cors(id, Some("<cors/>".into())).await.unwrap());
    for (key, row) in [
        ("a", inline("1", b"value")),
        ("b", filed("2", &[1, 2, 1 << 20])),
    ] {
        let put = index.put(id, key, row, Condition::None).await.unwrap();
        assert_eq!(put, Put::Stored(vec![]));
    }
    let made = index.create_upload(upload("u", id, "c"), 9).await.unwrap();
    assert_eq!(made, CreateUpload::Created);
    let stored = index.put_part("u", part(7, 8)).await.unwrap();
    assert_eq!(stored, PutPart::Stored(vec![]));
    // Dropped without a close.
    drop(index);

    let index = open(&directory);
    let found = index.bucket("things").await.unwrap().unwrap();
    assert_eq!((found.id, found.created_at), (id, NOW));
    assert_eq!(found.cors.as_deref(), Some("<cors/>"));
    assert_eq!(index.buckets("owner").await.unwrap(), [found]);
    assert!(index.buckets("other").await.unwrap().is_empty());
    let read = index.object(id, "a").await.unwrap().unwrap();
    assert!(read == inline("1", b"value"));
    let read = index.object(id, "b").await.unwrap().unwrap();
    assert!(read == filed("2", &[1, 2, 1 << 20]));
    assert!(index.upload("u").await.unwrap().unwrap() == upload("u", id, "c"));
    assert!(index.parts("u", 0, 9).await.unwrap() == [part(7, 8)]);
    index.close().await.unwrap();
    let late = index.stat(id, "a").await;
    assert!(matches!(late, Err(IndexError::Closed)), "{late:?}");
    let late = index.delete(id, "a", Condition::None).await;
    assert!(matches!(late, Err(IndexError::Closed)), "{late:?}");
    let late = index.bucket("things").await;
    assert!(matches!(late, Err(IndexError::Closed)), "{late:?}");
    let log = directory.path().join("index.sqlite3-wal");
    assert!(!log.exists(), "the log is gone after a close");
}

#[tokio::test]
async fn commit_whose_outcome_is_unknown_is_an_error_and_memory_forgets() {
    for fault in [Fault::Kept, Fault::Lost] {
        let kept = fault == Fault::Kept;
        let directory = tempfile::tempdir().unwrap();
        let index = open(&directory);
        let id = bucket(&index, "things").await;
        let put = index.put(id, "a", filed("1", &[1]), Condition::None);
        assert_eq!(put.await.unwrap(), Put::Stored(vec![]));

        *locked(&index.fault) = Some(fault);
        let put = index.put(id, "a", filed("2", &[2]), Condition::None).await;
        assert!(matches!(put, Err(IndexError::Io(_))), "{put:?}");
        let expected = if kept { "2" } else { "1" };
        assert_eq!(etag(&index, id, "a").await.as_deref(), Some(expected));
        // Whether the new file may be unlinked is for the index to say.
        let alive = index.names_in(vec![name(1), name(2)]).await.unwrap();
        assert_eq!(alive, [name(if kept { 2 } else { 1 })]);
        assert_eq!(garbage(&index).await.len(), usize::from(kept));

        *locked(&index.fault) = Some(fault);
        let made = index.create_bucket("more", "owner", NOW).await;
        assert!(matches!(made, Err(IndexError::Io(_))), "{made:?}");
        let found = index.bucket("more").await.unwrap();
        assert_eq!(found.is_some(), kept, "asked while memory is in doubt");
        // The next write fills memory again.
        let put = index.put(id, "b", inline("3", b""), Condition::None);
        assert_eq!(put.await.unwrap(), Put::Stored(vec![]));
        assert!(index.buckets.with(|_| ()).is_some());
        assert_eq!(index.bucket("more").await.unwrap(), found);

        let more = bucket(&index, "more").await;
        *locked(&index.fault) = Some(fault);
        let gone = index.delete_bucket(more).await;
        assert!(matches!(gone, Err(IndexError::Io(_))), "{gone:?}");
        assert_eq!(index.bucket("more").await.unwrap().is_none(), kept);
    }
}

#[tokio::test]
async fn write_that_fails_by_itself_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(open(&directory));
    let id = bucket(&index, "things").await;
    let put = index.put(id, "first", filed("1", &[1]), Condition::None);
    assert_eq!(put.await.unwrap(), Put::Stored(vec![]));
    // On one thread every task queues its write before the first answer can be seen.
    let puts: Vec<_> = (0..100_u64)
        .map(|number| {
            let index = Arc::clone(&index);
            // The file of number 50 is another object's already.
            let row = filed("2", &[if number == 50 { 1 } else { number + 1000 }]);
            tokio::spawn(async move {
                let key = number.to_string();
                index.put(id, &key, row, Condition::None).await
            })
        })
        .collect();
    for (number, put) in puts.into_iter().enumerate() {
        let put = put.await.unwrap();
        assert_eq!(put.is_err(), number == 50, "{number}: {put:?}");
        let stored = etag(&index, id, &number.to_string()).await;
        assert_eq!(stored.is_some(), number != 50);
    }
    assert_eq!(etag(&index, id, "first").await.as_deref(), Some("1"));
    assert!(garbage(&index).await.is_empty());
}

#[tokio::test]
async fn concurrent_puts_share_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(open(&directory));
    let id = bucket(&index, "things").await;
    let puts: Vec<_> = (0..200_u64)
        .map(|number| {
            let index = Arc::clone(&index);
            tokio::spawn(async move {
                let row = inline("1", &[7; 100]);
                index
                    .put(id, &number.to_string(), row, Condition::None)
                    .await
            })
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.unwrap().unwrap(), Put::Stored(vec![]));
    }
    let log = fs::metadata(directory.path().join("index.sqlite3-wal"));
    let log = log.unwrap().len();
    assert!(log < 100 * 4096, "{log} bytes of log: not a few commits");
}

#[tokio::test]
async fn of_concurrent_first_puts_one_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(open(&directory));
    let id = bucket(&index, "things").await;
    let puts: Vec<_> = (0..20_u64)
        .map(|number| {
            let index = Arc::clone(&index);
            let row = filed(&number.to_string(), &[number]);
            tokio::spawn(async move { index.put(id, "k", row, Condition::IfNoneMatch).await })
        })
        .collect();
    let mut stored = Vec::new();
    for (number, put) in puts.into_iter().enumerate() {
        match put.await.unwrap().unwrap() {
            Put::Stored(_) => stored.push(number.to_string()),
            other => assert_eq!(other, Put::Exists),
        }
    }
    assert_eq!(stored, [etag(&index, id, "k").await.unwrap()]);
    let names = (0..20).map(name).collect();
    assert_eq!(index.names_in(names).await.unwrap().len(), 1);
}

/// What a process killed at any moment leaves: the file as it was, and of the log a beginning.
#[tokio::test]
async fn what_was_answered_survives_and_what_was_not_is_whole_or_absent() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let id = bucket(&index, "things").await;
    let log = directory.path().join("index.sqlite3-wal");
    let mut answered = Vec::new();
    for number in 0..40_u64 {
        // Each replaces the object before it and adds one of its own.
        let row = filed("1", &[number * 2]);
        let put = index.put(id, "latest", row, Condition::None).await.unwrap();
        assert!(matches!(put, Put::Stored(_)));
        let key = number.to_string();
        let put = index.put(id, &key, filed("1", &[number * 2 + 1]), Condition::None);
        assert_eq!(put.await.unwrap(), Put::Stored(vec![]));
        answered.push(fs::metadata(&log).unwrap().len());
    }
    let file = fs::read(config(&directory).path).unwrap();
    let log = fs::read(&log).unwrap();
    for cut in (0..log.len()).step_by(5003).chain([log.len()]) {
        let copied = tempfile::tempdir().unwrap();
        fs::write(config(&copied).path, &file).unwrap();
        fs::write(copied.path().join("index.sqlite3-wal"), &log[..cut]).unwrap();
        let copy = open(&copied);
        let acknowledged = answered.iter().filter(|end| **end <= cut as u64).count() as u64;
        let Some(things) = copy.bucket("things").await.unwrap() else {
            assert_eq!(acknowledged, 0, "cut at {cut}");
            continue;
        };
        let query = ListQuery {
            max: 1000,
            ..ListQuery::default()
        };
        let listing = copy.list(things.id, &query).await.unwrap();
        let own = listing.entries.iter().filter(|entry| entry.key != "latest");
        let count = own.count() as u64;
        assert!(
            count == acknowledged || count == acknowledged + 1,
            "{count} of {acknowledged} at {cut}"
        );
        // Every name is exactly alive or garbage, as the rows say.
        let mut living = 0;
        for entry in &listing.entries {
            let row = copy.object(things.id, &entry.key).await.unwrap().unwrap();
            let BodyPlace::Files(files) = row.place else {
                panic!("not inline")
            };
            let names: Vec<_> = files.iter().map(|file| file.name).collect();
            assert_eq!(copy.names_in(names.clone()).await.unwrap(), names);
            living += names.len();
        }
        let all: Vec<_> = (0..80).map(name).collect();
        assert_eq!(copy.names_in(all).await.unwrap().len(), living);
        let latest = listing.entries.iter().any(|entry| entry.key == "latest");
        let dead = garbage(&copy).await.len() as u64;
        assert!(
            !latest || dead == count || dead + 1 == count,
            "{dead} of {count}"
        );
    }
}

#[tokio::test]
async fn full_index_says_so_and_still_reads_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let index = Index::open(IndexConfig {
        file_bytes_max: Some(300_000),
        ..config(&directory)
    });
    let index = index.unwrap();
    let id = bucket(&index, "things").await;
    let mut stored = 0;
    let full = loop {
        let key = stored.to_string();
        let put = index.put(id, &key, inline("1", &[7; 3000]), Condition::None);
        match put.await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the limit does not hold");
    };
    assert!(matches!(full, IndexError::Full), "{full:?}");
    assert_eq!(etag(&index, id, &stored.to_string()).await, None);
    let gone = index.delete(id, "0", Condition::None).await.unwrap();
    assert_eq!(gone, Delete::Deleted(vec![]));
    let again = index.put(id, "0", inline("2", &[7; 3000]), Condition::None);
    assert_eq!(again.await.unwrap(), Put::Stored(vec![]));
}

#[tokio::test]
async fn fields_over_their_limits_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let id = bucket(&index, "things").await;
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    for (key, row) in [
        ("", inline("1", b"")),
        (long.as_str(), inline("1", b"")),
        ("k", inline("1", &vec![0; INLINE_BYTES_MAX + 1])),
        (
            "k",
            ObjectRow {
                head: vec![0; HEAD_BYTES_MAX + 1],
                ..inline("1", b"")
            },
        ),
        (
            "k",
            ObjectRow {
                size: u64::MAX,
                ..inline("1", b"")
            },
        ),
    ] {
        let put = index.put(id, key, row, Condition::None).await;
        assert!(matches!(put, Err(IndexError::Limit(_))), "{put:?}");
    }
    let longest = &long[..KEY_BYTES_MAX];
    let row = ObjectRow {
        head: vec![5; HEAD_BYTES_MAX],
        ..inline("1", &vec![7; INLINE_BYTES_MAX])
    };
    let put = index.put(id, longest, row.clone(), Condition::None).await;
    assert_eq!(put.unwrap(), Put::Stored(vec![]));
    assert!(index.object(id, longest).await.unwrap().unwrap() == row);
    for number in [0, PARTS_MAX + 1] {
        let put = index.put_part("u", part(number, 1)).await;
        assert!(matches!(put, Err(IndexError::Limit(_))), "{put:?}");
    }
    let many = vec![(String::new(), Condition::None); PAGE_MAX + 1];
    let deleted = index.delete_many(id, many).await;
    assert!(matches!(deleted, Err(IndexError::Limit(_))), "{deleted:?}");
}

#[tokio::test]
async fn files_are_for_their_owner_alone_and_writes_are_synced() {
    let directory = tempfile::tempdir().unwrap();
    let path = config(&directory).path;
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let index = open(&directory);
    bucket(&index, "things").await;
    let mut count = 0;
    for file in fs::read_dir(directory.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        count += 1;
    }
    assert_eq!(count, 3, "database, log and its index");
    let number = |conn: &Connection, pragma: &str| -> i64 {
        let pragma = format!("PRAGMA {pragma}");
        conn.query_row(&pragma, [], |row| row.get(0)).unwrap()
    };
    let writer = schema::open_writer(&config(&directory)).unwrap();
    let reader = schema::open_reader(&config(&directory)).unwrap();
    assert_eq!(number(&writer, "synchronous"), 2, "FULL");
    assert_eq!(number(&writer, "secure_delete"), 2, "FAST");
    assert!(reader.execute("DELETE FROM buckets", []).is_err());
}

#[test]
fn newer_and_foreign_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = config(&directory).path;
    drop(open(&directory));
    let ours = fs::read(&path).unwrap();
    let changed = |sql: &str, from: &[u8]| {
        fs::write(&path, from).unwrap();
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        fs::read(&path).unwrap()
    };
    let newer = changed("PRAGMA user_version = 9", &ours);
    let other = changed("CREATE TABLE other (a)", b"");
    let text = b"no database, but long enough. ".repeat(99);
    for content in [newer, other, text] {
        fs::write(&path, &content).unwrap();
        let refused = Index::open(config(&directory)).map(drop);
        let newer = matches!(refused, Err(IndexError::Newer { found: 9, known: 1 }));
        let foreign = matches!(refused, Err(IndexError::Foreign));
        assert!(newer || foreign, "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn deleted_and_replaced_rows_leave_the_log_when_it_is_erased() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let id = bucket(&index, "things").await;
    let log = directory.path().join("index.sqlite3-wal");
    let files = || [fs::read(config(&directory).path), fs::read(&log)];
    let holds = |text: &[u8]| {
        let holds = |file: &Vec<u8>| file.windows(text.len()).any(|part| part == text);
        files().iter().flatten().any(holds)
    };
    for (key, value) in [("a", "deleted-value"), ("b", "replaced-value")] {
        let row = inline("1", value.as_bytes());
        let _ = index.put(id, key, row, Condition::None).await.unwrap();
    }
    assert!(holds(b"deleted-value") && holds(b"replaced-value"));
    let _ = index.delete(id, "a", Condition::None).await.unwrap();
    let row = inline("2", b"stays");
    let _ = index.put(id, "b", row, Condition::None).await.unwrap();
    index.erase_log();
    // The first may be in one round with it, and is answered before; the second is not.
    bucket(&index, "things").await;
    bucket(&index, "things").await;
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert!(!holds(b"deleted-value") && !holds(b"replaced-value"));
    assert!(holds(b"stays"));
}

#[tokio::test]
async fn damage_is_an_error_and_not_absence() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let id = bucket(&index, "things").await;
    let put = index.put(id, "a", filed("1", &[1]), Condition::None).await;
    assert_eq!(put.unwrap(), Put::Stored(vec![]));
    let conn = Connection::open(config(&directory).path).unwrap();
    conn.execute_batch("UPDATE bodies SET files = x'0102'")
        .unwrap();
    let cut = index.object(id, "a").await;
    assert!(matches!(cut, Err(IndexError::Corrupt)), "{cut:?}");
    conn.execute_batch("DELETE FROM bodies").unwrap();
    let lost = index.object(id, "a").await;
    assert!(matches!(lost, Err(IndexError::Corrupt)), "{lost:?}");
}

#[test]
fn debug_shows_no_sealed_bytes() {
    let row = ObjectRow {
        head: b"SEALED".to_vec(),
        sealed_key: Some(b"SEALED".to_vec()),
        ..inline("1", b"SEALED")
    };
    let upload = UploadRow {
        kept: b"SEALED".to_vec(),
        draft: b"SEALED".to_vec(),
        ..upload("u", BucketId(1), "k")
    };
    let part = PartRow {
        sealed: b"SEALED".to_vec(),
        ..part(1, 1)
    };
    let text = format!("{row:?} {upload:?} {part:?}");
    assert!(
        !text.contains("SEALED") && !text.contains("83, 69"),
        "{text}"
    );
}
