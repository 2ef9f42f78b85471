//! What every request meets before its route: limits of its header, the name it came by, and the
//! spelling of its path.

use crate::answer::{Refusal, raw, respond};
use crate::host::HostFault;
use crate::network::Connection;
use crate::router::{Api, routes};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::uri::PathAndQuery;
use http::{Request, Uri, Version};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use strongroom_wire::ErrorName;
use tower::{Service, ServiceExt};
use tracing::Instrument;

/// Routes that say nothing worth hiding. Probes reach them under any name, as load balancers ask
/// by address.
const PROBES: [&str; 2] = ["/health", "/ready"];

/// The whole API listener.
pub struct Front {
    api: Arc<Api>,
    routes: Router,
}

impl Front {
    /// Ready to serve.
    pub fn new(api: Arc<Api>) -> Self {
        let routes = routes(Arc::clone(&api));
        Self { api, routes }
    }

    /// The service for the requests of one connection.
    pub fn service(
        self: &Arc<Self>,
        connection: Connection,
    ) -> impl Service<
        Request<Body>,
        Response = Response,
        Error = Infallible,
        Future = impl Future<Output = Result<Response, Infallible>> + Send + use<>,
    > + Clone
    + Send
    + use<> {
        let front = Arc::clone(self);
        tower::service_fn(move |request| {
            let front = Arc::clone(&front);
            async move { Ok(front.answer(connection, request).await) }
        })
    }

    /// A whole answer in place of one that the HTTP library gives to what it cannot read: status
    /// 400, 414 or 431, and no body. Clients read an `error` object out of every refusal.
    pub fn unreadable(&self, status: u16) -> Vec<u8> {
        let refusal = match status {
            414 | 431 => Refusal::new(ErrorName::TooLarge, "the request's header is too large"),
            _ => Refusal::new(ErrorName::InvalidRequest, "this is no HTTP request"),
        };
        raw(self.api.next_id(), refusal)
    }

    async fn answer(&self, connection: Connection, mut request: Request<Body>) -> Response {
        if let Err(refusal) = self.check(&request) {
            return respond(self.api.next_id(), None, Err(refusal));
        }
        collapse_slashes(request.uri_mut());
        let config = self.api.config();
        // At `debug`, since its field is computed and formatted for each request.
        let span = tracing::debug_span!(
            "client",
            network = %connection.client(&config.proxies, request.headers())
        );
        let Ok(response) = self.routes.clone().oneshot(request).instrument(span).await;
        response
    }

    fn check(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let config = self.api.config();
        let (headers, uri) = (request.headers(), request.uri());
        let uri_bytes = uri.path_and_query().map_or(0, |text| text.as_str().len());
        if uri_bytes > config.uri_bytes_max {
            return Err(too_large("URL", config.uri_bytes_max, "bytes"));
        }
        if headers.len() > config.headers_max {
            return Err(too_large("header", config.headers_max, "lines"));
        }
        match config.host_names.check(headers, uri) {
            Ok(()) => Ok(()),
            Err(HostFault::Foreign) if is_probe(uri) => Ok(()),
            // HTTP/1.0, which some probes speak, has no `host`.
            Err(HostFault::Malformed)
                if request.version() < Version::HTTP_11
                    && !headers.contains_key(http::header::HOST)
                    && uri.authority().is_none()
                    && is_probe(uri) =>
            {
                Ok(())
            }
            Err(HostFault::Foreign) => Err(Refusal::new(
                ErrorName::WrongHost,
                "the vault has no such name; see `api.host_names`",
            )),
            Err(HostFault::Malformed) => Err(Refusal::new(
                ErrorName::InvalidRequest,
                "a request has one `host`, and it agrees with its URL",
            )),
        }
    }
}

fn too_large(what: &str, limit: usize, unit: &str) -> Refusal {
    let message = format!("the request's {what} has more than {limit} {unit}");
    Refusal::new(ErrorName::TooLarge, message)
}

fn is_probe(uri: &Uri) -> bool {
    let path = uri.path();
    PROBES.contains(&path) || collapsed(path).is_some_and(|path| PROBES.contains(&path.as_str()))
}

/// Some clients join a base URL that ends in a slash with a path that starts with one.
fn collapse_slashes(uri: &mut Uri) {
    let Some(mut path) = collapsed(uri.path()) else {
        return;
    };
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    // What was taken out of a good path leaves a good one.
    if let Ok(path) = path.parse::<PathAndQuery>() {
        *uri = Uri::from(path);
    }
}

/// The path with one slash for each run of them; `None` if it has no runs. Encoded slashes stay
/// as they are.
fn collapsed(path: &str) -> Option<String> {
    if !path.as_bytes().windows(2).any(|pair| pair == b"//") {
        return None;
    }
    let mut collapsed = String::with_capacity(path.len());
    for char in path.chars() {
        if char != '/' || !collapsed.ends_with('/') {
            collapsed.push(char);
        }
    }
    Some(collapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_slashes_become_one_and_nothing_else_changes() {
        let collapse = |text: &str| {
            let mut uri: Uri = text.parse().unwrap();
            collapse_slashes(&mut uri);
            uri.to_string()
        };
        for (path, clean) in [
            ("/tokenize", "/tokenize"),
            ("//tokenize", "/tokenize"),
            ("///grant//set", "/grant/set"),
            ("/tokenize//", "/tokenize/"),
            ("//health?a=//b", "/health?a=//b"),
            ("/%2Ftokenize", "/%2Ftokenize"),
            ("/%2f/%2f", "/%2f/%2f"),
            ("/?//", "/?//"),
        ] {
            assert_eq!(collapse(path), clean);
        }
    }
}
