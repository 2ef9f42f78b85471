//! Issuers that publish their keys: found, rotated, removed, gone, impersonated.

use crate::assert_refused;
use serde_json::{Value, json};
use std::fs;
use std::thread;
use strongroom_tests::{Answer, Authority, Issuer, Key, Request, Setup, Vault, eventually, now_s};

/// A vault, not yet started, that believes an authority in `issuer-ca.pem`. The application's
/// own source, `default`, is the first of its sources.
fn vault_of(sources: &str, setup: Setup, authority: &Authority) -> Vault {
    let own = r#"{ name = "default", public_key_files = ["application.pub.pem"] }"#;
    let all = format!("[{own}, {sources}]").replace('\n', " ");
    let vault = setup.set("KEY_SOURCE", &all).make();
    fs::write(vault.root().join("issuer-ca.pem"), authority.pem()).unwrap();
    vault
}

fn source(name: &str, issuer: &Issuer) -> String {
    let url = issuer.url();
    let ca = if url.starts_with("https:") {
        r#", jwks_ca_file = "issuer-ca.pem""#
    } else {
        ""
    };
    format!(r#"{{ name = "{name}", jwks_url = "{url}"{ca} }}"#)
}

/// Requests may have keys fetched once a second.
fn quick() -> Setup {
    Setup::new().set("JWKS__FETCH_INTERVAL_MIN", "1s")
}

/// Requests may have keys fetched once in ten minutes.
fn slow() -> Setup {
    Setup::new().set("JWKS__FETCH_INTERVAL_MIN", "10m")
}

fn mint(vault: &Vault, key: &Key, kid: &str, mut claims: Value) -> String {
    if claims.get("exp").is_none() {
        claims["exp"] = json!(now_s() + 900);
    }
    let jwt = key.mint_with(&json!({ "alg": key.alg(), "kid": kid }), &claims);
    vault.mark_jwt(&jwt);
    jwt
}

fn application(vault: &Vault, key: &Key, kid: &str) -> String {
    mint(vault, key, kid, json!({ "sub": "application" }))
}

fn status(vault: &Vault, jwt: &str) -> u16 {
    vault.call("/tokenize", jwt, &json!({})).status
}

fn ready(vault: &Vault) -> Answer {
    vault.send(&Request::new("GET", "/ready"))
}

#[track_caller]
fn assert_not_ready(vault: &Vault, source: &str, why: &str) {
    let answer = ready(vault);
    assert_refused(&answer, 503, "Unavailable");
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(message, format!("the keys of key source `{source}` {why}"));
    assert_eq!(vault.send(&Request::new("GET", "/health")).status, 200);
}

#[test]
fn keys_are_found_at_start_and_come_and_go_without_a_restart() {
    let authority = Authority::default();
    let issuer = Issuer::https(&authority.issue());
    let keys = [Key::rsa(), Key::p256(), Key::ed25519()];
    let [rsa, p256, ed25519] = &keys;
    issuer.publish(&[(rsa, "1"), (p256, "2")]);
    let mut vault = vault_of(&source("idp", &issuer), quick(), &authority);
    vault.start_again();
    // The first caller may come before the keys, and waits for them.
    let first = application(&vault, rsa, "1");
    assert_eq!(status(&vault, &first), 200);
    assert_eq!(status(&vault, &application(&vault, p256, "2")), 200);
    // Without a kid, as the original's back ends mint them.
    assert_eq!(
        status(&vault, &vault.mint_by(rsa, json!({ "sub": "application" }))),
        200
    );
    assert_eq!(status(&vault, &vault.application()), 200);
    assert_eq!(ready(&vault).status, 200);

    issuer.publish(&[(ed25519, "3")]);
    let newest = application(&vault, ed25519, "3");
    eventually("the new key is fetched", || {
        (status(&vault, &newest) == 200).then_some(())
    });
    // It was verified before, and is remembered.
    assert_eq!(status(&vault, &first), 401, "its key was removed");
    assert_eq!(status(&vault, &vault.application()), 200);
}

#[test]
fn a_flood_of_unknown_kids_causes_one_fetch_per_interval() {
    let authority = Authority::default();
    let (issuer, key) = (Issuer::https(&authority.issue()), Key::ed25519());
    issuer.publish(&[(&key, "1")]);
    let mut vault = vault_of(&source("idp", &issuer), slow(), &authority);
    vault.start_again();
    assert_eq!(status(&vault, &application(&vault, &key, "1")), 200);
    assert_eq!(issuer.asked(), 1);
    let stranger = Key::ed25519();
    let flood = |count: usize| {
        for at in 0..count {
            let jwt = application(&vault, &stranger, &format!("{at}-made-up"));
            assert_eq!(status(&vault, &jwt), 401);
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| flood(50));
        }
        // Nobody else is held up.
        for _ in 0..50 {
            assert_eq!(status(&vault, &application(&vault, &key, "1")), 200);
        }
    });
    assert_eq!(issuer.asked(), 1);

    vault.stop();
    vault.set("JWKS__FETCH_INTERVAL_MIN", "1s");
    let (start, before) = (now_s(), issuer.asked());
    vault.start_again();
    let fetches = eventually("three more fetches", || {
        let jwt = application(&vault, &stranger, "made-up");
        assert_eq!(status(&vault, &jwt), 401);
        let fetches = issuer.asked() - before;
        (fetches >= 4).then_some(fetches)
    });
    // Both ends of the span are cut to whole seconds.
    let seconds = usize::try_from(now_s() - start).unwrap() + 2;
    assert!(fetches <= seconds + 1, "{fetches} in {seconds} s");
}

