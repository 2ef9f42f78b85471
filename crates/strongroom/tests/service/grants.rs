//! How long grants, tokens and URLs live.

use crate::house::{ALICE, APP, BOB, HOUR, House, MINUTE, SECOND, START, life_s};
use strongroom::{Error, GrantTarget, Rules};
use strongroom_core::envelope::Record;
use strongroom_records::{RecordStore, Row, Swap};

fn refused<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::NoSuchToken))
}

#[tokio::test]
async fn the_creators_grant_ends_after_15_minutes() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    house.set_time(START + 15 * MINUTE - 1);
    house.detokenize(ALICE, &token).await.unwrap();
    house.set_time(START + 15 * MINUTE);
    assert!(refused(&house.detokenize(ALICE, &token).await));
}

#[tokio::test]
async fn an_explicit_grant_shortens_the_creators() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let alice = GrantTarget::User("alice");
    house.grant(&token, &alice, Some(2_000)).await.unwrap();
    house.wait(1_999);
    house.detokenize(ALICE, &token).await.unwrap();
    house.wait(1);
    assert!(refused(&house.detokenize(ALICE, &token).await));
    // Swept grants must not let the creator's own come back.
    house.vault.sweep().await.unwrap();
    assert!(refused(&house.detokenize(ALICE, &token).await));
    assert!(!house.verify(&token, &alice).await.unwrap());
}

#[tokio::test]
async fn an_explicit_grant_lengthens_the_creators() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let alice = GrantTarget::User("alice");
    house.grant(&token, &alice, Some(3_600_000)).await.unwrap();
    house.set_time(START + HOUR - 1);
    house.detokenize(ALICE, &token).await.unwrap();
    house.wait(1);
    assert!(refused(&house.detokenize(ALICE, &token).await));
}

#[tokio::test]
async fn a_grant_replaces_the_one_before_and_starts_anew() {
    let house = House::new().await;
    let token = house.token(APP).await;
    let bob = GrantTarget::User("bob");
    house.grant(&token, &bob, Some(60_000)).await.unwrap();
    house.grant(&token, &bob, Some(10_000)).await.unwrap();
    house.wait(10 * SECOND);
    assert!(refused(&house.detokenize(BOB, &token).await));
    house.grant(&token, &bob, None).await.unwrap();
    house.wait(15 * MINUTE - 1);
    house.detokenize(BOB, &token).await.unwrap();
    house.wait(1);
    assert!(refused(&house.detokenize(BOB, &token).await));
}

#[tokio::test]
async fn a_grant_opens_one_token_for_one_session() {
    let house = House::new().await;
    let [token, other] = [house.token(APP).await, house.token(APP).await];
    house
        .grant(&token, &GrantTarget::User("alice"), None)
        .await
        .unwrap();
    house.detokenize(ALICE, &token).await.unwrap();
    assert!(refused(&house.detokenize(ALICE, &other).await));
    assert!(refused(&house.detokenize(BOB, &token).await));
}

#[tokio::test]
async fn a_duration_is_positive_and_at_most_the_limit() {
    let house = House::new().await;
    let token = house.token(APP).await;
    let alice = GrantTarget::User("alice");
    for bad in [i64::MIN, -1, 0, 3_600_001, i64::MAX] {
        let result = house.grant(&token, &alice, Some(bad)).await;
        let limit = matches!(result, Err(Error::InvalidDuration { max_s: 3_600 }));
        assert!(limit, "{bad}: {result:?}");
    }
    for good in [1, 3_600_000] {
        house.grant(&token, &alice, Some(good)).await.unwrap();
    }
}

#[tokio::test]
async fn an_application_renews_its_own_grant_by_self() {
    let house = House::new().await;
    let token = house.token(APP).await;
    house.wait(HOUR);
    assert!(refused(&house.detokenize(APP, &token).await));
    assert!(!house.verify(&token, &GrantTarget::Own).await.unwrap());
    house.grant(&token, &GrantTarget::Own, None).await.unwrap();
    assert!(house.verify(&token, &GrantTarget::Own).await.unwrap());
    house.detokenize(APP, &token).await.unwrap();
}

