//! The router as a client meets it, with a real vault behind it.

mod contract;
mod front;
mod house;
mod simple;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use house::{Answer, House, USER};
use http::Request;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use strongroom_core::Token;

const ROUTES: [&str; 6] = [
    "/tokenize",
    "/detokenize",
    "/grant/set",
    "/grant/verify",
    "/metadata/get",
    "/metadata/set",
];

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn every_answer_carries_the_envelope_and_the_headers() {
    let house = House::new().await;
    let large = vec![b' '; house::BODY_BYTES_MAX + 1];
    let answers = [
        (200, house.get("/health").await),
        (200, house.get("/ready").await),
        (200, house.post(USER, "/tokenize", "{}").await),
        (400, house.post(USER, "/tokenize", "[").await),
        (401, house.send(Request::post("/tokenize"), "{}").await),
        (403, house.post(USER, "/grant/set", "{}").await),
        (404, house.detokenize(USER, &house::unknown()).await),
        (404, house.get("/nowhere").await),
        (405, house.get("/tokenize").await),
        (405, house.post(USER, "/health", "").await),
        (413, house.post(USER, "/tokenize", large).await),
    ];
    for (status, answer) in answers {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        let vary = answer.header("vary");
        let vary = vary.strip_suffix(", accept-encoding").unwrap_or(vary);
        assert_eq!(vary, "origin, authorization, cookie");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(is_id(answer.header("x-request-id")));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
        assert_eq!(answer.json["success"], status == 200);
        if status != 200 {
            let error = &answer.json["error"];
            assert_eq!(error["requestId"], answer.header("x-request-id"));
            assert_eq!(error["name"], error["errorName"]);
            assert_eq!(error["message"], error["errorMessage"]);
        }
    }
}

#[tokio::test]
async fn request_ids_are_unique_within_and_across_processes() {
    let [one, two] = [House::new().await, House::new().await];
    let mut ids = BTreeSet::new();
    for _ in 0..500 {
        for house in [&one, &two] {
            let answer = house.get("/health").await;
            assert!(ids.insert(answer.header("x-request-id").to_owned()));
        }
    }
}

