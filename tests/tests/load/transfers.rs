//! Slow uploads and downloads: they hold the turns of the object store for as long as its limits
//! let them, others are told to come back, and the API does not notice.

use crate::crowd::{Crowd, Stream, exchange, until_ended};
use crate::probe::Probe;
use crate::{MIB, memory, quiet, run, start_tls, turn};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use strongroom_tests::{Answer, Authority, Setup, Signed, Vault, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Turns of the object store, made few.
const TURNS: usize = 12;
/// Who comes while all of them are held.
const LATE: usize = 50;
/// What asks for a body that is announced with `expect` (RFC 9110 §10.1.1).
const GO_ON: &[u8; 25] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// More than the kernel and TLS keep between the vault and a client that does not read.
const LARGE: usize = 48 << 20;
/// Anonymous memory that the vault may take for it all.
const BYTES_MAX: u64 = 160 * MIB;

fn strict() -> Setup {
    quiet()
        .set("S3__TRANSFERS_MAX", &TURNS.to_string())
        .set("S3__WRITE_IDLE_MAX", "3s")
        .set("S3__BODY_IDLE", "6s")
}

/// A request as bytes, with a length but without a body.
fn bytes(signed: &Signed, method: &str, length: Option<usize>, crowd: &Crowd) -> Vec<u8> {
    let mut request = signed.request(method);
    if let Some(length) = length {
        request = request
            .header("content-length", &length.to_string())
            .header("expect", "100-continue");
    }
    request.head(crowd.to()).into_bytes()
}

fn crowd(vault: &Vault, authority: Option<&Arc<Authority>>) -> Crowd {
    match authority {
        None => Crowd::plain(vault.s3()),
        Some(authority) => Crowd::tls(vault.s3(), authority),
    }
}

/// Counts those that are told to come back.
async fn told_to_wait(crowd: &Crowd, request: &Arc<Vec<u8>>) -> usize {
    let request = Arc::clone(request);
    let answers = crowd.all(LATE, move |crowd, member| {
        let request = Arc::clone(&request);
        async move {
            let mut stream = crowd.connect(TURNS + member).await.unwrap();
            exchange(&mut stream, &request).await.unwrap()
        }
    });
    let slow_down = |answer: &Answer| answer.status == 503 && answer.text().contains("SlowDown");
    answers
        .await
        .iter()
        .filter(|answer| slow_down(answer))
        .count()
}

/// Downloads that are begun and not read hold all turns; then they are ended.
fn readers_that_stop(vault: &Vault, authority: Option<&Arc<Authority>>) {
    let jwt = vault.application();
    let value = vec![b'v'; LARGE];
    let token = vault.store(&jwt, &value);
    let crowd = crowd(vault, authority);
    let probe = Probe::start(vault.api(), authority.cloned());
    let request = Arc::new(bytes(&vault.detokenize(&jwt, &token), "GET", None, &crowd));
    run(async {
        let mut held: Vec<Stream> = Vec::new();
        for member in 0..TURNS {
            let mut stream = crowd.connect(member).await.unwrap();
            stream.write_all(&request).await.unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            held.push(stream);
        }
        assert_eq!(told_to_wait(&crowd, &request).await, LATE);
        // Nothing is read until the vault has given as many turns to others, who came later and
        // are therefore ended later.
        let mut later = Vec::new();
        while later.len() < TURNS {
            let mut stream = crowd.connect(TURNS).await.unwrap();
            stream.write_all(&request).await.unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.unwrap();
            if &first == b"HTTP/1.1 200" {
                later.push(stream);
            } else {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let mut cut = 0;
        for stream in &mut held {
            cut += usize::from(until_ended(stream).await.len() < LARGE);
        }
        assert_eq!(cut, TURNS, "those that did not read are ended");
    });
    probe.all_answered();
    eventually("the value can be had", || {
        let answer = vault.get(&vault.detokenize(&jwt, &token));
        (answer.status == 200).then(|| assert!(answer.body == value))
    });
    let held = memory(vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
}

/// Uploads that trickle hold all turns; then they are ended, and leave nothing.
fn writers_that_trickle(vault: &Vault, authority: Option<&Arc<Authority>>) {
    let jwt = vault.application();
    let crowd = crowd(vault, authority);
    let probe = Probe::start(vault.api(), authority.cloned());
    let uploads: Vec<_> = (0..=TURNS)
        .map(|_| vault.tokenize(&jwt, &json!({})))
        .collect();
    let requests: Vec<_> = uploads
        .iter()
        .map(|(_, upload)| bytes(upload, "PUT", Some(1 << 20), &crowd))
        .collect();
    let last = Arc::new(requests[TURNS].clone());
    let answers = run(async {
        let mut held = Vec::new();
        for (member, request) in requests[..TURNS].iter().enumerate() {
            let mut stream = crowd.connect(member).await.unwrap();
            stream.write_all(request).await.unwrap();
            stream.flush().await.unwrap();
            // Whoever is asked for its body has a turn.
            let mut go_on = [0; GO_ON.len()];
            stream.read_exact(&mut go_on).await.unwrap();
            assert_eq!(&go_on, GO_ON);
            held.push(stream);
        }
        assert_eq!(told_to_wait(&crowd, &last).await, LATE);
        let mut tasks = tokio::task::JoinSet::new();
        for stream in held {
            tasks.spawn(trickle(stream));
        }
        tasks.join_all().await
    });
    probe.all_answered();
    let ended = answers.iter().filter(|bytes| {
        Answer::read(&mut bytes.as_slice(), false)
            .is_ok_and(|answer| answer.status == 400 && answer.text().contains("RequestTimeout"))
    });
    assert_eq!(ended.count(), TURNS);
    let value = vault.value();
    let (token, upload) = &uploads[TURNS];
    assert_eq!(vault.put(upload, &value).status, 200);
    assert_eq!(vault.fetch(&jwt, token), value);
}

/// A byte now and then, until the connection ends; what it was answered.
async fn trickle(stream: Stream) -> Vec<u8> {
    let (read, mut write) = tokio::io::split(stream);
    let mut read: Stream = Box::new(tokio::io::join(read, tokio::io::sink()));
    let write = async {
        while write.write_all(b"a").await.is_ok() && write.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        said = until_ended(&mut read) => said,
        () = write => Vec::new(),
    }
}

#[test]
fn slow_transfers_hold_their_turns_no_longer_than_they_may() {
    let Some(_turn) = turn() else { return };
    let vault = strict().start();
    readers_that_stop(&vault, None);
    writers_that_trickle(&vault, None);
}

#[test]
fn slow_transfers_over_tls_hold_their_turns_no_longer_than_they_may() {
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(strict());
    readers_that_stop(&vault, Some(&authority));
    writers_that_trickle(&vault, Some(&authority));
}
