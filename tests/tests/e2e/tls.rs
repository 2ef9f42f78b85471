//! TLS on both listeners, its certificates, and what stands in for it behind a proxy.

use rustls::version::{TLS12, TLS13};
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use strongroom_tests::http::connect;
use strongroom_tests::tls::{Certificate, TlsStream, presented, put, shake_hands};
use strongroom_tests::{Answer, Authority, Request, Setup, Vault, eventually};

/// A vault with TLS on both listeners, its certificate, and who issued that.
pub(crate) fn start(setup: Setup) -> (Vault, Arc<Authority>, Certificate) {
    let mut vault = setup.tls().make();
    let authority = Arc::new(Authority::default());
    let certificate = authority.issue();
    certificate.write(vault.root());
    vault.believe(&authority);
    put(&vault.home(), "ca.pem", authority.pem());
    vault.mark("a TLS key", &certificate.key_der);
    vault.start_again();
    (vault, authority, certificate)
}

fn health(vault: &Vault, stream: &mut TlsStream) -> u16 {
    let request = Request::new("GET", "/health");
    let answer = request.try_send_over(stream, vault.api()).unwrap();
    assert!(answer.whole);
    answer.status
}

#[test]
fn a_value_goes_in_and_out_over_tls() {
    let (mut vault, _, _) = start(Setup::new());
    assert!(vault.api_url().starts_with("https://"));
    let value = vault.value();
    let large = [value.clone(), vec![b'v'; 3 << 20]].concat();
    for (value, trust) in [
        (&value, "STRONGROOM_CA"),
        (&large, "STRONGROOM__CLIENT__CA_FILE"),
    ] {
        let file = vault.home().join("ca.pem");
        let trust = [(trust, file.to_str().unwrap())];
        let made = vault.cli_with(&["tokenize", "--quiet"], value, &trust);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let token = String::from_utf8(made.stdout).unwrap();
        vault.mark("a token", token.trim().as_bytes());
        let back = vault.cli_with(&["detokenize", token.trim()], b"", &trust);
        assert!(
            back.stdout == *value,
            "{}",
            String::from_utf8_lossy(&back.stderr)
        );
    }
    let refused = vault.cli_with(&["tokenize"], &value, &[]);
    assert!(
        !refused.status.success(),
        "the authority is not known to it"
    );
    vault.stop();
}

#[test]
fn a_whole_life_over_tls_leaves_no_secret_behind() {
    let (mut vault, _, _) = start(Setup::new());
    let (owner, other) = (vault.session("owner"), vault.session("other"));
    let value = vault.value();
    let token = vault.store(&vault.user(&owner), &value);
    vault.grant(&other, &token, Some("10m"));
    assert_eq!(vault.fetch(&vault.user(&other), &token), value);
    vault.kill();
    vault.start_again();
    assert_eq!(vault.fetch(&vault.user(&owner), &token), value);
    vault.stop();
    assert_eq!(vault.leaks(), [""; 0]);
}

#[test]
fn a_client_that_stops_reading_over_tls_is_ended() {
    /// More than kernel and TLS keep between the vault and a client.
    const LARGE: usize = 48 << 20;
    let (vault, authority, _) = start(Setup::new().set("S3__WRITE_IDLE_MAX", "1s"));
    let jwt = vault.application();
    let token = vault.store(&jwt, &vec![b'v'; LARGE]);
    let request = vault.detokenize(&jwt, &token).request("GET");
    let mut stream = authority.connect(vault.s3()).unwrap();
    let head = request.head(vault.s3());
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 1024];
    stream.read_exact(&mut first).unwrap();
    eventually("the connection is ended", || {
        vault.log().contains("connection ended early").then_some(())
    });
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < LARGE - first.len(), "{} bytes", rest.len());
}

#[test]
fn the_listeners_speak_tls_1_2_and_1_3_and_http_1_1_alone() {
    let (vault, authority, certificate) = start(Setup::new());
    for to in [vault.api(), vault.s3()] {
        for version in [&TLS12, &TLS13] {
            let mut client = authority.client(&[version]);
            client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let stream = shake_hands(client, to).unwrap();
            assert_eq!(stream.conn.protocol_version(), Some(version.version));
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(*presented(&stream), certificate.der);
        }
        let mut client = authority.client(rustls::ALL_VERSIONS);
        client.alpn_protocols = vec![b"h2".to_vec()];
        assert!(shake_hands(client, to).is_err(), "HTTP/2 is not spoken");
        assert!(
            Authority::default().connect(to).is_err(),
            "another authority"
        );
    }
}