#[test]
fn an_issuer_that_is_down_at_start_keeps_nobody_else_from_being_served() {
    let authority = Authority::default();
    let (issuer, key) = (Issuer::https(&authority.issue()), Key::ed25519());
    let mut vault = vault_of(&source("idp", &issuer), slow(), &authority);
    vault.start_again();
    let jwt = application(&vault, &key, "1");
    assert_eq!(status(&vault, &jwt), 401);
    assert_eq!(status(&vault, &vault.application()), 200);
    assert_not_ready(&vault, "idp", "were not fetched yet");
    issuer.publish(&[(&key, "1")]);
    // It is tried again by itself, although requests may not ask.
    eventually("the vault is ready", || {
        (ready(&vault).status == 200).then_some(())
    });
    assert_eq!(status(&vault, &jwt), 200);
}

#[test]
fn last_good_keys_serve_for_a_day_and_then_that_issuer_is_refused() {
    let authority = Authority::default();
    let (issuer, key) = (Issuer::https(&authority.issue()), Key::ed25519());
    issuer.publish(&[(&key, "1")]);
    let mut vault = vault_of(&source("idp", &issuer), quick().clock(), &authority);
    vault.start_again();
    let lasting = |hours: u64| json!({ "sub": "application", "exp": now_s() + hours * 3_600 });
    let jwt = mint(&vault, &key, "1", lasting(23));
    assert_eq!(status(&vault, &jwt), 200);
    issuer.hang_up();
    vault.clock().shift_s(22 * 3_600);
    assert_eq!(status(&vault, &jwt), 200, "last good keys");
    assert_eq!(ready(&vault).status, 200);

    vault.clock().shift_s(24 * 3_600 + 5);
    let jwt = mint(&vault, &key, "1", lasting(25));
    assert_refused(
        &vault.call("/tokenize", &jwt, &json!({})),
        401,
        "NotAuthenticated",
    );
    assert_not_ready(&vault, "idp", "are stale");
    let own = vault.mint(lasting(25));
    assert_eq!(status(&vault, &own), 200, "other issuers go on");

    issuer.publish(&[(&key, "1")]);
    eventually("its keys are fetched again", || {
        (status(&vault, &jwt) == 200).then_some(())
    });
    assert_eq!(ready(&vault).status, 200);
}

#[test]
fn an_issuer_is_believed_only_under_its_authority_and_its_name() {
    let (authority, stranger) = (Authority::default(), Authority::default());
    for certificate in [
        stranger.issue(),
        authority.issue_for(&["issuer.example", "127.0.0.2"]),
    ] {
        let (issuer, key) = (Issuer::https(&certificate), Key::ed25519());
        issuer.publish(&[(&key, "1")]);
        let mut vault = vault_of(&source("idp", &issuer), slow(), &authority);
        vault.start_again();
        assert_eq!(status(&vault, &application(&vault, &key, "1")), 401);
        assert!(issuer.asked() > 0);
        assert_not_ready(&vault, "idp", "were not fetched yet");
        let log = vault.log();
        assert!(
            log.contains("is not who it should be") && log.contains("invalid peer certificate"),
            "the log says why"
        );
    }
}

#[test]
fn redirects_are_not_followed_and_proxies_not_used() {
    let authority = Authority::default();
    let (moved, elsewhere, key) = (Issuer::http(), Issuer::http(), Key::ed25519());
    elsewhere.publish(&[(&key, "1")]);
    let to = elsewhere.url();
    moved.say(&format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
    ));
    let proxy = Issuer::http();
    proxy.publish(&[(&key, "1")]);
    let variables = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ];
    let variables = variables.map(|name| format!("{name}={}", proxy.url()));
    let mut under = vec!["env"];
    under.extend(variables.iter().map(String::as_str));
    let mut vault = vault_of(&source("idp", &moved), slow().under(&under), &authority);
    vault.start_again();
    assert_eq!(status(&vault, &application(&vault, &key, "1")), 401);
    assert!(moved.asked() > 0);
    assert_eq!((elsewhere.asked(), proxy.asked()), (0, 0));
    assert!(vault.log().contains("a redirect, which is not followed"));
}

