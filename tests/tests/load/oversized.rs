//! Requests with too much of something, and such as two readers could understand in two ways: each
//! is refused with its status and the contract's body, as often as it comes.

use crate::crowd::{Crowd, Stream, until_ended};
use crate::probe::Probe;
use crate::{MIB, memory, quiet, run, start_tls, turn};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use strongroom_tests::{Answer, Authority, Vault};
use tokio::io::AsyncWriteExt;

/// How often each request is sent, all at once.
const TIMES: usize = 40;
/// Anonymous memory that the vault may take for it.
const BYTES_MAX: u64 = 96 * MIB;
const LARGE: usize = 4 << 20;

/// What is sent, and the status that it must be answered.
struct Case {
    name: &'static str,
    request: Vec<u8>,
    status: u16,
}

/// Writes requests for one listener.
struct Writer {
    to: SocketAddr,
    authorization: String,
    cases: Vec<Case>,
}

impl Writer {
    fn new(to: SocketAddr, jwt: &str) -> Self {
        Self {
            to,
            authorization: format!("authorization: {jwt}\r\n"),
            cases: Vec::new(),
        }
    }

    /// Bytes as they are.
    fn raw(&mut self, status: u16, name: &'static str, request: impl Into<Vec<u8>>) {
        let request = request.into();
        self.cases.push(Case {
            name,
            request,
            status,
        });
    }

    /// These lines after the first one and `host`.
    fn head(&mut self, status: u16, name: &'static str, first: &str, lines: &str) {
        let to = self.to;
        let request = format!("{first}\r\nhost: {to}\r\nconnection: close\r\n{lines}\r\n");
        self.raw(status, name, request);
    }

    /// A POST of a caller whose credentials are good, with these lines and this after them.
    fn post(&mut self, status: u16, name: &'static str, lines: &str, body: &[u8]) {
        let (to, authorization) = (self.to, &self.authorization);
        let head = format!(
            "POST /tokenize HTTP/1.1\r\nhost: {to}\r\n{authorization}connection: close\r\n{lines}\r\n"
        );
        self.raw(status, name, [head.as_bytes(), body].concat());
    }

    /// The same with a body of the length that it says.
    fn body(&mut self, status: u16, name: &'static str, body: &str) {
        let length = format!("content-length: {}\r\n", body.len());
        self.post(status, name, &length, body.as_bytes());
    }
}

const HEALTH: &str = "GET /health HTTP/1.1";

fn oversized(to: SocketAddr, jwt: &str) -> Vec<Case> {
    let mut write = Writer::new(to, jwt);
    let long = "a".repeat(LARGE);
    headers(&mut write, &long);
    bodies(&mut write, &long);
    metadata(&mut write, &long);
    write.cases
}

fn headers(write: &mut Writer, long: &str) {
    let get = |path: &str| format!("GET /{path} HTTP/1.1");
    write.head(413, "a URL of 12 KiB", &get(&long[..12 << 10]), "");
    write.head(413, "a URL of 1 MiB", &get(&long[..1 << 20]), "");
    write.head(
        413,
        "a query of 12 KiB",
        &get(&format!("health?{}", &long[..12 << 10])),
        "",
    );
    let line = |bytes: usize| format!("x-long: {}\r\n", &long[..bytes]);
    write.head(413, "a line of 20 KiB", HEALTH, &line(20 << 10));
    write.head(413, "a line of 1 MiB", HEALTH, &line(1 << 20));
    write.head(413, "65 lines", HEALTH, &"x-a: b\r\n".repeat(63));
    write.head(413, "10,000 lines", HEALTH, &"x-a: b\r\n".repeat(10_000));
    write.head(413, "4 MiB without a line's end", long, "");
    let jwt = format!(
        "authorization: e30.{}.e30\r\ncontent-length: 0\r\n",
        &long[..10 << 10]
    );
    write.head(401, "a JWT of 10 KiB", "POST /tokenize HTTP/1.1", &jwt);
}

fn bodies(write: &mut Writer, long: &str) {
    write.post(
        413,
        "a body of 1 TiB announced",
        "content-length: 1099511627776\r\n",
        b"{",
    );
    write.post(
        400,
        "a length past 2^64",
        "content-length: 99999999999999999999999\r\n",
        b"{}",
    );
    write.body(413, "a body of 4 MiB", long);
    let chunk = format!("{LARGE:x}\r\n{long}\r\n0\r\n\r\n");
    write.post(
        413,
        "4 MiB in a chunk",
        "transfer-encoding: chunked\r\n",
        chunk.as_bytes(),
    );
    let chunks = "8\r\n        \r\n".repeat(20_000);
    write.post(
        413,
        "20,000 chunks",
        "transfer-encoding: chunked\r\n",
        chunks.as_bytes(),
    );
    let extension = format!("2;{long}\r\n{{}}\r\n0\r\n\r\n");
    write.post(
        400,
        "a chunk's extension of 4 MiB",
        "transfer-encoding: chunked\r\n",
        extension.as_bytes(),
    );
    let trailer = format!("2\r\n{{}}\r\n0\r\nx-long: {long}\r\n\r\n");
    write.post(
        400,
        "a trailer of 4 MiB",
        "transfer-encoding: chunked\r\n",
        trailer.as_bytes(),
    );
    let trailers = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x-a: b\r\n".repeat(10_000));
    write.post(
        400,
        "10,000 trailers",
        "transfer-encoding: chunked\r\n",
        trailers.as_bytes(),
    );
    write.post(
        400,
        "a chunk of 2^68 bytes",
        "transfer-encoding: chunked\r\n",
        b"fffffffffffffffff\r\n",
    );
}

