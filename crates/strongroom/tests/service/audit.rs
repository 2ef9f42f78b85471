//! One entry before each act, and no act without it.

use crate::house::{ALICE, APP, BOB, DEV, Ground, HOUR, House, SECOND, json, unknown};
use strongroom::{Action, Error, GrantTarget, Rules};
use strongroom_records::RecordStore;
use strongroom_records::conformance::Fault;

#[tokio::test]
async fn every_decision_is_one_entry() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let made = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    let token = &made.token;
    assert_eq!(house.said().await, ["tokenize allow subject"]);
    house.detokenize(ALICE, token).await.unwrap();
    assert_eq!(house.said().await, ["detokenize allow grant"]);
    house.detokenize(BOB, token).await.unwrap_err();
    assert_eq!(house.said().await, ["detokenize deny grant"]);
    house.metadata(ALICE, token).await.unwrap();
    assert_eq!(house.said().await, ["metadata_get allow grant"]);
    house.metadata(APP, token).await.unwrap();
    assert_eq!(house.said().await, ["metadata_get allow subject"]);
    house.set_metadata(token, None).await.unwrap();
    assert_eq!(house.said().await, ["metadata_set allow subject"]);
    let bob = GrantTarget::User("bob");
    house.grant(token, &bob, None).await.unwrap();
    assert_eq!(house.said().await, ["grant_set allow subject"]);
    house.verify(token, &bob).await.unwrap();
    assert_eq!(house.said().await, ["grant_verify allow subject"]);
    house.verify(&unknown(), &bob).await.unwrap();
    assert_eq!(house.said().await, ["grant_verify deny unknown"]);
    let refused = house.begin(ALICE, Action::GrantSet).await;
    assert!(matches!(refused, Err(Error::NotAllowed)));
    assert_eq!(house.said().await, ["grant_set deny subject"]);
}

#[tokio::test]
async fn an_entry_names_who_which_token_which_row_and_for_whom() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    house.set_metadata(&token, None).await.unwrap();
    house.entries().await;
    let bob = GrantTarget::User("bob");
    house.grant(&token, &bob, None).await.unwrap();
    let said = house.entries().await.remove(0);
    assert_eq!(said.text("subject"), "application");
    assert_eq!(said.text("session"), house.session(APP).to_string());
    assert_eq!(said.text("target"), house.session(BOB).to_string());
    assert_eq!(said.0["row"], 2);
    assert_eq!(said.0["at"], house.now());
    assert_eq!(said.text("request").len(), 32);
}

