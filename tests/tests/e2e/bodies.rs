//! Request bodies: what is read, what is refused, and their limits of size and time.

use crate::assert_refused;
use serde_json::{Value, json};
use std::io::Write;
use strongroom_tests::http::{Answer, connect};
use strongroom_tests::{Request, Setup, Vault};

#[test]
fn keys_match_in_any_case_and_unknown_ones_are_ignored() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, _) = vault.tokenize(&jwt, &json!({ "unknown": [1] }));
    for key in ["tokenId", "tokenID", "tokenid", "TOKENID"] {
        vault.ok("/detokenize", &jwt, &json!({ key: token, "more": {} }));
    }
    let twice = format!(r#"{{"tokenId":"{token}","tokenID":"{token}"}}"#);
    let request = Request::new("POST", "/detokenize")
        .body(twice)
        .header("authorization", &jwt);
    assert_refused(&vault.send(&request), 400, "InvalidRequest");
}

#[test]
fn durations_are_in_gos_notation_and_limited() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, _) = vault.tokenize(&jwt, &json!({}));
    let set = |duration: Value| {
        let body = json!({ "tokenId": token, "self": true, "customDuration": duration });
        vault.call("/grant/set", &jwt, &body)
    };
    for good in [
        "",
        "1h",
        "60m",
        "0.5h",
        ".5h",
        "1m30s",
        "+90s",
        "1500ms",
        "2000000us",
        "2000000µs",
        "3600000000000ns",
        "1h0m0.0s",
    ] {
        assert_eq!(set(json!(good)).status, 200, "{good:?}");
    }
    assert_eq!(set(Value::Null).status, 200);
    for bad in [
        "15", "1d", "abc", "-5m", "0", "0s", "61m", "1h1ms", "1 h", "h", "1e3s", "9999999h",
    ] {
        let answer = set(json!(bad));
        assert_refused(&answer, 400, "InvalidDuration");
    }
    assert_refused(&set(json!(900)), 400, "InvalidRequest");
}

#[test]
fn what_is_too_large_is_413() {
    let vault = Setup::new().set("S3__OBJECT_BYTES_MAX", "1MiB").start();
    let jwt = vault.application();
    let sized = |bytes: usize| {
        let frame = json!({ "unknown": "" }).to_string().len();
        json!({ "unknown": "x".repeat(bytes - frame) })
    };
    assert_eq!(
        vault.call("/tokenize", &jwt, &sized(128 * 1024)).status,
        200
    );
    let answer = vault.call("/tokenize", &jwt, &sized(128 * 1024 + 1));
    assert_refused(&answer, 413, "TooLarge");
    let metadata = |bytes: usize| {
        let frame = json!({ "a": "" }).to_string().len();
        json!({ "metadata": { "a": "x".repeat(bytes - frame) } })
    };
    assert_eq!(
        vault.call("/tokenize", &jwt, &metadata(64 * 1024)).status,
        200
    );
    let answer = vault.call("/tokenize", &jwt, &metadata(64 * 1024 + 1));
    assert_refused(&answer, 413, "TooLarge");
    let announced = |bytes: u64| vault.call("/tokenize", &jwt, &json!({ "contentLength": bytes }));
    assert_eq!(announced(1 << 20).status, 200);
    assert_refused(&announced((1 << 20) + 1), 413, "TooLarge");
}

#[test]
fn a_body_that_does_not_arrive_is_408() {
    let vault = Setup::new().set("API__BODY_TIME_MAX", "200ms").start();
    let request = Request::new("POST", "/tokenize")
        .header("authorization", &vault.application())
        .header("content-length", "100");
    let mut stream = connect(vault.api()).unwrap();
    stream
        .write_all(request.head(vault.api()).as_bytes())
        .unwrap();
    stream.write_all(b"{\"metadata\":").unwrap();
    assert_refused(&Answer::read(&mut stream, false).unwrap(), 408, "Timeout");
}

