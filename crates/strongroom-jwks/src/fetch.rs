//! One fetch: a GET that ends in a sound set of keys, or in a reason for the log.
//!
//! When it is done, and what becomes of the keys, is not known in here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap};
use reqwest::{Client, StatusCode, redirect, retry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use strongroom_session::KeySet;

use crate::url::LOCALHOST;
use crate::{Error, JwksUrl, Limits};

/// What the answer may be; some issuers send another type all the same, which is not held
/// against them.
const JWKS: &str = "application/jwk-set+json, application/json";

/// Asks one URL for its keys.
pub(crate) struct Fetcher {
    client: Client,
    url: JwksUrl,
    limits: Limits,
}

/// What an issuer published.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) set: KeySet,
    /// For how long it says it may be kept (RFC 9111 §5.2.2.1).
    pub(crate) max_age: Option<Duration>,
}

/// Why a fetch brought no keys. For the log; it names no URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no answer in time")]
    TimedOut,
    #[error("cannot be reached, or is not who it should be")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answers with a redirect, which is not followed: set jwks_url to where it leads")]
    Redirected,
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("the answer is longer than allowed")]
    TooLong,
    #[error("the answer was cut off")]
    Cut(#[source] reqwest::Error),
    #[error(transparent)]
    Unsound(#[from] strongroom_session::Error),
}

impl Fetcher {
    /// `ca_pem` is who vouches for the issuer's certificate, instead of the system's authorities.
    pub(crate) fn new(url: JwksUrl, ca_pem: Option<&[u8]>, limits: Limits) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            // A connection is used once, so that each fetch asks who answers.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")));
        let roots = if url.is_https() {
            builder = builder.https_only(true);
            authorities(ca_pem)?
        } else {
            builder = builder.resolve_to_addrs(LOCALHOST, &loopback());
            RootCertStore::empty()
        };
        builder = builder.tls_backend_preconfigured(tls_config(roots)?);
        Ok(Self {
            client: builder.build().map_err(|_| Error::Setup)?,
            url,
            limits,
        })
    }

    pub(crate) fn url(&self) -> &JwksUrl {
        &self.url
    }

    pub(crate) async fn fetch(&self) -> Result<Fetched, Fault> {
        let fetching = tokio::time::timeout(self.limits.timeout, self.exchange());
        fetching.await.map_err(|_| Fault::TimedOut)?
    }

    async fn exchange(&self) -> Result<Fetched, Fault> {
        let request = self.client.get(self.url.url()).header(ACCEPT, JWKS);
        let mut answer = request.send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => return Err(Fault::Redirected),
            status => return Err(Fault::Status(status.as_u16())),
        }
        let max_age = max_age(answer.headers());
        let most = self.limits.body_bytes_max;
        let announced = answer.content_length().unwrap_or_default();
        if usize::try_from(announced).is_ok_and(|announced| announced > most) {
            return Err(Fault::TooLong);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(cut)? {
            if body.len() + piece.len() > most {
                return Err(Fault::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        let set = KeySet::parse(&body, self.limits.keys_max)?;
        Ok(Fetched { set, max_age })
    }
}

fn unreachable(error: reqwest::Error) -> Fault {
    Fault::Unreachable(error.without_url())
}

fn cut(error: reqwest::Error) -> Fault {
    Fault::Cut(error.without_url())
}

/// What `localhost` is, whatever a resolver says; the URL has the port.
fn loopback() -> [SocketAddr; 2] {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    [v4, v6].map(|address| SocketAddr::new(address, 0))
}

/// Who may vouch for an issuer.
fn authorities(ca_pem: Option<&[u8]>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = ca_pem else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Some(roots)
            .filter(|roots| !roots.is_empty())
            .ok_or(Error::NoAuthorities);
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| Error::Certificate)?;
        roots.add(certificate).map_err(|_| Error::Certificate)?;
    }
    Some(roots)
        .filter(|roots| !roots.is_empty())
        .ok_or(Error::Certificate)
}

fn tls_config(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Setup)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// `max-age` less the time that the answer has already spent in caches (RFC 9111 §4.2); nothing of
/// it is left if the answer says that it may not be kept.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let directives = lines.filter_map(|line| line.to_str().ok());
    let directives = directives.flat_map(|line| line.split(',')).map(str::trim);
    let mut found = None;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            found = found.or_else(|| value.trim_matches('"').parse().ok());
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let age: u64 = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    found.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
mod tests;
