//! Stores of format 1 taken over, whole and damaged.

use super::*;
use crate::ObjectStore;
use crate::disk::format::check;
use bytes::Bytes;
use futures_util::TryStreamExt;
use rand_core::UnwrapErr;
use std::sync::Arc;
use strongroom_core::ObjectId;
use strongroom_core::secret::{DataKey, StoreKey};
use strongroom_core::stream::manifest::{HeadKeys, Manifest, Run};
use strongroom_core::stream::{Context, Flag, SegmentSealer, run_header, sealed_bytes};
use strongroom_core::time::Clock;

fn layout(dir: &Path) -> Layout<'_> {
    Layout {
        dir,
        bucket: "vault",
        owner: "(vault)",
        now: UnixMillis(5),
    }
}

fn key(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

/// An object as format 1 wrote it.
fn old_file(object_key: &str, value: &[u8]) -> Vec<u8> {
    let customer = DataKey::init_with(|bytes| bytes.fill(1));
    let context = Context::Stored {
        bucket: "vault",
        object_key,
        part_number: 1,
    };
    let salt = [2; 32];
    let length = value.len() as u64;
    let manifest = Manifest {
        size: length,
        stored_at: UnixMillis(7),
        etag: "abc".into(),
        runs: vec![Run {
            part_number: 1,
            length,
            salt,
        }],
        checksums: Vec::new(),
        headers: Vec::new(),
    };
    let head = HeadKeys::new(&[3; 32], &customer)
        .seal(
            "vault",
            object_key,
            &manifest,
            &mut UnwrapErr(getrandom::SysRng),
        )
        .unwrap();
    let mut run = run_header(&salt).to_vec();
    let mut segment = [value, &[0; 16]].concat();
    SegmentSealer::new(&salt, &customer, &context)
        .unwrap()
        .seal(&mut segment, Flag::EndOfRun)
        .unwrap();
    run.extend(segment);
    assert_eq!(run.len() as u64, sealed_bytes(length).unwrap());
    let head_length = u32::try_from(head.len()).unwrap();
    [&[1][..], &head_length.to_be_bytes(), &head, &run].concat()
}

/// A directory of format 1 with some objects.
fn old_directory(count: u8) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("format"), "1\n").unwrap();
    for number in 0..=255_u8 {
        let shelf = dir.path().join("objects").join(hex::encode([number]));
        fs::create_dir_all(shelf).unwrap();
    }
    for number in 0..count {
        let text = old_file(&key(number), &vec![number; 100 + usize::from(number)]);
        fs::write(old_path(dir.path(), &key(number)), text).unwrap();
    }
    dir
}

fn old_path(dir: &Path, object_key: &str) -> PathBuf {
    dir.join("objects").join(&object_key[..2]).join(object_key)
}

fn files(dir: &Path) -> usize {
    let shelves = fs::read_dir(dir.join("runs")).unwrap();
    shelves
        .map(|shelf| fs::read_dir(shelf.unwrap().path()).unwrap().count())
        .sum()
}

/// Opens the migrated directory and reads every object.
async fn is_whole(dir: &Path, count: u8) {
    let now: Arc<dyn Clock> = Arc::new(Now);
    let config = crate::EmbeddedConfig {
        dir: dir.to_owned(),
        bucket: "vault".into(),
        disk_reserve_bytes: 0,
        ..crate::EmbeddedConfig::default()
    };
    let secret = crate::SigningSecret::new("secret".into());
    let store_key = StoreKey::init_with(|bytes| bytes.fill(9));
    let opened = crate::Embedded::open(config, secret, &store_key, Vec::new(), now).unwrap();
    let customer = DataKey::init_with(|bytes| bytes.fill(1));
    for number in 0..count {
        let (store, bucket) = (&opened.store, &opened.vault_bucket);
        let size = 100 + u64::from(number);
        let id = ObjectId([number; 32]);
        assert_eq!(opened.presence(&id).await.unwrap(), Some(size));
        let stored = store.open(bucket, &key(number), Some(&customer)).await;
        let stored = stored.unwrap();
        assert_eq!(stored.manifest.etag, "abc");
        let bytes: Vec<Bytes> = stored
            .stream(0..size)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(bytes.concat(), vec![number; 100 + usize::from(number)]);
    }
    assert_eq!(files(dir), usize::from(count));
    assert!(!dir.join("objects").exists());
    assert_eq!(fs::read_to_string(dir.join("format")).unwrap(), "2\n");
    for number in 0..count {
        assert!(old_path(&dir.join("before-1"), &key(number)).exists());
    }
    opened.delete(&ObjectId([0; 32])).await.unwrap();
    assert_eq!(files(dir), usize::from(count) - 1);
}

struct Now;

impl Clock for Now {
    fn now(&self) -> UnixMillis {
        UnixMillis(9)
    }

    fn behind_ms(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn objects_of_format_1_are_read_as_before() {
    let dir = old_directory(9);
    fs::create_dir(dir.path().join("incoming")).unwrap();
    fs::write(dir.path().join("incoming/unfinished"), "old").unwrap();
    is_whole(dir.path(), 9).await;
}

#[tokio::test]
async fn an_empty_directory_of_format_1_is_migrated() {
    let dir = old_directory(0);
    check(&layout(dir.path())).unwrap();
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test]
async fn a_migration_that_was_stopped_anywhere_is_done_anew() {
    // After files were linked, after some rows, after the index was closed.
    for stop in 0..4 {
        let dir = old_directory(3);
        let layout = layout(dir.path());
        super::super::format::copy(dir.path(), 1).unwrap();
        make_shelves(dir.path()).unwrap();
        let mut rows = Vec::new();
        for number in 0..3 {
            rows.push(row_of(dir.path(), &old_path(dir.path(), &key(number))).unwrap());
        }
        if stop == 1 {
            rows.truncate(1);
        }
        if stop > 0 {
            write_rows(&layout, rows).await.unwrap();
        }
        if stop == 3 {
            // All is done but the removal of what was before.
            fs::write(dir.path().join("format"), "2\n").unwrap();
        }
        is_whole(dir.path(), 3).await;
    }
}

#[test]
fn a_file_whose_key_is_lost_is_named_and_everything_stays() {
    let dir = old_directory(1);
    let odd = dir
        .path()
        .join("objects/ab")
        .join(format!("x{}", key(0xab)));
    fs::write(&odd, old_file("photos/cat", b"cat")).unwrap();
    let refused = check(&layout(dir.path())).unwrap_err().to_string();
    assert!(refused.contains(&format!("x{}", key(0xab))), "{refused}");
    assert_eq!(
        fs::read_to_string(dir.path().join("format")).unwrap(),
        "1\n"
    );
    fs::remove_file(odd).unwrap();
    check(&layout(dir.path())).unwrap();
    assert_eq!(files(dir.path()), 1);
}

#[test]
fn a_damaged_file_is_named() {
    for damaged in [
        &b""[..],
        b"\x01\x00\x00\x00\xff",
        b"\x02\x00\x00\x00\x00",
        b"\x01\xff\xff\xff\xff",
    ] {
        let dir = old_directory(1);
        fs::write(old_path(dir.path(), &key(0xab)), damaged).unwrap();
        let refused = check(&layout(dir.path())).unwrap_err().to_string();
        assert!(refused.contains(&key(0xab)), "{refused}");
    }
}
