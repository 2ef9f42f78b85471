//! Grants: who may open a token, and that nobody can tell why they may not.

use crate::{NO_TOKEN, assert_refused, shape};
use serde_json::json;
use std::fs;
use strongroom_tests::{Answer, Key, Setup, Vault, eventually};

fn detokenize(vault: &Vault, jwt: &str, token: &str) -> Answer {
    vault.call("/detokenize", jwt, &json!({ "tokenId": token }))
}

#[test]
fn the_creators_session_reads_back_and_another_only_with_a_grant() {
    let vault = Vault::start();
    let (mine, other) = (vault.session("mine"), vault.session("other"));
    let value = vault.value();
    let token = vault.store(&vault.user(&mine), &value);
    assert_eq!(vault.fetch(&vault.user(&mine), &token), value);
    assert!(vault.granted(&mine, &token) && !vault.granted(&other, &token));
    let stranger = vault.user(&other);
    assert_refused(&detokenize(&vault, &stranger, &token), 404, "NoSuchToken");
    vault.grant(&other, &token, None);
    assert!(vault.granted(&other, &token));
    assert_eq!(vault.fetch(&stranger, &token), value);
}

#[test]
fn a_developers_session_of_the_same_id_is_another_session() {
    let vault = Vault::start();
    let session = vault.session("same");
    let token = vault.store(&vault.user(&session), &vault.value());
    let developer = vault.developer(&session);
    assert_refused(&detokenize(&vault, &developer, &token), 404, "NoSuchToken");
}

#[test]
fn the_application_reads_with_a_grant_to_itself() {
    let vault = Vault::start();
    let (user, value) = (vault.user(&vault.session("user")), vault.value());
    let token = vault.store(&user, &value);
    let application = vault.application();
    let body = json!({ "tokenId": token, "self": true });
    assert_refused(
        &detokenize(&vault, &application, &token),
        404,
        "NoSuchToken",
    );
    assert_eq!(
        vault.ok("/grant/verify", &application, &body),
        json!({ "valid": false })
    );
    vault.ok("/grant/set", &application, &body);
    assert_eq!(
        vault.ok("/grant/verify", &application, &body),
        json!({ "valid": true })
    );
    assert_eq!(vault.fetch(&application, &token), value);
}

#[test]
fn sessions_of_two_issuers_are_different_whatever_their_id() {
    let (one, two) = (Key::p256(), Key::ed25519());
    let sources = r#"[{ name = "one", public_key_files = ["one.pem"] }, { name = "two", public_key_files = ["two.pem"] }]"#;
    let mut vault = Setup::new().set("KEY_SOURCE", sources).make();
    fs::write(vault.root().join("one.pem"), one.public_pem()).unwrap();
    fs::write(vault.root().join("two.pem"), two.public_pem()).unwrap();
    vault.start_again();
    let session = vault.session("42");
    let user = |key| vault.mint_by(key, json!({ "sub": "user", "session_id": session }));
    let value = vault.value();
    let token = vault.store(&user(&one), &value);
    assert_refused(&detokenize(&vault, &user(&two), &token), 404, "NoSuchToken");

    // An application grants to its own issuer's sessions, so the stranger's stays without.
    let body = json!({ "tokenId": token, "sessionId": session });
    let application = |key| vault.mint_by(key, json!({ "sub": "application" }));
    assert_eq!(
        vault.ok("/grant/verify", &application(&one), &body),
        json!({ "valid": true })
    );
    assert_eq!(
        vault.ok("/grant/verify", &application(&two), &body),
        json!({ "valid": false })
    );
    vault.ok("/grant/set", &application(&one), &body);
    assert_refused(&detokenize(&vault, &user(&two), &token), 404, "NoSuchToken");
    vault.ok("/grant/set", &application(&two), &body);
    assert_eq!(vault.fetch(&user(&two), &token), value);
}

#[test]
fn an_application_may_learn_that_a_token_does_not_exist() {
    let vault = Vault::start();
    let body = json!({ "tokenId": NO_TOKEN, "sessionId": vault.session("s") });
    let application = vault.application();
    assert_refused(
        &vault.call("/grant/set", &application, &body),
        404,
        "NoSuchToken",
    );
    assert_eq!(
        vault.ok("/grant/verify", &application, &body),
        json!({ "valid": false })
    );
}

#[test]
fn unknown_not_granted_and_expired_are_one_answer_byte_for_byte() {
    let vault = Vault::start();
    let owner = vault.user(&vault.session("owner"));
    let made = json!({ "metadata": { "a": 1 } });
    let (not_granted, _) = vault.tokenize(&owner, &made);
    let (expired, _) = vault.tokenize(&owner, &made);
    let (without_metadata, _) = vault.tokenize(&owner, &json!({}));
    let session = vault.session("caller");
    vault.grant(&session, &expired, Some("1ms"));
    vault.grant(&session, &without_metadata, None);
    eventually("the grant ends", || {
        (!vault.granted(&session, &expired)).then_some(())
    });

    let (user, developer) = (vault.user(&session), vault.developer(&session));
    for (route, jwt) in [
        ("/detokenize", &user),
        ("/detokenize", &developer),
        ("/metadata/get", &user),
    ] {
        let ask = |token: &str| shape(vault.call(route, jwt, &json!({ "tokenId": token })));
        let unknown = ask(NO_TOKEN);
        assert_eq!(unknown.0, 404);
        assert_eq!(unknown, ask(&not_granted), "{route}");
        assert_eq!(unknown, ask(&expired), "{route}");
        if route == "/metadata/get" {
            assert_eq!(unknown, ask(&without_metadata));
        }
    }
    // The auditor can tell them apart.
    let entries = vault.audit();
    for rule in ["unknown", "grant", "no_metadata"] {
        let denied =
            |entry: &serde_json::Value| entry["rule"] == rule && entry["decision"] == "deny";
        assert!(entries.iter().any(denied), "{rule}");
    }
}

#[test]
fn every_decision_is_in_the_log_before_the_answer() {
    let vault = Vault::start();
    let user = vault.user(&vault.session("user"));
    let logged = |answer: &Answer, decision: &str, rule: &str| {
        let id = answer.header("x-request-id").unwrap();
        let entries = vault.audit();
        let entry = entries
            .iter()
            .find(|entry| entry["request"] == id)
            .expect("an entry");
        assert_eq!(
            (entry["decision"].as_str(), entry["rule"].as_str()),
            (Some(decision), Some(rule))
        );
        assert_eq!(entry["subject"], "user");
    };
    let made = vault.call("/tokenize", &user, &json!({}));
    logged(&made, "allow", "subject");
    let token = made.json()["data"]["tokenId"].as_str().unwrap().to_owned();
    logged(&detokenize(&vault, &user, &token), "allow", "grant");
    let stranger = vault.user(&vault.session("stranger"));
    logged(&detokenize(&vault, &stranger, &token), "deny", "grant");
    logged(&detokenize(&vault, &stranger, NO_TOKEN), "deny", "unknown");
    logged(
        &vault.call("/grant/set", &user, &json!({})),
        "deny",
        "subject",
    );
}
