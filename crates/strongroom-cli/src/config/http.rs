//! What the HTTP listeners share: limits that can be impossible, and the Simple Tokenizer.

use super::faults::Checks;
use super::s3::S3Section;
use super::sections::{ApiSection, Config};
use super::units::{Size, Span};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use strongroom_api::{HostNames, Origin, Proxies};

/// `[simple]`: the Simple Tokenizer's routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SimpleSection {
    pub(crate) enabled: bool,
}

/// The HTTP library's least buffer, which a header must be able to fill.
const HEADER_BYTES_LEAST: Size = Size::kib(8);
const HEADER_BYTES_MOST: Size = Size::mib(1);
/// Up to here the HTTP library counts lines without allocating.
const HEADERS_MOST: usize = 100;

/// What types alone cannot say.
pub(super) fn check(config: &Config, checks: &mut Checks) {
    let (api, s3) = (&config.api, &config.s3);
    for (index, proxy) in config.trusted_proxies.iter().enumerate() {
        let key = format!("trusted_proxies {}", index + 1);
        refuse(checks, &key, Proxies::new(std::slice::from_ref(proxy)));
    }
    for (section, url, names) in [
        ("api", &api.public_url, &api.host_names),
        ("s3", &s3.public_url, &s3.host_names),
    ] {
        // One that is no URL at all is told elsewhere.
        if let Some(url) = url.as_deref().filter(|url| Origin::of(url).is_some()) {
            let key = format!("{section}.public_url");
            refuse(checks, &key, HostNames::new(url, api.listen, &[]));
        }
        for (index, name) in names.iter().enumerate() {
            let key = format!("{section}.host_names {}", index + 1);
            let names = std::slice::from_ref(name);
            let read = HostNames::new("http://localhost", api.listen, names);
            refuse(checks, &key, read);
        }
    }
    check_api(api, checks);
    check_s3(s3, checks);
}

fn refuse<T>(checks: &mut Checks, key: &str, read: Result<T, impl Display>) {
    if let Err(error) = read {
        checks.require(false, &[key], error.to_string());
    }
}

fn check_api(api: &ApiSection, checks: &mut Checks) {
    header_bytes("api", api.header_bytes_max, checks);
    checks.require(
        (1..=HEADERS_MOST).contains(&api.headers_max),
        &["api.headers_max"],
        format!("1 to {HEADERS_MOST} are wanted"),
    );
    checks.require(
        (1..=api.header_bytes_max.0).contains(&api.uri_bytes_max.0),
        &["api.uri_bytes_max", "api.header_bytes_max"],
        "1B to api.header_bytes_max are wanted",
    );
    let counted = [
        ("requests_max", api.requests_max),
        ("connections_max", api.connections_max),
        ("connections_per_client_max", api.connections_per_client_max),
        ("handshakes_max", api.handshakes_max),
    ];
    counts("api", &counted, checks);
    let timed = [
        ("header_time_max", api.header_time_max),
        ("handshake_time_max", api.handshake_time_max),
        ("idle_max", api.idle_max),
        ("body_time_max", api.body_time_max),
        ("write_idle_max", api.write_idle_max),
    ];
    times("api", &timed, checks);
}

fn check_s3(s3: &S3Section, checks: &mut Checks) {
    header_bytes("s3", s3.header_bytes_max, checks);
    let counted = [
        ("connections_max", s3.connections_max),
        ("connections_per_client_max", s3.connections_per_client_max),
        ("handshakes_max", s3.handshakes_max),
    ];
    counts("s3", &counted, checks);
    let timed = [
        ("header_time_max", s3.header_time_max),
        ("handshake_time_max", s3.handshake_time_max),
        ("idle_max", s3.idle_max),
        ("write_idle_max", s3.write_idle_max),
    ];
    times("s3", &timed, checks);
}

fn header_bytes(section: &str, size: Size, checks: &mut Checks) {
    checks.require(
        (HEADER_BYTES_LEAST.0..=HEADER_BYTES_MOST.0).contains(&size.0),
        &[&format!("{section}.header_bytes_max")],
        "8KiB to 1MiB are wanted",
    );
}

fn counts(section: &str, keys: &[(&str, usize)], checks: &mut Checks) {
    for (key, count) in keys {
        let key = format!("{section}.{key}");
        checks.require(*count >= 1, &[&key], "at least 1 is wanted");
    }
}

fn times(section: &str, keys: &[(&str, Span)], checks: &mut Checks) {
    for (key, span) in keys {
        let key = format!("{section}.{key}");
        checks.require(!span.0.is_zero(), &[&key], "more than 0 is wanted");
    }
}

/// The proxies that are believed.
pub(crate) fn proxies(config: &Config) -> anyhow::Result<Proxies> {
    Proxies::new(&config.trusted_proxies).context("trusted_proxies")
}
