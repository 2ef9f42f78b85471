//! What the HTTP listeners share: limits that can be impossible, and the Simple Tokenizer.

use super::s3::S3Section;
use super::sections::{ApiSection, Config};
use super::units::{Size, Span};
use anyhow::{Context, ensure};
use serde::Deserialize;
use strongroom_api::{HostNames, Proxies};

/// `[simple]`: the Simple Tokenizer's routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    let (api, s3) = (&config.api, &config.s3);
    proxies(config)?;
    for (section, url, names) in [
        ("api", &api.public_url, &api.host_names),
        ("s3", &s3.public_url, &s3.host_names),
    ] {
        let url = url.as_deref().unwrap_or("http://localhost");
        HostNames::new(url, api.listen, &[]).with_context(|| format!("{section}.public_url"))?;
        HostNames::new("http://localhost", api.listen, names)
            .with_context(|| format!("{section}.host_names"))?;
    }
    check_api(api)?;
    check_s3(s3)
}

fn check_api(api: &ApiSection) -> anyhow::Result<()> {
    header_bytes("api", api.header_bytes_max)?;
    ensure!(
        (1..=HEADERS_MOST).contains(&api.headers_max),
        "api.headers_max: 1 to {HEADERS_MOST}"
    );
    ensure!(
        (1..=api.header_bytes_max.0).contains(&api.uri_bytes_max.0),
        "api.uri_bytes_max: at most api.header_bytes_max"
    );
    ensure!(api.requests_max >= 1, "api.requests_max: at least 1");
    counts(
        "api",
        [
            ("connections_max", api.connections_max),
            ("connections_per_client_max", api.connections_per_client_max),
            ("handshakes_max", api.handshakes_max),
        ],
    )?;
    times(
        "api",
        [
            ("header_time_max", api.header_time_max),
            ("handshake_time_max", api.handshake_time_max),
            ("idle_max", api.idle_max),
            ("body_time_max", api.body_time_max),
            ("write_idle_max", api.write_idle_max),
        ],
    )
}

fn check_s3(s3: &S3Section) -> anyhow::Result<()> {
    header_bytes("s3", s3.header_bytes_max)?;
    counts(
        "s3",
        [
            ("connections_max", s3.connections_max),
            ("connections_per_client_max", s3.connections_per_client_max),
            ("handshakes_max", s3.handshakes_max),
        ],
    )?;
    times(
        "s3",
        [
            ("header_time_max", s3.header_time_max),
            ("handshake_time_max", s3.handshake_time_max),
            ("idle_max", s3.idle_max),
            ("write_idle_max", s3.write_idle_max),
        ],
    )
}

fn header_bytes(section: &str, size: Size) -> anyhow::Result<()> {
    ensure!(
        (HEADER_BYTES_LEAST.0..=HEADER_BYTES_MOST.0).contains(&size.0),
        "{section}.header_bytes_max: 8 KiB to 1 MiB"
    );
    Ok(())
}

fn counts<const N: usize>(section: &str, keys: [(&str, usize); N]) -> anyhow::Result<()> {
    for (key, count) in keys {
        ensure!(count >= 1, "{section}.{key}: at least 1");
    }
    Ok(())
}

fn times<const N: usize>(section: &str, keys: [(&str, Span); N]) -> anyhow::Result<()> {
    for (key, span) in keys {
        ensure!(!span.0.is_zero(), "{section}.{key}: more than 0");
    }
    Ok(())
}

/// The proxies that are believed.
pub(crate) fn proxies(config: &Config) -> anyhow::Result<Proxies> {
    Proxies::new(&config.trusted_proxies).context("trusted_proxies")
}
