//! TLS connections that are begun and left: each is ended, and others shake hands meanwhile.

use crate::crowd::{Crowd, until_ended};
use crate::probe::Probe;
use crate::{MIB, memory, quiet, run, start_tls, turn};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use strongroom_tests::Authority;
use tokio::io::AsyncWriteExt;

const CROWD: usize = 2_000;
/// Of these, at a time: more than `handshakes_max`, and less than the kernel queues, which forgets
/// whom it has no room for without a word.
const AT_ONCE: usize = 800;
/// Ways to leave.
const WAYS: usize = 5;
/// Anonymous memory that the vault may take for them.
const BYTES_MAX: u64 = 128 * MIB;
/// An alert or a server's part of a handshake, but no answer.
const SAID_BYTES_MAX: usize = 8 * 1024;

/// The first message of a handshake.
fn hello(authority: &Authority, to: SocketAddr) -> Vec<u8> {
    let client = Arc::new(authority.client(rustls::ALL_VERSIONS));
    let mut session = ClientConnection::new(client, ServerName::from(to.ip())).unwrap();
    let mut bytes = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Begins in one of several ways and waits for the end; returns what was said until then.
async fn leave(crowd: Crowd, member: usize, hello: Arc<Vec<u8>>) -> Vec<u8> {
    let mut stream = crowd.tcp(member).await.unwrap();
    let sent: &[u8] = match member % WAYS {
        // Nothing at all.
        0 => b"",
        // The beginning of a record whose rest does not come.
        1 => &hello[..hello.len().min(7)],
        2 => &hello[..hello.len() / 2],
        // All of it; what the server says then is never answered.
        3 => &hello,
        _ => b"GET /health HTTP/1.1\r\nhost: vault\r\n\r\n",
    };
    // Whoever comes too late to be heard has been ended already.
    let _ = stream.write_all(sent).await;
    until_ended(&mut (Box::new(stream) as crate::crowd::Stream)).await
}

#[test]
fn handshakes_that_are_left_half_open_are_ended_and_keep_nobody_out() {
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(quiet().set("API__HANDSHAKE_TIME_MAX", "3s"));
    let crowd = Crowd::tls(vault.api(), &authority);
    let hello = Arc::new(hello(&authority, vault.api()));
    let probe = Probe::start(vault.api(), Some(Arc::clone(&authority)));
    let said = run(crowd.each_of(CROWD, AT_ONCE, move |crowd, member| {
        leave(crowd, member, Arc::clone(&hello))
    }));
    probe.all_answered();
    let ended = said.iter().filter(|said| {
        said.len() <= SAID_BYTES_MAX && !said.windows(5).any(|part| part == b"HTTP/")
    });
    assert_eq!(ended.count(), CROWD);
    let held = memory(&vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
}

#[test]
fn nonsense_within_an_open_session_ends_it_at_once() {
    const CROWD: usize = 500;
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(quiet());
    let to = vault.api();
    let mut ended = 0;
    let probe = Probe::start(to, Some(Arc::clone(&authority)));
    for member in 0..CROWD {
        let mut stream = authority.connect(to).unwrap();
        // A record of handshake, as for a renegotiation, of data, and of no known kind.
        let kind = [0x16, 0x17, 0x42][member % 3];
        let record = [&[kind, 3, 3, 0, 32][..], &[0x5a; 32]].concat();
        std::io::Write::write_all(&mut stream.sock, &record).unwrap();
        // The harness gives up after 30 s, which would be no end.
        let mut rest = Vec::new();
        let read = std::io::Read::read_to_end(&mut stream.sock, &mut rest);
        let over = read.map_or_else(
            |error| error.kind() == std::io::ErrorKind::ConnectionReset,
            |_| true,
        );
        ended += usize::from(over);
    }
    probe.all_answered();
    assert_eq!(ended, CROWD);
}
