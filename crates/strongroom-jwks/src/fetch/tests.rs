//! What an issuer may answer, and what becomes of it.

use super::*;
use crate::issuer::{Issuer, Play, ok};

const KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_secs(20),
        body_bytes_max: 1_000,
        ..Limits::default()
    }
}

async fn fetch_with(play: Play, limits: Limits) -> Result<Fetched, Fault> {
    let issuer = Issuer::start(play).await;
    let fetcher = Fetcher::new(issuer.url(), None, limits).unwrap();
    let outcome = fetcher.fetch().await;
    assert_eq!(issuer.asked(), 1, "once, whatever came");
    outcome
}

async fn fetch(play: Play) -> Result<Fetched, Fault> {
    fetch_with(play, limits()).await
}

fn answer(status_and_headers: &str, body: &str) -> Play {
    Play::Send(format!("HTTP/1.1 {status_and_headers}\r\n\r\n{body}"))
}

fn keys() -> String {
    format!(r#"{{"keys":[{KEY}]}}"#)
}

#[tokio::test]
async fn a_sound_set_comes_with_its_age() {
    let found = fetch(ok("cache-control: public, max-age=600\r\n", &keys()))
        .await
        .unwrap();
    assert_eq!(found.set.keys.len(), 1);
    assert_eq!(found.max_age, Some(Duration::from_mins(10)));
    let found = fetch(ok("content-type: text/plain\r\n", &keys())).await;
    assert_eq!(found.unwrap().max_age, None);
}

#[tokio::test]
async fn a_body_in_chunks_or_to_the_end_of_the_connection_is_read() {
    let text = keys();
    let chunked = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let chunked = answer("200 OK\r\ntransfer-encoding: chunked", &chunked);
    assert_eq!(fetch(chunked).await.unwrap().set.keys.len(), 1);
    let to_the_end = answer("200 OK", &text);
    assert_eq!(fetch(to_the_end).await.unwrap().set.keys.len(), 1);
}

#[tokio::test]
async fn the_request_says_what_it_wants_and_nothing_else() {
    let issuer = Issuer::start(ok("", &keys())).await;
    for url in [issuer.url(), issuer.url_by_name()] {
        let fetcher = Fetcher::new(url, None, limits()).unwrap();
        fetcher.fetch().await.unwrap();
    }
    let heads = issuer.heads();
    assert!(heads.starts_with("get /keys?c=1 http/1.1\r\n"), "{heads}");
    let names: std::collections::BTreeSet<&str> = heads
        .lines()
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    let names: Vec<_> = names.into_iter().collect();
    assert_eq!(names, ["accept", "host", "user-agent"]);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Issuer::start(ok("", &keys())).await;
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.url().url();
        let moved = format!("{status} Moved\r\nlocation: {to}\r\ncontent-length: 0");
        let outcome = fetch(answer(&moved, "")).await;
        assert!(matches!(outcome, Err(Fault::Redirected)), "{status}");
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn any_status_but_200_is_a_fault_whatever_the_body() {
    let text = keys();
    for status in [201, 204, 206, 400, 401, 404, 500, 503] {
        let line = format!("{status} X\r\ncontent-length: {}", text.len());
        let outcome = fetch(answer(&line, &text)).await;
        assert!(
            matches!(outcome, Err(Fault::Status(found)) if found == status),
            "{status}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_sound_set_is_a_fault() {
    for text in [
        "",
        "{}",
        "<html>",
        r#"{"keys":[],"keys":[]}"#,
        "{\"keys\":[",
    ] {
        let outcome = fetch(ok("", text)).await;
        assert!(matches!(outcome, Err(Fault::Unsound(_))), "{text}");
    }
    let many = format!(r#"{{"keys":[{}]}}"#, vec!["1"; 33].join(","));
    assert!(matches!(fetch(ok("", &many)).await, Err(Fault::Unsound(_))));
}

#[tokio::test]
async fn a_body_too_long_is_a_fault_announced_or_not() {
    let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1_000));
    let announced = answer("200 OK\r\ncontent-length: 99999999999999", "");
    for play in [
        ok("", &long),
        announced,
        answer("200 OK", &long),
        answer(
            "200 OK\r\ntransfer-encoding: chunked",
            &format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()),
        ),
    ] {
        let outcome = fetch(play).await;
        assert!(matches!(outcome, Err(Fault::TooLong)), "{outcome:?}");
    }
    let exact = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1_000 - 17));
    assert_eq!(exact.len(), 1_000);
    assert!(fetch(ok("", &exact)).await.is_ok());
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_a_fault_though_it_reads_well() {
    let text = keys();
    let lie = format!("200 OK\r\ncontent-length: {}", text.len() + 1);
    let outcome = fetch(answer(&lie, &text)).await;
    assert!(matches!(outcome, Err(Fault::Cut(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_is_silent_or_drips_is_left_in_time() {
    let soon = Limits {
        timeout: Duration::from_millis(100),
        ..limits()
    };
    for text in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"keys\":",
    ] {
        let outcome = fetch_with(Play::Stall(text.to_owned()), soon).await;
        assert!(matches!(outcome, Err(Fault::TimedOut)), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_a_fault() {
    let endless_header = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    for text in ["\r\n\r\n", "SSH-2.0-x\r\n", &endless_header, &many_headers] {
        let outcome = fetch(Play::Send(text.to_owned())).await;
        assert!(matches!(outcome, Err(Fault::Unreachable(_))), "{outcome:?}");
    }
    let outcome = fetch(Play::HangUp).await;
    assert!(matches!(outcome, Err(Fault::Unreachable(_))), "{outcome:?}");
}

#[test]
fn a_file_of_authorities_must_hold_some() {
    let url = || JwksUrl::parse("https://issuer.example/keys").unwrap();
    for pem in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let outcome = Fetcher::new(url(), Some(pem.as_bytes()), limits()).map(|_| ());
        assert_eq!(outcome, Err(Error::Certificate), "{pem}");
    }
}

#[test]
fn the_age_of_an_answer_is_read_with_care() {
    let age = |lines: &[(&str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: reqwest::header::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        max_age(&headers).map(|age| age.as_secs())
    };
    let control = |value| age(&[("cache-control", value)]);
    assert_eq!(control("max-age=60"), Some(60));
    assert_eq!(control("public, MAX-AGE=60 , must-revalidate"), Some(60));
    assert_eq!(control("max-age=\"60\""), Some(60));
    assert_eq!(control("max-age=60, max-age=90"), Some(60));
    assert_eq!(control("max-age=60, no-cache"), Some(0));
    assert_eq!(control("no-store"), Some(0));
    for none in [
        "",
        "public",
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=x",
        "s-maxage=9",
    ] {
        assert_eq!(control(none), None, "{none}");
    }
    assert_eq!(control("max-age=18446744073709551616"), None);
    assert_eq!(
        age(&[("cache-control", "max-age=60"), ("age", "20")]),
        Some(40)
    );
    assert_eq!(
        age(&[("cache-control", "max-age=60"), ("age", "99")]),
        Some(0)
    );
    assert_eq!(
        age(&[("cache-control", "max-age=60"), ("age", "x")]),
        Some(60)
    );
    assert_eq!(
        age(&[("cache-control", "public"), ("cache-control", "max-age=5")]),
        Some(5)
    );
}
