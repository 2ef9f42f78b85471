//! What stands before the routes: names, limits, turns, compression, and what browsers are told.

use super::ROUTES;
use super::house::{self, APPLICATION, Answer, House, OWN_HOST, USER};
use crate::Simple;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, Version};
use std::convert::Infallible;
use std::time::Duration;

fn request(method: &str, uri: &str, hosts: &[&str]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    for host in hosts {
        let host = HeaderValue::from_str(host).unwrap();
        request.headers_mut().append("host", host);
    }
    request
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.name())
}

#[tokio::test]
async fn a_foreign_name_is_421_on_every_route_and_path() {
    let house = House::with(|config| config.simple = Simple::Served).await;
    let others = ["/.lunasec/tokenize", "/", "/nowhere", "//tokenize"];
    for path in ROUTES.iter().chain(&others) {
        for method in ["GET", "POST", "OPTIONS", "HEAD"] {
            let foreign = request(method, path, &["rebound.example"]);
            let answer = house.send_as_it_is(foreign).await;
            assert_eq!(said(&answer), (421, "WrongHost"), "{method} {path}");
        }
    }
    let absolute = request("GET", "http://rebound.example/ready", &[OWN_HOST]);
    let answer = house.send_as_it_is(absolute).await;
    assert_eq!(said(&answer), (400, "InvalidRequest"));
}

#[tokio::test]
async fn probes_reach_health_and_ready_under_any_name() {
    let house = House::new().await;
    for path in ["/health", "/ready", "//health"] {
        let answer = house
            .send_as_it_is(request("GET", path, &["10.1.2.3:80"]))
            .await;
        assert_eq!(answer.status, 200, "{path}");
        let mut old = request("GET", path, &[]);
        assert_eq!(house.send_as_it_is(old).await.status, 400, "HTTP/1.1");
        old = request("GET", path, &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(house.send_as_it_is(old).await.status, 200, "HTTP/1.0");
    }
    let mut old = request("POST", "/tokenize", &[]);
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(
        said(&house.send_as_it_is(old).await),
        (400, "InvalidRequest")
    );
}

#[tokio::test]
async fn a_host_that_is_missing_twice_there_or_none_is_400() {
    let house = House::new().await;
    for hosts in [
        &[] as &[&str],
        &[OWN_HOST, OWN_HOST],
        &["a b"],
        &[""],
        &["@"],
    ] {
        for path in ["/tokenize", "/health"] {
            let answer = house.send_as_it_is(request("POST", path, hosts)).await;
            assert_eq!(said(&answer), (400, "InvalidRequest"), "{hosts:?}");
        }
    }
}

#[tokio::test]
async fn lines_of_a_header_and_bytes_of_a_url_are_bounded() {
    let house = House::with(|config| {
        config.headers_max = 8;
        config.uri_bytes_max = 100;
    })
    .await;
    let with = |lines: usize| {
        let mut request = request("GET", "/health", &[OWN_HOST]);
        for _ in 1..lines {
            request
                .headers_mut()
                .append("x", HeaderValue::from_static("y"));
        }
        request
    };
    assert_eq!(house.send_as_it_is(with(8)).await.status, 200);
    assert_eq!(said(&house.send_as_it_is(with(9)).await), (413, "TooLarge"));
    let long = |bytes: usize| format!("/health?{}", "q".repeat(bytes - "/health?".len()));
    assert_eq!(house.get(&long(100)).await.status, 200);
    assert_eq!(said(&house.get(&long(101)).await), (413, "TooLarge"));
}

#[tokio::test]
async fn who_gets_no_turn_in_time_is_503_and_health_needs_none() {
    let house = House::with(|config| {
        config.requests_max = 0;
        config.queue_time_max = Duration::from_millis(20);
    })
    .await;
    let answer = house.post(USER, "/tokenize", "{}").await;
    assert_eq!(said(&answer), (503, "Unavailable"));
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!(house.get("/health").await.status, 200);
    // What is refused anyway waits for nothing.
    assert_eq!(house.post(USER, "/grant/set", "{}").await.status, 403);
    assert_eq!(
        house.send(Request::post("/tokenize"), "{}").await.status,
        401
    );
}

#[tokio::test]
async fn a_slow_body_holds_no_turn() {
    let house = House::with(|config| {
        config.requests_max = 1;
        config.body_time_max = Duration::from_mins(1);
        config.queue_time_max = Duration::ZERO;
    })
    .await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let slow = house.post(USER, "/tokenize", never);
    let quick = house.post(USER, "/tokenize", "{}");
    tokio::select! {
        _ = slow => panic!("its body never comes"),
        answer = quick => assert_eq!(answer.status, 200),
    }
}

#[tokio::test]
async fn no_answer_with_a_key_url_or_metadata_is_ever_compressed() {
    let house = House::with(|config| config.simple = Simple::Served).await;
    let big = format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(2_000));
    let token = house.token_with(APPLICATION, &big).await;
    let body = format!(
        r#"{{"tokenId":"{}","self":true,"metadata":{{"a":1}}}}"#,
        token.expose()
    );
    let developer = r#""sub":"developer","session_id":"tool""#;
    for route in ROUTES
        .iter()
        .chain(&["/.lunasec/tokenize", "/.lunasec/detokenize"])
    {
        for claims in [APPLICATION, USER, developer] {
            for encodings in ["br", "gzip", "br, gzip, deflate, zstd", "*"] {
                let request = house
                    .signed(claims, route)
                    .header("accept-encoding", encodings);
                let answer = house.send(request, body.clone()).await;
                assert!(!answer.headers.contains_key("content-encoding"), "{route}");
                assert_eq!(answer.header("vary"), "origin, authorization, cookie");
            }
        }
    }
}

