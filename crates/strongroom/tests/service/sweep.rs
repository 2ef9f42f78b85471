//! The sweeper: what it claims, what it removes, and what it leaves alone.

use crate::house::{ALICE, APP, HOUR, House, MINUTE, START};
use strongroom::{GrantTarget, Rules, Swept};
use strongroom_core::envelope::Record;
use strongroom_core::{ObjectId, Token, UnixMillis};
use strongroom_objects::ObjectStore;
use strongroom_records::{RecordStore, Row, Swap};

/// When an upload that began at [`START`] must have arrived: URL life and grace, to the hour.
const CLAIM: u64 = START + 25 * HOUR;

async fn record(house: &House, token: &Token) -> Record {
    let row = house.row(token).await.unwrap();
    let id = house.id(token);
    Record::open(house.keys.current_kek(), &id, row.version, &row.outer).unwrap()
}

/// Changes the sealed state behind the vault's back, with its own keys.
async fn alter(house: &House, token: &Token, change: impl FnOnce(&mut Record, &mut Row)) {
    let (id, row) = (house.id(token), house.row(token).await.unwrap());
    let (mut sealed, mut next) = (record(house, token).await, (*row).clone());
    next.version += 1;
    change(&mut sealed, &mut next);
    let rng = &mut rand_core::UnwrapErr(getrandom::SysRng);
    let kek = house.keys.current_kek();
    next.outer = sealed.seal(kek, &id, next.version, rng).unwrap();
    let swapped = house.records.replace(id, row.version, next).await.unwrap();
    assert_eq!(swapped, Swap::Swapped);
}

async fn present(house: &House, object: &ObjectId) -> bool {
    house.objects.presence(object).await.unwrap().is_some()
}

#[tokio::test]
async fn an_upload_that_never_came_goes_after_url_life_and_grace() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    house.set_time(CLAIM - 1);
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
    assert!(house.row(&token).await.is_some());
    house.entries().await;
    house.set_time(CLAIM);
    let swept = house.vault.sweep().await.unwrap();
    assert_eq!(
        swept,
        Swept {
            unclaimed: 1,
            ..Swept::default()
        }
    );
    assert!(house.row(&token).await.is_none());
    assert_eq!(house.said().await, ["sweep allow sweep"]);
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
    assert!(house.said().await.is_empty());
}

#[tokio::test]
async fn an_upload_that_came_is_claimed_once_and_stays() {
    let house = House::new().await;
    let token = house.stored(ALICE, b"value").await;
    house.set_time(CLAIM);
    let swept = house.vault.sweep().await.unwrap();
    assert_eq!(
        swept,
        Swept {
            claimed: 1,
            ..Swept::default()
        }
    );
    assert!(record(&house, &token).await.state.stored);
    assert_eq!(house.row(&token).await.unwrap().due, UnixMillis::NEVER);
    house.set_time(CLAIM + 10_000 * HOUR);
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
    house.grant(&token, &GrantTarget::Own, None).await.unwrap();
    let presigned = house.detokenize(APP, &token).await.unwrap();
    let (status, body) = house.send("GET", &presigned, b"").await;
    assert_eq!((status, body.as_slice()), (200, &b"value"[..]));
}

#[tokio::test]
async fn an_expired_token_goes_with_its_object() {
    let rules = Rules {
        token_life_ms: 30 * HOUR + MINUTE,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let token = house.stored(ALICE, b"value").await;
    let object = record(&house, &token).await.birth.object_id;
    house.set_time(CLAIM);
    assert_eq!(house.vault.sweep().await.unwrap().claimed, 1);
    house.set_time(START + 31 * HOUR - 1);
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
    assert!(present(&house, &object).await);
    house.set_time(START + 31 * HOUR);
    house.entries().await;
    let swept = house.vault.sweep().await.unwrap();
    assert_eq!(
        swept,
        Swept {
            expired: 1,
            ..Swept::default()
        }
    );
    assert!(house.row(&token).await.is_none());
    assert!(!present(&house, &object).await);
    assert_eq!(house.said().await, ["sweep allow sweep"]);
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn a_held_record_stays_expired_or_not() {
    let rules = Rules {
        token_life_ms: HOUR,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let token = house.stored(ALICE, b"value").await;
    alter(&house, &token, |record, _| record.state.hold = true).await;
    let object = record(&house, &token).await.birth.object_id;
    house.set_time(CLAIM + 100 * HOUR);
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
    assert!(house.row(&token).await.is_some() && present(&house, &object).await);
    alter(&house, &token, |record, _| record.state.hold = false).await;
    assert_eq!(house.vault.sweep().await.unwrap().expired, 1);
    assert!(!present(&house, &object).await);
}

#[tokio::test]
async fn a_due_column_that_lies_removes_nothing_before_its_time() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let house = house.forge("UPDATE records SET due = 1", []).await;
    assert_eq!(house.vault.sweep().await.unwrap(), Swept::default());
    assert!(house.row(&token).await.is_some());
}

#[tokio::test]
async fn a_forged_row_is_left_and_stops_no_other() {
    let house = House::new().await;
    let [forged, other] = [house.token(ALICE).await, house.token(ALICE).await];
    let id = house.id(&forged);
    let sql = "UPDATE records SET version = 7 WHERE id = ?1";
    let house = house.forge(sql, [id.as_bytes()]).await;
    house.set_time(CLAIM);
    let swept = house.vault.sweep().await.unwrap();
    assert_eq!((swept.unclaimed, swept.failed), (1, 1));
    assert!(house.row(&forged).await.is_some());
    assert!(house.row(&other).await.is_none());
}

#[tokio::test]
async fn dead_grants_go_and_live_ones_stay() {
    let house = House::new().await;
    let token = house.token(APP).await;
    for (id, duration_ms) in [("alice", 1_000), ("bob", 60_000)] {
        let target = GrantTarget::User(id);
        house
            .grant(&token, &target, Some(duration_ms))
            .await
            .unwrap();
    }
    house.wait(1_000);
    assert_eq!(house.vault.sweep().await.unwrap().grants, 1);
    assert_eq!(house.vault.sweep().await.unwrap().grants, 0);
    assert!(
        house
            .verify(&token, &GrantTarget::User("bob"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn two_sweeps_at_once_remove_each_record_once() {
    let house = House::new().await;
    for _ in 0..20 {
        house.token(ALICE).await;
    }
    house.set_time(CLAIM);
    let (one, two) = tokio::join!(house.vault.sweep(), house.vault.sweep());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.unclaimed + two.unclaimed, 20);
    assert_eq!(house.rows().await, 0);
}