#[test]
fn a_malformed_token_is_400_an_unknown_one_404_and_case_is_ignored() {
    let vault = Vault::start();
    let jwt = vault.application();
    let token = vault.store(&jwt, &vault.value());
    let upper = format!("lunasec-{}", token["lunasec-".len()..].to_uppercase());
    vault.ok("/detokenize", &jwt, &json!({ "tokenId": upper }));
    let detokenize = |token: Value| vault.call("/detokenize", &jwt, &json!({ "tokenId": token }));
    for bad in [
        "",
        "lunasec-",
        &token[8..],
        &format!("{token} "),
        &format!(" {token}"),
        &format!("{token}0"),
        &token.replace('-', ""),
        &token.replacen("lunasec", "lunase", 1),
        "lunasec-g0000000-0000-4000-8000-000000000000",
        "lunasec-\u{0}",
    ] {
        assert_refused(&detokenize(json!(bad)), 400, "InvalidRequest");
    }
    for bad in [json!(null), json!(7), json!([token]), json!({})] {
        assert_refused(&detokenize(bad), 400, "InvalidRequest");
    }
    // A UUID of any version may have been a token of the original.
    for version in ["1", "4", "7", "f"] {
        let unknown = format!("lunasec-00000000-0000-{version}000-0000-000000000000");
        assert_refused(&detokenize(json!(unknown)), 404, "NoSuchToken");
    }
}

#[test]
fn a_body_must_be_a_json_object() {
    let vault = Vault::start();
    let jwt = vault.application();
    for body in [
        &b""[..],
        b"null",
        b"[]",
        b"\"x\"",
        b"{",
        b"{}{}",
        b"{\"a\":}",
        b"\xff\xfe",
        b"tokenId=x",
    ] {
        let request = Request::new("POST", "/tokenize")
            .body(body)
            .header("authorization", &jwt);
        assert_refused(&vault.send(&request), 400, "InvalidRequest");
    }
    for metadata in [json!([]), json!("x"), json!(1), json!(true)] {
        let answer = vault.call("/tokenize", &jwt, &json!({ "metadata": metadata }));
        assert_refused(&answer, 400, "InvalidRequest");
    }
    for length in [json!(-1), json!(1.5), json!("1")] {
        let answer = vault.call("/tokenize", &jwt, &json!({ "contentLength": length }));
        assert_refused(&answer, 400, "InvalidRequest");
    }
}

#[test]
fn metadata_comes_back_byte_for_byte_and_none_is_404() {
    let vault = Vault::start();
    let (application, developer) = (vault.application(), vault.developer(&vault.session("dev")));
    let text = r#"{"n": 12345678901234567890.10, "é":"\u00e9", "nested":{"tokenId":null} }"#;
    let send = |route: &str, jwt: &str, body: String| {
        vault.send(
            &Request::new("POST", route)
                .body(body)
                .header("authorization", jwt),
        )
    };
    let made = send(
        "/tokenize",
        &application,
        format!(r#"{{"metadata":{text}}}"#),
    );
    let token = made.json()["data"]["tokenId"].as_str().unwrap().to_owned();
    let get = || vault.call("/metadata/get", &application, &json!({ "tokenId": token }));
    assert!(
        get()
            .text()
            .contains(&format!(r#""data":{{"metadata":{text}}}"#))
    );
    for empty in ["null", "{}", "{ }"] {
        let other = r#"{"a":2}"#;
        for replacement in [other, empty] {
            let body = format!(r#"{{"tokenId":"{token}","metadata":{replacement}}}"#);
            let answer = send("/metadata/set", &developer, body);
            assert_eq!(answer.text(), r#"{"success":true,"error":{},"data":{}}"#);
            if replacement == other {
                assert!(get().text().contains(r#"{"metadata":{"a":2}}"#));
            }
        }
        assert_refused(&get(), 404, "NoSuchToken");
    }
    for body in [
        json!({}),
        json!({ "metadata": null }),
        json!({ "metadata": {} }),
    ] {
        let (token, _) = vault.tokenize(&application, &body);
        let answer = vault.call("/metadata/get", &application, &json!({ "tokenId": token }));
        assert_refused(&answer, 404, "NoSuchToken");
    }
}

#[test]
fn a_grant_names_one_session_that_can_exist() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, _) = vault.tokenize(&jwt, &json!({}));
    let long = "x".repeat(257);
    for route in ["/grant/set", "/grant/verify"] {
        for who in [
            json!({}),
            json!({ "sessionId": "" }),
            json!({ "sessionId": "a\u{7}b" }),
            json!({ "sessionId": long }),
            json!({ "sessionId": 5 }),
            json!({ "sessionId": "a", "self": true }),
            json!({ "self": false }),
            json!({ "self": "true" }),
        ] {
            let mut body = who;
            body["tokenId"] = json!(token);
            assert_refused(&vault.call(route, &jwt, &body), 400, "InvalidRequest");
        }
    }
    vault.grant(&"x".repeat(256), &token, None);
}
