//! One refusal for everything: the caller cannot tell unknown from refused.

use crate::house::{ALICE, BOB, DEV, House, MINUTE, Said, Who, json, unknown};
use strongroom::{Action, Error, Rules};
use strongroom_core::Token;

/// A token of each kind that `BOB` must not tell apart.
async fn kinds(house: &House) -> Vec<(&'static str, Token)> {
    let metadata = json(r#"{"a":1}"#);
    let expired = house.tokenize_with(BOB, Some(&metadata)).await.unwrap();
    house.wait(20 * MINUTE);
    let foreign = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    vec![
        ("unknown", unknown()),
        ("not granted", foreign.token),
        ("expired", expired.token),
    ]
}

async fn refuse(house: &House, who: Who, action: Action, token: &Token) -> Error {
    match action {
        Action::Detokenize => house.detokenize(who, token).await.unwrap_err(),
        _ => house.metadata(who, token).await.unwrap_err(),
    }
}

/// The entry without what names the token and the reason.
fn shape(said: &Said) -> Vec<String> {
    let fields = said.shape().into_iter().filter(|name| *name != "row");
    fields.map(str::to_owned).collect()
}

#[tokio::test]
async fn unknown_not_granted_and_expired_are_one_refusal() {
    let rules = Rules {
        token_life_ms: 20 * MINUTE,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let tokens = kinds(&house).await;
    house.entries().await;
    for action in [Action::Detokenize, Action::MetadataGet] {
        let mut seen = Vec::new();
        for (kind, token) in &tokens {
            let error = refuse(&house, BOB, action, token).await;
            let answer = (error.name(), error.public_message(), error.to_string());
            let entries = house.entries().await;
            assert_eq!(entries.len(), 1, "{kind}: one entry");
            assert_eq!(entries[0].text("decision"), "deny", "{kind}");
            seen.push((*kind, answer, shape(&entries[0])));
        }
        for (kind, answer, fields) in &seen[1..] {
            assert_eq!(answer, &seen[0].1, "{kind} {action:?}");
            assert_eq!(fields, &seen[0].2, "{kind} {action:?}");
        }
    }
}

#[tokio::test]
async fn the_log_tells_the_auditor_what_the_caller_never_learns() {
    let rules = Rules {
        token_life_ms: 20 * MINUTE,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let tokens = kinds(&house).await;
    house.entries().await;
    for ((_, token), rule) in tokens.iter().zip(["unknown", "grant", "expired"]) {
        refuse(&house, BOB, Action::Detokenize, token).await;
        let said = house.entries().await.remove(0);
        assert_eq!(said.short(), format!("detokenize deny {rule}"));
        let id = house.id(token);
        let named = house.keys.current_token_ref_key().token_ref(&id);
        assert_eq!(said.text("token"), named.to_string());
    }
}

#[tokio::test]
async fn no_metadata_is_refused_like_no_token() {
    let house = House::new().await;
    let token = house.token(DEV).await;
    house.entries().await;
    let none = house.metadata(DEV, &token).await.unwrap_err();
    let absent = house.metadata(DEV, &unknown()).await.unwrap_err();
    assert_eq!(none.to_string(), absent.to_string());
    let said = house.said().await;
    assert_eq!(
        said,
        ["metadata_get deny no_metadata", "metadata_get deny unknown"]
    );
}
