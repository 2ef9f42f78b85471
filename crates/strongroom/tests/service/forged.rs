//! A store that lies: whatever it swaps, moves or alters is refused, and said so in the log.

use crate::house::{ALICE, APP, BOB, DEV, House, json};
use strongroom::{Error, GrantTarget};
use strongroom_core::Token;

const SWAP: &str = "UPDATE records SET outer_layer = (SELECT other.outer_layer FROM records other \
                    WHERE other.id <> records.id) WHERE id = ?1";

/// Nothing is released, and the log names the forgery once.
async fn assert_refused(house: &House, token: &Token) {
    house.entries().await;
    let result = house.detokenize(ALICE, token).await;
    assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    assert_eq!(house.said().await, ["detokenize deny forged"]);
}

#[tokio::test]
async fn the_outer_layer_of_another_record_is_refused() {
    let house = House::new().await;
    let [token, other] = [house.token(ALICE).await, house.token(ALICE).await];
    let id = house.id(&token);
    let house = house.forge(SWAP, [id.as_bytes()]).await;
    assert_refused(&house, &token).await;
    house.detokenize(ALICE, &other).await.unwrap();
}

#[tokio::test]
async fn a_changed_row_version_is_refused() {
    for sql in [
        "UPDATE records SET version = version + 1",
        "UPDATE records SET version = 0",
    ] {
        let house = House::new().await;
        let token = house.token(ALICE).await;
        let house = house.forge(sql, []).await;
        assert_refused(&house, &token).await;
    }
}

#[tokio::test]
async fn a_cut_lengthened_or_emptied_outer_layer_is_refused() {
    for sql in [
        "UPDATE records SET outer_layer = substr(outer_layer, 1, length(outer_layer) - 1)",
        "UPDATE records SET outer_layer = CAST(outer_layer || x'00' AS BLOB)",
        "UPDATE records SET outer_layer = x''",
        "UPDATE records SET outer_layer = x'0200000001'",
        "UPDATE records SET outer_layer = CAST(x'0100000063' || substr(outer_layer, 6) AS BLOB)",
    ] {
        let house = House::new().await;
        let token = house.token(ALICE).await;
        let house = house.forge(sql, []).await;
        assert_refused(&house, &token).await;
    }
}

#[tokio::test]
async fn an_older_layer_in_the_place_of_a_newer_one_is_refused() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let token = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let old = house.row(&token.token).await.unwrap();
    house.set_metadata(&token.token, None).await.unwrap();
    let sql = "UPDATE records SET outer_layer = ?1";
    let house = house.forge(sql, [&old.outer]).await;
    assert_refused(&house, &token.token).await;
}

#[tokio::test]
async fn dropped_metadata_is_refused() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let made = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let house = house.forge("UPDATE records SET meta = NULL", []).await;
    assert_refused(&house, &made.token).await;
}

#[tokio::test]
async fn planted_metadata_is_refused() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let house = house.forge("UPDATE records SET meta = x'01'", []).await;
    assert_refused(&house, &token).await;
}

#[tokio::test]
async fn metadata_moved_from_another_record_is_refused() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let made = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let other = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let id = house.id(&made.token);
    let sql = SWAP.replace("outer_layer", "meta");
    let house = house.forge(&sql, [id.as_bytes()]).await;
    house.entries().await;
    let result = house.metadata(ALICE, &made.token).await;
    assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    assert_eq!(house.said().await, ["metadata_get deny forged"]);
    house.metadata(ALICE, &other.token).await.unwrap();
}

#[tokio::test]
async fn older_metadata_of_the_same_record_is_refused() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let made = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let old = house.row(&made.token).await.unwrap();
    let newer = json(r#"{"a":2}"#);
    house.set_metadata(&made.token, Some(&newer)).await.unwrap();
    let sql = "UPDATE records SET meta = ?1";
    let house = house.forge(sql, [old.meta.as_ref().unwrap()]).await;
    house.entries().await;
    let result = house.metadata(DEV, &made.token).await;
    assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    assert_eq!(house.said().await, ["metadata_get deny forged"]);
}

