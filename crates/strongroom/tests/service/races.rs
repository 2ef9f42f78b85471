//! Many callers at once.

use crate::house::{ALICE, APP, House, Who};
use std::collections::BTreeSet;
use std::sync::Arc;
use strongroom::{Error, GrantTarget};
use strongroom_core::Token;
use tokio::task::JoinSet;

const MANY: usize = 200;

async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result.unwrap());
    }
    results
}

async fn tokens(house: &Arc<House>) -> Vec<Token> {
    let mut tasks = JoinSet::new();
    for _ in 0..MANY {
        let house = Arc::clone(house);
        tasks.spawn(async move { house.token(ALICE).await });
    }
    all(tasks).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_tokens_made_at_once_each_opens_an_object_of_its_own() {
    let house = Arc::new(House::new().await);
    let tokens = tokens(&house).await;
    let names: BTreeSet<_> = tokens
        .iter()
        .map(|token| token.expose().to_owned())
        .collect();
    assert_eq!(names.len(), MANY);
    assert_eq!(house.rows().await, MANY);
    assert_eq!(house.entries().await.len(), MANY);
    let mut tasks = JoinSet::new();
    for token in tokens {
        let house = Arc::clone(&house);
        tasks.spawn(async move {
            let presigned = house.detokenize(ALICE, &token).await.unwrap();
            presigned.url.split('?').next().unwrap().to_owned()
        });
    }
    let objects: BTreeSet<_> = all(tasks).await.into_iter().collect();
    assert_eq!(objects.len(), MANY);
    assert_eq!(house.entries().await.len(), MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_grants_set_at_once_every_one_holds() {
    let house = Arc::new(House::new().await);
    let token = Arc::new(house.token(APP).await);
    let mut tasks = JoinSet::new();
    for number in 0..MANY {
        let (house, token) = (Arc::clone(&house), Arc::clone(&token));
        tasks.spawn(async move {
            let id: &'static str = Box::leak(format!("user-{number}").into_boxed_str());
            let who = Who::User("default", id);
            let before = house.detokenize(who, &token).await;
            assert!(matches!(before, Err(Error::NoSuchToken)));
            let target = GrantTarget::User(id);
            house.grant(&token, &target, None).await.unwrap();
            house.detokenize(who, &token).await.unwrap();
            assert!(house.verify(&token, &target).await.unwrap());
        });
    }
    all(tasks).await;
    assert_eq!(house.row(&token).await.unwrap().version, 1);
    let entries = house.entries().await;
    let denied = entries
        .iter()
        .filter(|said| said.text("decision") == "deny");
    assert_eq!((entries.len(), denied.count()), (1 + 4 * MANY, MANY));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_grants_to_one_session_at_once_one_holds_and_none_is_lost_silently() {
    let house = Arc::new(House::new().await);
    let token = Arc::new(house.token(APP).await);
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (house, token) = (Arc::clone(&house), Arc::clone(&token));
        tasks.spawn(async move {
            let alice = GrantTarget::User("alice");
            house.grant(&token, &alice, None).await
        });
    }
    let results = all(tasks).await;
    let lost = results.iter().filter(|result| result.is_err()).count();
    assert!(lost < results.len());
    let contended = |result: &Result<(), Error>| matches!(result, Ok(()) | Err(Error::Contended));
    assert!(results.iter().all(contended), "{results:?}");
    let entries = house.entries().await;
    let failed = entries
        .iter()
        .filter(|said| said.text("decision") == "failed");
    assert_eq!(failed.count(), lost);
    house.detokenize(ALICE, &token).await.unwrap();
}
