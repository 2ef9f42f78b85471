//! The client against a scripted server on loopback that plays vault and object store.

use super::*;
use crate::signer::tests::{ed25519, signer};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_core::{Token, UnixMillis};
use strongroom_wire::{ErrorName, Metadata, envelope};

const TOKEN: &str = "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8";

/// One request as the server saw it.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

struct Server {
    url: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `answer` gets the method and path of a request, the number of earlier ones with the same
    /// method and path, and the server's URL.
    async fn start(answer: impl Fn(&str, usize, &str) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let (base, seen, answer) = (url.clone(), Arc::clone(&log), Arc::new(answer));
        let handler = move |request: Request| {
            let (base, seen, answer) = (base.clone(), Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let line = format!("{} {}", parts.method, parts.uri.path());
                let earlier = seen
                    .lock()
                    .unwrap()
                    .iter()
                    .filter(|s| s.line == line)
                    .count();
                let headers = parts.headers;
                seen.lock().unwrap().push(Seen {
                    line: line.clone(),
                    headers,
                    body,
                });
                answer(&line, earlier, &base)
            }
        };
        let router = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, log }
    }

    fn lines(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.line.clone())
            .collect()
    }

    fn last(&self) -> Seen {
        self.log.lock().unwrap().last().unwrap().clone()
    }
}

fn client(url: &str) -> Client {
    Client::new(ClientConfig {
        url: url.into(),
        signer: signer(&ed25519()),
        identity: Identity::Application,
        now: Arc::new(|| UnixMillis(1_700_000_000_000)),
        ca_pem: None,
    })
    .unwrap()
}

fn token() -> Token {
    Token::parse(TOKEN).unwrap()
}

fn status(status: u16, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(status)
        .body(body.into())
        .unwrap()
}

fn data(json: &str) -> Response {
    status(
        200,
        format!(r#"{{"success":true,"error":{{}},"data":{json}}}"#),
    )
}

fn busy(retry_after: &str) -> Response {
    let body = envelope::failure(ErrorName::Unavailable, "later", "r1");
    let builder = Response::builder()
        .status(503)
        .header("retry-after", retry_after);
    builder.body(body.into()).unwrap()
}

/// The answer of `/tokenize`; the URL carries a marked secret.
fn upload(base: &str) -> Response {
    data(&format!(
        r#"{{"tokenId":"{TOKEN}","uploadUrl":"{base}/object?sig=MARKED","headers":{{"host":"elsewhere","x-key":"MARKED","if-none-match":"*"}}}}"#
    ))
}

fn download(base: &str) -> Response {
    data(&format!(
        r#"{{"downloadUrl":"{base}/object?sig=MARKED","headers":{{"x-key":"MARKED"}}}}"#
    ))
}

fn byte_stream(pieces: &'static [&'static str]) -> ByteStream {
    Box::pin(stream::iter(pieces).map(|piece| Ok(Bytes::from_static(piece.as_bytes()))))
}

