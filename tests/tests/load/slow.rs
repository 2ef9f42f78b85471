//! Clients that send a byte now and then, or read nothing: each is ended by its limit, and nobody
//! else notices.

use crate::crowd::{Crowd, Stream, answer, get, until_ended};
use crate::probe::Probe;
use crate::{MIB, memory, quiet, run, start_tls, turn};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use strongroom_tests::{Answer, Authority, Setup, Vault, eventually};
use tokio::io::AsyncWriteExt;

const CROWD: usize = 2_000;
/// How often a slow client sends a byte.
const STEP: Duration = Duration::from_millis(250);
/// Anonymous memory that the vault may take for them.
const BYTES_MAX: u64 = 160 * MIB;

/// The limits that end slow clients, made small.
fn strict() -> Setup {
    quiet()
        .set("API__HEADER_TIME_MAX", "3s")
        .set("API__BODY_TIME_MAX", "3s")
        .set("API__WRITE_IDLE_MAX", "2s")
}

/// Sends these bytes and then one more at a time, until the connection ends; what it answered.
async fn trickle(mut stream: Stream, at_once: &[u8], then: &[u8]) -> Vec<u8> {
    // Whoever took too long to connect has been ended already.
    let mut writing = stream.write_all(at_once).await.is_ok() && stream.flush().await.is_ok();
    let mut bytes = then.iter().cycle();
    let mut step = tokio::time::interval(STEP);
    let mut answered = Vec::new();
    loop {
        tokio::select! {
            read = tokio::io::AsyncReadExt::read_buf(&mut stream, &mut answered) => match read {
                Ok(1..) => {}
                _ => return answered,
            },
            _ = step.tick(), if writing => {
                let byte = [*bytes.next().unwrap()];
                // Whoever is not listened to any more goes on to read.
                writing = stream.write_all(&byte).await.is_ok() && stream.flush().await.is_ok();
            }
        }
    }
}

/// A crowd that trickles; what each was answered.
fn all_trickle(
    vault: &Vault,
    authority: Option<&Arc<Authority>>,
    at_once: Vec<u8>,
    then: &'static [u8],
) -> Vec<Vec<u8>> {
    let crowd = match authority {
        None => Crowd::plain(vault.api()),
        Some(authority) => Crowd::tls(vault.api(), authority),
    };
    let probe = Probe::start(vault.api(), authority.cloned());
    let at_once = Arc::new(at_once);
    let answered = run(crowd.all(CROWD, move |crowd, member| {
        let at_once = Arc::clone(&at_once);
        async move {
            let stream = crowd.connect(member).await.unwrap();
            trickle(stream, &at_once, then).await
        }
    }));
    probe.all_answered();
    let held = memory(vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
    answered
}

fn parsed(bytes: &[u8]) -> Answer {
    Answer::read(&mut &*bytes, false).unwrap()
}

/// The same for bodies: on a busy machine a header may take longer than three seconds.
fn strict_with_bodies() -> Setup {
    strict().set("API__HEADER_TIME_MAX", "1m")
}

#[test]
fn headers_that_trickle_in_are_ended_without_an_answer() {
    let Some(_turn) = turn() else { return };
    let vault = strict().start();
    let begin = b"GET /health HTTP/1.1\r\nx-slow: ".to_vec();
    let answered = all_trickle(&vault, None, begin, b"a");
    let ended = answered.iter().filter(|answer| answer.is_empty());
    assert_eq!(ended.count(), CROWD);
}

#[test]
fn headers_that_trickle_in_over_tls_are_ended_without_an_answer() {
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(strict());
    let begin = b"GET /health HTTP/1.1\r\nx-slow: ".to_vec();
    let answered = all_trickle(&vault, Some(&authority), begin, b"a");
    let ended = answered.iter().filter(|answer| answer.is_empty());
    assert_eq!(ended.count(), CROWD);
}

#[test]
fn bodies_that_trickle_in_are_answered_timeout() {
    let Some(_turn) = turn() else { return };
    let vault = strict_with_bodies().start();
    let (to, jwt) = (vault.api(), vault.application());
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nhost: {to}\r\nauthorization: {jwt}\r\ncontent-length: 1000\r\n\r\n"
    );
    let answered = all_trickle(&vault, None, head.into_bytes(), b" ");
    let timeouts = answered.iter().filter(|bytes| {
        let answer = parsed(bytes);
        answer.status == 408 && answer.json()["error"]["name"] == "Timeout"
    });
    assert_eq!(timeouts.count(), CROWD);
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nhost: {to}\r\nauthorization: {jwt}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let answered = all_trickle(&vault, None, head.into_bytes(), b"1\r\n \r\n");
    let timeouts = answered.iter().filter(|bytes| parsed(bytes).status == 408);
    assert_eq!(timeouts.count(), CROWD);
}

