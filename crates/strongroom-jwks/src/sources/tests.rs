//! Key sources with issuers on loopback: start, rotation, floods, failure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use strongroom_core::Subject;
use strongroom_session::{KeySourceConfig, PublicKey, Rules};
use tokio::task::JoinHandle;

use super::*;
use crate::issuer::{self, Play, set};

const NOW: u64 = 1_800_000_000_000;

/// A clock that stands until it is moved.
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    fn behind_ms(&self) -> u64 {
        0
    }
}

struct Key {
    pair: Ed25519KeyPair,
    kid: &'static str,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> String {
        let (x, kid) = (URL_SAFE_NO_PAD.encode(self.pair.public_key()), self.kid);
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"}}"#)
    }

    fn mint(&self) -> String {
        self.mint_as(self.kid, "")
    }

    /// With another `kid`, and with more claims, each with a comma before it.
    fn mint_as(&self, kid: &str, more: &str) -> String {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#);
        let claims = format!(r#"{{"sub":"user","session_id":"s","exp":1800000900{more}}}"#);
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// Key sources at work; they stop when it is dropped.
struct Desk {
    sources: Arc<KeySources>,
    clock: Arc<Hands>,
    running: JoinHandle<()>,
}

impl Desk {
    async fn verify(&self, jwt: &str) -> Result<Arc<Verified>, Refused> {
        self.sources.verify(jwt, &*self.clock).await
    }

    fn faults(&self) -> Vec<String> {
        self.sources.faults(self.clock.now())
    }

    fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap();
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Until the present fault is another.
    async fn until_faults(&self, expected: &[&str]) {
        for _ in 0..1_000 {
            if self.faults() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.faults());
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Requests may have a fetch begun whenever none is under way.
fn eager() -> Limits {
    Limits {
        fetch_interval_min: Duration::ZERO,
        timeout: Duration::from_secs(20),
        ..Limits::default()
    }
}

/// Requests have none begun after the first.
fn reluctant() -> Limits {
    Limits {
        fetch_interval_min: Duration::from_hours(1),
        ..eager()
    }
}

fn config(name: &str, iss: Option<&str>) -> KeySourceConfig {
    KeySourceConfig {
        name: name.to_owned(),
        keys: Vec::new(),
        fetched: true,
        subjects: vec![Subject::User],
        iss: iss.map(str::to_owned),
        aud: None,
    }
}

fn open(sources: Vec<KeySourceConfig>, issuers: Vec<Issuer>, limits: Limits) -> Desk {
    let verifier = Verifier::new(sources, Rules::default()).unwrap();
    let sources = Arc::new(KeySources::new(verifier, issuers, limits, 7).unwrap());
    let clock = Arc::new(Hands(AtomicU64::new(NOW)));
    let (running, hands) = (Arc::clone(&sources), Arc::clone(&clock));
    Desk {
        sources,
        clock,
        running: tokio::spawn(async move { running.run(&*hands).await }),
    }
}

fn issuer(source: &str, url: JwksUrl) -> Issuer {
    Issuer {
        source: source.to_owned(),
        url,
        ca_pem: None,
    }
}

fn one(url: JwksUrl, limits: Limits) -> Desk {
    open(vec![config("a", None)], vec![issuer("a", url)], limits)
}

#[tokio::test]
async fn the_first_request_waits_for_the_first_keys() {
    let key = Key::new("1");
    let issuer = issuer::Issuer::publishing(&[key.jwk()]).await;
    let desk = one(issuer.url(), reluctant());
    assert_eq!(
        desk.faults(),
        ["the keys of key source `a` were not fetched yet"]
    );
    assert!(desk.verify(&key.mint()).await.is_ok());
    assert!(desk.faults().is_empty());
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_by_the_first_request_that_has_it() {
    let (old, new) = (Key::new("1"), Key::new("2"));
    let issuer = issuer::Issuer::publishing(&[old.jwk()]).await;
    let desk = one(issuer.url(), eager());
    assert!(desk.verify(&old.mint()).await.is_ok());
    issuer.play(set(&[old.jwk(), new.jwk()]));
    assert!(desk.verify(&new.mint()).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    for key in [&old, &new] {
        assert!(desk.verify(&key.mint()).await.is_ok());
    }
    assert_eq!(issuer.asked(), 2, "known keys ask nobody");
}

#[tokio::test]
async fn a_removed_key_is_refused_after_the_next_fetch_also_from_the_cache() {
    let (old, new) = (Key::new("1"), Key::new("2"));
    let issuer = issuer::Issuer::publishing(&[old.jwk()]).await;
    let desk = one(issuer.url(), eager());
    let jwt = old.mint();
    assert!(desk.verify(&jwt).await.is_ok());
    issuer.play(set(&[new.jwk()]));
    assert!(desk.verify(&new.mint()).await.is_ok());
    assert_eq!(desk.verify(&jwt).await.unwrap_err(), Refused::Signature);
}

#[tokio::test]
async fn a_flood_of_made_up_keys_causes_one_fetch() {
    let known = Key::new("1");
    let issuer = issuer::Issuer::publishing(&[known.jwk()]).await;
    let desk = one(issuer.url(), reluctant());
    let kids: Vec<String> = (0..500).map(|n| format!("made-up-{n}")).collect();
    let stranger = Key::new("x");
    let flood = kids.iter().map(|kid| stranger.mint_as(kid, ""));
    let flood: Vec<String> = flood.collect();
    let outcomes = join_all(flood.iter().map(|jwt| desk.verify(jwt))).await;
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err(), Refused::Signature);
    }
    assert_eq!(issuer.asked(), 1);
    assert!(desk.verify(&known.mint()).await.is_ok());
    // A key that is new now has to wait for the next fetch, and does not wait for it here.
    let new = Key::new("2");
    issuer.play(set(&[known.jwk(), new.jwk()]));
    assert!(desk.verify(&new.mint()).await.is_err());
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn requests_at_once_share_one_fetch() {
    let (old, new) = (Key::new("1"), Key::new("2"));
    let issuer = issuer::Issuer::publishing(&[old.jwk()]).await;
    let one_hour = Duration::from_hours(1);
    let desk = one(issuer.url(), eager());
    assert!(desk.verify(&old.mint()).await.is_ok());
    issuer.play(set(&[new.jwk()]));
    let jwts: Vec<String> = (0..50)
        .map(|n| new.mint_as("2", &format!(r#","n":{n}"#)))
        .collect();
    let outcomes = join_all(jwts.iter().map(|jwt| desk.verify(jwt))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    // A second fetch may have begun for one who asked just as the first had ended.
    assert!((2..=3).contains(&issuer.asked()), "{}", issuer.asked());
    desk.advance(one_hour);
}

#[tokio::test]
async fn a_silent_issuer_keeps_back_only_those_who_need_it_and_not_for_long() {
    let (known, other) = (Key::new("1"), Key::new("2"));
    let [silent, sound] = [
        issuer::Issuer::start(Play::Stall(String::new())).await,
        issuer::Issuer::publishing(&[other.jwk()]).await,
    ];
    let mut with_key = config("silent", None);
    with_key
        .keys
        .push(PublicKey::from_jwk(&known.jwk()).unwrap());
    let limits = Limits {
        timeout: Duration::from_millis(300),
        ..reluctant()
    };
    let desk = open(
        vec![with_key, config("sound", None)],
        vec![issuer("silent", silent.url()), issuer("sound", sound.url())],
        limits,
    );
    // Both sources could have it: the answer of one is enough.
    assert!(desk.verify(&other.mint()).await.is_ok());
    assert!(desk.verify(&known.mint()).await.is_ok());
    let stranger = Key::new("x").mint();
    assert_eq!(
        desk.verify(&stranger).await.unwrap_err(),
        Refused::Signature
    );
    assert!(silent.asked() <= 2, "{}", silent.asked());
}

#[tokio::test]
async fn iss_says_whom_to_ask() {
    let [one, two] = [Key::new("1"), Key::new("2")];
    let [a, b] = [
        issuer::Issuer::publishing(&[]).await,
        issuer::Issuer::publishing(&[]).await,
    ];
    let desk = open(
        vec![config("a", Some("a")), config("b", Some("b"))],
        vec![issuer("a", a.url()), issuer("b", b.url())],
        eager(),
    );
    desk.until_faults(&[
        "the keys of key source `a` are none that can be used",
        "the keys of key source `b` are none that can be used",
    ])
    .await;
    b.play(set(&[two.jwk()]));
    a.play(set(&[one.jwk()]));
    assert!(
        desk.verify(&two.mint_as("2", r#","iss":"b""#))
            .await
            .is_ok()
    );
    assert_eq!((a.asked(), b.asked()), (1, 2));
    assert!(
        desk.verify(&two.mint_as("2", r#","iss":"c""#))
            .await
            .is_err()
    );
    assert_eq!((a.asked(), b.asked()), (1, 2));
}

#[tokio::test]
async fn last_good_keys_serve_until_they_are_stale_and_come_back() {
    let key = Key::new("1");
    let issuer = issuer::Issuer::publishing(&[key.jwk()]).await;
    let limits = Limits {
        stale_max: Duration::from_mins(10),
        ..eager()
    };
    let desk = one(issuer.url(), limits);
    assert!(desk.verify(&key.mint()).await.is_ok());
    for play in [
        Play::HangUp,
        Play::Send("HTTP/1.1 500 X\r\n\r\n".into()),
        issuer::ok("", "{}"),
    ] {
        issuer.play(play);
        let before = issuer.asked();
        assert!(desk.verify(&Key::new("x").mint()).await.is_err());
        assert!(issuer.asked() > before);
        assert!(desk.verify(&key.mint()).await.is_ok());
        assert!(desk.faults().is_empty());
    }
    desk.advance(Duration::from_mins(10));
    assert_eq!(desk.verify(&key.mint()).await.unwrap_err(), Refused::Stale);
    assert_eq!(desk.faults(), ["the keys of key source `a` are stale"]);
    issuer.play(set(&[key.jwk()]));
    assert!(desk.verify(&key.mint()).await.is_ok());
    assert!(desk.faults().is_empty());
}

#[tokio::test]
async fn an_issuer_that_is_down_at_start_is_tried_again() {
    let key = Key::new("1");
    let issuer = issuer::Issuer::start(Play::HangUp).await;
    let desk = one(issuer.url(), reluctant());
    assert!(desk.verify(&key.mint()).await.is_err());
    issuer.play(set(&[key.jwk()]));
    // After a second, by itself: requests may not ask.
    desk.until_faults(&[]).await;
    assert!(desk.verify(&key.mint()).await.is_ok());
}

#[tokio::test]
async fn without_issuers_nothing_is_awaited() {
    let key = Key::new("1");
    let mut fixed = config("a", None);
    fixed.keys.push(PublicKey::from_jwk(&key.jwk()).unwrap());
    fixed.fetched = false;
    let desk = open(vec![fixed], Vec::new(), Limits::default());
    assert!(desk.verify(&key.mint()).await.is_ok());
    let stranger = Key::new("1").mint();
    assert_eq!(
        desk.verify(&stranger).await.unwrap_err(),
        Refused::Signature
    );
}
