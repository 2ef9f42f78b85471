//! Who is believed: algorithms, claims, key sources, cookies.

use crate::assert_refused;
use serde_json::{Value, json};
use std::fs;
use strongroom_tests::{Answer, Key, Request, Setup, Vault, now_s};

fn tokenize_with(vault: &Vault, headers: &[(&str, &str)]) -> Answer {
    let request = Request::post("/tokenize", &json!({}));
    let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
    vault.send(&headers.iter().fold(request, add))
}

fn status(vault: &Vault, jwt: &str) -> u16 {
    vault.call("/tokenize", jwt, &json!({})).status
}

#[test]
fn rs256_es256_and_eddsa_are_verified_raw_and_behind_bearer() {
    let keys = [Key::rsa(), Key::p256(), Key::ed25519()];
    let files = r#"["rsa.pem", "rsa.b64", "p256.pem", "ed25519.pem"]"#;
    let source = format!(r#"[{{ name = "default", public_key_files = {files} }}]"#);
    let mut vault = Setup::new().set("KEY_SOURCE", &source).make();
    let pkcs1 = Key::rsa();
    fs::write(vault.root().join("rsa.b64"), pkcs1.public_base64()).unwrap();
    for (key, name) in keys.iter().zip(["rsa.pem", "p256.pem", "ed25519.pem"]) {
        fs::write(vault.root().join(name), key.public_pem()).unwrap();
    }
    vault.start_again();
    for key in keys.iter().chain([&pkcs1]) {
        let jwt = vault.mint_by(key, json!({ "sub": "application" }));
        for value in [
            jwt.clone(),
            format!("Bearer {jwt}"),
            format!("bearer {jwt}"),
        ] {
            let answer = tokenize_with(&vault, &[("authorization", &value)]);
            assert_eq!(answer.status, 200, "{}: {}", key.alg(), answer.text());
        }
    }
    // The key that `init` made is no longer among those configured.
    assert_eq!(status(&vault, &vault.application()), 401);
}

#[test]
fn a_signature_that_is_not_the_keys_is_refused() {
    let vault = Vault::start();
    let claims = json!({ "sub": "application", "exp": now_s() + 60 });
    let good = vault.mint(claims.clone());
    assert_eq!(status(&vault, &good), 200);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let none = Key::rsa().mint_with(&json!({ "alg": "none" }), &claims);
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    let with_header = |header: Value| {
        let jwt = vault.key().mint_with(&header, &claims);
        vault.mark_jwt(&jwt);
        jwt
    };
    for (why, bad) in [
        ("another key", Key::rsa().mint(&claims)),
        ("another kind of key", Key::p256().mint(&claims)),
        ("alg none", none),
        ("no signature", unsigned),
        (
            "a confused algorithm",
            with_header(json!({ "alg": "HS256" })),
        ),
        (
            "an algorithm of another key",
            with_header(json!({ "alg": "ES256" })),
        ),
        ("a weaker padding", with_header(json!({ "alg": "RS512" }))),
        ("no algorithm", with_header(json!({ "typ": "JWT" }))),
        (
            "crit",
            with_header(json!({ "alg": "RS256", "crit": ["b64"] })),
        ),
        (
            "other claims",
            format!("{header}.{}A.{signature}", &payload[..payload.len() - 1]),
        ),
        ("four parts", format!("{good}.{signature}")),
        ("two parts", format!("{header}.{payload}")),
        ("padding", format!("{good}=")),
        ("white space", format!("{header}. {payload}.{signature}")),
        ("a word", "nonsense".into()),
    ] {
        let answer = vault.call("/tokenize", &bad, &json!({}));
        assert_eq!(answer.status, 401, "{why}");
        assert_refused(&answer, 401, "NotAuthenticated");
    }
}

#[test]
fn claims_must_be_sound_and_in_time() {
    let vault = Vault::start();
    let now = now_s();
    for (expected, claims) in [
        (
            200,
            json!({ "sub": "application", "exp": now + 3_600, "iat": now, "nbf": now }),
        ),
        // Clocks may differ by a minute.
        (200, json!({ "sub": "application", "exp": now - 30 })),
        (401, json!({ "sub": "application", "exp": now - 90 })),
        (
            200,
            json!({ "sub": "application", "exp": now + 900, "nbf": now + 30 }),
        ),
        (
            401,
            json!({ "sub": "application", "exp": now + 900, "nbf": now + 300 }),
        ),
        (
            401,
            json!({ "sub": "application", "exp": now + 2 * 24 * 3_600 }),
        ),
        (401, json!({ "sub": "application", "exp": "soon" })),
        (401, json!({ "sub": "application", "exp": null })),
        (401, json!({ "sub": "admin" })),
        (401, json!({ "session_id": "nobody-in-particular" })),
        (401, json!({ "sub": "user" })),
        (401, json!({ "sub": "user", "session_id": "" })),
        (401, json!({ "sub": "user", "session_id": 7 })),
        (401, json!({ "sub": "user", "session_id": "a\nb" })),
        (401, json!({ "sub": "developer" })),
    ] {
        let jwt = vault.mint(claims.clone());
        assert_eq!(status(&vault, &jwt), expected, "{claims}");
    }
    let unbounded = vault.key().mint(&json!({ "sub": "application" }));
    vault.mark_jwt(&unbounded);
    assert_eq!(status(&vault, &unbounded), 401);
}

#[test]
fn a_jwt_without_end_is_taken_only_where_that_is_configured() {
    let vault = Setup::new().set("SESSION__ALLOW_UNBOUNDED", "true").start();
    let claims = json!({ "sub": "developer", "session_id": "cli-tool" });
    let jwt = vault
        .key()
        .mint_with(&json!({ "alg": "RS256", "typ": "JWT" }), &claims);
    vault.mark_jwt(&jwt);
    assert_eq!(status(&vault, &jwt), 200);
}

#[test]
fn a_key_source_speaks_for_its_subjects_and_demands_its_issuer_and_audience() {
    let frontend = Key::ed25519();
    let sources = r#"[
        { name = "backend", public_key_files = ["application.pub.pem"], iss = "node-sdk", aud = "secure-frame" },
        { name = "frontend", public_key_files = ["frontend.pem"], subjects = ["user"] },
    ]"#
    .replace('\n', " ");
    let mut vault = Setup::new().set("KEY_SOURCE", &sources).make();
    fs::write(vault.root().join("frontend.pem"), frontend.public_pem()).unwrap();
    vault.start_again();
    let session = vault.session("s");
    let minted = [
        (
            401,
            vault.mint_by(&frontend, json!({ "sub": "application" })),
        ),
        (
            401,
            vault.mint_by(
                &frontend,
                json!({ "sub": "developer", "session_id": session }),
            ),
        ),
        (
            200,
            vault.mint_by(&frontend, json!({ "sub": "user", "session_id": session })),
        ),
        (401, vault.application()),
        (
            401,
            vault.mint(json!({ "sub": "application", "iss": "node-sdk" })),
        ),
        (
            401,
            vault.mint(json!({ "sub": "application", "iss": "x", "aud": "secure-frame" })),
        ),
        (
            401,
            vault.mint(json!({ "sub": "application", "iss": "node-sdk", "aud": "x" })),
        ),
        (
            200,
            vault.mint(json!({ "sub": "application", "iss": "node-sdk", "aud": "secure-frame" })),
        ),
        (
            200,
            vault.mint(
                json!({ "sub": "application", "iss": "node-sdk", "aud": ["x", "secure-frame"] }),
            ),
        ),
    ];
    for (at, (expected, jwt)) in minted.iter().enumerate() {
        assert_eq!(status(&vault, jwt), *expected, "JWT {at}");
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_cookie_is_believed_only_with_json_from_the_vaults_own_origin() {
    let vault = Vault::start();
    let jwt = vault.user(&vault.session("user"));
    let cookie = format!("other=1; access_token={jwt}; last=2");
    let cookie = ("cookie", cookie.as_str());
    let own = vault.api_url().to_owned();
    let send = |more: &[(&str, &str)]| tokenize_with(&vault, &[&[cookie], more].concat());

    assert_eq!(send(&[JSON]).status, 200);
    assert_eq!(
        send(&[("content-type", "application/json; charset=utf-8")]).status,
        200
    );
    assert_eq!(send(&[JSON, ("origin", &own)]).status, 200);
    for refused in [&[][..], &[("content-type", "text/plain")]] {
        assert_refused(&send(refused), 415, "UnsupportedMediaType");
    }
    for origin in ["null", "http://localhost:3000", "https://127.0.0.1", ""] {
        assert_refused(&send(&[JSON, ("origin", origin)]), 403, "NotAllowed");
    }
}

#[test]
fn a_browser_is_believed_only_in_the_cookie_that_no_other_origin_can_set() {
    let vault = Vault::start();
    let jwt = vault.user(&vault.session("user"));
    let (plain, host) = (
        format!("access_token={jwt}"),
        format!("__Host-access_token={jwt}"),
    );
    let site = |site| ("sec-fetch-site", site);
    let same = site("same-origin");

    assert_eq!(
        tokenize_with(&vault, &[("cookie", &host), same, JSON]).status,
        200
    );
    let tossed = tokenize_with(&vault, &[("cookie", &plain), same, JSON]);
    assert_refused(&tossed, 401, "NotAuthenticated");
    let other_client = tokenize_with(&vault, &[("cookie", &host), JSON]);
    assert_refused(&other_client, 401, "NotAuthenticated");
    for elsewhere in ["same-site", "cross-site", "none"] {
        let answer = tokenize_with(&vault, &[("cookie", &host), site(elsewhere), JSON]);
        assert_refused(&answer, 403, "NotAllowed");
    }
}

#[test]
fn two_cookies_of_one_name_and_names_of_other_case_are_401() {
    let vault = Vault::start();
    let jwt = vault.user(&vault.session("user"));
    for cookie in [
        format!("access_token={jwt}; access_token={jwt}"),
        format!("Access_Token={jwt}"),
        "access_token=".into(),
    ] {
        let answer = tokenize_with(&vault, &[("cookie", &cookie), JSON]);
        assert_refused(&answer, 401, "NotAuthenticated");
    }
}

#[test]
fn an_authorization_header_good_or_bad_makes_the_cookie_ignored() {
    let vault = Vault::start();
    let (user, application) = (vault.user(&vault.session("user")), vault.application());
    let cookie = format!("access_token={user}");
    for bad in ["", "nonsense", "Basic dXNlcjpwYXNz"] {
        let answer = tokenize_with(&vault, &[("authorization", bad), ("cookie", &cookie), JSON]);
        assert_refused(&answer, 401, "NotAuthenticated");
    }
    // Neither the cookie's rules nor its session apply.
    let answer = tokenize_with(
        &vault,
        &[
            ("authorization", &application),
            ("cookie", &cookie),
            ("origin", "http://evil.example"),
        ],
    );
    assert_eq!(answer.status, 200);
    let empty = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    assert_eq!(answer.header("lunasec-session-hash"), Some(empty));
    let twice = tokenize_with(
        &vault,
        &[
            ("authorization", &application),
            ("authorization", &application),
        ],
    );
    assert_refused(&twice, 401, "NotAuthenticated");
}

#[test]
fn the_own_origin_is_that_of_the_public_url() {
    let vault = Setup::new()
        .set("API__PUBLIC_URL", "https://Vault.example.org:443/prod/")
        .start();
    let jwt = vault.user(&vault.session("user"));
    let cookie = format!("__Host-access_token={jwt}");
    let send = |origin| {
        let site = ("sec-fetch-site", "same-origin");
        tokenize_with(
            &vault,
            &[("cookie", &cookie), JSON, site, ("origin", origin)],
        )
    };
    assert_eq!(send("https://vault.example.org").status, 200);
    for other in [
        "https://vault.example.org:8443",
        "http://vault.example.org",
        "https://example.org",
    ] {
        assert_refused(&send(other), 403, "NotAllowed");
    }
}