#[tokio::test]
async fn a_grant_moved_to_another_session_is_refused() {
    let house = House::new().await;
    let token = house.token(APP).await;
    let bob = GrantTarget::User("bob");
    house.grant(&token, &bob, None).await.unwrap();
    let alice = house.session(ALICE);
    let sql = "UPDATE grants SET session = ?1";
    let house = house.forge(sql, [alice.as_bytes()]).await;
    assert_refused(&house, &token).await;
    let result = house.detokenize(BOB, &token).await;
    assert!(matches!(result, Err(Error::NoSuchToken)), "{result:?}");
}

#[tokio::test]
async fn a_grant_moved_to_another_record_is_refused() {
    let house = House::new().await;
    let [token, other] = [house.token(APP).await, house.token(APP).await];
    let alice = GrantTarget::User("alice");
    house.grant(&other, &alice, None).await.unwrap();
    let id = house.id(&token);
    let sql = "UPDATE grants SET record = ?1";
    let house = house.forge(sql, [id.as_bytes()]).await;
    assert_refused(&house, &token).await;
}

#[tokio::test]
async fn an_altered_grant_is_refused() {
    for sql in [
        "UPDATE grants SET version = version + 1",
        "UPDATE grants SET body = x''",
        "UPDATE grants SET body = CAST(body || x'00' AS BLOB)",
        // The last byte of `expires at`: 1 + 8 + 4 + 8 + 8 bytes in.
        "UPDATE grants SET body = CAST(substr(body, 1, 28) || x'FF' || substr(body, 30) AS BLOB)",
    ] {
        let house = House::new().await;
        let token = house.token(APP).await;
        let alice = GrantTarget::User("alice");
        house.grant(&token, &alice, Some(1_001)).await.unwrap();
        let house = house.forge(sql, []).await;
        assert_refused(&house, &token).await;
    }
}

#[tokio::test]
async fn a_forged_grant_is_neither_confirmed_nor_built_upon() {
    let house = House::new().await;
    let token = house.token(APP).await;
    let alice = GrantTarget::User("alice");
    house.grant(&token, &alice, None).await.unwrap();
    let house = house.forge("UPDATE grants SET version = 9", []).await;
    house.entries().await;
    let verified = house.verify(&token, &alice).await;
    assert!(matches!(verified, Err(Error::Refused(_))), "{verified:?}");
    let set = house.grant(&token, &alice, None).await;
    assert!(matches!(set, Err(Error::Refused(_))), "{set:?}");
    assert_eq!(
        house.said().await,
        [
            "grant_verify allow subject",
            "grant_verify failed forged",
            "grant_set allow subject",
            "grant_set failed forged",
        ]
    );
}

#[tokio::test]
async fn a_forged_revocation_is_refused() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let alice = house.session(ALICE);
    let sql = "INSERT INTO revocations VALUES (?1, 0, zeroblob(49))";
    let house = house.forge(sql, [alice.as_bytes()]).await;
    assert_refused(&house, &token).await;
    let result = house.tokenize(ALICE).await;
    assert!(result.is_err(), "and makes no token");
    let said = house.said().await;
    assert_eq!(said, ["tokenize deny forged"]);
    assert_eq!(house.rows().await, 1);
}

#[tokio::test]
async fn the_store_of_another_vault_is_refused_at_start() {
    let house = House::new().await;
    let ground = house.close().await;
    let path = ground.dir.path().join("records.sqlite3");
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "UPDATE marks SET value = zeroblob(16) WHERE name = 'vault_id'";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    assert!(matches!(ground.try_open().await, Err(Error::ForeignStore)));
}

#[tokio::test]
async fn an_older_keyring_than_the_store_has_seen_is_refused_at_start() {
    let house = House::new().await;
    let ground = house.close().await;
    let path = ground.dir.path().join("records.sqlite3");
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "UPDATE marks SET value = x'0000000000000002' WHERE name = 'keyring_version'";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    let opened = ground.try_open().await;
    assert!(matches!(
        opened,
        Err(Error::OldKeyring {
            version: 1,
            seen: 2
        })
    ));
}
