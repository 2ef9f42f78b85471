//! Metadata: set, read, replace, remove.

use crate::house::{ALICE, APP, BOB, DEV, House, json};
use std::sync::Arc;
use strongroom::{Error, Rules};
use tokio::task::JoinSet;

#[tokio::test]
async fn metadata_comes_back_as_it_was_written() {
    let house = House::new().await;
    let text = r#"{ "b": 1.50, "a": [null, "\u00e9"] }"#;
    let made = house.tokenize_with(ALICE, Some(&json(text))).await.unwrap();
    for who in [ALICE, APP, DEV] {
        assert_eq!(house.metadata(who, &made.token).await.unwrap().json(), text);
    }
    let result = house.metadata(BOB, &made.token).await;
    assert!(matches!(result, Err(Error::NoSuchToken)));
}

#[tokio::test]
async fn metadata_is_set_replaced_cleared_and_set_again() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    for (set, version) in [
        (Some(r#"{"a":1}"#), 2),
        (Some(r#"{"a":2}"#), 3),
        (None, 4),
        (Some("{}"), 5),
        (Some(r#"{"a":3}"#), 6),
    ] {
        let metadata = set.map(json);
        house.set_metadata(&token, metadata.as_ref()).await.unwrap();
        assert_eq!(house.row(&token).await.unwrap().version, version);
        house.entries().await;
        let found = house.metadata(DEV, &token).await;
        if let Some(text) = set.filter(|text| *text != "{}") {
            assert_eq!(found.unwrap().json(), text);
        } else {
            assert!(matches!(found, Err(Error::NoSuchToken)), "{set:?}");
            let said = house.said().await;
            assert_eq!(said, ["metadata_get deny no_metadata"], "{set:?}");
        }
    }
    house.detokenize(ALICE, &token).await.unwrap();
}

#[tokio::test]
async fn metadata_beyond_the_limit_is_refused_before_anything_is_written() {
    let rules = Rules {
        metadata_bytes_max: 16,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let token = house.token(ALICE).await;
    house.entries().await;
    let large = json(r#"{"a":"0123456789"}"#);
    let made = house.tokenize_with(ALICE, Some(&large)).await.map(drop);
    assert!(matches!(made, Err(Error::TooLarge { limit: 16, .. })));
    let set = house.set_metadata(&token, Some(&large)).await;
    assert!(matches!(set, Err(Error::TooLarge { limit: 16, .. })));
    assert!(house.said().await.is_empty());
    assert_eq!(house.rows().await, 1);
}

#[tokio::test]
async fn of_50_sets_at_once_each_is_stored_or_said_to_be_lost() {
    let house = Arc::new(House::new().await);
    let token = Arc::new(house.token(ALICE).await);
    let mut sets = JoinSet::new();
    for number in 0..50 {
        let (house, token) = (Arc::clone(&house), Arc::clone(&token));
        sets.spawn(async move {
            let metadata = json(&format!(r#"{{"n":{number}}}"#));
            (number, house.set_metadata(&token, Some(&metadata)).await)
        });
    }
    let mut done = Vec::new();
    while let Some(set) = sets.join_next().await {
        match set.unwrap() {
            (number, Ok(())) => done.push(number),
            (_, Err(error)) => assert!(matches!(error, Error::Contended), "{error:?}"),
        }
    }
    let row = house.row(&token).await.unwrap();
    assert_eq!(row.version, 1 + done.len() as u64, "one version for each");
    let last = house.metadata(DEV, &token).await.unwrap();
    let number: serde_json::Value = serde_json::from_str(last.json()).unwrap();
    let number = number["n"].as_i64().unwrap();
    assert!(done.contains(&number), "the last is one of the stored");
    let entries = house.entries().await;
    let count = |short: &str| entries.iter().filter(|said| said.short() == short).count();
    let kept = count("metadata_set allow subject") - count("metadata_set failed store");
    assert_eq!(kept, done.len(), "the log tells the kept from the lost");
}
