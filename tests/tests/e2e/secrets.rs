//! No value, token, key, JWT or session id is written down anywhere. Every test's vault is
//! searched at its end; here the search itself is tested, and everything is done at once.

use crate::NO_TOKEN;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use serde_json::json;
use std::fs;
use strongroom_tests::{Answer, Request, Vault};

#[test]
fn the_search_finds_what_is_planted() {
    let vault = Vault::start();
    let value = vault.value();
    let token = vault.store(&vault.application(), &value);
    assert_eq!(vault.leaks(), [""; 0]);
    let planted = vault.data().join("audit/planted");
    for text in [
        token.clone(),
        BASE64_URL_SAFE.encode(&value),
        hex::encode(format!("before {token} after")),
    ] {
        fs::write(&planted, text).unwrap();
        let leaks = vault.leaks();
        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert!(leaks[0].ends_with("audit/planted"), "{leaks:?}");
    }
    fs::remove_file(planted).unwrap();
}

/// Something that must be repeated nowhere, as text with spaces and as one word.
fn secret(vault: &Vault) -> (String, String) {
    let text = String::from_utf8(vault.value()).unwrap();
    let word = text.replace(' ', "-");
    vault.mark("a word", word.as_bytes());
    (text, word)
}

#[track_caller]
fn assert_not_repeated(answers: &[Answer], (text, word): &(String, String)) {
    for answer in answers {
        assert!(answer.status >= 400, "{}", answer.status);
        let body = answer.text();
        assert!(
            !body.contains(text) && !body.contains(word),
            "{}: {body}",
            answer.status
        );
    }
}

#[test]
fn what_callers_of_the_api_get_wrong_is_repeated_nowhere() {
    let vault = Vault::start();
    let jwt = vault.application();
    let session = vault.session("user");
    let (token, _) = vault.tokenize(&jwt, &json!({ "metadata": { "note": session } }));
    let sent = secret(&vault);
    let (text, word) = &sent;
    let in_query = format!("/detokenize?token={token}&jwt={jwt}");
    let raw = Request::new("POST", "/tokenize").header("authorization", &jwt);
    let cookie = format!("access_token={word}; access_token={word}");
    let answers = [
        vault.call("/detokenize", &jwt, &json!({ "tokenId": text })),
        vault.call(
            "/detokenize",
            &jwt,
            &json!({ "tokenId": format!("lunasec-{word}") }),
        ),
        vault.call("/detokenize", word, &json!({ "tokenId": token })),
        vault.call(
            "/detokenize",
            &format!("Bearer {word}.{word}.{word}"),
            &json!({}),
        ),
        vault.call("/tokenize", &jwt, &json!({ "metadata": text })),
        vault.call("/tokenize", &jwt, &json!({ "contentLength": text })),
        vault.call(
            "/grant/set",
            &jwt,
            &json!({ "tokenId": token, "sessionId": session, "customDuration": text }),
        ),
        vault.call(
            "/grant/set",
            &jwt,
            &json!({ "tokenId": NO_TOKEN, "sessionId": text }),
        ),
        vault.call(
            "/metadata/set",
            &jwt,
            &json!({ "tokenId": token, "metadata": { "a": text } }),
        ),
        vault.call(&format!("/{token}"), &jwt, &json!({})),
        vault.call(&in_query, &jwt, &json!({ "tokenId": NO_TOKEN })),
        vault.send(&raw.clone().body(text.clone())),
        vault.send(&raw.clone().body(format!("{{\"{text}\":"))),
        vault.send(&raw.clone().header("lunasec-session-hash", word).body("{}")),
        vault.send(&Request::post("/tokenize", &json!({})).header("cookie", &cookie)),
    ];
    assert_not_repeated(&answers, &sent);
    assert!(
        vault.log().contains("credentials refused"),
        "the log is not that of `trace`"
    );
}

#[test]
fn what_clients_of_the_object_store_get_wrong_is_repeated_nowhere() {
    let vault = Vault::start();
    let (token, upload) = vault.tokenize(&vault.application(), &json!({}));
    let sent = secret(&vault);
    let word = &sent.1;
    let get = |target: String| Request::new("GET", &target).send(vault.s3());
    let put = |name: &str| upload.with(name, word).request("PUT").send(vault.s3());
    let answers = [
        get(format!("/strongroom/{token}")),
        get(format!("/{word}/{word}?{word}={word}")),
        get(format!("{}&{word}=1", upload.target)),
        get(upload.target.clone()),
        put("x-amz-server-side-encryption-customer-key"),
        put("x-amz-server-side-encryption-customer-key-md5"),
        put("if-none-match"),
        put("host"),
    ];
    assert_not_repeated(&answers, &sent);
    for (name, value) in &upload.headers {
        let key = name.ends_with("customer-key");
        assert!(!key || answers.iter().all(|answer| !answer.text().contains(value)));
    }
}

#[test]
fn a_whole_life_leaves_no_secret_behind() {
    let mut vault = Vault::start();
    let (owner, session) = (vault.session("owner"), vault.session("other"));
    let (value, user) = (vault.value(), vault.user(&owner));
    let note = String::from_utf8(vault.value()).unwrap();
    let (token, upload) = vault.tokenize(&user, &json!({ "metadata": { "note": note } }));
    assert_eq!(vault.put(&upload, &value).status, 200);
    vault.grant(&session, &token, Some("10m"));
    assert_eq!(vault.fetch(&vault.user(&session), &token), value);
    let developer = vault.developer(&vault.session("developer"));
    vault.ok("/metadata/get", &developer, &json!({ "tokenId": token }));
    vault.ok(
        "/metadata/set",
        &developer,
        &json!({ "tokenId": token, "metadata": { "other": note } }),
    );
    vault.call("/detokenize", &developer, &json!({ "tokenId": token }));
    assert_eq!(vault.cli(&["detokenize", &token]).stdout, value);
    vault.kill();
    vault.start_again();
    assert_eq!(vault.fetch(&user, &token), value);
    assert_eq!(vault.leaks(), [""; 0], "while it runs");
    vault.stop();
    assert_eq!(vault.leaks(), [""; 0], "after it stopped");
}
