//! What a restore ends.

use crate::house::{ALICE, APP, BOB, HOUR, House, json};
use std::sync::Arc;
use strongroom::{Error, GrantTarget, Restored};
use strongroom_audit::Gone;
use strongroom_core::TokenRef;
use strongroom_core::envelope::Record;
use strongroom_records::RecordStore;

/// What the log calls the token.
fn named(house: &House, token: &strongroom_core::Token) -> TokenRef {
    let id = house.id(token);
    house.keys.current_token_ref_key().token_ref(&id)
}

#[tokio::test]
async fn every_grant_ends_and_new_ones_work() {
    let house = House::new().await;
    let token = house.stored(ALICE, b"value").await;
    house
        .grant(&token, &GrantTarget::User("bob"), None)
        .await
        .unwrap();
    let before = house.row(&token).await.unwrap().version;
    for who in [ALICE, BOB] {
        house.detokenize(who, &token).await.unwrap();
    }
    let restored = house.vault.restore(&Arc::default()).await.unwrap();
    assert_eq!(
        (restored.kept, restored.removed, restored.broken),
        (1, 0, 0)
    );
    for who in [ALICE, BOB] {
        let refused = house.detokenize(who, &token).await.unwrap_err();
        assert!(matches!(refused, Error::NoSuchToken));
    }
    // Beyond every version that the record may have had since the backup.
    assert!(house.row(&token).await.unwrap().version > before + 1_000_000);
    // Twice is not more than once.
    house.vault.restore(&Arc::default()).await.unwrap();
    for (who, target) in [
        (ALICE, GrantTarget::User("alice")),
        (BOB, GrantTarget::User("bob")),
    ] {
        house
            .grant(&token, &target, Some(HOUR.cast_signed()))
            .await
            .unwrap();
        let presigned = house.detokenize(who, &token).await.unwrap();
        let (status, body) = house.send("GET", &presigned, b"").await;
        assert_eq!((status, body.as_slice()), (200, &b"value"[..]));
    }
    house
        .set_metadata(&token, Some(&json("{\"a\":1}")))
        .await
        .unwrap();
    assert_eq!(
        house.metadata(APP, &token).await.unwrap().json(),
        "{\"a\":1}"
    );
}

#[tokio::test]
async fn what_is_gone_is_removed_with_its_value() {
    let house = House::new().await;
    let [removed, expired, kept] = [
        house.stored(ALICE, b"one").await,
        house.stored(ALICE, b"two").await,
        house.stored(ALICE, b"three").await,
    ];
    let gone = Gone {
        removed: [named(&house, &removed)].into(),
        expired: [named(&house, &expired)].into(),
    };
    let restored = house.vault.restore(&Arc::new(gone)).await.unwrap();
    let expected = Restored {
        kept: 1,
        removed: 2,
        broken: 0,
    };
    assert_eq!(restored, expected);
    assert_eq!(house.rows().await, 1);
    assert!(house.row(&kept).await.is_some());
}

#[tokio::test]
async fn a_held_record_stays_though_it_is_expired() {
    let house = House::new().await;
    let token = house.stored(ALICE, b"one").await;
    let (id, row) = (house.id(&token), house.row(&token).await.unwrap());
    let kek = house.keys.current_kek();
    let mut record = Record::open(kek, &id, row.version, &row.outer).unwrap();
    record.state.hold = true;
    let mut held = (*row).clone();
    held.version += 1;
    let rng = &mut rand_core::UnwrapErr(getrandom::SysRng);
    held.outer = record.seal(kek, &id, held.version, rng).unwrap();
    let _ = house.records.replace(id, row.version, held).await.unwrap();
    let gone = Gone {
        expired: [named(&house, &token)].into(),
        ..Gone::default()
    };
    let restored = house.vault.restore(&Arc::new(gone)).await.unwrap();
    assert_eq!((restored.kept, restored.removed), (1, 0));
}

#[tokio::test]
async fn a_row_that_does_not_open_is_counted_and_left_alone() {
    let house = House::new().await;
    let (broken, sound) = (house.token(ALICE).await, house.token(ALICE).await);
    let id = house.id(&broken).as_bytes().to_vec();
    let house = house
        .forge(
            "UPDATE records SET version = version + 1 WHERE id = ?1",
            [id],
        )
        .await;
    let before = house.row(&broken).await.unwrap();
    let restored = house.vault.restore(&Arc::default()).await.unwrap();
    assert_eq!((restored.kept, restored.broken), (1, 1));
    assert!(house.row(&broken).await.unwrap() == before);
    assert!(house.row(&sound).await.unwrap().version > 1);
}