/// Sends the beginning of a request and waits for nothing.
fn begin(vault: &Vault, stream: &mut TlsStream) -> String {
    let head = Request::new("GET", "/health").head(vault.api());
    let (first, rest) = head.split_at(20);
    stream.write_all(first.as_bytes()).unwrap();
    stream.flush().unwrap();
    rest.to_owned()
}

#[test]
fn a_new_certificate_is_served_and_open_connections_stay() {
    let (vault, authority, old) = start(Setup::new().set("API__HANDSHAKE_TIME_MAX", "60s"));
    let mut open = authority.connect(vault.api()).unwrap();
    assert_eq!(*presented(&open), old.der);
    let rest = begin(&vault, &mut open);
    let new = authority.issue();
    vault.mark("a TLS key", &new.key_der);
    new.write(vault.root());
    for to in [vault.api(), vault.s3()] {
        eventually("the new certificate is presented", || {
            let stream = authority.connect(to).unwrap();
            (*presented(&stream) == new.der).then_some(())
        });
    }
    open.write_all(rest.as_bytes()).unwrap();
    open.flush().unwrap();
    assert_eq!(Answer::read(&mut open, false).unwrap().status, 200);
    assert!(vault.log().contains("certificate read"));
    assert!(!vault.log().contains("ERROR"), "{}", vault.log());
}

