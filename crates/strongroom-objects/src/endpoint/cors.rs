//! CORS for the configured origins: PUT and GET with the headers that presigned URLs need.
//!
//! Preflights are answered before any signature is looked at, as browsers cannot sign them.

use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use strongroom_s3::S3Error;

const METHODS: [Method; 2] = [Method::PUT, Method::GET];
const HEADERS: [&str; 6] = [
    "content-type",
    "if-none-match",
    "if-match",
    SSE_C_ALGORITHM,
    SSE_C_KEY,
    SSE_C_KEY_MD5,
];
/// How long a browser may keep the answer, in seconds.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");
const EXPOSED: &str = "etag, content-range, x-amz-request-id, \
    x-amz-server-side-encryption-customer-algorithm, \
    x-amz-server-side-encryption-customer-key-md5";
const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

fn forbidden(message: &'static str, method: &str) -> S3Error {
    S3Error::new(403, "AccessForbidden", message)
        .with("Method", method)
        .with("ResourceType", "OBJECT")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Answers OPTIONS.
pub(super) fn preflight(origins: &[String], headers: &HeaderMap) -> Result<Response, S3Error> {
    let origin = headers.get(header::ORIGIN).ok_or(S3Error::new(
        400,
        "BadRequest",
        "Insufficient information. Origin request header needed.",
    ))?;
    let method = text(headers, &header::ACCESS_CONTROL_REQUEST_METHOD).unwrap_or("OPTIONS");
    if origins.is_empty() {
        return Err(forbidden(
            "CORSResponse: CORS is not enabled for this bucket.",
            method,
        ));
    }
    let asked = text(headers, &header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let asked: Vec<_> = asked
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let allowed = is_allowed(origins, origin)
        && METHODS.iter().any(|allowed| allowed == method)
        && asked.iter().all(|name| HEADERS.contains(&name.as_str()));
    if !allowed {
        return Err(forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the \
             evalution of Origin, request method / Access-Control-Request-Method or \
             Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
            method,
        ));
    }
    let mut answer = Response::default();
    let out = answer.headers_mut();
    allow(out, origin);
    out.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    if let Ok(names) = HeaderValue::from_str(&asked.join(", "))
        && !asked.is_empty()
    {
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    Ok(answer)
}

/// Adds the CORS headers to an answer, errors included, so that pages can read them.
pub(super) fn decorate(origins: &[String], parts: &Parts, headers: &mut HeaderMap) {
    let origin = parts.headers.get(header::ORIGIN);
    let origin = origin.filter(|origin| is_allowed(origins, origin));
    if let Some(origin) = origin.filter(|_| METHODS.contains(&parts.method)) {
        allow(headers, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
}

fn is_allowed(origins: &[String], origin: &HeaderValue) -> bool {
    origins
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes())
}

fn allow(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("PUT, GET"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    headers.insert(header::VARY, VARY);
}
