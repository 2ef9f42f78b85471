//! A thousand connections that tokenize and detokenize at once: every answer is one of the
//! contract, and what was acknowledged is there after a crash.

use crate::crowd::{Crowd, Stream, exchange, post};
use crate::probe::Probe;
use crate::{MIB, memory, quiet, run, start_tls, turn};
use serde_json::json;
use std::sync::Arc;
use strongroom_tests::{Answer, Authority, Setup, Vault};

const CROWD: usize = 1_000;
const SESSIONS: usize = 50;
/// Requests of each connection.
const EACH: usize = 12;
/// Tokens that those who only detokenize ask for.
const READY: usize = 200;
/// Anonymous memory that the vault may take for it, the stores' caches included.
const BYTES_MAX: u64 = 256 * MIB;
/// Of all tokens, those that the search for secrets looks for; each costs it time.
const MARKED: usize = 100;

/// A token with the number in its metadata and the session that may have it.
struct Made {
    token: String,
    number: usize,
    session: usize,
}

/// Answers of one connection.
#[derive(Default)]
struct Tally {
    made: Vec<Made>,
    ok: usize,
    /// Refused for now, with `retry-after`, and asked again.
    later: usize,
}

/// The answer to a request, asked again while the vault says that it shall be.
async fn asked(stream: &mut Stream, request: &[u8], tally: &mut Tally) -> Answer {
    loop {
        let answer = exchange(stream, request).await.unwrap();
        match answer.status {
            200 => {
                tally.ok += 1;
                return answer;
            }
            503 => {
                assert!(answer.header("retry-after").is_some(), "{}", answer.text());
                tally.later += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

async fn tokenize(
    stream: &mut Stream,
    crowd: &Crowd,
    jwts: &[String],
    member: usize,
    tally: &mut Tally,
) {
    let session = member % SESSIONS;
    for turn in 0..EACH {
        let number = member * EACH + turn;
        let body = json!({ "metadata": { "number": number } }).to_string();
        let request = post(crowd.to(), "/tokenize", &jwts[session], &body);
        let answer = asked(stream, &request, tally).await;
        let token = answer.json()["data"]["tokenId"].as_str().unwrap().into();
        tally.made.push(Made {
            token,
            number,
            session,
        });
    }
}

async fn detokenize(
    stream: &mut Stream,
    crowd: &Crowd,
    jwt: &str,
    tokens: &[String],
    tally: &mut Tally,
) {
    for token in tokens.iter().cycle().take(EACH) {
        let body = json!({ "tokenId": token }).to_string();
        let request = post(crowd.to(), "/detokenize", jwt, &body);
        let answer = asked(stream, &request, tally).await;
        let data = &answer.json()["data"];
        assert!(data["downloadUrl"].is_string(), "{}", answer.text());
    }
}

/// Half of the crowd makes tokens, the other half asks for those that are there.
async fn all_at_once(crowd: &Crowd, jwts: &Arc<Vec<String>>, ready: &Arc<Vec<String>>) -> Tally {
    let streams = crowd.each(CROWD, |crowd, member| async move {
        (member, crowd.connect(member).await.unwrap())
    });
    let mut streams = streams.await;
    streams.sort_by_key(|(member, _)| *member);
    let streams: Vec<_> = streams.into_iter().map(|(_, stream)| stream).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (member, mut stream) in streams.into_iter().enumerate() {
        let (crowd, jwts, ready) = (crowd.clone(), Arc::clone(jwts), Arc::clone(ready));
        tasks.spawn(async move {
            let mut tally = Tally::default();
            if member % 2 == 0 {
                tokenize(&mut stream, &crowd, &jwts, member, &mut tally).await;
            } else {
                // Made by the application, for which the last JWT speaks.
                let from = member % READY;
                detokenize(
                    &mut stream,
                    &crowd,
                    &jwts[SESSIONS],
                    &ready[from..],
                    &mut tally,
                )
                .await;
            }
            tally
        });
    }
    let mut sum = Tally::default();
    for tally in tasks.join_all().await {
        sum.ok += tally.ok;
        sum.later += tally.later;
        sum.made.extend(tally.made);
    }
    sum
}

/// Reads the metadata of every token back.
async fn read_back(crowd: &Crowd, jwts: &Arc<Vec<String>>, made: Vec<Made>) -> usize {
    let all = made.len();
    let made = Arc::new(made);
    let lanes = 50;
    let found = crowd.all(lanes, move |crowd, lane| {
        let (made, jwts) = (Arc::clone(&made), Arc::clone(jwts));
        async move {
            let mut stream = crowd.connect(lane).await.unwrap();
            let mut tally = Tally::default();
            let mut found = 0;
            for one in made.iter().skip(lane).step_by(lanes) {
                let body = json!({ "tokenId": one.token }).to_string();
                let request = post(crowd.to(), "/metadata/get", &jwts[one.session], &body);
                let answer = asked(&mut stream, &request, &mut tally).await;
                let number = &answer.json()["data"]["metadata"]["number"];
                assert_eq!(*number, json!(one.number));
                found += 1;
            }
            found
        }
    });
    let found: usize = found.await.into_iter().sum();
    assert_eq!(found, all);
    found
}

fn everything_is_answered(setup: Setup, tls: bool) {
    let (mut vault, authority) = if tls {
        let (vault, authority) = start_tls(setup);
        (vault, Some(authority))
    } else {
        (setup.start(), None)
    };
    let crowd = |vault: &Vault, authority: &Option<Arc<Authority>>| match authority {
        None => Crowd::plain(vault.api()),
        Some(authority) => Crowd::tls(vault.api(), authority),
    };
    let mut jwts: Vec<_> = (0..SESSIONS)
        .map(|_| vault.user(&vault.session("busy")))
        .collect();
    jwts.push(vault.application());
    let ready: Vec<_> = (0..READY)
        .map(|_| vault.tokenize(&jwts[SESSIONS], &json!({})).0)
        .collect();
    let (jwts, ready) = (Arc::new(jwts), Arc::new(ready));
    let probe = Probe::start(vault.api(), authority.clone());
    let tally = run(all_at_once(&crowd(&vault, &authority), &jwts, &ready));
    probe.all_answered();
    assert_eq!(
        tally.ok,
        CROWD * EACH,
        "beside {} told to wait",
        tally.later
    );
    assert_eq!(tally.made.len(), CROWD / 2 * EACH);
    let held = memory(&vault);
    assert!(held <= BYTES_MAX, "{held} bytes");
    for made in tally.made.iter().take(MARKED) {
        let uuid = made.token.strip_prefix("lunasec-").unwrap();
        vault.mark("a token", uuid.as_bytes());
    }
    // What was acknowledged is durable, however the vault ends.
    vault.kill();
    vault.start_again();
    run(read_back(&crowd(&vault, &authority), &jwts, tally.made));
}

#[test]
fn a_thousand_busy_connections_lose_no_answer_and_no_token() {
    let Some(_turn) = turn() else { return };
    everything_is_answered(quiet(), false);
}

#[test]
fn a_thousand_busy_connections_over_tls_lose_no_answer_and_no_token() {
    let Some(_turn) = turn() else { return };
    everything_is_answered(quiet(), true);
}