#[tokio::test]
async fn what_is_public_is_compressed_for_who_asks() {
    let house = House::new().await;
    // A refusal is long enough for it to be worth while.
    for (encodings, expected) in [("br, gzip", "br"), ("gzip", "gzip"), ("identity", "")] {
        let request = Request::post("/health").header("accept-encoding", encodings);
        let (status, headers, bytes) = house.raw(request).await;
        assert_eq!(status, 405);
        let encoding = headers
            .get("content-encoding")
            .map_or("", |value| value.to_str().unwrap());
        assert_eq!(encoding, expected);
        assert_eq!(
            headers["vary"],
            "origin, authorization, cookie, accept-encoding"
        );
        assert_eq!(headers.get_all("vary").iter().count(), 1);
        assert_eq!(bytes.starts_with(b"{"), expected.is_empty());
    }
}

#[tokio::test]
async fn no_answer_opens_anything_to_another_origin() {
    let house = House::with(|config| config.simple = Simple::Served).await;
    let paths = ROUTES
        .iter()
        .chain(&["/health", "/ready", "/nowhere", "/.lunasec/tokenize"]);
    for path in paths {
        for origin in [house::OWN_URL, "https://app.example.org", "null"] {
            for method in [Method::OPTIONS, Method::GET, Method::POST, Method::HEAD] {
                let preflight = Request::builder()
                    .method(&method)
                    .uri(*path)
                    .header("origin", origin)
                    .header("access-control-request-method", "POST")
                    .header(
                        "access-control-request-headers",
                        "authorization, content-type",
                    )
                    .header("authorization", house.jwt(USER));
                let (status, headers, _) = house.raw(preflight).await;
                let opens = |name: &http::HeaderName| name.as_str().starts_with("access-control-");
                assert!(!headers.keys().any(opens), "{method} {path} for {origin}");
                if method == Method::OPTIONS && *path != "/nowhere" {
                    assert_eq!(status, 405);
                    assert!(headers.contains_key("allow"));
                }
            }
        }
    }
}

#[test]
fn a_refusal_of_the_library_becomes_a_whole_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let house = runtime.block_on(House::new());
    for (status, expected, name) in [
        (400, 400, "InvalidRequest"),
        (431, 413, "TooLarge"),
        (414, 413, "TooLarge"),
    ] {
        let text = String::from_utf8(house.unreadable(status)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert!(
            head.contains(&format!("\r\ncontent-length: {}", body.len())),
            "{head}"
        );
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["error"]["name"], name);
        let id = json["error"]["requestId"].as_str().unwrap();
        assert!(
            head.contains(&format!("\r\nx-request-id: {id}\r\n")),
            "{head}"
        );
    }
}
