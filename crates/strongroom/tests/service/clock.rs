//! A system clock that was set back.

use crate::house::{ALICE, APP, House, MINUTE, SECOND, START, json};
use strongroom::{Error, GrantTarget};

#[tokio::test]
async fn a_clock_more_than_60_s_behind_releases_nothing_until_it_caught_up() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let made = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let token = &made.token;
    house.entries().await;

    house.set_time(START - MINUTE - 1);
    let result = house.detokenize(ALICE, token).await;
    let behind_ms = MINUTE + 1;
    assert!(matches!(result, Err(Error::ClockBehind { behind_ms: found }) if found == behind_ms));
    let result = house.tokenize(ALICE).await.map(drop);
    assert!(matches!(result, Err(Error::ClockBehind { .. })));
    assert_eq!(house.rows().await, 1);
    assert_eq!(
        house.said().await,
        ["detokenize deny clock", "tokenize deny clock"]
    );
    assert_eq!(house.vault.health().await.faults.len(), 1);

    let alice = GrantTarget::User("alice");
    assert!(house.verify(token, &alice).await.unwrap());
    house.metadata(APP, token).await.unwrap();

    house.set_time(START - MINUTE);
    house.detokenize(ALICE, token).await.unwrap();
    assert!(house.vault.health().await.faults.is_empty());
}

#[tokio::test]
async fn a_clock_set_back_revives_no_grant() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    house.set_time(START + 15 * MINUTE);
    let alice = GrantTarget::User("alice");
    assert!(!house.verify(&token, &alice).await.unwrap());
    house.set_time(START + 15 * MINUTE - 30 * SECOND);
    let result = house.detokenize(ALICE, &token).await;
    assert!(matches!(result, Err(Error::NoSuchToken)));
    house.set_time(START);
    assert!(!house.verify(&token, &alice).await.unwrap());
}