fn metadata(write: &mut Writer, long: &str) {
    let with = |text: &str| format!("{{\"metadata\":{{\"a\":{text}}}}}");
    write.body(
        413,
        "metadata of 70 KiB",
        &with(&format!("\"{}\"", &long[..70 << 10])),
    );
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    write.body(400, "metadata 30,000 deep", &with(&deep));
    write.body(
        400,
        "a body that only opens",
        &"{\"metadata\":".repeat(10_000),
    );
    let (to, authorization) = (write.to, &write.authorization);
    let body = format!("{{\"tokenId\":\"lunasec-{}\"}}", &long[..100 << 10]);
    let request = format!(
        "POST /detokenize HTTP/1.1\r\nhost: {to}\r\n{authorization}connection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    write.raw(400, "a token of 100 KiB", request);
    write.body(200, "a number past what numbers hold", &with("1e999999999"));
}

fn ambiguous(to: SocketAddr, jwt: &str) -> Vec<Case> {
    let mut write = Writer::new(to, jwt);
    let chunked = "transfer-encoding: chunked\r\n";
    for (name, lines) in [
        ("two lengths", "content-length: 2\r\ncontent-length: 3\r\n"),
        ("two lengths in one line", "content-length: 2, 3\r\n"),
        ("a length with a sign", "content-length: +2\r\n"),
        ("a negative length", "content-length: -2\r\n"),
        ("a length in hexadecimal", "content-length: 0x2\r\n"),
        (
            "a length with a space before the colon",
            "content-length : 2\r\n",
        ),
        ("an unknown coding", "transfer-encoding: xchunked\r\n"),
        (
            "a coding after chunked",
            "transfer-encoding: chunked, identity\r\n",
        ),
        (
            "a space before the colon",
            "transfer-encoding : chunked\r\n",
        ),
        ("a folded line", "x-a: b\r\n transfer-encoding: chunked\r\n"),
        ("a line without a name", ": chunked\r\n"),
        ("a zero byte", "x-a: b\0c\r\n"),
        ("a lone carriage return", "x-a: b\rc\r\n"),
    ] {
        write.post(400, name, lines, b"{}");
    }
    write.post(400, "no chunk at all", chunked, b"{}\r\n");
    write.post(
        400,
        "a chunk with a sign",
        chunked,
        b"+2\r\n{}\r\n0\r\n\r\n",
    );
    write.post(
        400,
        "a chunk in another base",
        chunked,
        b"0x2\r\n{}\r\n0\r\n\r\n",
    );
    let old = "POST /tokenize HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    write.raw(400, "chunks in HTTP/1.0", old);
    write.raw(400, "HTTP/9.9", "GET /health HTTP/9.9\r\n\r\n");
    write.raw(
        400,
        "no host",
        "POST /tokenize HTTP/1.1\r\nconnection: close\r\n\r\n",
    );
    write.raw(
        400,
        "two hosts",
        format!("{HEALTH}\r\nhost: {to}\r\nhost: b\r\nconnection: close\r\n\r\n"),
    );
    write.cases
}

/// What a listener says to 40 of each, by name and answer; a right one is left out.
fn wrong(crowd: &Crowd, cases: Vec<Case>, body: fn(&Answer) -> bool) -> BTreeMap<String, usize> {
    let mut wrong = BTreeMap::new();
    for case in cases {
        let request = Arc::new(case.request);
        let answers = run(crowd.all(TIMES, move |crowd, member| {
            let request = Arc::clone(&request);
            async move { said(&crowd, member, &request).await }
        }));
        for said in answers {
            let told = match Answer::read(&mut &*said, false) {
                Err(error) => format!("{error}"),
                Ok(answer) if answer.status == case.status && answer.whole && body(&answer) => {
                    continue;
                }
                Ok(answer) => format!(
                    "{} whole {}: {}",
                    answer.status,
                    answer.whole,
                    answer.text()
                ),
            };
            // What follows is different in each.
            let told: String = told.chars().take(60).collect();
            *wrong.entry(format!("{}: {told}", case.name)).or_default() += 1;
        }
    }
    wrong
}

/// Sends while it reads, as what is too large is answered before its end.
async fn said(crowd: &Crowd, member: usize, request: &[u8]) -> Vec<u8> {
    let stream = crowd.connect(member).await.unwrap();
    let (read, mut write) = tokio::io::split(stream);
    let mut read: Stream = Box::new(tokio::io::join(read, tokio::io::sink()));
    let send = async {
        let sent = write.write_all(request).await;
        sent.is_ok() && write.flush().await.is_ok()
    };
    tokio::join!(send, until_ended(&mut read)).1
}

/// The contract's envelope, with a name and the request's own.
fn envelope(answer: &Answer) -> bool {
    let json = answer.json();
    if answer.status == 200 {
        return json["success"] == true;
    }
    json["success"] == false
        && json["error"]["name"].is_string()
        && json["error"]["requestId"].as_str() == answer.header("x-request-id")
}

fn all_refused(vault: &Vault, crowd: &Crowd, cases: Vec<Case>, authority: Option<&Arc<Authority>>) {
    let probe = Probe::start(vault.api(), authority.cloned());
    let wrong = wrong(crowd, cases, envelope);
    probe.all_answered();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let held = memory(vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
}

#[test]
fn whatever_is_too_large_is_refused_by_its_limit() {
    let Some(_turn) = turn() else { return };
    let vault = quiet().start();
    let cases = oversized(vault.api(), &vault.application());
    all_refused(&vault, &Crowd::plain(vault.api()), cases, None);
}

#[test]
fn whatever_is_too_large_is_refused_by_its_limit_over_tls() {
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(quiet());
    let cases = oversized(vault.api(), &vault.application());
    let crowd = Crowd::tls(vault.api(), &authority);
    all_refused(&vault, &crowd, cases, Some(&authority));
}

#[test]
fn whatever_can_be_read_in_two_ways_is_refused() {
    let Some(_turn) = turn() else { return };
    let vault = quiet().start();
    let cases = ambiguous(vault.api(), &vault.application());
    all_refused(&vault, &Crowd::plain(vault.api()), cases, None);
}

#[test]
fn a_request_hidden_behind_two_lengths_is_never_answered() {
    let Some(_turn) = turn() else { return };
    let vault = quiet().start();
    let (to, jwt) = (vault.api(), vault.application());
    let hidden = format!("GET /health HTTP/1.1\r\nhost: {to}\r\n\r\n");
    let lengths = [
        "content-length: 7\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 7\r\n",
    ];
    let crowd = Crowd::plain(to);
    for lengths in lengths {
        let request = format!(
            "POST /tokenize HTTP/1.1\r\nhost: {to}\r\nauthorization: {jwt}\r\n{lengths}\r\n\
             2\r\n{{}}\r\n0\r\n\r\n{hidden}"
        );
        let request = Arc::new(request.into_bytes());
        let heard = run(crowd.all(TIMES, move |crowd, member| {
            let request = Arc::clone(&request);
            async move { said(&crowd, member, &request).await }
        }));
        // The chunks are what counts (RFC 9112 §6.3), and the connection ends after them.
        let answers = |said: &Vec<u8>| said.windows(7).filter(|part| *part == b"HTTP/1.").count();
        let single = heard.iter().filter(|said| answers(said) == 1);
        assert_eq!(single.count(), TIMES);
    }
}

/// AWS's error in XML.
fn xml(answer: &Answer) -> bool {
    let text = answer.text();
    text.contains("<Error><Code>") && answer.header("content-type") == Some("application/xml")
}

#[test]
fn whatever_is_too_large_is_refused_by_the_s3_listener() {
    let Some(_turn) = turn() else { return };
    let vault = quiet().start();
    let to = vault.s3();
    let mut write = Writer::new(to, "none");
    let long = "a".repeat(1 << 20);
    let get = |path: &str| format!("GET /{path} HTTP/1.1");
    write.head(400, "a URL of 1 MiB", &get(&long), "");
    write.head(
        400,
        "a line of 1 MiB",
        &get("bucket/key"),
        &format!("x-long: {long}\r\n"),
    );
    write.head(
        400,
        "10,000 lines",
        &get("bucket/key"),
        &"x-a: b\r\n".repeat(10_000),
    );
    write.head(
        400,
        "two lengths",
        "PUT /bucket/key HTTP/1.1",
        "content-length: 1\r\ncontent-length: 2\r\n",
    );
    write.head(
        403,
        "a stranger's 1 TiB",
        "PUT /bucket/key HTTP/1.1",
        "content-length: 1099511627776\r\n",
    );
    write.head(
        403,
        "a range past 2^64",
        &get("bucket/key"),
        "range: bytes=0-99999999999999999999999\r\n",
    );
    let form = format!(
        "content-type: multipart/form-data; boundary={}\r\ncontent-length: 1048576\r\n",
        &long[..200]
    );
    write.head(
        412,
        "a form's boundary of 200 bytes",
        "POST /bucket HTTP/1.1",
        &form,
    );
    let probe = Probe::start(vault.api(), None);
    let wrong = wrong(&Crowd::plain(to), write.cases, xml);
    probe.all_answered();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let held = memory(&vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
}