#[tokio::test]
async fn the_answer_names_the_request_that_the_log_names() {
    let house = House::new().await;
    let answer = house.post(USER, "/tokenize", "{}").await;
    let log = house.log_text();
    let id = answer.header("x-request-id");
    assert_eq!(log.matches(id).count(), 1, "{log}");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let house = House::new().await;
    for route in ROUTES {
        let answer = house.get(route).await;
        assert_eq!((answer.status, answer.name()), (405, "MethodNotAllowed"));
        assert_eq!(answer.header("allow"), "POST", "{route}");
    }
    let answer = house.post(USER, "/ready", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn doubled_slashes_in_a_path_are_served() {
    let house = House::new().await;
    for path in ["//tokenize", "/tokenize", "///tokenize"] {
        assert_eq!(house.post(USER, path, "{}").await.status, 200, "{path}");
    }
    assert_eq!(house.get("//health?a=//b").await.status, 200);
    for path in ["/tokenize/", "/token//ize", "/%2Ftokenize"] {
        assert_eq!(house.post(USER, path, "{}").await.name(), "NoSuchRoute");
    }
}

#[tokio::test]
async fn the_session_hash_is_sent_unless_the_client_sent_it() {
    let house = House::new().await;
    let answer = house.post(USER, "/tokenize", "{}").await;
    let hash = answer.header("lunasec-session-hash").to_owned();
    // SHA-1 of `alice`.
    assert_eq!(hash, "522b276a356bdf39013dfabea2cd43e141ecc9e8");
    let refused = house.detokenize(USER, &house::unknown()).await;
    assert_eq!(refused.header("lunasec-session-hash"), hash);

    let with = |hash: &str| {
        house
            .signed(USER, "/tokenize")
            .header("lunasec-session-hash", hash)
    };
    let answer = house.send(with(&hash), "{}").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("lunasec-session-hash"));
    for wrong in ["", "522b", &hash.to_uppercase()] {
        let answer = house.send(with(wrong), "{}").await;
        assert_eq!((answer.status, answer.name()), (401, "SessionMismatch"));
    }
    let answer = house.send(Request::post("/tokenize"), "{}").await;
    assert!(!answer.headers.contains_key("lunasec-session-hash"));
}

#[tokio::test]
async fn checks_go_credentials_then_hash_then_subject_then_body() {
    let house = House::new().await;
    let unsigned = Request::post("/grant/set").header("lunasec-session-hash", "x");
    assert_eq!(house.send(unsigned, "[").await.name(), "NotAuthenticated");
    let signed = house
        .signed(USER, "/grant/set")
        .header("lunasec-session-hash", "x");
    assert_eq!(house.send(signed, "[").await.name(), "SessionMismatch");
    assert_eq!(
        house.post(USER, "/grant/set", "[").await.name(),
        "NotAllowed"
    );
    let body = r#"{"tokenId":"no token"}"#;
    assert_eq!(
        house.post(USER, "/detokenize", body).await.name(),
        "InvalidRequest"
    );
}

#[tokio::test]
async fn bad_credentials_are_refused_without_a_reason() {
    let house = House::new().await;
    let good = house.jwt(USER);
    let mut answers = BTreeSet::new();
    for jwt in [
        "",
        "Bearer",
        "a.b.c",
        &good[..good.len() - 4],
        &"x".repeat(9_000),
    ] {
        let request = Request::post("/tokenize").header("authorization", jwt);
        let answer = house.send(request, "{}").await;
        assert_eq!(answer.status, 401, "{jwt}");
        answers.insert(answer.json["error"]["message"].to_string());
    }
    assert_eq!(answers.len(), 1);
    assert!(!house.log_text().contains("deny"), "and fill no log");
}

#[tokio::test]
async fn a_cookie_counts_only_in_json_from_the_vaults_own_origin() {
    let house = House::new().await;
    let cookie = format!("access_token={}", house.jwt(USER));
    let request = || Request::post("/tokenize").header("cookie", &cookie);
    let json = || request().header("content-type", "application/json");
    assert_eq!(house.send(request(), "{}").await.status, 415);
    assert_eq!(house.send(json(), "{}").await.status, 200);
    let foreign = json().header("origin", "https://app.example.org");
    assert_eq!(house.send(foreign, "{}").await.status, 403);
    let own = json().header("origin", house::OWN_URL);
    assert_eq!(house.send(own, "{}").await.status, 200);
    let header = json().header("authorization", "bad");
    assert_eq!(house.send(header, "{}").await.status, 401);
}

#[tokio::test]
async fn a_body_may_have_the_limit_and_not_a_byte_more() {
    let house = House::new().await;
    let padded = |len: usize| format!("{{}}{}", " ".repeat(len - 2));
    let most = padded(house::BODY_BYTES_MAX);
    assert_eq!(house.post(USER, "/tokenize", most).await.status, 200);
    let over = padded(house::BODY_BYTES_MAX + 1);
    let answer = house.post(USER, "/tokenize", over.clone()).await;
    assert_eq!((answer.status, answer.name()), (413, "TooLarge"));
    // The rest is not read, and the client is told not to use the connection again.
    assert_eq!(answer.header("connection"), "close");
    // In pieces and with no length announced.
    let pieces: Vec<_> = over
        .as_bytes()
        .chunks(100)
        .map(Bytes::copy_from_slice)
        .collect();
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    let body = Body::from_stream(pieces);
    assert_eq!(house.post(USER, "/tokenize", body).await.status, 413);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_408() {
    let house = House::new().await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let answer = house.post(USER, "/tokenize", never).await;
    assert_eq!((answer.status, answer.name()), (408, "Timeout"));
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_400() {
    let house = House::new().await;
    let cut = stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(std::io::Error::other("cut")),
    ]);
    let answer = house.post(USER, "/tokenize", Body::from_stream(cut)).await;
    assert_eq!((answer.status, answer.name()), (400, "InvalidRequest"));
    assert!(!answer.json.to_string().contains("InvalidRequest: cut"));
}

/// A buffer of a connection, counted while it is there.
struct Buffer {
    _counted: Arc<()>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        b" "
    }
}

#[tokio::test]
async fn a_body_in_tiny_pieces_does_not_keep_a_buffer_for_each_of_them() {
    const PIECES: usize = 1000;
    let house = House::new().await;
    let buffers = Arc::new(());
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, seen) = (Arc::clone(&buffers), Arc::clone(&most));
    let pieces = stream::iter(0..PIECES).map(move |_| {
        let buffer = Bytes::from_owner(Buffer {
            _counted: Arc::clone(&counted),
        });
        seen.fetch_max(Arc::strong_count(&counted), Ordering::Relaxed);
        Ok::<_, Infallible>(buffer)
    });
    let end = stream::iter([Ok(Bytes::from_static(b"{}"))]);
    let body = Body::from_stream(pieces.chain(end));
    assert_eq!(house.post(USER, "/tokenize", body).await.status, 200);
    drop(buffers);
    // Beside the two counters, the piece that is read and its predecessor.
    let most = most.load(Ordering::Relaxed);
    assert!((3..=4).contains(&most), "{most}");
}

