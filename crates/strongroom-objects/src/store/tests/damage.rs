//! Whoever writes to the directory can delete, and is refused otherwise.

use super::uploads::named;
use super::*;
use rusqlite::Connection;
use std::fs;

/// [`multipart::PART_BYTES_MIN`].
const PART: usize = 5 << 20;

impl World {
    /// Changes the closed index as an attacker would.
    async fn attack(self, statements: &str) -> Self {
        self.change(|conn| conn.execute_batch(statements).unwrap())
            .await
    }

    async fn change(self, change: impl FnOnce(&Connection)) -> Self {
        self.store.close().await.unwrap();
        let path = self.dir.path().join("store/index.sqlite3");
        let conn = Connection::open(path).unwrap();
        change(&conn);
        drop(conn);
        self.restart().await
    }
}

/// The read fails, at the start or within the stream.
async fn is_refused(world: &World, key: &str) {
    let read = world.get(key).await;
    assert!(
        matches!(read, Err(StoreError::Broken(_) | StoreError::Io(_))),
        "{key} was read"
    );
}

#[tokio::test]
async fn any_flipped_cut_or_longer_file_is_refused() {
    let world = world().await;
    let sent = value(200_000, 1);
    world.put("k", &sent).await;
    let path = &world.files()[0];
    let good = fs::read(path).unwrap();
    // The header, the first and last bytes of segments and their tags, and some between.
    let places = (0..40).chain((40..good.len()).step_by(9_973)).chain([
        33 + 65_536,
        33 + 65_551,
        33 + 65_552,
        good.len() - 1,
    ]);
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(path, &bad).unwrap();
        is_refused(&world, "k").await;
    }
    for cut in [1, 16, 65_552, good.len()] {
        fs::write(path, &good[..good.len() - cut]).unwrap();
        is_refused(&world, "k").await;
    }
    fs::write(path, [&good[..], &[0]].concat()).unwrap();
    is_refused(&world, "k").await;
    let (header, segments) = good.split_at(33);
    let (first, rest) = segments.split_at(65_552);
    let (second, end) = rest.split_at(65_552);
    fs::write(path, [header, second, first, end].concat()).unwrap();
    is_refused(&world, "k").await;
    fs::remove_file(path).unwrap();
    is_refused(&world, "k").await;
    fs::write(path, &good).unwrap();
    assert!(world.get("k").await.unwrap() == sent);
}

#[tokio::test]
async fn files_of_one_key_cannot_change_places() {
    let world = world().await;
    world.put("a", &value(5000, 1)).await;
    world.put("b", &value(5000, 2)).await;
    let files = world.files();
    let (one, two) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    fs::write(&files[0], two).unwrap();
    fs::write(&files[1], one).unwrap();
    is_refused(&world, "a").await;
    is_refused(&world, "b").await;
}

#[tokio::test]
async fn parts_of_an_object_cannot_change_places() {
    let world = world().await;
    let id = world.begin("k", Keying::Customer(customer(1))).await;
    let mut parts = Vec::new();
    for number in 1..=3 {
        let sent = value(PART, u8::try_from(number).unwrap());
        parts.push(world.part("k", &id, number, &sent).await);
    }
    world.complete("k", &id, parts).await.unwrap();
    let files = world.files();
    let (one, two) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    fs::write(&files[0], &two).unwrap();
    is_refused(&world, "k").await;
    fs::write(&files[1], &one).unwrap();
    is_refused(&world, "k").await;
}

/// The row of the body of object `a` or `b`.
const BODY_A: &str = "(SELECT body FROM objects WHERE key = X'61')";
const BODY_B: &str = "(SELECT body FROM objects WHERE key = X'62')";

/// Gives the body of `a` a column of that of `b`.
fn copy(column: &str) -> String {
    format!(
        "UPDATE bodies SET {column} = (SELECT {column} FROM bodies WHERE id = {BODY_B}) \
         WHERE id = {BODY_A}"
    )
}

fn set(column: &str, to: &str) -> String {
    format!("UPDATE bodies SET {column} = {to} WHERE id = {BODY_A}")
}

