//! Who may do what: the contract's table, played through.

use crate::house::{ALICE, APP, DEV, House, Who, json};
use strongroom::{Action, Error, GrantTarget};
use strongroom_core::Token;

/// Does `action` as `who` with `token`, to which `who` has no grant unless it was given one.
async fn attempt(house: &House, who: Who, action: Action, token: &Token) -> Result<(), Error> {
    let request = house.begin(who, action).await?;
    let vault = &house.vault;
    let target = GrantTarget::User("nobody");
    match action {
        Action::Tokenize | Action::SimpleTokenize => {
            vault.tokenize(&request, None, None).await.map(drop)
        }
        Action::Detokenize | Action::SimpleDetokenize => {
            vault.detokenize(&request, token).await.map(drop)
        }
        Action::GrantSet => vault.set_grant(&request, token, &target, None).await,
        Action::GrantVerify => vault.verify_grant(&request, token, &target).await.map(drop),
        Action::MetadataGet => vault.get_metadata(&request, token).await.map(drop),
        Action::MetadataSet => {
            let metadata = json(r#"{"b":2}"#);
            vault.set_metadata(&request, token, Some(&metadata)).await
        }
    }
}

fn cell(result: &Result<(), Error>) -> &'static str {
    match result {
        Ok(()) => "yes",
        Err(Error::NotAllowed) => "never",
        Err(Error::NoSuchToken) => "no grant",
        Err(_) => "something else",
    }
}

#[tokio::test]
async fn every_subject_does_what_the_table_says_and_nothing_else() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let foreign = Who::User("default", "carol");
    let made = house.tokenize_with(foreign, Some(&metadata)).await.unwrap();
    let table = [
        (Action::Tokenize, ["yes", "yes", "yes"]),
        (Action::Detokenize, ["no grant", "no grant", "no grant"]),
        (Action::GrantSet, ["never", "yes", "never"]),
        (Action::GrantVerify, ["never", "yes", "never"]),
        (Action::MetadataGet, ["no grant", "yes", "yes"]),
        (Action::MetadataSet, ["never", "never", "yes"]),
        (Action::SimpleTokenize, ["never", "yes", "never"]),
        (Action::SimpleDetokenize, ["never", "yes", "never"]),
    ];
    for (action, expected) in table {
        for (who, expected) in [ALICE, APP, DEV].into_iter().zip(expected) {
            let result = attempt(&house, who, action, &made.token).await;
            assert_eq!(cell(&result), expected, "{who:?} {action:?}: {result:?}");
        }
    }
}

#[tokio::test]
async fn every_subject_opens_what_it_made_itself() {
    let house = House::new().await;
    for who in [ALICE, APP, DEV] {
        let token = house.token(who).await;
        house.detokenize(who, &token).await.unwrap();
    }
}

#[tokio::test]
async fn one_id_in_two_roles_or_at_two_issuers_is_two_sessions() {
    let house = House::new().await;
    let token = house.token(Who::User("default", "x")).await;
    for who in [
        Who::Developer("default", "x"),
        Who::User("other", "x"),
        Who::Application("default"),
    ] {
        let result = house.detokenize(who, &token).await;
        assert!(matches!(result, Err(Error::NoSuchToken)), "{who:?}");
    }
    let token = house.token(Who::Application("default")).await;
    let result = house.detokenize(Who::Application("other"), &token).await;
    assert!(matches!(result, Err(Error::NoSuchToken)));
}

#[tokio::test]
async fn an_application_grants_to_users_of_its_own_issuer_alone() {
    let house = House::new().await;
    let token = house.token(APP).await;
    house
        .grant(&token, &GrantTarget::User("alice"), None)
        .await
        .unwrap();
    house.detokenize(ALICE, &token).await.unwrap();
    let result = house.detokenize(Who::User("other", "alice"), &token).await;
    assert!(matches!(result, Err(Error::NoSuchToken)));
    let result = house
        .detokenize(Who::Developer("default", "alice"), &token)
        .await;
    assert!(matches!(result, Err(Error::NoSuchToken)));
}

#[tokio::test]
async fn a_session_id_that_cannot_be_one_is_refused() {
    let house = House::new().await;
    let token = house.token(APP).await;
    for id in ["", "a\nb", &"x".repeat(257)] {
        let target = GrantTarget::User(id);
        let set = house.grant(&token, &target, None).await;
        assert!(matches!(set, Err(Error::Invalid(_))), "{id:?}");
        let verified = house.verify(&token, &target).await;
        assert!(matches!(verified, Err(Error::Invalid(_))), "{id:?}");
    }
}