#[tokio::test]
async fn no_entry_holds_a_token_a_session_id_or_metadata() {
    let house = House::new().await;
    let metadata = json(r#"{"marked":"marked-metadata"}"#);
    let who = crate::house::Who::User("default", "marked-session");
    let made = house.tokenize_with(who, Some(&metadata)).await.unwrap();
    house.metadata(who, &made.token).await.unwrap();
    let presigned = house.detokenize(who, &made.token).await.unwrap();
    let target = GrantTarget::User("marked-target");
    house.grant(&made.token, &target, None).await.unwrap();
    let text = format!("{:?}", house.entries().await);
    let object = presigned.url.split('?').next().unwrap();
    let object = object.rsplit('/').next().unwrap();
    let bare = made.token.expose().trim_start_matches("lunasec-");
    for secret in ["marked", made.token.expose(), bare, object] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// Every operation refuses because the entry cannot be written, and changes nothing.
async fn assert_nothing_happens(house: &House, token: &strongroom_core::Token) {
    let rows = house.rows().await;
    let row = house.row(token).await.unwrap();
    let unwritten = |error: Error| assert!(matches!(error, Error::Audit(_)), "{error:?}");
    unwritten(house.tokenize(ALICE).await.err().unwrap());
    unwritten(house.detokenize(ALICE, token).await.unwrap_err());
    unwritten(house.detokenize(BOB, token).await.unwrap_err());
    unwritten(house.detokenize(BOB, &unknown()).await.unwrap_err());
    unwritten(house.metadata(DEV, token).await.unwrap_err());
    let metadata = json(r#"{"b":2}"#);
    let set = house.set_metadata(token, Some(&metadata)).await;
    unwritten(set.unwrap_err());
    let bob = GrantTarget::User("bob");
    unwritten(house.grant(token, &bob, None).await.unwrap_err());
    unwritten(house.verify(token, &bob).await.unwrap_err());
    unwritten(house.begin(ALICE, Action::GrantSet).await.err().unwrap());
    assert_eq!(house.rows().await, rows, "no record was made");
    assert_eq!(house.row(token).await.unwrap(), row, "nothing was changed");
    let read = house.records.admit(house.id(token), house.session(BOB));
    assert!(read.await.unwrap().grant.is_none(), "no grant was set");
    let health = house.vault.health().await;
    assert_eq!(health.faults, ["the audit log cannot be written"]);
}

#[tokio::test]
async fn a_closed_log_refuses_everything() {
    let house = House::new().await;
    let metadata = json(r#"{"a":1}"#);
    let made = house.tokenize_with(ALICE, Some(&metadata)).await.unwrap();
    house.log.close();
    house.entries_on_disk();
    assert_nothing_happens(&house, &made.token).await;
    assert!(house.entries_on_disk().is_empty());
}

#[tokio::test]
async fn a_log_that_cannot_keep_up_refuses_and_recovers() {
    let ground = Ground::new(Rules::default()).open().await.close().await;
    let house = ground.with_log_queue(0).open().await;
    assert!(matches!(
        house.tokenize(ALICE).await,
        Err(Error::Audit(strongroom_audit::Error::Slow))
    ));
    assert_eq!(house.rows().await, 0);
    let house = house.close().await.with_log_queue(1 << 20).open().await;
    house.token(ALICE).await;
}

#[tokio::test]
async fn the_sweeper_removes_nothing_that_it_cannot_write_down() {
    let house = House::new().await;
    let token = house.token(ALICE).await;
    house.wait(48 * HOUR);
    house.log.close();
    assert_eq!(house.vault.sweep().await.unwrap().failed, 1);
    assert!(house.row(&token).await.is_some());
}

#[tokio::test]
async fn a_failed_store_is_an_outcome_entry_and_no_token() {
    for fault in [Fault::Lost, Fault::Kept] {
        let house = House::new().await;
        house.records.fail(0, fault);
        let result = house.tokenize(ALICE).await;
        assert!(matches!(result, Err(Error::Records(_))), "{fault:?}");
        assert_eq!(
            house.said().await,
            ["tokenize allow subject", "tokenize failed store"],
            "{fault:?}"
        );
        // What was kept without an answer goes as an upload that never came.
        house.wait(48 * HOUR);
        house.vault.sweep().await.unwrap();
        assert_eq!(house.rows().await, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_failed_grant_and_a_failed_metadata_write_are_outcome_entries() {
    for fault in [Fault::Lost, Fault::Kept] {
        let house = House::new().await;
        let token = house.token(APP).await;
        house.entries().await;
        let bob = GrantTarget::User("bob");
        house.records.fail(0, fault);
        let set = house.grant(&token, &bob, None).await;
        assert!(matches!(set, Err(Error::Records(_))), "{fault:?}");
        house.records.fail(0, fault);
        let metadata = json(r#"{"a":1}"#);
        let set = house.set_metadata(&token, Some(&metadata)).await;
        assert!(matches!(set, Err(Error::Records(_))), "{fault:?}");
        assert_eq!(
            house.said().await,
            [
                "grant_set allow subject",
                "grant_set failed store",
                "metadata_set allow subject",
                "metadata_set failed store",
            ],
            "{fault:?}"
        );
        // Sent again, both converge.
        house.grant(&token, &bob, None).await.unwrap();
        house.detokenize(BOB, &token).await.unwrap();
        house.set_metadata(&token, Some(&metadata)).await.unwrap();
        let kept = house.metadata(APP, &token).await.unwrap();
        assert_eq!(kept.json(), metadata.json());
    }
}

#[tokio::test]
async fn a_failed_removal_is_an_outcome_entry_and_done_by_the_next_sweep() {
    for fault in [Fault::Lost, Fault::Kept] {
        let house = House::new().await;
        let token = house.token(ALICE).await;
        house.entries().await;
        house.wait(48 * HOUR + SECOND);
        house.records.fail(0, fault);
        assert_eq!(house.vault.sweep().await.unwrap().failed, 1, "{fault:?}");
        let said = house.said().await;
        assert_eq!(said, ["sweep allow sweep", "sweep failed store"]);
        house.vault.sweep().await.unwrap();
        assert!(house.row(&token).await.is_none(), "{fault:?}");
    }
}