#[test]
fn bodies_of_strangers_are_not_waited_for() {
    let Some(_turn) = turn() else { return };
    let vault = strict_with_bodies().start();
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\n",
        vault.api()
    );
    let answered = all_trickle(&vault, None, head.into_bytes(), b" ");
    let refused = answered.iter().filter(|bytes| parsed(bytes).status == 401);
    assert_eq!(refused.count(), CROWD);
}

/// Sockets that the vault has open.
fn sockets(vault: &Vault) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", vault.pid())).unwrap();
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn clients_that_ask_and_never_read_are_ended() {
    /// Their answers are more than the kernel keeps for a connection.
    const QUESTIONS: usize = 30_000;
    const DEAF: usize = 100;
    let Some(_turn) = turn() else { return };
    let vault = strict().start();
    let crowd = Crowd::plain(vault.api());
    let before = sockets(&vault);
    let probe = Probe::start(vault.api(), None);
    let questions = Arc::new(get(vault.api(), "/health").repeat(QUESTIONS));
    let heard = run(async {
        let deaf = crowd.all(DEAF, move |crowd, member| {
            let questions = Arc::clone(&questions);
            async move {
                let stream = crowd.tcp_with(member, Some(8 * 1024)).await.unwrap();
                let mut stream: Stream = Box::new(stream);
                // It is over when all is sent or the vault has ended it.
                let _ = stream.write_all(&questions).await;
                stream
            }
        });
        let mut deaf = deaf.await;
        // The probe and its predecessor are there too.
        eventually("the deaf are ended", || {
            (sockets(&vault) <= before + 2).then_some(())
        });
        let mut heard = Vec::new();
        for stream in &mut deaf {
            let said = until_ended(stream).await;
            let answers = said.windows(12).filter(|at| *at == b"HTTP/1.1 200");
            heard.push(answers.count());
        }
        heard
    });
    probe.all_answered();
    let cut = heard.iter().filter(|answers| **answers < QUESTIONS);
    assert_eq!(cut.count(), DEAF);
    let held = memory(&vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
}

#[test]
fn a_thousand_questions_in_one_go_are_answered_in_order() {
    const QUESTIONS: usize = 1_000;
    const CLIENTS: usize = 50;
    let Some(_turn) = turn() else { return };
    let vault = quiet().start();
    let crowd = Crowd::plain(vault.api());
    let counts = run(crowd.all(CLIENTS, |crowd, member| async move {
        let to = crowd.to();
        let mut stream = crowd.connect(member).await.unwrap();
        let one = get(to, "/health").repeat(QUESTIONS - 1);
        let last = format!("GET /none HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let send = async {
            write.write_all(&one).await.unwrap();
            write.write_all(last.as_bytes()).await.unwrap();
            write.flush().await.unwrap();
        };
        let mut bytes = Vec::new();
        let receive = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut bytes);
        let ((), received) = tokio::join!(send, receive);
        received.unwrap();
        let last = bytes
            .windows(12)
            .rposition(|at| at.starts_with(b"HTTP/1.1 "));
        let good = bytes.windows(12).filter(|at| *at == b"HTTP/1.1 200");
        (good.count(), parsed(&bytes[last.unwrap()..]).status)
    }));
    assert_eq!(counts, [(QUESTIONS - 1, 404); CLIENTS]);
}

#[test]
fn one_answer_comes_to_a_request_that_is_sent_byte_by_byte() {
    let Some(_turn) = turn() else { return };
    let vault = quiet().start();
    let crowd = Crowd::plain(vault.api());
    let status = run(async {
        let mut stream = crowd.connect(0).await.unwrap();
        for byte in get(vault.api(), "/health") {
            stream.write_all(&[byte]).await.unwrap();
        }
        answer(&mut stream).await.unwrap().status
    });
    assert_eq!(status, 200);
}
