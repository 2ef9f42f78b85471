//! The store over a real directory and index, without HTTP.

mod damage;
mod model;
mod recovery;
mod snapshot;
mod uploads;

use super::*;
use crate::disk::format::Layout;
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

const INLINE_MAX: u64 = 1000;
const OBJECT_MAX: u64 = 40 << 20;
const LIFE_MS: u64 = 1000;

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }

    fn behind_ms(&self) -> u64 {
        0
    }
}

struct World {
    dir: tempfile::TempDir,
    clock: Arc<TestClock>,
    store: Arc<Store>,
    bucket: Arc<Bucket>,
}

fn customer(fill: u8) -> DataKey {
    DataKey::init_with(|bytes| bytes.fill(fill))
}

fn started(dir: &std::path::Path, clock: &Arc<TestClock>) -> Arc<Store> {
    let layout = Layout {
        dir,
        bucket: "vault",
        owner: "vault",
        now: UnixMillis(1),
    };
    let limits = Limits {
        object_bytes_max: OBJECT_MAX,
        inline_bytes_max: INLINE_MAX,
        uploads_max: 3,
        upload_life_ms: LIFE_MS,
    };
    let disk = Disk::open(&layout, 0).unwrap();
    let store_key = StoreKey::init_with(|bytes| bytes.fill(9));
    let clock: Arc<dyn Clock> = clock.clone();
    Store::start(disk, &store_key, clock, limits).unwrap()
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(AtomicU64::new(1_800_000_000_000)));
    let store = started(&dir.path().join("store"), &clock);
    let CreateBucket::Created(bucket) = store.create_bucket("bucket", "me").await.unwrap() else {
        panic!("the bucket is there already");
    };
    World {
        dir,
        clock,
        store,
        bucket: Arc::new(bucket),
    }
}

/// Bytes that differ from place to place.
fn value(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| {
            let mixed = (at.wrapping_mul(31) >> 3) ^ (at >> 16);
            mixed.to_le_bytes()[0] ^ seed
        })
        .collect()
}

impl World {
    async fn put_as(
        &self,
        key: &str,
        keying: Keying,
        value: &[u8],
        length: Option<u64>,
        condition: Condition,
    ) -> Result<Written, StoreError> {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        let writing = self.store.put(&self.bucket, key, keying, headers, length);
        let mut writing = writing.await?;
        for piece in value.chunks(70_001) {
            writing.push(piece).await?;
        }
        writing.finish(Vec::new(), condition).await
    }

    async fn put(&self, key: &str, value: &[u8]) -> Written {
        let length = Some(value.len() as u64);
        self.put_as(
            key,
            Keying::Customer(customer(1)),
            value,
            length,
            Condition::None,
        )
        .await
        .unwrap()
    }

