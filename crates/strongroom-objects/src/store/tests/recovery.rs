//! What a crash leaves, at every step of a write and of a deletion.

use super::*;
use crate::index::{BodyPlace, ObjectRow, Put, RunFile};
use std::os::unix::fs::FileExt;

impl World {
    /// A file in `incoming`, synced, as a write leaves it before its transaction.
    fn unfinished(&self) -> [u8; 16] {
        let disk = &self.store.channel.disk;
        let incoming = disk.incoming().unwrap();
        incoming.file.write_all_at(b"sealed", 0).unwrap();
        disk.sync(&incoming).unwrap();
        let name = incoming.name();
        incoming.keep();
        name
    }

    async fn name(&self, key: &str, name: [u8; 16]) {
        let row = ObjectRow {
            size: 1,
            stored_at: UnixMillis(1),
            etag: "e".into(),
            parts: 0,
            head: vec![1],
            sealed_key: None,
            place: BodyPlace::Files(vec![RunFile { name, run_at: 0 }]),
        };
        let put = self
            .store
            .index
            .put(self.bucket.id, key, row, Condition::None);
        assert!(matches!(put.await.unwrap(), Put::Stored(_)));
    }
}

#[tokio::test]
async fn a_file_that_no_row_names_is_gone_after_a_restart() {
    let world = world().await;
    world.unfinished();
    assert_eq!(world.files().len(), 1);
    let world = world.restart().await;
    assert_eq!(world.files(), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_file_that_a_row_names_is_settled_after_a_restart() {
    let world = world().await;
    let name = world.unfinished();
    world.name("k", name).await;
    let world = world.restart().await;
    let files = world.files();
    assert_eq!(files.len(), 1);
    assert!(
        files[0]
            .parent()
            .unwrap()
            .ends_with(hex::encode(&name[..1]))
    );
}

#[tokio::test]
async fn a_deleted_file_that_was_not_removed_is_gone_after_a_restart() {
    for settled in [true, false] {
        let world = world().await;
        let name = world.unfinished();
        world.name("k", name).await;
        if settled {
            world.store.channel.disk.settle(&name).unwrap();
        }
        let index = &world.store.index;
        let deleted = index.delete(world.bucket.id, "k", Condition::None).await;
        assert!(matches!(deleted.unwrap(), Delete::Deleted(freed) if freed == [name]));
        assert_eq!(world.files().len(), 1);
        let world = world.restart().await;
        assert_eq!(world.files(), [] as [PathBuf; 0]);
        let garbage = world.store.index.garbage(None, 10).await.unwrap();
        assert!(garbage.is_empty());
    }
}

#[tokio::test]
async fn garbage_whose_removal_was_not_told_is_forgotten_by_the_next_sweep() {
    let world = world().await;
    world.put("k", &value(5000, 1)).await;
    let delete = world.store.delete(&world.bucket, "k", Condition::None);
    delete.await.unwrap();
    let garbage = || world.store.index.garbage(None, 10);
    assert_eq!(garbage().await.unwrap().len(), 1);
    world.store.sweep().await.unwrap();
    assert_eq!(garbage().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_write_of_unknown_outcome_is_resolved_by_the_next_sweep() {
    let world = world().await;
    let (kept, lost) = (world.unfinished(), world.unfinished());
    world.name("k", kept).await;
    world.store.files.unknown(kept);
    world.store.files.unknown(lost);
    world.store.sweep().await.unwrap();
    let files = world.files();
    assert_eq!(files.len(), 1);
    assert!(files[0].ends_with(hex::encode(kept)));
}

#[tokio::test]
async fn objects_and_open_uploads_are_there_after_a_restart() {
    let world = world().await;
    let (large, small) = (value(3_000_000, 1), value(10, 2));
    world.put("large", &large).await;
    world.put("small", &small).await;
    let id = world.begin("k", Keying::Server).await;
    let part = world.part_as("k", &id, 1, None, &large).await.unwrap();
    let world = world.restart().await;
    assert!(world.get("large").await.unwrap() == large);
    assert_eq!(world.get("small").await.unwrap(), small);
    let named = vec![uploads::named(1, part)];
    world.complete("k", &id, named).await.unwrap();
    assert!(world.read("k", None, None).await.unwrap() == large);
    assert_eq!(world.files().len(), 2);
}
