//! The store as of one instant, while objects come and go.

use super::*;
use std::io::Read;

#[tokio::test]
async fn a_snapshot_keeps_its_files_until_each_was_taken() {
    let world = world().await;
    for number in 0..20_u8 {
        world.put(&format!("k{number}"), &value(2000, number)).await;
    }
    world.put("small", &value(10, 1)).await;
    let mut snapshot = world.store.snapshot().await.unwrap();
    let (count, bytes) = snapshot.measure().unwrap();
    for number in 0..20_u8 {
        let key = format!("k{number}");
        if number % 2 == 0 {
            let deleted = world.store.delete(&world.bucket, &key, Condition::None);
            deleted.await.unwrap();
        } else {
            world.put(&key, &value(3000, 99)).await;
        }
        world.put(&format!("later{number}"), &value(2000, 98)).await;
    }
    let copy = world.dir.path().join("index.sqlite3");
    let index = snapshot.index.take().unwrap();
    index.copy_to(&copy, || true).unwrap();

    let (mut files, mut taken) = (0, 0);
    while let Some(next) = snapshot.next_file() {
        let (path, mut file) = next.unwrap();
        assert!(path.starts_with("runs/"), "{path}");
        let mut bytes = Vec::new();
        taken += file.read_to_end(&mut bytes).unwrap() as u64;
        files += 1;
    }
    assert_eq!((files, taken), (count, bytes));
    assert_eq!(count, 20);
    drop(snapshot);
    let copied = rusqlite::Connection::open(copy).unwrap();
    let keys = |table: &str| {
        let query = format!("SELECT count(*) FROM {table}");
        copied
            .query_row::<i64, _, _>(&query, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!((keys("objects"), keys("names")), (21, 20));

    // What was deleted or replaced meanwhile goes in the end: 10 replaced and 20 later ones stay.
    for _ in 0..1000 {
        world.store.sweep().await.unwrap();
        if world.files().len() == 30 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(world.files().len(), 30);
}
