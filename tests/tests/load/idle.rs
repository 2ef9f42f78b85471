//! Ten thousand connections that do nothing: others are served, and memory is bounded and given
//! back.

use crate::crowd::{Crowd, Stream, exchange, get};
use crate::probe::Probe;
use crate::{MIB, memory, quiet, run, start_tls, turn};
use std::sync::Arc;
use std::time::Duration;
use strongroom_tests::{Authority, Setup, Vault};

const CROWD: usize = 10_000;
/// Of these, on the S3 listener.
const S3_CROWD: usize = 900;
/// Anonymous memory that an idle connection may hold; a plain one takes 20 KiB, one with TLS 26.
const PLAIN_BYTES_MAX: u64 = 32 * 1024;
const TLS_BYTES_MAX: u64 = 48 * 1024;
/// What may stay of a crowd that has gone.
const LEFT_BYTES_MAX: u64 = 32 * MIB;

/// The crowd may wait longer than the test takes.
fn patient() -> Setup {
    quiet()
        .set("API__CONNECTIONS_MAX", "12000")
        .set("API__IDLE_MAX", "5m")
        .set("S3__IDLE_MAX", "5m")
}

/// Connects, asks once and stays; all must be answered with one of these.
async fn gather(crowd: &Crowd, members: usize, status: u16) -> Vec<Stream> {
    let streams = crowd.each(members, move |crowd, member| async move {
        let mut stream = crowd.connect(member).await.unwrap();
        let request = get(crowd.to(), "/health");
        let answer = exchange(&mut stream, &request).await.unwrap();
        (stream, answer.status)
    });
    let (streams, statuses): (Vec<_>, Vec<_>) = streams.await.into_iter().unzip();
    let good = statuses.iter().filter(|found| **found == status).count();
    assert_eq!(good, members, "answered {status}");
    streams
}

/// Asks once more on every connection, so that each is seen to live.
async fn ask_again(crowd: &Crowd, streams: Vec<Stream>) -> Vec<Stream> {
    let request = get(crowd.to(), "/health");
    let mut kept = Vec::with_capacity(streams.len());
    for mut stream in streams {
        let answer = exchange(&mut stream, &request).await.unwrap();
        assert_eq!(answer.status, 200);
        kept.push(stream);
    }
    kept
}

fn others_are_served(vault: &Vault) {
    let jwt = vault.application();
    for _ in 0..10 {
        let value = vault.value();
        let token = vault.store(&jwt, &value);
        assert_eq!(vault.fetch(&jwt, &token), value);
    }
}

/// One crowd comes, stays and goes; returns the most memory that the vault held.
fn wave(vault: &Vault, authority: Option<&Arc<Authority>>, each_max: u64) -> u64 {
    let (api, s3) = match authority {
        None => (Crowd::plain(vault.api()), Crowd::plain(vault.s3())),
        Some(authority) => (
            Crowd::tls(vault.api(), authority),
            Crowd::tls(vault.s3(), authority),
        ),
    };
    let before = memory(vault);
    let probe = Probe::start(vault.api(), authority.cloned());
    let most = run(async {
        let streams = gather(&api, CROWD - S3_CROWD, 200).await;
        // Without a signature the S3 listener tells nobody anything.
        let at_s3 = gather(&s3, S3_CROWD, 403).await;
        others_are_served(vault);
        let streams = ask_again(&api, streams).await;
        let most = memory(vault);
        drop((streams, at_s3));
        most
    });
    probe.all_answered();
    let bound = before + CROWD as u64 * each_max;
    assert!(most <= bound, "{most} bytes of at most {bound}");
    most
}

fn given_back(vault: &Vault) {
    // Twice what the harness waits for, as ends of sessions come late on a busy machine.
    for _ in 0..600 {
        if memory(vault) <= LEFT_BYTES_MAX {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} bytes are left of the crowd", memory(vault));
}

#[test]
fn ten_thousand_idle_connections_are_served_and_leave_nothing_behind() {
    let Some(_turn) = turn() else { return };
    let vault = patient().start();
    others_are_served(&vault);
    let first = wave(&vault, None, PLAIN_BYTES_MAX);
    given_back(&vault);
    let second = wave(&vault, None, PLAIN_BYTES_MAX);
    assert!(
        second <= first + first / 10,
        "{second} bytes after {first} the first time"
    );
    given_back(&vault);
}

#[test]
fn ten_thousand_idle_connections_over_tls_are_served_and_leave_nothing_behind() {
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(patient());
    others_are_served(&vault);
    wave(&vault, Some(&authority), TLS_BYTES_MAX);
    given_back(&vault);
}
