//! The Simple Tokenizer's pair: an application opens what it holds, by a grant to itself that lasts
//! for one release.

use crate::house::{ALICE, APP, BOB, DEV, HOUR, House, MINUTE, Said, life_s, unknown};
use strongroom::{Action, Error, GrantTarget, Presigned, Rules};
use strongroom_core::Token;

async fn simple_detokenize(house: &House, token: &Token) -> Result<Presigned, Error> {
    let request = house.begin(APP, Action::SimpleDetokenize).await?;
    house.vault.detokenize(&request, token).await
}

#[tokio::test]
async fn a_value_comes_back_long_after_every_grant_has_ended() {
    let house = House::new().await;
    let request = house.begin(APP, Action::SimpleTokenize).await.unwrap();
    let upload = house.vault.tokenize(&request, None, None).await.unwrap();
    assert_eq!(house.send("PUT", &upload.presigned, b"value").await.0, 200);
    house.wait(HOUR);
    for _ in 0..2 {
        let presigned = simple_detokenize(&house, &upload.token).await.unwrap();
        assert_eq!(
            house.send("GET", &presigned, b"").await,
            (200, b"value".to_vec())
        );
        assert_eq!(life_s(&presigned), 60);
    }
}

#[tokio::test]
async fn the_grant_and_the_release_are_both_in_the_log() {
    let house = House::new().await;
    let token = house.token(APP).await;
    house.entries().await;
    simple_detokenize(&house, &token).await.unwrap();
    let entries = house.entries().await;
    let short: Vec<_> = entries.iter().map(Said::short).collect();
    assert_eq!(
        short,
        ["grant_set allow subject", "simple_detokenize allow grant"]
    );
    let [grant, release] = [&entries[0], &entries[1]];
    for field in ["request", "session", "token", "at"] {
        assert_eq!(grant.0[field], release.0[field], "{field}");
    }
    assert_eq!(grant.0["target"], grant.0["session"]);
    simple_detokenize(&house, &unknown()).await.unwrap_err();
    assert_eq!(house.said().await, ["simple_detokenize deny unknown"]);
}

#[tokio::test]
async fn it_leaves_no_grant_behind_and_takes_none_away() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    simple_detokenize(&house, &token).await.unwrap();
    let left = house.detokenize(APP, &token).await;
    assert!(
        matches!(left, Err(Error::NoSuchToken)),
        "used up with its release"
    );
    assert!(!house.verify(&token, &GrantTarget::Own).await.unwrap());
    house
        .grant(&token, &GrantTarget::Own, Some(3_600_000))
        .await
        .unwrap();
    simple_detokenize(&house, &token).await.unwrap();
    house.wait(59 * MINUTE);
    house.detokenize(APP, &token).await.unwrap();
    let creator = house.token(APP).await;
    simple_detokenize(&house, &creator).await.unwrap();
    house.detokenize(APP, &creator).await.unwrap();
}

#[tokio::test]
async fn an_expired_or_unknown_token_is_refused_and_so_is_everybody_else() {
    let rules = Rules {
        token_life_ms: HOUR,
        ..Rules::default()
    };
    let house = House::with(rules).await;
    let token = house.token(APP).await;
    for who in [ALICE, BOB, DEV] {
        for action in [Action::SimpleTokenize, Action::SimpleDetokenize] {
            let refused = house.begin(who, action).await;
            assert!(matches!(refused, Err(Error::NotAllowed)), "{who:?}");
        }
    }
    let missing = simple_detokenize(&house, &unknown()).await;
    assert!(matches!(missing, Err(Error::NoSuchToken)));
    house.wait(HOUR);
    let expired = simple_detokenize(&house, &token).await;
    assert!(matches!(expired, Err(Error::NoSuchToken)));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_releases_nothing() {
    let house = House::new().await;
    let token = house.token(APP).await;
    house.log.close();
    let refused = simple_detokenize(&house, &token).await;
    assert!(matches!(refused, Err(Error::Audit(_))));
}
