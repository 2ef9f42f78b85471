//! The Simple Tokenizer: a client without credentials, the application's back end before the vault,
//! which adds its JWT.

use crate::{NO_TOKEN, assert_refused};
use serde_json::{Value, json};
use strongroom_tests::{Request, Setup, Signed, Vault, now_s};

fn served() -> Setup {
    Setup::new().set("SIMPLE__ENABLED", "true")
}

#[test]
fn it_is_off_unless_it_is_switched_on() {
    let vault = Vault::start();
    for route in ["/.lunasec/tokenize", "/.lunasec/detokenize"] {
        let answer = vault.call(route, &vault.application(), &json!({}));
        assert_refused(&answer, 404, "NoSuchRoute");
    }
}

#[test]
fn a_value_comes_back_hours_later_and_both_decisions_are_in_the_log() {
    let vault = served().clock().start();
    let value = vault.value();
    let body = json!({ "metadata": { "dataType": "string" } });
    let hours_s = 5 * 3_600;
    let jwt = vault.mint(json!({ "sub": "application", "exp": now_s() + hours_s + 900 }));
    let data = vault.ok("/.lunasec/tokenize", &jwt, &body);
    let token = data["tokenId"].as_str().unwrap();
    let upload = signed(&data, "uploadUrl");
    assert_eq!(vault.put(&upload, &value).status, 200);
    vault.clock().shift_s(hours_s.cast_signed());
    let body = json!({ "tokenId": token });
    for _ in 0..2 {
        let data = vault.ok("/.lunasec/detokenize", &jwt, &body);
        assert_eq!(vault.get(&signed(&data, "downloadUrl")).body, value);
    }
    let plain = vault.call("/detokenize", &jwt, &body);
    assert_refused(&plain, 404, "NoSuchToken");
    let said: Vec<_> = vault
        .audit()
        .iter()
        .filter_map(|entry| {
            Some(format!(
                "{} {}",
                entry["action"].as_str()?,
                entry["rule"].as_str()?
            ))
        })
        .collect();
    let once = ["grant_set subject", "simple_detokenize grant"];
    let expected = [
        &["simple_tokenize subject"] as &[_],
        &once,
        &once,
        &["detokenize grant"],
    ];
    assert_eq!(said, expected.concat());
}

fn signed(data: &Value, url: &str) -> Signed {
    Signed::new(data[url].as_str().unwrap(), &data["headers"])
}

#[test]
fn nobody_but_an_application_gets_in_and_faults_have_the_contracts_names() {
    let vault = served().start();
    let session = vault.session("somebody");
    for route in ["/.lunasec/tokenize", "/.lunasec/detokenize"] {
        for jwt in [vault.user(&session), vault.developer(&session)] {
            assert_refused(&vault.call(route, &jwt, &json!({})), 403, "NotAllowed");
        }
        let bare = Request::post(route, &json!({}));
        assert_refused(&vault.send(&bare), 401, "NotAuthenticated");
    }
    let jwt = vault.application();
    for body in [
        json!({}),
        json!({ "tokenId": "no token" }),
        json!({ "tokenId": 5 }),
    ] {
        let answer = vault.call("/.lunasec/detokenize", &jwt, &body);
        assert_refused(&answer, 400, "InvalidRequest");
    }
    let unknown = json!({ "tokenId": NO_TOKEN });
    let answer = vault.call("/.lunasec/detokenize", &jwt, &unknown);
    assert_refused(&answer, 404, "NoSuchToken");
}
