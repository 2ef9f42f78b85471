//! The six routes, `/health` and `/ready`: envelope, errors, subjects, order of checks, limits.

use crate::{NO_TOKEN, assert_carried_by_all, assert_refused};
use serde_json::{Value, json};
use std::io::Write;
use strongroom_tests::http::{Answer, connect};
use strongroom_tests::{Request, Setup, Vault};

const ROUTES: [&str; 6] = [
    "/tokenize",
    "/detokenize",
    "/grant/set",
    "/grant/verify",
    "/metadata/get",
    "/metadata/set",
];

/// A body with which the route succeeds, for callers who may use it.
fn body_for(route: &str, token: &str) -> Value {
    match route {
        "/tokenize" => json!({ "metadata": { "dataType": "string" } }),
        "/metadata/set" => json!({ "tokenId": token, "metadata": { "dataType": "other" } }),
        "/grant/set" | "/grant/verify" => json!({ "tokenId": token, "self": true }),
        _ => json!({ "tokenId": token }),
    }
}

#[test]
fn every_success_has_the_envelope_and_the_headers_of_the_contract() {
    let vault = Vault::start();
    for route in ["/health", "/ready"] {
        let answer = vault.send(&Request::new("GET", route));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), r#"{"success":true,"error":{}}"#);
        assert_carried_by_all(&answer);
        let head = vault.send(&Request::new("HEAD", route));
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    let (application, developer) = (vault.application(), vault.developer(&vault.session("dev")));
    let (token, _) = vault.tokenize(&application, &body_for("/tokenize", ""));
    for route in ROUTES {
        let jwt = if route == "/metadata/set" {
            &developer
        } else {
            &application
        };
        let answer = vault.call(route, jwt, &body_for(route, &token));
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
        assert_carried_by_all(&answer);
        assert!(
            answer
                .text()
                .starts_with(r#"{"success":true,"error":{},"data":{"#),
            "{route}"
        );
        let data = answer.json()["data"].take();
        let keys: Vec<_> = data
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected: &[_] = match route {
            "/tokenize" => &["headers", "tokenId", "uploadUrl"],
            "/detokenize" => &["downloadUrl", "headers"],
            "/grant/verify" => &["valid"],
            "/metadata/get" => &["metadata"],
            _ => &[],
        };
        assert_eq!(keys, expected, "{route}");
    }
}

#[test]
fn the_signed_headers_are_those_of_the_contract() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    let download = vault.detokenize(&jwt, &token);
    let names = |headers: &[(String, String)]| -> Vec<String> {
        headers.iter().map(|(name, _)| name.clone()).collect()
    };
    let sse_c = ["algorithm", "key", "key-md5"]
        .map(|end| format!("x-amz-server-side-encryption-customer-{end}"));
    let of_get = [&["host".to_owned()], sse_c.as_slice()].concat();
    let of_put = [
        &["host".to_owned(), "if-none-match".to_owned()],
        sse_c.as_slice(),
    ]
    .concat();
    assert_eq!(names(&download.headers), of_get);
    assert_eq!(names(&upload.headers), of_put);
    let host = vault.s3().to_string();
    assert!(download.headers.contains(&("host".into(), host)));
    assert!(
        upload
            .headers
            .contains(&("if-none-match".into(), "*".into()))
    );
    assert!(upload.target.contains("X-Amz-Expires=900&"));
    assert!(download.target.contains("X-Amz-Expires=60&"));
    assert!(download.target.contains("&response-cache-control=no-store"));
    assert!(token.starts_with("lunasec-") && token.len() == 44 && &token[22..23] == "4");
}

#[test]
fn the_subjects_table_holds_for_every_route() {
    let vault = Vault::start();
    let session = vault.session("caller");
    let callers = [
        ("user", vault.user(&session)),
        ("application", vault.application()),
        ("developer", vault.developer(&session)),
    ];
    for (subject, jwt) in &callers {
        // The creator's grant makes every route that wants a grant succeed.
        let (token, _) = vault.tokenize(jwt, &body_for("/tokenize", ""));
        for route in ROUTES {
            let allowed = match route {
                "/grant/set" | "/grant/verify" => *subject == "application",
                "/metadata/set" => *subject == "developer",
                _ => true,
            };
            let answer = vault.call(route, jwt, &body_for(route, &token));
            if allowed {
                assert_eq!(answer.status, 200, "{subject} {route}: {}", answer.text());
            } else {
                assert_refused(&answer, 403, "NotAllowed");
            }
        }
    }
    for route in ROUTES {
        let answer = vault.send(&Request::post(route, &body_for(route, NO_TOKEN)));
        assert_refused(&answer, 401, "NotAuthenticated");
    }
}

#[test]
fn metadata_needs_a_grant_for_users_alone() {
    let vault = Vault::start();
    let (token, _) = vault.tokenize(&vault.application(), &body_for("/tokenize", ""));
    let body = json!({ "tokenId": token });
    let stranger = vault.user(&vault.session("stranger"));
    assert_refused(
        &vault.call("/metadata/get", &stranger, &body),
        404,
        "NoSuchToken",
    );
    for jwt in [vault.application(), vault.developer(&vault.session("dev"))] {
        let data = vault.ok("/metadata/get", &jwt, &body);
        assert_eq!(data, json!({ "metadata": { "dataType": "string" } }));
    }
}