#[test]
fn a_broken_new_pair_is_told_and_the_old_one_stays_in_use() {
    let (vault, authority, old) = start(Setup::new());
    let root = vault.root();
    let told = |expected: &str, count: usize| {
        eventually(expected, || {
            let log = vault.log();
            let lines = log.lines().filter(|line| line.contains(expected));
            // One line of each listener.
            (lines.count() == 2 * count).then_some(())
        });
        let mut stream = authority.connect(vault.api()).unwrap();
        assert_eq!(*presented(&stream), old.der);
        assert_eq!(health(&vault, &mut stream), 200);
    };
    put(root, "tls.pem", "nonsense");
    told("holds no certificate", 1);
    fs::remove_file(root.join("tls.pem")).unwrap();
    told("No such file", 1);
    let new = authority.issue();
    vault.mark("a TLS key", &new.key_der);
    put(root, "tls.pem", &new.pem);
    told("do not belong together", 1);
    put(root, "tls.key", &new.key_pem);
    fs::set_permissions(root.join("tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    told("open to others", 1);
    told("the old pair stays in use", 4);
    fs::set_permissions(root.join("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    eventually("the repaired pair is used", || {
        let stream = authority.connect(vault.api()).unwrap();
        (*presented(&stream) == new.der).then_some(())
    });
}

#[test]
fn plain_http_and_nonsense_sent_to_a_tls_listener_end_without_harm() {
    let (vault, authority, _) = start(Setup::new());
    for to in [vault.api(), vault.s3()] {
        let plain = Request::new("GET", "/health").try_send(to);
        assert!(plain.is_err(), "it was answered: {plain:?}");
        for nonsense in [
            &b"\x16\x03\x01\xff\xff"[..],
            &[0; 4096],
            b"\x80\x2e\x01",
            b"\r\n\r\n",
        ] {
            let mut stream = connect(to).unwrap();
            let _ = stream.write_all(nonsense);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() < 64 && !rest.starts_with(b"HTTP"), "{rest:?}");
        }
    }
    let mut stream = authority.connect(vault.api()).unwrap();
    assert_eq!(health(&vault, &mut stream), 200);
}

#[test]
fn half_open_handshakes_keep_nobody_out_and_are_ended() {
    let (mut vault, authority, _) = start(Setup::new().set("API__HANDSHAKE_TIME_MAX", "2s"));
    let mut silent: Vec<_> = (0..40).map(|_| connect(vault.api()).unwrap()).collect();
    for stream in &mut silent[..20] {
        // The first bytes of a handshake record whose rest does not come.
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
    }
    for _ in 0..5 {
        let mut stream = authority.connect(vault.api()).unwrap();
        assert_eq!(health(&vault, &mut stream), 200);
    }
    for stream in &mut silent {
        let mut rest = Vec::new();
        // The harness waits for 30 s, which would be an error of another kind.
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok() || ended.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
        assert!(rest.len() < 64);
    }
    assert!(vault.log().contains("longer than handshake_time_max"));
    // Nor does one keep the vault from stopping.
    vault.set("API__HANDSHAKE_TIME_MAX", "60s");
    vault.stop();
    vault.start_again();
    let _open = connect(vault.api()).unwrap();
    let _stays = authority.connect(vault.api()).unwrap();
    vault.stop();
    assert!(!vault.log().contains("connections were cut"));
}

#[test]
fn certificates_that_cannot_be_used_are_refused_at_start_with_their_key() {
    let authority = Authority::default();
    let (one, other) = (authority.issue(), authority.issue());
    for (pem, key, mode, expected) in [
        (
            one.pem.as_str(),
            other.key_pem.as_str(),
            0o600,
            "do not belong together",
        ),
        (&one.pem, &one.key_pem, 0o640, "open to others"),
        (&one.key_pem, &one.key_pem, 0o600, "holds no certificate"),
        (
            &one.pem,
            &one.pem,
            0o600,
            "holds no unencrypted private key",
        ),
        ("", &one.key_pem, 0o600, "holds no certificate"),
    ] {
        let mut vault = Setup::new().tls().make();
        put(vault.root(), "tls.pem", pem);
        put(vault.root(), "tls.key", key);
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(vault.root().join("tls.key"), permissions).unwrap();
        let said = vault.refuses_to_start();
        assert!(
            said.contains(expected) && said.contains("api.tls"),
            "{said}"
        );
    }
    let said = Setup::new().tls().make().refuses_to_start();
    assert!(
        said.contains("tls.pem") && said.contains("api.tls"),
        "{said}"
    );
}

#[test]
fn the_expiry_of_a_certificate_is_told() {
    let (vault, _, _) = start(Setup::new());
    let log = vault.log();
    let told = log.lines().filter(|line| line.contains("certificate read"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 2, "{log}");
    for (line, section) in told.iter().zip(["api.tls", "s3.tls"]) {
        // What the library that makes them gives to those without dates of their own.
        assert!(line.contains("expires=\"4096-01-01T00:00:00Z\""), "{line}");
        assert!(line.contains(section) && line.contains("tls.pem"), "{line}");
    }
}

/// A vault that a proxy would reach at addresses beyond loopback; this machine is the proxy.
fn proxied() -> Setup {
    Setup::new()
        .set("TRUSTED_PROXIES", r#"["127.0.0.1"]"#)
        .set("API__HOST_NAMES", r#"["0.0.0.0"]"#)
        .set("API__LISTEN", "0.0.0.0:0")
        .set("S3__LISTEN", "0.0.0.0:0")
        .set("API__PUBLIC_URL", "https://vault.example.org")
        .set("S3__PUBLIC_URL", "https://objects.example.org")
}

#[test]
fn plain_http_leaves_loopback_behind_a_proxy_only() {
    let said = proxied().make().refuses_to_start();
    for text in ["api.listen", "loopback", "api.tls", "--behind-proxy"] {
        assert!(said.contains(text), "{said}");
    }
    let said = proxied()
        .set("API__LISTEN", "127.0.0.1:0")
        .make()
        .refuses_to_start();
    assert!(
        said.contains("s3.listen") && said.contains("s3.tls"),
        "{said}"
    );
    let vault = proxied().argument("--behind-proxy").start();
    let value = vault.value();
    let token = vault.store(&vault.application(), &value);
    assert_eq!(vault.fetch(&vault.application(), &token), value);
}

#[test]
fn tls_is_spoken_beyond_loopback_without_a_proxy() {
    let (vault, authority, _) = start(proxied());
    let to = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert!(authority.connect(to(vault.s3().port())).is_ok());
    let mut stream = authority.connect(to(vault.api().port())).unwrap();
    assert_eq!(health(&vault, &mut stream), 200);
}

#[test]
fn behind_a_proxy_customer_keys_that_came_by_plain_http_are_refused() {
    let vault = proxied().argument("--behind-proxy").start();
    let jwt = vault.application();
    let value = vault.value();
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    let proto = |request: Request, proto: &str| request.header("x-forwarded-proto", proto);
    let put = upload.request("PUT").body(value.clone());
    let refused = proto(put.clone(), "http").send(vault.s3());
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(
        refused.text().contains("InvalidRequest"),
        "{}",
        refused.text()
    );
    assert_eq!(proto(put, "https").send(vault.s3()).status, 200);
    let get = vault.detokenize(&jwt, &token).request("GET");
    assert_eq!(
        proto(get.clone(), "https, http").send(vault.s3()).status,
        400
    );
    assert_eq!(get.send(vault.s3()).body, value);
}