#[tokio::test]
async fn rows_cannot_be_swapped_or_altered() {
    for attack in [
        // Two objects change names.
        "UPDATE objects SET key = X'78' WHERE key = X'61';
         UPDATE objects SET key = X'61' WHERE key = X'62';"
            .into(),
        format!("UPDATE objects SET body = {BODY_B} WHERE key = X'61'"),
        "UPDATE objects SET size = size + 1 WHERE key = X'61'".into(),
        format!("UPDATE objects SET etag = '{:032}' WHERE key = X'61'", 7),
        "UPDATE objects SET parts = 2 WHERE key = X'61'".into(),
        copy("head"),
        copy("inline"),
        set("head", "substr(head, 1, length(head) - 1)"),
        set("head", "X''"),
        set("head", "X'02'"),
        set("inline", "substr(inline, 1, length(inline) - 1)"),
        set("inline", "CAST(inline || X'00' AS BLOB)"),
        set("inline", "X'01'"),
        set("inline", "NULL"),
        set("sealed_key", "randomblob(61)"),
    ] {
        let world = world().await;
        world.put("a", &value(100, 1)).await;
        world.put("b", &value(100, 2)).await;
        let world = world.attack(&attack).await;
        let read = world.get("a").await;
        assert!(read.is_err(), "{attack}");
    }
}

#[tokio::test]
async fn any_flipped_byte_of_a_row_is_refused() {
    let mut world = world().await;
    world.put("a", &value(20, 1)).await;
    for column in ["head", "inline"] {
        let read = format!("SELECT {column} FROM bodies WHERE id = {BODY_A}");
        let write = format!("UPDATE bodies SET {column} = ?1 WHERE id = {BODY_A}");
        let mut good: Vec<u8> = Vec::new();
        world = world
            .change(|conn| good = conn.query_row(&read, [], |row| row.get(0)).unwrap())
            .await;
        assert!(good.len() > 50, "{column}");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            world = world
                .change(|conn| assert_eq!(conn.execute(&write, [bad]).unwrap(), 1))
                .await;
            assert!(world.get("a").await.is_err(), "{column} at {at}");
        }
        world = world
            .change(|conn| assert_eq!(conn.execute(&write, [&good]).unwrap(), 1))
            .await;
        assert_eq!(world.get("a").await.unwrap(), value(20, 1));
    }
}

#[tokio::test]
async fn a_server_key_of_another_object_does_not_open() {
    let world = world().await;
    for (key, seed) in [("a", 1), ("b", 2)] {
        let sent = value(100, seed);
        let put = world.put_as(key, Keying::Server, &sent, None, Condition::None);
        put.await.unwrap();
    }
    let world = world.attack(&copy("sealed_key")).await;
    let read = world.read("a", None, None).await;
    assert!(matches!(read, Err(StoreError::Broken(_))));
    assert_eq!(world.read("b", None, None).await.unwrap(), value(100, 2));
}

#[tokio::test]
async fn a_swapped_or_altered_part_is_refused_at_complete() {
    for attack in [
        "UPDATE parts SET sealed = (SELECT sealed FROM parts WHERE number = 2) WHERE number = 1",
        "UPDATE parts SET file = (SELECT file FROM parts WHERE number = 2) WHERE number = 1",
        "UPDATE parts SET sealed = substr(sealed, 1, 100) WHERE number = 1",
        "UPDATE parts SET size = size + 1 WHERE number = 1",
        "UPDATE parts SET stored_at = stored_at + 1 WHERE number = 1",
        "UPDATE uploads SET kept = CAST(X'01' || randomblob(124) AS BLOB)",
        "UPDATE uploads SET draft = CAST(X'01' || randomblob(60) AS BLOB)",
    ] {
        let world = world().await;
        let id = world.begin("k", Keying::Server).await;
        let first = world.part_as("k", &id, 1, None, &value(PART, 1)).await;
        let second = world.part_as("k", &id, 2, None, &value(10, 1)).await;
        let parts = vec![named(1, first.unwrap()), named(2, second.unwrap())];
        let world = world.attack(attack).await;
        let refused = world.complete("k", &id, parts).await;
        assert!(matches!(refused, Err(StoreError::Broken(_))), "{attack}");
    }
}
