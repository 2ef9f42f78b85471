//! What was acknowledged is there after a restart.

use crate::house::{ALICE, BOB, HOUR, House, json};
use strongroom::GrantTarget;
use strongroom_core::time::Clock;

#[tokio::test]
async fn tokens_grants_metadata_and_values_survive_reopening() {
    let house = House::new().await;
    let token = house.stored(ALICE, b"kept").await;
    let bob = GrantTarget::User("bob");
    house.grant(&token, &bob, None).await.unwrap();
    let metadata = json(r#"{"a":[1, 2]}"#);
    house.set_metadata(&token, Some(&metadata)).await.unwrap();
    let house = house.close().await.open().await;
    for who in [ALICE, BOB] {
        let presigned = house.detokenize(who, &token).await.unwrap();
        let (status, body) = house.send("GET", &presigned, b"").await;
        assert_eq!((status, body.as_slice()), (200, &b"kept"[..]));
        let kept = house.metadata(who, &token).await.unwrap();
        assert_eq!(kept.json(), r#"{"a":[1, 2]}"#);
    }
}

#[tokio::test]
async fn a_vault_that_died_without_closing_still_has_what_it_acknowledged() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let copy = tempfile::TempDir::new().unwrap();
    for name in ["records.sqlite3", "records.sqlite3-wal"] {
        let from = house.ground.dir.path().join(name);
        if from.exists() {
            std::fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let path = copy.path().join("records.sqlite3");
    let conn = rusqlite::Connection::open(path).unwrap();
    let found: i64 = conn
        .query_row(
            "SELECT count(*) FROM records WHERE id = ?1",
            [house.id(&token).as_bytes()],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn vault_time_starts_from_the_newest_entry() {
    let house = House::new().await;
    house.wait(HOUR);
    house.token(ALICE).await;
    let newest = house.now();
    let ground = house.close().await;
    ground
        .time
        .store(newest - 1_000, std::sync::atomic::Ordering::SeqCst);
    let house = ground.open().await;
    assert_eq!(house.clock.now().0, newest);
    assert_eq!(house.clock.behind_ms(), 1_000);
}
