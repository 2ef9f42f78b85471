//! What the listeners know of how a request came: under which name, and whether over TLS. They tell
//! it to the object store and, with `strict-transport-security`, to browsers.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderValue, Request};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use strongroom_api::{Connection, HostFault, HostNames};
use strongroom_objects::{ForeignHost, Transport};
use tower::{Service, ServiceExt};

/// What one listener knows.
pub(crate) struct Told {
    pub(crate) names: HostNames,
    /// `None` sends no `strict-transport-security`.
    pub(crate) strict: Option<HeaderValue>,
}

impl Told {
    /// Browsers are told to insist on TLS for `strict_for`, unless that is nothing, or the public
    /// name is one that others share: an address, or this machine's own.
    pub(crate) fn new(names: HostNames, strict_for: Duration) -> Self {
        let name = names.public();
        let is_shared = name == "localhost"
            || name.ends_with(".localhost")
            || name.starts_with('[')
            || name.parse::<IpAddr>().is_ok();
        let strict = (!is_shared && !strict_for.is_zero())
            .then(|| format!("max-age={}", strict_for.as_secs()))
            .and_then(|text| HeaderValue::from_maybe_shared(text).ok());
        Self { names, strict }
    }
}

/// Adds `strict-transport-security` (RFC 6797 §7.2) to answers that go out over TLS.
pub(crate) fn strict<S>(
    service: S,
    connection: Connection,
    strict: Option<HeaderValue>,
) -> impl Service<
    Request<Body>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send + use<S>,
> + Clone
+ Send
+ use<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    tower::service_fn(move |request: Request<Body>| {
        let strict = strict
            .clone()
            .filter(|_| connection.came_over_tls(request.headers()));
        let answering = service.clone().oneshot(request);
        async move {
            let mut response = answering.await?;
            if let Some(strict) = strict {
                response
                    .headers_mut()
                    .insert(STRICT_TRANSPORT_SECURITY, strict);
            }
            Ok(response)
        }
    })
}

/// The S3 endpoint for one connection: puts a [`Transport`] into each request, and [`ForeignHost`]
/// into those that came by a name that is not the endpoint's.
///
/// A listener that may start at all is safe by itself, by TLS or because nobody but this machine
/// or a trusted proxy reaches it; of a proxy it is its word that counts.
pub(crate) fn object_store(
    router: Router,
    told: &Arc<Told>,
    connection: Connection,
) -> impl Service<
    Request<Body>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send + use<>,
> + Clone
+ Send
+ use<> {
    let told = Arc::clone(told);
    let header = told.strict.clone();
    let service = router.map_request(move |mut request: Request<Body>| {
        let transport = if connection.came_insecure(request.headers()) {
            Transport::Insecure
        } else {
            Transport::Secure
        };
        let host = told.names.check(request.headers(), request.uri());
        let extensions = request.extensions_mut();
        extensions.insert(transport);
        // One that is missing or there twice fails the signature.
        if host == Err(HostFault::Foreign) {
            extensions.insert(ForeignHost);
        }
        request
    });
    strict(service, connection, header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(url: &str, days: u64) -> Option<String> {
        let names = HostNames::new(url, "127.0.0.1:1".parse().unwrap(), &[]).unwrap();
        let told = Told::new(names, Duration::from_secs(days * 86_400));
        told.strict.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn browsers_are_told_to_insist_on_tls_for_names_of_the_vaults_own() {
        let two_years = Some("max-age=63072000".to_owned());
        assert_eq!(header("https://vault.example.org", 730), two_years);
        assert_eq!(header("https://vault.example.org", 0), None);
        for shared in [
            "https://localhost:37766",
            "https://vault.localhost",
            "https://127.0.0.1:37766",
            "https://[::1]",
            "https://192.0.2.1",
        ] {
            assert_eq!(header(shared, 730), None, "{shared}");
        }
    }
}
