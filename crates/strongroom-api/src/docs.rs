//! `GET /openapi.json` and `GET /docs`: the contract for programs and for people.
//!
//! Both are made once, when first asked for, and are the same for everybody. The page runs no
//! script and loads nothing; its content security policy allows its own style sheet alone.

mod page;

use crate::answer::{Success, respond};
use crate::openapi::{self, HTML};
use aws_lc_rs::digest;
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use std::sync::LazyLock;
use strongroom::RequestId;

const STYLE: &str = include_str!("docs/page.css");

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi::openapi()));
static PAGE: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(page::render(&openapi::document(), STYLE)));
static POLICY: LazyLock<String> = LazyLock::new(|| policy(STYLE));

/// Nothing but the style sheet with this digest (CSP Level 3 §8.4).
fn policy(style: &str) -> String {
    let digest = digest::digest(&digest::SHA256, style.as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        BASE64_STANDARD.encode(digest)
    )
}

/// The OpenAPI document.
pub(crate) fn document(id: RequestId) -> Response<Body> {
    respond(id, None, Ok(Success::Static(DOCUMENT.clone())))
}

/// The page.
pub(crate) fn page(id: RequestId) -> Response<Body> {
    let mut response = respond(id, None, Ok(Success::Static(PAGE.clone())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_style_sheets_digest() {
        // `printf 'a{}' | openssl dgst -sha256 -binary | base64`
        let digest = "sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk=";
        let expected = format!("style-src '{digest}'");
        assert!(policy("a{}").contains(&expected), "{}", policy("a{}"));
    }

    #[test]
    fn the_policy_allows_nothing_else() {
        let policy = policy(STYLE);
        let directives: Vec<_> = policy
            .split("; ")
            .map(|one| one.split(' ').next().unwrap())
            .collect();
        assert_eq!(
            directives,
            [
                "default-src",
                "style-src",
                "base-uri",
                "form-action",
                "frame-ancestors"
            ]
        );
        assert_eq!(policy.matches("'none'").count(), 4);
    }
}
