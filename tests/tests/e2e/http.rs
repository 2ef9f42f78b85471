//! The listeners against those who are slow, greedy, malformed or call them by another name, and
//! against proxies.

use crate::tls::start as start_tls;
use crate::{assert_carried_by_all, assert_refused, skip};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;
use strongroom_tests::http::{Answer, connect};
use strongroom_tests::vault::PATH;
use strongroom_tests::{Request, Setup, Vault, eventually};

const ROUTES: [&str; 6] = [
    "/tokenize",
    "/detokenize",
    "/grant/set",
    "/grant/verify",
    "/metadata/get",
    "/metadata/set",
];

/// Sends these bytes and reads what comes until the other side has ended.
fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(to).unwrap();
    // It may be refused before it is all sent.
    let _ = stream.write_all(bytes);
    Answer::read(&mut stream, false).unwrap()
}

/// Reads to the end of one answer on a connection that goes on.
fn next_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"}}") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the connection ended");
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

const KEPT_OPEN: &[u8] = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn a_name_that_was_rebound_to_the_vault_is_421() {
    let vault = Vault::start();
    let jwt = vault.application();
    for route in ROUTES {
        for host in ["rebound.example", "rebound.example:37766", "127.0.0.2"] {
            let request = Request::post(route, &json!({})).header("host", host);
            let answer = vault.send(&request.header("authorization", &jwt));
            assert_refused(&answer, 421, "WrongHost");
        }
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"] {
        let request = Request::post("/tokenize", &json!({})).header("host", host);
        let answer = vault.send(&request.header("authorization", &jwt));
        assert_eq!(answer.status, 200, "{host}");
    }
    for probe in ["/health", "/ready"] {
        let answer = vault.send(&Request::new("GET", probe).header("host", "10.0.0.7:80"));
        assert_eq!(answer.status, 200, "{probe}");
    }
    let probe = raw(vault.api(), b"GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(probe.status, 200);
}

#[test]
fn more_names_are_configured_and_the_public_one_is_known() {
    let vault = Setup::new()
        .set("API__PUBLIC_URL", "https://vault.example.org/prod/")
        .set("API__HOST_NAMES", r#"["vault.internal"]"#)
        .set("S3__HOST_NAMES", r#"["objects.internal"]"#);
    let vault = vault.start();
    for host in ["vault.example.org", "vault.internal:8080"] {
        let request = Request::post("/tokenize", &json!({})).header("host", host);
        assert_refused(&vault.send(&request), 401, "NotAuthenticated");
    }
    let get = Request::new("GET", "/strongroom/x").header("host", "objects.internal");
    assert_eq!(get.send(vault.s3()).status, 403);
}

#[test]
fn requests_without_one_good_host_are_400() {
    let vault = Vault::start();
    for head in [
        "POST /tokenize HTTP/1.1\r\n",
        "POST /tokenize HTTP/1.0\r\n",
        "GET /health HTTP/1.1\r\n",
        "GET /health HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n",
        "GET /health HTTP/1.1\r\nhost: a b\r\n",
        "GET /health HTTP/1.1\r\nhost:\r\n",
        "GET http://localhost/health HTTP/1.1\r\nhost: rebound.example\r\n",
        "GET http://rebound.example/health HTTP/1.1\r\nhost: localhost\r\n",
        "CONNECT rebound.example:443 HTTP/1.1\r\nhost: localhost\r\n",
    ] {
        let answer = raw(
            vault.api(),
            format!("{head}connection: close\r\n\r\n").as_bytes(),
        );
        assert_refused(&answer, 400, "InvalidRequest");
    }
    let absolute = b"GET http://localhost/health HTTP/1.1\r\nhost: localhost\r\n\
                     connection: close\r\n\r\n";
    assert_eq!(raw(vault.api(), absolute).status, 200);
}

#[test]
fn the_s3_endpoint_refuses_foreign_names_in_xml() {
    let vault = Vault::start();
    for (method, path) in [("GET", "/"), ("PUT", "/bucket/key"), ("OPTIONS", "/b/k")] {
        for host in ["rebound.example", "bucket.localhost"] {
            let answer = Request::new(method, path)
                .header("host", host)
                .send(vault.s3());
            assert_eq!(answer.status, 421, "{}", answer.text());
            assert!(
                answer.text().contains("<Code>WrongHost</Code>"),
                "{}",
                answer.text()
            );
        }
    }
    for method in ["PATCH", "TRACE", "BREW"] {
        let answer = Request::new(method, "/bucket/key").send(vault.s3());
        assert_eq!(answer.status, 501);
        assert!(
            answer.text().contains("<Code>NotImplemented</Code>"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn doubled_slashes_are_served_wherever_they_stand() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, _) = vault.tokenize(&jwt, &json!({}));
    let body = json!({ "tokenId": token, "self": true });
    for path in [
        "//grant/set",
        "/grant//set",
        "///grant///set",
        "//grant//set?a=//b",
    ] {
        vault.ok(path, &jwt, &body);
    }
    for path in [
        "//prod//grant//set",
        "/grant//set//",
        "/grant%2Fset",
        "/%2fgrant/set",
        "//",
    ] {
        assert_refused(&vault.call(path, &jwt, &body), 404, "NoSuchRoute");
    }
}

#[test]
fn what_the_http_library_refuses_has_an_error_object_too() {
    let vault = Vault::start();
    let lines = "a: b\r\n".repeat(101);
    for (bytes, status, name) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400, "InvalidRequest"),
        ("GET / HTTP/9.9\r\n\r\n".into(), 400, "InvalidRequest"),
        ("GET /\u{1} HTTP/1.1\r\n\r\n".into(), 400, "InvalidRequest"),
        (
            "POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n".into(),
            400,
            "InvalidRequest",
        ),
        (
            format!(
                "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
                "u".repeat(70_000)
            ),
            413,
            "TooLarge",
        ),
        (
            format!(
                "GET /health HTTP/1.1\r\nhost: localhost\r\na: {}\r\n\r\n",
                "x".repeat(1 << 20)
            ),
            413,
            "TooLarge",
        ),
        (
            format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n"),
            413,
            "TooLarge",
        ),
    ] {
        let answer = raw(vault.api(), bytes.as_bytes());
        assert_refused(&answer, status, name);
    }
    // On a connection that served something before, too.
    let mut stream = connect(vault.api()).unwrap();
    stream.write_all(KEPT_OPEN).unwrap();
    next_answer(&mut stream);
    stream.write_all(b"GARBAGE\r\n\r\n").unwrap();
    let answer = Answer::read(&mut stream, false).unwrap();
    assert_refused(&answer, 400, "InvalidRequest");
    assert_eq!(vault.send(&Request::new("GET", "/ready")).status, 200);
}

#[test]
fn a_header_has_a_size_and_a_number_of_lines() {
    let vault = Setup::new()
        .set("API__HEADER_BYTES_MAX", "8KiB")
        .set("API__HEADERS_MAX", "10")
        .set("API__URI_BYTES_MAX", "100B")
        .set("S3__HEADER_BYTES_MAX", "8KiB");
    let vault = vault.start();
    let sized = |bytes: usize| Request::new("GET", "/health").header("a", &"x".repeat(bytes));
    assert_eq!(vault.send(&sized(7_000)).status, 200);
    assert_refused(&vault.send(&sized(8_200)), 413, "TooLarge");
    let lined = |lines: usize| {
        let request = Request::new("GET", "/health");
        // `host` and `connection` are there already.
        (0..lines - 2).fold(request, |request, _| request.header("a", "b"))
    };
    assert_eq!(vault.send(&lined(10)).status, 200);
    assert_refused(&vault.send(&lined(11)), 413, "TooLarge");
    let long = format!("/health?{}", "q".repeat(93));
    assert_refused(&vault.send(&Request::new("GET", &long)), 413, "TooLarge");
    let get = Request::new("GET", "/").header("a", &"x".repeat(8_200));
    let answer = get.send(vault.s3());
    let refused = |answer: &Answer| {
        answer.status == 400
            && answer
                .text()
                .contains("<Code>RequestHeaderSectionTooLarge<")
    };
    assert!(refused(&answer), "{}", answer.text());
    // One that never ends is cut off, and the memory that it takes with it.
    let mut stream = connect(vault.s3()).unwrap();
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\na: {}", "x".repeat(20_000)).as_bytes());
    let cut_off = Answer::read(&mut stream, false);
    assert!(refused(&cut_off.unwrap()));
}

#[test]
fn a_body_that_is_slow_is_408_and_one_that_is_large_is_413() {
    let vault = Setup::new()
        .set("API__BODY_TIME_MAX", "300ms")
        .set("API__BODY_BYTES_MAX", "4KiB");
    let vault = vault.start();
    let request = Request::post("/tokenize", &json!({}));
    let request = request.header("authorization", &vault.application());
    let slow = request.clone().header("content-length", "100");
    let mut stream = connect(vault.api()).unwrap();
    stream.write_all(slow.head(vault.api()).as_bytes()).unwrap();
    stream.write_all(b"{").unwrap();
    let answer = Answer::read(&mut stream, false).unwrap();
    assert_refused(&answer, 408, "Timeout");
    for bytes in [4_097, 200_000, 2 << 20] {
        let answer = vault.send(&request.clone().body(vec![b' '; bytes]));
        assert_refused(&answer, 413, "TooLarge");
    }
}

#[test]
fn an_unused_connection_and_a_header_have_limits_of_their_own() {
    let idle = Setup::new().set("API__IDLE_MAX", "300ms").start();
    let mut stream = connect(idle.api()).unwrap();
    stream.write_all(KEPT_OPEN).unwrap();
    assert!(next_answer(&mut stream).contains(" 200 OK"));
    assert!(has_ended(&mut stream), "idle_max is over");

    let vault = Setup::new().set("API__HEADER_TIME_MAX", "300ms").start();
    let mut stream = connect(vault.api()).unwrap();
    for _ in 0..2 {
        stream.write_all(KEPT_OPEN).unwrap();
        assert!(next_answer(&mut stream).contains(" 200 OK"));
        // Longer than a header may take: nothing of the next one is there.
        std::thread::sleep(Duration::from_millis(700));
    }
    stream.write_all(&KEPT_OPEN[..20]).unwrap();
    assert!(has_ended(&mut stream), "header_time_max is over");
    // From the start of a connection, whether or not anything comes.
    assert!(has_ended(&mut connect(vault.api()).unwrap()));
}

#[test]
fn half_open_handshakes_give_way_to_those_that_get_on() {
    let (vault, authority, _) = start_tls(Setup::new().set("API__HANDSHAKES_MAX", "3"));
    let mut half_open: Vec<_> = (0..8).map(|_| connect(vault.api()).unwrap()).collect();
    // Accepted one after the other, so the first ones are the oldest.
    for stream in &mut half_open[..4] {
        assert!(has_ended(stream));
    }
    for _ in 0..5 {
        let mut stream = authority.connect(vault.api()).unwrap();
        let answer = Request::new("GET", "/health").try_send_over(&mut stream, vault.api());
        assert_eq!(answer.unwrap().status, 200);
    }
    let last = half_open.last_mut().unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    assert!(has_ended(last));
}

#[test]
fn a_handshake_has_its_time() {
    let (vault, ..) = start_tls(Setup::new().set("API__HANDSHAKE_TIME_MAX", "200ms"));
    assert!(has_ended(&mut connect(vault.api()).unwrap()));
}

const INSIDE: &str = "STRONGROOM_TEST_INSIDE";
const ELSEWHERE: &str = "198.51.100.7";

#[test]
fn a_client_network_has_its_share_of_connections() {
    if std::env::vars().any(|(name, _)| name == INSIDE) {
        return one_networks_share();
    }
    let alone = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", script]).env("PATH", PATH);
        command
    };
    let address = format!("ip link set lo up && ip addr add {ELSEWHERE}/32 dev lo");
    if !alone(&address)
        .output()
        .is_ok_and(|output| output.status.success())
    {
        skip("`unshare -n` and `ip addr` are not permitted here");
        return;
    }
    let output = alone(&format!("{address} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "http::a_client_network_has_its_share_of_connections",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed; 0 failed"),
        "{said}"
    );
}

/// Where this machine has an address beyond loopback, which connections to it also come from.
fn one_networks_share() {
    let setup = Setup::new()
        .set("API__LISTEN", &format!("{ELSEWHERE}:0"))
        .set("API__CONNECTIONS_PER_CLIENT_MAX", "3");
    let (vault, ..) = start_tls(setup);
    let mut streams: Vec<_> = (0..3).map(|_| connect(vault.api()).unwrap()).collect();
    assert!(
        has_ended(&mut connect(vault.api()).unwrap()),
        "one too many"
    );
    for stream in &mut streams {
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert!(!has_ended(stream), "one of the share");
    }
    streams.pop();
    eventually("a place is free again", || {
        let mut stream = connect(vault.api()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        (!has_ended(&mut stream)).then_some(())
    });
    // Loopback, here of the other listener, is counted for nobody.
    let _held: Vec<_> = (0..300).map(|_| connect(vault.s3()).unwrap()).collect();
    assert!(!vault.log().contains("s3: closed"));
}

#[test]
fn browsers_are_told_to_insist_on_tls_where_there_is_some() {
    let named = |setup: Setup| {
        setup
            .set("API__PUBLIC_URL", "https://vault.example.org")
            .set("S3__PUBLIC_URL", "https://objects.example.org")
    };
    let (vault, authority, _) = start_tls(named(Setup::new()));
    let get = |path: &str, to: SocketAddr| {
        let mut stream = authority.connect(to).unwrap();
        Request::new("GET", path)
            .try_send_over(&mut stream, to)
            .unwrap()
    };
    for path in ["/health", "/nowhere", "/tokenize"] {
        let answer = get(path, vault.api());
        let strict = answer.header("strict-transport-security");
        assert_eq!(strict, Some("max-age=63072000"), "{path}");
    }
    let strict = get("/", vault.s3());
    assert_eq!(
        strict.header("strict-transport-security"),
        Some("max-age=63072000")
    );
    let (vault, authority, _) = start_tls(Setup::new());
    let mut stream = authority.connect(vault.api()).unwrap();
    let answer = Request::new("GET", "/health").try_send_over(&mut stream, vault.api());
    let none = answer.unwrap();
    assert_eq!(
        none.header("strict-transport-security"),
        None,
        "an address is no name"
    );

    let vault = named(Setup::new())
        .set("TRUSTED_PROXIES", r#"["127.0.0.1"]"#)
        .start();
    for (proto, told) in [("https", true), ("http", false), ("https, http", false)] {
        let request = Request::new("GET", "/nowhere").header("x-forwarded-proto", proto);
        let answer = vault.send(&request);
        let strict = answer.header("strict-transport-security");
        assert_eq!(strict.is_some(), told, "{proto}");
    }
    let untold = vault.send(&Request::new("GET", "/health"));
    assert_eq!(untold.header("strict-transport-security"), None);
    let direct = named(Setup::new()).start();
    let lie = Request::new("GET", "/health").header("x-forwarded-proto", "https");
    assert_eq!(direct.send(&lie).header("strict-transport-security"), None);
}

#[test]
fn plain_http_beyond_loopback_is_for_trusted_proxies_alone() {
    let open = || {
        Setup::new()
            .argument("--behind-proxy")
            .set("API__LISTEN", "0.0.0.0:0")
            .set("API__PUBLIC_URL", "https://vault.example.org")
    };
    let said = open().make().refuses_to_start();
    assert!(said.contains("trusted_proxies"), "{said}");
    let vault = open().set("TRUSTED_PROXIES", r#"["192.0.2.0/24"]"#).start();
    let mut stream = connect(vault.api()).unwrap();
    let _ = stream.write_all(KEPT_OPEN);
    assert!(has_ended(&mut stream), "this machine is no trusted proxy");
    assert!(
        vault
            .log()
            .contains("only trusted proxies speak plain HTTP here")
    );
    // The other listener is on loopback.
    assert_eq!(Request::new("GET", "/").send(vault.s3()).status, 403);
}

#[test]
fn what_a_proxy_says_counts_if_it_is_trusted() {
    let (trusting, direct) = (
        Setup::new()
            .set("TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#)
            .start(),
        Vault::start(),
    );
    for (vault, status) in [(&trusting, 400), (&direct, 200)] {
        let value = vault.value();
        let (_, upload) = vault.tokenize(&vault.application(), &json!({}));
        let put = upload
            .request("PUT")
            .body(value)
            .header("x-forwarded-proto", "http");
        assert_eq!(put.send(vault.s3()).status, status);
        let request = Request::new("GET", "/health");
        let request = request.header("x-forwarded-for", "192.0.2.66, 203.0.113.9, 127.0.0.9");
        assert_eq!(vault.send(&request.header("host", "localhost")).status, 200);
        let request = Request::post("/tokenize", &json!({}));
        let request = request.header("x-forwarded-for", "192.0.2.66, 203.0.113.9, 127.0.0.9");
        // Refused with a word in the log.
        let answer = vault.send(&request.header("authorization", "no.such.jwt"));
        assert_refused(&answer, 401, "NotAuthenticated");
    }
    let network = |vault: &Vault, text: &str| vault.log().contains(&format!("network={text}"));
    assert!(network(&trusting, "203.0.113.0/24") && !network(&trusting, "192.0.2.0/24"));
    assert!(network(&direct, "127.0.0.0/24") && !network(&direct, "203.0.113.0/24"));
}

#[test]
fn nothing_but_health_is_ever_compressed_and_nothing_is_opened_to_other_origins() {
    let vault = Vault::start();
    let jwt = vault.application();
    let metadata = json!({ "metadata": { "a": "x".repeat(4_000) } });
    let (token, _) = vault.tokenize(&jwt, &metadata);
    let body = json!({ "tokenId": token, "self": true });
    for route in ROUTES {
        for method in ["POST", "OPTIONS", "GET"] {
            let request = Request::new(method, route).body(body.to_string());
            let request = request
                .header("authorization", &jwt)
                .header("accept-encoding", "br, gzip, deflate, zstd")
                .header("origin", "https://app.example.org")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization");
            let answer = vault.send(&request);
            assert_carried_by_all(&answer);
            let opens = |(name, _): &(String, String)| name.starts_with("access-control-");
            assert!(!answer.headers.iter().any(opens), "{method} {route}");
            assert_eq!(answer.header("vary"), Some("origin, authorization, cookie"));
        }
    }
    let public = Request::new("POST", "/health").header("accept-encoding", "gzip");
    let answer = vault.send(&public.header("connection", "close"));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(
        answer.header("vary"),
        Some("origin, authorization, cookie, accept-encoding")
    );
}
