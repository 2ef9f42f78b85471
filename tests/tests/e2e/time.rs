//! What time does to grants, URLs, JWTs and tokens, with a system clock that the test moves.

use crate::{NO_TOKEN, assert_refused, indexed, shape};
use serde_json::json;
use strongroom_tests::{Answer, Request, Setup, Vault, now_s};

fn detokenize(vault: &Vault, jwt: &str, token: &str) -> Answer {
    vault.call("/detokenize", jwt, &json!({ "tokenId": token }))
}

/// A user's JWT that is good for four hours.
fn long_lived(vault: &Vault, session: &str) -> String {
    vault.mint(json!({ "sub": "user", "session_id": session, "exp": now_s() + 4 * 3_600 }))
}

#[test]
fn a_grant_ends_after_its_time_and_the_creators_can_be_shortened() {
    let vault = Setup::new().clock().start();
    let (owner, other) = (vault.session("owner"), vault.session("other"));
    let (owners, others) = (long_lived(&vault, &owner), long_lived(&vault, &other));
    let token = vault.store(&owners, &vault.value());
    let kept = vault.store(&owners, &vault.value());
    vault.grant(&other, &token, Some("1h"));
    // Shorter than the creator's grant of 15 minutes, and in its place.
    vault.grant(&owner, &token, Some("1m"));

    vault.clock().shift_s(61);
    assert_refused(&detokenize(&vault, &owners, &token), 404, "NoSuchToken");
    assert!(!vault.granted(&owner, &token));
    assert_eq!(detokenize(&vault, &owners, &kept).status, 200);
    vault.clock().shift_s(15 * 60 + 10);
    assert_refused(&detokenize(&vault, &owners, &kept), 404, "NoSuchToken");
    assert_eq!(detokenize(&vault, &others, &token).status, 200);
    vault.clock().shift_s(3_610);
    assert_refused(&detokenize(&vault, &others, &token), 404, "NoSuchToken");
}

#[test]
fn urls_end_on_time_and_never_outlive_the_grant() {
    let vault = Setup::new().clock().files().start();
    let session = vault.session("s");
    let jwt = long_lived(&vault, &session);
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    let (_, late) = vault.tokenize(&jwt, &json!({}));
    let download = vault.detokenize(&jwt, &token);
    vault.grant(&session, &token, Some("20s"));
    let short = vault.detokenize(&jwt, &token);
    vault.grant(&session, &token, Some("1s"));
    let shortest = vault.detokenize(&jwt, &token);
    assert!(shortest.target.contains("X-Amz-Expires=5&"));
    let expires = short
        .target
        .split("X-Amz-Expires=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(
        (5..=20).contains(&expires.parse::<u32>().unwrap()),
        "{expires}"
    );

    vault.clock().shift_s(25);
    assert_eq!(vault.get(&short).status, 403);
    assert_eq!(vault.get(&download).body, value);
    vault.clock().shift_s(65);
    let refused = vault.get(&download);
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("<Code>AccessDenied</Code>"),
        "{}",
        refused.text()
    );
    vault.clock().shift_s(905);
    assert_eq!(vault.put(&late, b"too late").status, 403);
    assert_eq!(vault.objects().len(), 1);
}

#[test]
fn a_jwt_ends_although_it_was_verified_before() {
    let vault = Setup::new().clock().start();
    let jwt = vault.mint(json!({ "sub": "application", "exp": now_s() + 60 }));
    let tokenize = || vault.call("/tokenize", &jwt, &json!({}));
    assert_eq!(tokenize().status, 200);
    vault.clock().shift_s(60 + 50);
    assert_eq!(tokenize().status, 200, "a minute of leeway");
    vault.clock().shift_s(60 + 70);
    assert_refused(&tokenize(), 401, "NotAuthenticated");
}

#[test]
fn an_expired_token_is_as_unknown_and_its_object_is_swept() {
    // One value in the index, and one in a file.
    let vault = Setup::new()
        .clock()
        .set("S3__INLINE_BYTES_MAX", "1KiB")
        .set("TOKENS__LIFETIME", "30m")
        .set("SWEEP__EVERY", "1s");
    let mut vault = vault.start();
    let session = vault.session("s");
    let jwt = long_lived(&vault, &session);
    let token = vault.store(&jwt, &vault.value());
    vault.store(&jwt, &[b'v'; 2048]);
    assert_eq!(vault.objects().len(), 1);
    vault.grant(&session, &token, Some("1h"));
    assert_eq!(detokenize(&vault, &jwt, &token).status, 200);
    vault.clock().shift_s(30 * 60 + 5);
    let expired = detokenize(&vault, &jwt, &token);
    assert_refused(&expired, 404, "NoSuchToken");
    assert_eq!(shape(expired), shape(detokenize(&vault, &jwt, NO_TOKEN)));
    // Rows are looked at in the hour after the next whole one, and once the claim's grace ended.
    vault.clock().shift_s(27 * 3_600);
    strongroom_tests::eventually("the sweep", || vault.objects().is_empty().then_some(()));
    assert!(vault.audit().iter().any(|entry| entry["rule"] == "sweep"));
    strongroom_tests::eventually("both are swept", || {
        let log = vault.log();
        let counts = log.split("expired: ").skip(1);
        let counts = counts.filter_map(|rest| rest.split(',').next()?.parse::<u32>().ok());
        (counts.sum::<u32>() == 2).then_some(())
    });
    vault.stop();
    assert_eq!(indexed(&vault), 0);
}

#[test]
fn a_clock_set_back_stops_releases_until_it_catches_up_or_an_operator_accepts_it() {
    let mut vault = Setup::new().clock().start();
    let jwt = long_lived(&vault, &vault.session("s"));
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    let ready = |vault: &Vault| vault.send(&Request::new("GET", "/ready"));
    let tokenize = |vault: &Vault| vault.call("/tokenize", &jwt, &json!({}));

    vault.clock().shift_s(-50);
    assert_eq!(
        detokenize(&vault, &jwt, &token).status,
        200,
        "a minute is forgiven"
    );
    vault.clock().shift_s(-120);
    assert_refused(&detokenize(&vault, &jwt, &token), 503, "Unavailable");
    assert_refused(&tokenize(&vault), 503, "Unavailable");
    let says = ready(&vault);
    assert_refused(&says, 503, "Unavailable");
    assert!(
        says.text()
            .contains("the system clock is behind the vault's time")
    );
    assert_eq!(vault.send(&Request::new("GET", "/health")).status, 200);
    vault.clock().shift_s(1);
    assert_eq!(ready(&vault).status, 200);
    assert_eq!(vault.fetch(&jwt, &token), value);

    // A restart does not make the vault forget what time it was.
    vault.clock().shift_s(-600);
    vault.stop();
    vault.start_again();
    assert_refused(&detokenize(&vault, &jwt, &token), 503, "Unavailable");
    let running = vault.cli(&["clock", "accept"]);
    assert!(!running.status.success(), "the vault's directory is in use");
    vault.stop();
    let accepted = vault.cli(&["clock", "accept"]);
    assert!(
        accepted.status.success(),
        "{}",
        String::from_utf8_lossy(&accepted.stderr)
    );
    let last = vault.audit().pop().unwrap();
    assert_eq!(
        (&last["action"], &last["rule"]),
        (&json!("clock_accept"), &json!("clock"))
    );
    vault.start_again();
    assert_eq!(ready(&vault).status, 200);
    assert_eq!(vault.fetch(&jwt, &token), value);
    vault.stop();
    let again = vault.cli(&["clock", "accept"]);
    assert!(!again.status.success(), "there was nothing to accept");
}