#[tokio::test]
async fn verify_tells_of_live_grants_alone() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let [alice, bob] = ["alice", "bob"].map(GrantTarget::User);
    assert!(house.verify(&token, &alice).await.unwrap());
    assert!(!house.verify(&token, &bob).await.unwrap());
    house.grant(&token, &bob, Some(1_000)).await.unwrap();
    assert!(house.verify(&token, &bob).await.unwrap());
    house.wait(1_000);
    assert!(!house.verify(&token, &bob).await.unwrap());
    let unknown = crate::house::unknown();
    assert!(!house.verify(&unknown, &alice).await.unwrap());
    let set = house.grant(&unknown, &alice, None).await;
    assert!(
        refused(&set),
        "an application learns that there is no token"
    );
}

#[tokio::test]
async fn a_token_ends_with_its_life_whatever_the_grants() {
    let rules = Rules {
        token_life_ms: 20 * MINUTE,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let token = house.token(ALICE).await;
    let alice = GrantTarget::User("alice");
    house.grant(&token, &alice, Some(3_600_000)).await.unwrap();
    house.set_time(START + 20 * MINUTE - 1);
    house.detokenize(ALICE, &token).await.unwrap();
    house.wait(1);
    assert!(refused(&house.detokenize(ALICE, &token).await));
    assert!(!house.verify(&token, &alice).await.unwrap());
    assert!(refused(&house.grant(&token, &alice, None).await));
}

#[tokio::test]
async fn a_download_lives_60_s_or_what_is_left_of_the_grant_but_5_s() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let end = START + 15 * MINUTE;
    for (left_ms, expected) in [
        (15 * MINUTE, 60),
        (61 * SECOND, 60),
        (60 * SECOND, 60),
        (59_999, 59),
        (30 * SECOND, 30),
        (5 * SECOND, 5),
        (4_999, 5),
        (1, 5),
    ] {
        house.set_time(end - left_ms);
        let presigned = house.detokenize(ALICE, &token).await.unwrap();
        assert_eq!(life_s(&presigned), expected, "{left_ms} ms left");
    }
}

#[tokio::test]
async fn a_download_lives_no_longer_than_the_token_but_5_s() {
    let rules = Rules {
        token_life_ms: 20 * MINUTE,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let token = house.token(ALICE).await;
    let alice = GrantTarget::User("alice");
    house.grant(&token, &alice, Some(3_600_000)).await.unwrap();
    let end = START + 20 * MINUTE;
    for (left_ms, expected) in [(2 * MINUTE, 60), (30 * SECOND, 30), (3 * SECOND, 5)] {
        house.set_time(end - left_ms);
        let presigned = house.detokenize(ALICE, &token).await.unwrap();
        assert_eq!(life_s(&presigned), expected, "{left_ms} ms left");
    }
}

#[tokio::test]
async fn an_upload_lives_15_minutes() {
    let house = House::new().await;
    let upload = house.tokenize(ALICE).await.unwrap();
    assert_eq!(life_s(&upload.presigned), 900);
    house.set_time(START + 15 * MINUTE + SECOND);
    let (status, _) = house.send("PUT", &upload.presigned, b"late").await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn raising_the_epoch_ends_every_grant_at_once() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let bob = GrantTarget::User("bob");
    house.grant(&token, &bob, None).await.unwrap();
    house.detokenize(BOB, &token).await.unwrap();

    let (id, row) = (house.id(&token), house.row(&token).await.unwrap());
    let kek = house.keys.current_kek();
    let mut record = Record::open(kek, &id, row.version, &row.outer).unwrap();
    record.state.grant_epoch += 1;
    let rng = &mut rand_core::UnwrapErr(getrandom::SysRng);
    let version = row.version + 1;
    let next = Row {
        version,
        outer: record.seal(kek, &id, version, rng).unwrap(),
        ..(*row).clone()
    };
    let swapped = house.records.replace(id, row.version, next).await.unwrap();
    assert_eq!(swapped, Swap::Swapped);

    assert!(refused(&house.detokenize(ALICE, &token).await), "creator");
    assert!(refused(&house.detokenize(BOB, &token).await), "granted");
    assert!(!house.verify(&token, &bob).await.unwrap());
    house.grant(&token, &bob, None).await.unwrap();
    house.detokenize(BOB, &token).await.unwrap();
}

#[tokio::test]
async fn what_was_uploaded_is_what_comes_back() {
    let house = House::new().await;
    let token = house.stored(ALICE, b"4111 1111 1111 1111").await;
    let presigned = house.detokenize(ALICE, &token).await.unwrap();
    let (status, body) = house.send("GET", &presigned, b"").await;
    assert_eq!(
        (status, body.as_slice()),
        (200, &b"4111 1111 1111 1111"[..])
    );
}
