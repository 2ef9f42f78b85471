//! A revoked session is dead for good.

use crate::house::{ALICE, APP, HOUR, House, Who, unknown};
use strongroom::{Error, GrantTarget};
use strongroom_core::UnixMillis;
use strongroom_core::grant::Revocation;
use strongroom_records::{RecordStore, RevocationRow};

async fn revoke(house: &House, who: Who, keep_until: UnixMillis) {
    let session = house.session(who);
    let revocation = Revocation {
        revoked_at: UnixMillis(house.now()),
        keep_until,
    };
    let row = RevocationRow {
        keep_until,
        bytes: house.grant_seal().seal_revocation(&session, revocation),
    };
    house.records.put_revocation(session, row).await.unwrap();
}

#[tokio::test]
async fn a_revoked_session_neither_makes_nor_opens_tokens() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    revoke(&house, ALICE, UnixMillis::NEVER).await;
    house.entries().await;
    let rows = house.rows().await;
    for token in [&token, &unknown()] {
        let result = house.detokenize(ALICE, token).await;
        assert!(matches!(result, Err(Error::Revoked)), "{result:?}");
    }
    let result = house.tokenize(ALICE).await;
    assert!(matches!(result, Err(Error::Revoked)));
    assert_eq!(house.rows().await, rows);
    let said = house.said().await;
    assert_eq!(
        said,
        [
            "detokenize deny revoked",
            "detokenize deny revoked",
            "tokenize deny revoked"
        ]
    );
}

#[tokio::test]
async fn a_grant_of_a_revoked_session_is_not_valid() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    let alice = GrantTarget::User("alice");
    assert!(house.verify(&token, &alice).await.unwrap());
    revoke(&house, ALICE, UnixMillis::NEVER).await;
    assert!(!house.verify(&token, &alice).await.unwrap());
    house.grant(&token, &alice, None).await.unwrap();
    assert!(!house.verify(&token, &alice).await.unwrap());
    let result = house.detokenize(ALICE, &token).await;
    assert!(matches!(result, Err(Error::Revoked)));
}

#[tokio::test]
async fn a_revoked_application_grants_nothing() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    revoke(&house, APP, UnixMillis::NEVER).await;
    let target = GrantTarget::User("bob");
    let set = house.grant(&token, &target, None).await;
    assert!(matches!(set, Err(Error::Revoked)));
    let verified = house.verify(&token, &target).await;
    assert!(matches!(verified, Err(Error::Revoked)));
}

#[tokio::test]
async fn a_revocation_holds_over_a_restart_until_no_jwt_can_outlive_it() {
    let house = House::new().await;
    let end = house.now() + 25 * HOUR;
    revoke(&house, ALICE, UnixMillis(end)).await;
    let house = house.close().await.open().await;
    house.set_time(end - 1);
    house.vault.sweep().await.unwrap();
    assert!(matches!(house.tokenize(ALICE).await, Err(Error::Revoked)));
    house.set_time(end);
    assert_eq!(house.vault.sweep().await.unwrap().grants, 1);
}

#[tokio::test]
async fn a_revocation_ends_one_session_alone() {
    let house = House::new().await;
    let token = house.token(Who::User("other", "alice")).await;
    revoke(&house, ALICE, UnixMillis::NEVER).await;
    house
        .detokenize(Who::User("other", "alice"), &token)
        .await
        .unwrap();
    house.token(Who::Developer("default", "alice")).await;
}