#[test]
fn checks_come_in_the_order_of_the_contract() {
    let vault = Vault::start();
    let user = vault.user(&vault.session("user"));
    let send = |jwt: &str, hash: bool, body: &str| {
        let mut request = Request::new("POST", "/metadata/set").body(body);
        request = request.header("authorization", jwt);
        if hash {
            request = request.header("lunasec-session-hash", "0000");
        }
        vault.send(&request)
    };
    assert_refused(&send("no.such.jwt", true, "{"), 401, "NotAuthenticated");
    assert_refused(&send(&user, true, "{"), 401, "SessionMismatch");
    assert_refused(&send(&user, false, "{"), 403, "NotAllowed");
    let developer = vault.developer(&vault.session("dev"));
    assert_refused(&send(&developer, false, "{"), 400, "InvalidRequest");
    let unknown = json!({ "tokenId": NO_TOKEN }).to_string();
    assert_refused(&send(&developer, false, &unknown), 404, "NoSuchToken");
}

#[test]
fn the_session_hash_is_set_unless_sent_and_compared_when_sent() {
    let vault = Vault::start();
    let sha1 = |text: &str| {
        let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
        hex::encode(aws_lc_rs::digest::digest(algorithm, text.as_bytes()))
    };
    let session = vault.session("ünïcode");
    let callers = [
        (vault.user(&session), sha1(&session)),
        (vault.developer(&session), sha1(&session)),
        (vault.application(), sha1("")),
    ];
    assert_eq!(sha1(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    for (jwt, hash) in &callers {
        for route in ROUTES {
            let request = Request::post(route, &json!({})).header("authorization", jwt);
            let answer = vault.send(&request);
            assert_eq!(
                answer.header("lunasec-session-hash"),
                Some(hash.as_str()),
                "{route}"
            );
            let answer = vault.send(&request.clone().header("lunasec-session-hash", hash));
            assert_ne!(answer.status, 401, "{route}: {}", answer.text());
            assert_eq!(answer.header("lunasec-session-hash"), None, "{route}");
            let other = sha1("somebody else");
            for wrong in ["", &hash.to_uppercase(), &other] {
                let answer = vault.send(&request.clone().header("lunasec-session-hash", wrong));
                assert_refused(&answer, 401, "SessionMismatch");
            }
        }
    }
    let unauthenticated = vault.send(&Request::post("/tokenize", &json!({})));
    assert_eq!(unauthenticated.header("lunasec-session-hash"), None);
}

#[test]
fn the_content_type_does_not_matter_under_an_authorization_header() {
    let vault = Vault::start();
    let request = Request::post("/tokenize", &json!({}));
    let request = request.header("authorization", &vault.application());
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let answer = vault.send(&request.clone().header("content-type", content_type));
        assert_eq!(answer.status, 200, "{content_type}");
    }
}

#[test]
fn doubled_slashes_are_served() {
    let vault = Vault::start();
    let jwt = vault.application();
    for path in ["//tokenize", "///tokenize", "//tokenize?a=//b"] {
        assert_eq!(vault.call(path, &jwt, &json!({})).status, 200, "{path}");
    }
    assert_eq!(vault.send(&Request::new("GET", "//health")).status, 200);
    let (token, _) = vault.tokenize(&jwt, &json!({}));
    vault.ok(
        "/grant//verify",
        &jwt,
        &json!({ "tokenId": token, "self": true }),
    );
}

#[test]
fn another_method_is_405_and_another_path_404() {
    let vault = Vault::start();
    for route in ROUTES {
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = vault.send(&Request::new(method, route));
            assert_refused(&answer, 405, "MethodNotAllowed");
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {route}");
        }
    }
    for route in ["/health", "/ready"] {
        let answer = vault.send(&Request::post(route, &json!({})));
        assert_refused(&answer, 405, "MethodNotAllowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    for path in [
        "/",
        "/token",
        "/tokenize/",
        "/Tokenize",
        "/grant",
        "/health/x",
        "/%74okenize",
    ] {
        assert_refused(&vault.call(path, "", &json!({})), 404, "NoSuchRoute");
    }
}

#[test]
fn a_header_that_does_not_arrive_ends_the_connection() {
    let vault = Setup::new()
        .set("API__HEADER_TIME_MAX", "200ms")
        .set("S3__HEADER_TIME_MAX", "200ms");
    let vault = vault.start();
    for address in [vault.api(), vault.s3()] {
        let mut stream = connect(address).unwrap();
        stream
            .write_all(b"POST /tokenize HTTP/1.1\r\nhost:")
            .unwrap();
        // Whatever is said before, the connection ends, and long before the client gives up.
        if let Ok(answer) = Answer::read(&mut stream, false) {
            assert_eq!(answer.status, 408);
        }
    }
}

#[test]
fn what_is_no_http_ends_its_own_connection_and_nothing_else() {
    let vault = Vault::start();
    let long = format!(
        "GET /health HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    for bytes in [
        "GARBAGE\r\n\r\n",
        "\r\n\r\n\r\n",
        "GET  HTTP/9.9\r\n\r\n",
        "\u{0}\u{0}",
        &long,
    ] {
        for address in [vault.api(), vault.s3()] {
            let mut stream = connect(address).unwrap();
            let _ = stream.write_all(bytes.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            if let Ok(answer) = Answer::read(&mut stream, false) {
                assert!((400..500).contains(&answer.status), "{}", answer.status);
                if address == vault.api() {
                    assert!(answer.json()["error"]["name"].is_string());
                }
            }
        }
    }
    assert_eq!(vault.send(&Request::new("GET", "/ready")).status, 200);
}