    async fn read(
        &self,
        key: &str,
        customer: Option<&DataKey>,
        range: Option<Range<u64>>,
    ) -> Result<Vec<u8>, StoreError> {
        let stored = self.store.open(&self.bucket, key, customer).await?;
        let range = range.unwrap_or(0..stored.manifest.size);
        let pieces: Vec<Bytes> = stored.stream(range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        self.read(key, Some(&customer(1)), None).await
    }

    /// The files under `runs` and `incoming`.
    fn files(&self) -> Vec<PathBuf> {
        let dir = self.dir.path().join("store");
        let list = |dir: PathBuf| {
            let entries = std::fs::read_dir(dir).unwrap();
            entries.map(|entry| entry.unwrap().path())
        };
        let mut files: Vec<_> = list(dir.join("runs")).flat_map(list).collect();
        files.extend(list(dir.join("incoming")));
        files.sort();
        files
    }

    /// Closes the store and opens it again, as after a crash.
    async fn restart(self) -> Self {
        let Self {
            dir,
            clock,
            store,
            bucket,
        } = self;
        let files = Arc::clone(&store.files);
        drop(store);
        // A task may still be removing files for a reader that has gone.
        while Arc::strong_count(&files) > 1 {
            tokio::task::yield_now().await;
        }
        drop(files);
        let store = started(&dir.path().join("store"), &clock);
        let bucket = store.bucket(&bucket.name).await.unwrap().unwrap();
        Self {
            dir,
            clock,
            store,
            bucket,
        }
    }
}

#[tokio::test]
async fn values_of_every_edge_length_come_back_whole_and_in_parts() {
    let world = world().await;
    let block = crate::runs::BLOCK_BYTES;
    for length in [
        0,
        1,
        999,
        1000,
        1001,
        65_535,
        65_536,
        65_537,
        131_072,
        block,
        block + 1,
        3 * block + 70_000,
    ] {
        let sent = value(length, 3);
        for known in [Some(length as u64), None] {
            let keying = Keying::Customer(customer(1));
            let put = world.put_as("k", keying, &sent, known, Condition::None);
            let written = put.await.unwrap();
            assert_eq!(written.size, length as u64);
            assert!(world.get("k").await.unwrap() == sent, "{length} {known:?}");
            let in_file = usize::from(length as u64 > INLINE_MAX);
            assert_eq!(world.files().len(), in_file, "{length} {known:?}");
            let stat = world.store.stat(&world.bucket, "k").await.unwrap().unwrap();
            assert_eq!((stat.size, stat.etag), (length as u64, written.etag));
            for (from, to) in [
                (0, 1),
                (1, 2),
                (length / 2, length / 2 + 70_000),
                (65_535, 65_537),
            ] {
                let (from, to) = (from.min(length), to.min(length));
                let range = Some(from as u64..to as u64);
                let got = world.read("k", Some(&customer(1)), range).await.unwrap();
                assert!(got == sent[from..to], "{length} {from} {to}");
            }
        }
    }
}

#[tokio::test]
async fn server_keyed_objects_open_without_a_key_and_with_none() {
    let world = world().await;
    for length in [0, 10, 5000] {
        let sent = value(length, 1);
        let put = world.put_as("k", Keying::Server, &sent, None, Condition::None);
        put.await.unwrap();
        let opened = world.store.open(&world.bucket, "k", None).await.unwrap();
        assert!(opened.server_keyed);
        assert_eq!(world.read("k", None, None).await.unwrap(), sent);
        let given = world.get("k").await;
        assert!(matches!(given, Err(StoreError::KeyNotApplicable)));
    }
}

#[tokio::test]
async fn an_empty_objects_key_is_checked_too() {
    let world = world().await;
    world.put("k", b"").await;
    let wrong = world.read("k", Some(&customer(2)), None).await;
    assert!(matches!(wrong, Err(StoreError::WrongKey)));
    let none = world.read("k", None, None).await;
    assert!(matches!(none, Err(StoreError::NoKey)));
    let missing = world.get("other").await;
    assert!(matches!(missing, Err(StoreError::NoSuchKey)));
}

#[tokio::test]
async fn conditions_decide_and_refused_files_are_gone() {
    let world = world().await;
    let sent = value(5000, 1);
    let put = |condition| {
        let keying = Keying::Customer(customer(1));
        world.put_as("k", keying, &sent, None, condition)
    };
    let missing = put(Condition::IfMatch("x".into())).await;
    assert!(matches!(missing, Err(StoreError::NoSuchKey)));
    let first = put(Condition::IfNoneMatch).await.unwrap();
    let again = put(Condition::IfNoneMatch).await;
    assert!(matches!(again, Err(StoreError::PreconditionFailed)));
    let other = put(Condition::IfMatch("x".into())).await;
    assert!(matches!(other, Err(StoreError::PreconditionFailed)));
    assert_eq!(world.files().len(), 1);
    let second = put(Condition::IfMatch(first.etag)).await.unwrap();
    assert_eq!(world.files().len(), 1);
    let delete = |etag: &str| {
        let condition = Condition::IfMatch(etag.into());
        world.store.delete(&world.bucket, "k", condition)
    };
    assert!(matches!(
        delete("x").await,
        Err(StoreError::PreconditionFailed)
    ));
    delete(&second.etag).await.unwrap();
    assert_eq!(world.files(), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn more_or_fewer_bytes_than_announced_or_allowed_are_refused() {
    let world = world().await;
    let put = |sent: Vec<u8>, length| {
        let world = &world;
        async move {
            let keying = Keying::Customer(customer(1));
            world
                .put_as("k", keying, &sent, length, Condition::None)
                .await
        }
    };
    for (sent, length) in [
        (6, 5),
        (4, 5),
        (70_000, 65_536),
        (65_536, 70_000),
        (65_536, 65_537),
    ] {
        let refused = put(value(sent, 1), Some(length)).await;
        assert!(
            matches!(refused, Err(StoreError::Length)),
            "{sent} {length}"
        );
    }
    let announced = put(Vec::new(), Some(OBJECT_MAX + 1)).await;
    assert!(matches!(announced, Err(StoreError::TooLarge { .. })));
    let too_large = put(value(usize::try_from(OBJECT_MAX).unwrap() + 1, 1), None).await;
    assert!(matches!(too_large, Err(StoreError::TooLarge { .. })));
    let keying = Keying::Customer(customer(1));
    let long_key = "k".repeat(1025);
    let long = world.put_as(&long_key, keying, b"", None, Condition::None);
    assert!(matches!(long.await, Err(StoreError::TooLong)));
    // The last block may still be on its way to the disk.
    while !world.files().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dropped_or_abandoned_write_leaves_nothing() {
    let world = world().await;
    for abandon in [true, false] {
        let keying = Keying::Customer(customer(1));
        let writing = world
            .store
            .put(&world.bucket, "k", keying, Vec::new(), None);
        let mut writing = writing.await.unwrap();
        writing.push(&value(5_000_000, 1)).await.unwrap();
        assert_eq!(world.files().len(), 1);
        if abandon {
            writing.abandon().await;
        } else {
            drop(writing);
            while !world.files().is_empty() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(world.files(), [] as [PathBuf; 0]);
    }
    assert!(matches!(world.get("k").await, Err(StoreError::NoSuchKey)));
}

#[tokio::test]
async fn a_file_being_read_stays_until_the_reader_has_gone() {
    let world = world().await;
    let sent = value(5_000_000, 1);
    world.put("k", &sent).await;
    let open = || async {
        let key = customer(1);
        let stored = world.store.open(&world.bucket, "k", Some(&key));
        stored.await.unwrap()
    };
    let (first, second) = (open().await, open().await);
    let delete = world.store.delete(&world.bucket, "k", Condition::None);
    delete.await.unwrap();
    assert!(matches!(world.get("k").await, Err(StoreError::NoSuchKey)));
    drop(first);
    assert_eq!(world.files().len(), 1);
    let bytes = second.stream(0..5_000_000).await.unwrap();
    let bytes: Vec<Bytes> = bytes.try_collect().await.unwrap();
    assert!(bytes.concat() == sent);
    while !world.files().is_empty() {
        tokio::task::yield_now().await;
    }
}