#[test]
fn what_an_issuer_should_not_publish_is_not_used() {
    let authority = Authority::default();
    let (issuer, keys) = (
        Issuer::http(),
        [Key::ed25519(), Key::ed25519(), Key::ed25519()],
    );
    let [good, private, encryption] = &keys;
    let with = |key: &Key, more: Value| {
        let mut jwk = key.public_jwk();
        jwk.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        jwk
    };
    let body = json!({ "keys": [
        with(good, json!({ "kid": "1" })),
        with(private, json!({ "kid": "2", "d": "AAAA" })),
        with(encryption, json!({ "kid": "3", "use": "enc" })),
        { "kty": "unheard of" },
    ] });
    let body = body.to_string();
    let length = body.len();
    issuer.say(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    let mut vault = vault_of(&source("idp", &issuer), slow(), &authority);
    vault.start_again();
    for (key, kid, expected) in [
        (good, "1", 200),
        (private, "2", 401),
        (encryption, "3", 401),
    ] {
        assert_eq!(
            status(&vault, &application(&vault, key, kid)),
            expected,
            "{kid}"
        );
    }
    assert!(vault.log().contains("the issuer publishes private keys"));
}

#[test]
fn plain_http_beyond_this_machine_is_refused_at_start() {
    for (url, said) in [
        ("http://issuer.example/keys", "plain http only"),
        ("http://192.0.2.1/keys", "plain http only"),
        ("https://user:secret@issuer.example/keys", "no user name"),
        ("issuer.example", "an absolute https URL"),
    ] {
        let source = format!(r#"{{ name = "idp", jwks_url = "{url}" }}"#);
        let mut vault = vault_of(&source, Setup::new(), &Authority::default());
        let message = vault.refuses_to_start();
        assert!(
            message.contains("key_source 2 jwks_url") && message.contains(said),
            "{url}: {message}"
        );
    }
}

#[test]
fn one_user_id_of_two_issuers_is_two_sessions() {
    let authority = Authority::default();
    let issuers = [(); 2].map(|()| Issuer::https(&authority.issue()));
    let keys = [(); 2].map(|()| Key::ed25519());
    for (issuer, key) in issuers.iter().zip(&keys) {
        issuer.publish(&[(key, "1")]);
    }
    let [shop, bank] =
        [("shop", &issuers[0]), ("bank", &issuers[1])].map(|(name, issuer)| source(name, issuer));
    let mut vault = vault_of(&format!("{shop}, {bank}"), slow(), &authority);
    vault.start_again();
    let session = vault.session("42");
    let of = |key: &Key, claims| mint(&vault, key, "1", claims);
    let users = [0, 1].map(|at| of(&keys[at], json!({ "sub": "user", "session_id": session })));
    let token = vault.store(&users[0], &vault.value());
    let ask = |jwt: &str| vault.call("/detokenize", jwt, &json!({ "tokenId": token }));
    assert_eq!(ask(&users[0]).status, 200);
    assert_refused(&ask(&users[1]), 404, "NoSuchToken");

    // A grant by the other issuer's application reaches its own user alone.
    let other = vault.store(&users[0], &vault.value());
    let banks = of(&keys[1], json!({ "sub": "application" }));
    let grant = json!({ "tokenId": other, "sessionId": session });
    assert_eq!(vault.call("/grant/set", &banks, &grant).status, 200);
    let ask = |jwt: &str| vault.call("/detokenize", jwt, &json!({ "tokenId": other }));
    assert_eq!(ask(&users[1]).status, 200);
    assert_refused(&ask(&vault.user(&session)), 404, "NoSuchToken");
}

#[test]
fn an_issuer_speaks_for_its_subjects_and_with_its_iss_and_aud() {
    let authority = Authority::default();
    let (issuer, key) = (Issuer::https(&authority.issue()), Key::p256());
    issuer.publish(&[(&key, "1")]);
    let demands = r#", subjects = ["user"], iss = "https://idp.example", aud = "vault" }"#;
    let source = source("idp", &issuer).replace(" }", demands);
    let mut vault = vault_of(&source, slow(), &authority);
    vault.start_again();
    let session = vault.session("s");
    let sound = json!({
        "sub": "user", "session_id": session, "iss": "https://idp.example", "aud": ["x", "vault"],
    });
    assert_eq!(status(&vault, &mint(&vault, &key, "1", sound.clone())), 200);
    for (name, value) in [
        ("sub", json!("application")),
        ("sub", json!("developer")),
        ("iss", json!("https://idp.example/")),
        ("iss", json!(null)),
        ("aud", json!("another")),
        ("aud", json!([])),
    ] {
        let mut claims = sound.clone();
        claims[name] = value;
        let jwt = mint(&vault, &key, "1", claims.clone());
        assert_eq!(status(&vault, &jwt), 401, "{name}: {}", claims[name]);
    }
}