#[tokio::test]
async fn a_value_is_put_with_all_headers_but_host_and_without_jwt() {
    let server = Server::start(|line, _, base| match line {
        "POST /tokenize" => upload(base),
        _ => status(200, ""),
    })
    .await;
    let metadata = Metadata::parse(r#"{"a": 1}"#).ok();
    let made = client(&server.url)
        .tokenize(Value::bytes("v\0\u{e9}"), metadata)
        .await
        .unwrap();
    assert_eq!(made.expose(), TOKEN);
    assert_eq!(server.lines(), ["POST /tokenize", "PUT /object"]);
    let asked = server.log.lock().unwrap()[0].clone();
    assert_eq!(asked.body, r#"{"metadata":{"a": 1},"contentLength":4}"#);
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization").unwrap().split('.').count(), 3);
    let put = server.last();
    assert_eq!(put.body, "v\0\u{e9}");
    assert_eq!(put.header("x-key"), Some("MARKED"));
    assert_eq!(put.header("if-none-match"), Some("*"));
    assert_eq!(put.header("content-length"), Some("4"));
    assert_eq!(put.header("host"), Some(&server.url["http://".len()..]));
    assert!(put.header("authorization").is_none());
}

#[tokio::test]
async fn a_stream_is_sent_with_its_length_or_in_chunks() {
    let server = Server::start(|line, _, base| match line {
        "POST /tokenize" => upload(base),
        _ => status(200, ""),
    })
    .await;
    let client = client(&server.url);
    let known = Value::replayable(6, || byte_stream(&["abc", "def"]));
    client.tokenize(known, None).await.unwrap();
    assert_eq!(server.last().header("content-length"), Some("6"));
    assert_eq!(server.last().body, "abcdef");
    client
        .tokenize(Value::once(None, byte_stream(&["abc", "def"])), None)
        .await
        .unwrap();
    assert_eq!(server.last().header("transfer-encoding"), Some("chunked"));
    assert_eq!(server.last().body, "abcdef");
    client.tokenize(Value::bytes(""), None).await.unwrap();
    assert_eq!(server.last().header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_value_that_cannot_be_read_fails_with_the_reason() {
    let server = Server::start(|_, _, base| upload(base)).await;
    let broken = || -> ByteStream {
        Box::pin(stream::iter([
            Ok(Bytes::from("abc")),
            Err(io::Error::other("disk on fire")),
        ]))
    };
    let value = Value::replayable(6, broken);
    let error = client(&server.url).tokenize(value, None).await.unwrap_err();
    assert!(matches!(&error, Error::Value(cause) if cause.to_string() == "disk on fire"));
}

#[tokio::test]
async fn an_upload_is_stored_only_on_exactly_200() {
    for refusal in [201, 204, 301, 400, 403, 404, 412] {
        let server = Server::start(move |line, _, base| match line {
            "POST /tokenize" => upload(base),
            _ => status(refusal, ""),
        })
        .await;
        let error = client(&server.url)
            .tokenize(Value::bytes("v"), None)
            .await
            .unwrap_err();
        assert_eq!(error.status(), Some(refusal));
        assert_eq!(server.lines(), ["POST /tokenize", "PUT /object"]);
    }
}

/// The connection's task unwinds, so that the client hears nothing more.
fn cut() -> Response {
    std::panic::resume_unwind(Box::new("the connection is cut on purpose"))
}

#[tokio::test]
async fn a_412_after_a_broken_upload_tokenizes_anew() {
    let server = Server::start(|line, earlier, base| match (line, earlier) {
        ("POST /tokenize", _) => upload(base),
        (_, 0) => cut(),
        (_, 1) => status(412, "<Error><Code>PreconditionFailed</Code></Error>"),
        _ => status(200, ""),
    })
    .await;
    client(&server.url)
        .tokenize(Value::bytes("v"), None)
        .await
        .unwrap();
    let (ask, put) = ("POST /tokenize", "PUT /object");
    assert_eq!(server.lines(), [ask, put, put, ask, put]);
}

#[tokio::test]
async fn a_value_that_is_read_once_is_not_sent_again() {
    let server = Server::start(|line, _, base| match line {
        "POST /tokenize" => upload(base),
        _ => cut(),
    })
    .await;
    let value = Value::once(Some(3), byte_stream(&["abc"]));
    let error = client(&server.url).tokenize(value, None).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }));
    assert_eq!(server.lines(), ["POST /tokenize", "PUT /object"]);
}

#[tokio::test]
async fn a_conditional_request_conflict_is_repeated_and_no_other_409() {
    for (code, puts) in [("ConditionalRequestConflict", 2), ("OperationAborted", 1)] {
        let server = Server::start(move |line, earlier, base| match (line, earlier) {
            ("POST /tokenize", _) => upload(base),
            (_, 0) => status(409, format!("<Error><Code>{code}</Code></Error>")),
            _ => status(200, ""),
        })
        .await;
        let result = client(&server.url).tokenize(Value::bytes("v"), None).await;
        assert_eq!(result.is_ok(), puts == 2);
        assert_eq!(server.lines().len(), 1 + puts);
    }
}

#[tokio::test]
async fn a_busy_vault_is_asked_again_unless_the_wait_is_long() {
    let server = Server::start(|line, earlier, base| match (line, earlier) {
        ("POST /tokenize", 0) => busy("0"),
        ("POST /tokenize", _) => upload(base),
        (_, 0) => busy("0"),
        _ => status(200, ""),
    })
    .await;
    client(&server.url)
        .tokenize(Value::bytes("v"), None)
        .await
        .unwrap();
    assert_eq!(server.lines().len(), 4);

    let server = Server::start(|_, _, _| busy("60")).await;
    let error = client(&server.url).detokenize(&token()).await.unwrap_err();
    assert!(error.is_unavailable());
    assert!(matches!(
        error,
        Error::Refused {
            retry_after_s: Some(60),
            status: 503,
            ..
        }
    ));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_vault_that_stays_busy_is_given_up() {
    let server = Server::start(|_, _, _| busy("0")).await;
    let error = client(&server.url)
        .metadata_get(&token())
        .await
        .unwrap_err();
    assert_eq!(error.name(), Some(ErrorName::Unavailable));
    assert_eq!(server.lines().len(), limits::ATTEMPTS_MAX as usize);
}

#[tokio::test]
async fn a_value_comes_back_as_raw_bytes() {
    const VALUE: &str = "\u{feff}4000000000000000006";
    let server = Server::start(|line, _, base| match line {
        "POST /detokenize" => download(base),
        _ => status(200, VALUE),
    })
    .await;
    let opened = client(&server.url).detokenize(&token()).await.unwrap();
    assert_eq!(opened.length_bytes(), Some(VALUE.len() as u64));
    assert_eq!(opened.bytes(100).await.unwrap(), VALUE);
    assert_eq!(server.last().header("x-key"), Some("MARKED"));
    assert!(server.last().header("authorization").is_none());
    let opened = client(&server.url).detokenize(&token()).await.unwrap();
    assert!(opened.bytes(VALUE.len() - 1).await.is_err());
}

#[tokio::test]
async fn a_cut_download_is_an_error() {
    let opened = Arc::new(tokio::sync::Notify::new());
    let cut = Arc::clone(&opened);
    let half = move || {
        let cut = Arc::clone(&cut);
        let end = async move {
            cut.notified().await;
            Err(io::Error::other("cut"))
        };
        Body::from_stream(stream::iter([Ok(Bytes::from("half"))]).chain(stream::once(end)))
    };
    let server = Server::start(move |line, _, base| match line {
        "POST /detokenize" => download(base),
        _ => status(200, half()),
    })
    .await;
    let download = client(&server.url).detokenize(&token()).await.unwrap();
    opened.notify_one();
    assert!(matches!(
        download.bytes(100).await,
        Err(Error::Interrupted { .. })
    ));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(|line, _, base| match line {
        "POST /detokenize" => download(base),
        _ => Response::builder()
            .status(307)
            .header("location", "/x")
            .body(Body::empty())
            .unwrap(),
    })
    .await;
    let error = client(&server.url).detokenize(&token()).await.unwrap_err();
    assert_eq!(error.status(), Some(307));
    assert_eq!(server.lines(), ["POST /detokenize", "GET /object"]);
}

#[tokio::test]
async fn grants_and_metadata_are_written_as_the_contract_says() {
    let server = Server::start(|line, _, _| match line {
        "POST /prefix/grant/verify" => data(r#"{"valid":true}"#),
        "POST /prefix/metadata/get" => data(r#"{"metadata":{"n": 1.00}}"#),
        _ => data("{}"),
    })
    .await;
    let client = client(&format!("{}/prefix//", server.url));
    let token = token();
    let body = || String::from_utf8(server.last().body.to_vec()).unwrap();
    client
        .self_grant(&token, Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(
        body(),
        format!(r#"{{"self":true,"tokenId":"{TOKEN}","customDuration":"60s"}}"#)
    );
    let session = GrantHolder::Session("s".into());
    client.grant_set(&token, &session, None).await.unwrap();
    assert_eq!(
        body(),
        format!(r#"{{"sessionId":"s","tokenId":"{TOKEN}"}}"#)
    );
    assert!(client.grant_verify(&token, &session).await.unwrap());
    assert_eq!(
        client.metadata_get(&token).await.unwrap().json(),
        r#"{"n": 1.00}"#
    );
    let metadata = Metadata::parse(r#"{"n":2}"#).unwrap();
    let developer = client.speaking_as(Identity::Developer {
        session_id: "d".into(),
    });
    developer.metadata_set(&token, metadata).await.unwrap();
    assert_eq!(
        body(),
        format!(r#"{{"tokenId":"{TOKEN}","metadata":{{"n":2}}}}"#)
    );
}

#[tokio::test]
async fn a_refusal_carries_name_status_and_request_id() {
    let server = Server::start(|_, _, _| {
        status(
            404,
            envelope::failure(ErrorName::NoSuchToken, "no such token", "r7"),
        )
    })
    .await;
    let error = client(&server.url).detokenize(&token()).await.unwrap_err();
    assert_eq!(error.name(), Some(ErrorName::NoSuchToken));
    assert!(!error.is_unavailable());
    assert_eq!(
        error.to_string(),
        "the vault answered 404 NoSuchToken: no such token (request r7)"
    );
}

#[tokio::test]
async fn something_that_is_no_vault_is_said_to_be_none() {
    let server = Server::start(|_, _, _| status(200, "<html>")).await;
    let error = client(&server.url)
        .metadata_get(&token())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }));
}

#[tokio::test]
async fn no_error_shows_url_key_jwt_or_token() {
    let nowhere = "http://127.0.0.1:1";
    let server = Server::start(move |line, _, _| match line {
        "POST /tokenize" => upload(nowhere),
        _ => download(nowhere),
    })
    .await;
    let client = client(&server.url);
    let up = client
        .tokenize(Value::bytes("MARKED"), None)
        .await
        .unwrap_err();
    let down = client.detokenize(&token()).await.unwrap_err();
    assert!(up.is_unavailable() && matches!(down, Error::Unreachable { .. }));
    let mut shown = format!(
        "{up} {up:?} {down} {down:?} {client:?} {:?}",
        Value::bytes("MARKED")
    );
    let mut source = std::error::Error::source(&down);
    while let Some(error) = source {
        write!(shown, " {error} {error:?}").unwrap();
        source = error.source();
    }
    for secret in ["MARKED", "sig=", "object", TOKEN, "eyJ"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_url_that_is_not_a_vault_s_is_refused() {
    for url in [
        "",
        "vault.example.com",
        "ftp://vault",
        "http://",
        "https://user@vault",
        "https://:pw@vault",
        "https://vault/?q",
        "https://vault/#f",
        "unix:/run/vault",
    ] {
        let refused = Client::new(ClientConfig {
            url: url.into(),
            signer: signer(&ed25519()),
            identity: Identity::Application,
            now: Arc::new(|| UnixMillis(0)),
            ca_pem: None,
        });
        assert!(matches!(refused, Err(Error::BadUrl)), "{url}");
    }
}
