//! The real binary, from outside: each test has a vault of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper fails as the test does, by panicking"
)]

mod about;
mod backup;
mod bodies;
mod cli;
mod configuration;
mod crash;
mod credentials;
mod damage;
mod grants;
mod http;
mod issuers;
mod layers;
mod network;
mod operations;
mod process;
mod s3;
mod s3_credentials;
mod secrets;
mod simple;
mod start;
mod time;
mod tls;
mod wire;

use rusqlite::Connection;
use serde_json::Value;
use std::io::Write;
use strongroom_tests::{Answer, Vault};

/// Asserts that an answer is a refusal of the contract: status, name, and all that goes with it.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, name: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_carried_by_all(answer);
    let json = answer.json();
    let keys: Vec<_> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        (keys, &json["success"]),
        (vec!["error", "success"], &Value::Bool(false))
    );
    let error = json["error"].as_object().unwrap();
    let mut keys: Vec<_> = error.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["errorMessage", "errorName", "message", "name", "requestId"]
    );
    assert_eq!(
        (error["name"].as_str(), error["errorName"].as_str()),
        (Some(name), Some(name))
    );
    assert_eq!(error["message"], error["errorMessage"]);
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(error["requestId"].as_str(), answer.header("x-request-id"));
    assert_eq!(
        answer.header("retry-after").is_some(),
        matches!(status, 429 | 503)
    );
    assert_eq!(answer.header("allow").is_some(), status == 405);
}

/// Asserts what every answer of the API carries.
#[track_caller]
fn assert_carried_by_all(answer: &Answer) {
    assert!(answer.whole, "the answer was cut off");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let vary = answer.header("vary").unwrap();
    // Health alone may be compressed, for who asks.
    let vary = vary.strip_suffix(", accept-encoding").unwrap_or(vary);
    assert_eq!(vary, "origin, authorization, cookie");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let id = answer.header("x-request-id").unwrap();
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
}

/// Everything of an answer that a caller sees, without the request's own name and the date.
fn shape(mut answer: Answer) -> (u16, Vec<(String, String)>, String) {
    let id = answer.header("x-request-id").unwrap().to_owned();
    let body = answer.text().replace(&id, "ID");
    answer
        .headers
        .retain(|(name, _)| name != "date" && name != "x-request-id");
    (answer.status, answer.headers, body)
}

/// Says that a test could not run here, also when the output of passed tests is not shown.
fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let line = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Rows of the stopped vault's index that are of values.
fn indexed(vault: &Vault) -> i64 {
    let connection = Connection::open(vault.data().join("objects/index.sqlite3")).unwrap();
    let count = "SELECT (SELECT count(*) FROM objects) + (SELECT count(*) FROM bodies)";
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

/// A token that no vault has made.
const NO_TOKEN: &str = "lunasec-00000000-0000-4000-8000-000000000000";
