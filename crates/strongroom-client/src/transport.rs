//! HTTP below the contract: TLS, proxies, time limits, repetition, bounded answers.
//!
//! Errors leave here without the URL's path and query, which may hold a signature.

use crate::{Error, limits};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use strongroom_wire::header;

/// One HTTP client for hosts on this machine and one for all others.
#[derive(Clone)]
pub(crate) struct Transport {
    direct: reqwest::Client,
    proxied: reqwest::Client,
}

impl Transport {
    /// Trusts the system's CA certificates and those in `ca_pem`.
    pub(crate) fn new(ca_pem: Option<&[u8]>) -> Result<Self, Error> {
        let tls = tls_config(ca_pem)?;
        Ok(Self {
            direct: build(builder(tls.clone()).no_proxy())?,
            proxied: build(builder(tls))?,
        })
    }

    /// The same for one host, which is at this address whatever its name says.
    pub(crate) fn to(
        address: SocketAddr,
        host: &str,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let tls = tls_config(ca_pem)?;
        let direct = build(builder(tls).no_proxy().resolve(host, address))?;
        Ok(Self {
            proxied: direct.clone(),
            direct,
        })
    }

    /// The client for a URL: never through a proxy to a host on this machine.
    pub(crate) fn client(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url.as_str()) {
            &self.direct
        } else {
            &self.proxied
        }
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|_| Error::Setup)
}

fn builder(tls: rustls::ClientConfig) -> reqwest::ClientBuilder {
    // Neither a proxy nor a redirect may ever see a key that belongs to one host.
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
}

fn tls_config(ca_pem: Option<&[u8]>) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    // A machine without CA certificates can still talk to a vault on loopback.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_pem {
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| Error::BadCertificate)?;
            roots.add(certificate).map_err(|_| Error::BadCertificate)?;
            count += 1;
        }
        if count == 0 {
            return Err(Error::BadCertificate);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Setup)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Whether a URL's host is this machine (`localhost`, 127.0.0.0/8, `::1`).
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Host and port, the only parts of a URL that an error may show.
pub(crate) fn host_text(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A header value that HTTP libraries keep out of their logs.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Sorts a transport error; its URL is dropped first.
pub(crate) fn transport_error(url: &Url, source: reqwest::Error) -> Error {
    let (host, source) = (host_text(url), source.without_url());
    if source.is_connect() {
        Error::Unreachable { host, source }
    } else if source.is_timeout() {
        Error::TimedOut { host }
    } else {
        Error::Interrupted { host, source }
    }
}

/// What repeating a request would mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Only if it cannot have been acted on: no connection, or refused for now.
    IfUnsent,
    /// Twice is the same as once: also after a broken connection.
    Always,
}

/// Sends until there is an answer or [`limits::ATTEMPTS_MAX`] is reached. `make` builds the
/// request anew, so that a JWT is fresh; what it fails with is final.
pub(crate) async fn send(
    url: &Url,
    repeat: Repeat,
    make: impl Fn() -> Result<RequestBuilder, Error>,
) -> Result<Response, Error> {
    let mut attempt = 1;
    loop {
        let sent = within(url, make()?.send()).await;
        let pause = match &sent {
            Ok(answer) => busy_pause(answer, attempt),
            Err(Error::Unreachable { .. }) => Some(backoff(attempt)),
            Err(Error::Interrupted { .. }) if repeat == Repeat::Always => Some(backoff(attempt)),
            Err(_) => None,
        };
        match pause {
            Some(pause) if attempt < limits::ATTEMPTS_MAX => tokio::time::sleep(pause).await,
            _ => return sent,
        }
        attempt += 1;
    }
}

async fn within(
    url: &Url,
    sending: impl Future<Output = Result<Response, reqwest::Error>>,
) -> Result<Response, Error> {
    match tokio::time::timeout(limits::CALL_TIMEOUT, sending).await {
        Ok(sent) => sent.map_err(|error| transport_error(url, error)),
        Err(_) => Err(Error::TimedOut {
            host: host_text(url),
        }),
    }
}