#[tokio::test]
async fn unknown_and_not_granted_tokens_are_answered_alike_to_the_byte() {
    let house = House::new().await;
    let foreign = house.token(house::APPLICATION).await;
    let unknown = house::unknown();
    for route in ["/detokenize", "/metadata/get"] {
        let ask = async |token: &Token| {
            let body = format!(r#"{{"tokenId":"{}"}}"#, token.expose());
            without_id(house.post(USER, route, body).await)
        };
        assert_eq!(ask(&unknown).await, ask(&foreign).await, "{route}");
    }
}

/// Status, headers and body with the request's name taken out.
fn without_id(mut answer: Answer) -> (u16, String, String) {
    let id = answer.headers.remove("x-request-id").unwrap();
    let headers = format!("{:?}", answer.headers);
    let body = answer.json.to_string().replace(id.to_str().unwrap(), "");
    (answer.status, headers, body)
}

#[tokio::test]
async fn a_token_is_taken_in_either_case_and_malformed_ones_are_400() {
    let house = House::new().await;
    let token = house.token(USER).await;
    let upper = token.expose().to_uppercase();
    let uuid = &upper["lunasec-".len()..];
    let body = format!(r#"{{"tokenId":"lunasec-{uuid}"}}"#);
    assert_eq!(house.post(USER, "/detokenize", body).await.status, 200);
    for bad in [
        "",
        "lunasec-",
        uuid,
        "lunasec-00000000000000000000000000000000",
    ] {
        let body = format!(r#"{{"tokenId":"{bad}"}}"#);
        let answer = house.post(USER, "/detokenize", body).await;
        assert_eq!(
            (answer.status, answer.name()),
            (400, "InvalidRequest"),
            "{bad}"
        );
        let message = answer.json["error"]["message"].as_str().unwrap();
        assert!(
            !message.contains(uuid) && !message.contains("0000"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_token_goes_the_whole_way_in_the_contracts_json() {
    let house = House::new().await;
    let made = house
        .post(USER, "/tokenize", r#"{"metadata":{"a":1}}"#)
        .await;
    let data = &made.json["data"];
    let token = Token::parse(data["tokenId"].as_str().unwrap()).unwrap();
    assert!(
        data["uploadUrl"]
            .as_str()
            .unwrap()
            .contains("X-Amz-Signature=")
    );
    assert_eq!(data["headers"]["if-none-match"], "*");
    let found = house.detokenize(USER, &token).await;
    assert!(found.json["data"]["downloadUrl"].is_string());
    let id = token.expose();
    let ask = |more: &str| format!(r#"{{"tokenId":"{id}"{more}}}"#);
    let metadata = house.post(USER, "/metadata/get", ask("")).await;
    assert_eq!(metadata.json["data"]["metadata"]["a"], 1);
    let bob = r#","sessionId":"bob""#;
    let application = house::APPLICATION;
    let valid = async || {
        let answer = house.post(application, "/grant/verify", ask(bob)).await;
        answer.json["data"]["valid"].clone()
    };
    assert_eq!(valid().await, false);
    let set = house.post(application, "/grant/set", ask(bob)).await;
    assert_eq!(
        (set.status, &set.json["data"]),
        (200, &serde_json::json!({}))
    );
    assert_eq!(valid().await, true);
    let long = ask(r#","sessionId":"bob","customDuration":"2h""#);
    let refused = house.post(application, "/grant/set", long).await;
    assert_eq!(refused.name(), "InvalidDuration");
}

#[tokio::test]
async fn a_vault_that_cannot_write_its_log_is_503_and_tells_no_internals() {
    let house = House::new().await;
    house.log.close();
    let answer = house.post(USER, "/tokenize", "{}").await;
    assert_eq!((answer.status, answer.name()), (503, "Unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.json.to_string().contains("audit"));
    assert_eq!(house.get("/ready").await.status, 503);
    assert_eq!(house.get("/health").await.status, 200);
}
