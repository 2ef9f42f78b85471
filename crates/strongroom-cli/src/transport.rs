//! What the listener says to the object store about how a request came.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use strongroom_objects::Transport;
use tower::util::MapRequestLayer;

/// What a proxy says the client spoke to it: `https` or `http`, one per proxy on the way.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Puts a [`Transport`] into each request.
///
/// A listener that may start at all is safe by itself, by TLS or because nobody but this machine
/// reaches it; only behind a proxy is it the proxy's word that counts. One that says nothing is
/// taken to bring TLS, as `--behind-proxy` demands of it.
pub(crate) fn told(router: Router, behind_proxy: bool) -> Router {
    router.layer(MapRequestLayer::new(move |mut request: Request<Body>| {
        let transport = if behind_proxy {
            by_proxy(request.headers())
        } else {
            Transport::Secure
        };
        request.extensions_mut().insert(transport);
        request
    }))
}

fn by_proxy(headers: &HeaderMap) -> Transport {
    let mut hops = headers
        .get_all(FORWARDED_PROTO)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    // Anything but `https` is no promise.
    if hops.all(|hop| hop.trim_ascii().eq_ignore_ascii_case(b"https")) {
        Transport::Secure
    } else {
        Transport::Insecure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&str]) -> Transport {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_PROTO, value.parse().unwrap());
        }
        by_proxy(&headers)
    }

    #[test]
    fn a_proxy_that_says_nothing_or_https_is_believed() {
        for values in [&[] as &[&str], &["https"], &["HTTPS"], &["https, https"]] {
            assert_eq!(seen(values), Transport::Secure, "{values:?}");
        }
    }

    #[test]
    fn one_hop_without_tls_is_enough() {
        for values in [
            &["http"] as &[&str],
            &["HTTP"],
            &["https", "http"],
            &["http, https"],
            &["https,http"],
            &[""],
            &["https,"],
            &["quic"],
        ] {
            assert_eq!(seen(values), Transport::Insecure, "{values:?}");
        }
    }
}