/// How long to wait before the next attempt.
pub(crate) fn backoff(attempt: u32) -> Duration {
    limits::BACKOFF * 2_u32.saturating_pow(attempt.saturating_sub(1).min(8))
}

/// How long to wait after a 503; `None` for any other answer, and if the wait is too long.
pub(crate) fn busy_pause(answer: &Response, attempt: u32) -> Option<Duration> {
    if answer.status().as_u16() != 503 {
        return None;
    }
    match retry_after_s(answer.headers()) {
        Some(secs) if secs > limits::RETRY_AFTER_MAX_S => None,
        Some(secs) => Some(Duration::from_secs(secs.into()).max(limits::BACKOFF)),
        None => Some(backoff(attempt)),
    }
}

/// `retry-after` in whole seconds; its date form (RFC 9110 §10.2.3) is not used by vaults.
pub(crate) fn retry_after_s(headers: &HeaderMap) -> Option<u32> {
    headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The whole body if it is at most `bytes_max` long and arrives in time.
pub(crate) async fn read_bounded(
    url: &Url,
    answer: Response,
    bytes_max: usize,
) -> Result<Bytes, Error> {
    let reading = async {
        let mut answer = answer;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|e| transport_error(url, e))? {
            if body.len() + piece.len() > bytes_max {
                return Err(Error::BadAnswer {
                    host: host_text(url),
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.into())
    };
    let timed_out = |_| Error::TimedOut {
        host: host_text(url),
    };
    tokio::time::timeout(limits::CALL_TIMEOUT, reading)
        .await
        .map_err(timed_out)?
}

/// The `<Code>` of an S3 error document, if it looks like one.
pub(crate) fn store_error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    let plausible = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    plausible.then(|| code.to_owned())
}

/// A failure of the object store; its body is read only for the code.
pub(crate) async fn store_error(url: &Url, answer: Response) -> Error {
    let status = answer.status().as_u16();
    let body = read_bounded(url, answer, limits::STORE_ERROR_BYTES_MAX).await;
    Error::ObjectStore {
        status,
        code: body.ok().as_deref().and_then(store_error_code),
    }
}

/// The headers that belong to a signed URL, without `host`, which the HTTP library sends.
pub(crate) fn signed_headers(
    url: &Url,
    headers: &strongroom_wire::answer::SignedHeaders,
) -> Result<HeaderMap, Error> {
    let bad = || Error::BadAnswer {
        host: host_text(url),
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case(header::HOST))
    {
        let name: reqwest::header::HeaderName = name.parse().map_err(|_| bad())?;
        map.insert(name, sensitive(value.expose()).ok_or_else(bad)?);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://localhost:1",
            "http://127.0.0.9/x",
            "https://[::1]:5/",
            "http://a.localhost",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://localhost.example.com",
            "http://10.0.0.1",
            "https://vault",
            "",
            "localhost",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn a_url_is_shown_as_host_and_port_only() {
        let url: Url = "https://user:pw@h.example:8443/path?X-Amz-Signature=1#f"
            .parse()
            .unwrap();
        assert_eq!(host_text(&url), "h.example:8443");
    }

    #[test]
    fn only_a_plausible_store_code_is_taken() {
        let code = |text: &str| store_error_code(text.as_bytes());
        assert_eq!(
            code("<Error><Code>NoSuchKey</Code></Error>").as_deref(),
            Some("NoSuchKey")
        );
        for text in ["", "<Code>", "<Code>a b</Code>", "<Code>\u{1b}[0m</Code>"] {
            assert_eq!(code(text), None, "{text:?}");
        }
    }

    #[test]
    fn pauses_grow() {
        assert_eq!(backoff(1), limits::BACKOFF);
        assert_eq!(backoff(3), limits::BACKOFF * 4);
        assert_eq!(backoff(u32::MAX), limits::BACKOFF * 256);
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        for pem in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(matches!(
                Transport::new(Some(pem.as_bytes())),
                Err(Error::BadCertificate)
            ));
        }
    }
}
