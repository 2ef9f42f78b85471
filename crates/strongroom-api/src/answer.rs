//! Every answer of the API: the envelope, and the headers that all of them carry.

use axum::body::Body;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use strongroom::RequestId;
use strongroom_wire::{ErrorName, envelope, header};

const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
const SESSION_HASH: HeaderName = HeaderName::from_static(header::SESSION_HASH);
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
/// What an answer depends on.
pub(crate) const VARIES: HeaderValue = HeaderValue::from_static("origin, authorization, cookie");
/// The same where it may be compressed.
pub(crate) const VARIES_IN_ENCODING: HeaderValue =
    HeaderValue::from_static("origin, authorization, cookie, accept-encoding");
/// Headers of our own and of the server, so that the map is made once in its size.
const HEADERS_MAX: usize = 12;
/// After how many seconds an unavailable vault may be asked again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// A refusal on its way out: name, text for the caller, and what some statuses add.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) name: ErrorName,
    pub(crate) message: String,
    pub(crate) allow: Option<&'static str>,
    /// For the log alone, where the vault is at fault.
    pub(crate) cause: Option<String>,
}

impl Refusal {
    pub(crate) fn new(name: ErrorName, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
            allow: None,
            cause: None,
        }
    }
}

/// The one place where the service's errors become answers.
impl From<strongroom::Error> for Refusal {
    fn from(error: strongroom::Error) -> Self {
        let name = error.name();
        let cause = (name.status() >= 500).then(|| Chain(&error).to_string());
        Self {
            cause,
            ..Self::new(name, error.public_message())
        }
    }
}

/// An error and its causes in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// What a handler has to say.
pub(crate) enum Success {
    /// No `data`.
    Empty,
    /// The whole envelope.
    Body(Vec<u8>),
    /// The same for everybody, and no envelope.
    Static(Bytes),
}

impl Success {
    /// An envelope around `data`.
    pub(crate) fn data<T: Serialize>(data: &T) -> Result<Self, Refusal> {
        envelope::success(data)
            .map(Self::Body)
            .map_err(|_| Refusal::new(ErrorName::Internal, "the vault failed to write its answer"))
    }
}

/// The response, with the headers that every answer carries.
pub(crate) fn respond(
    id: RequestId,
    session_hash: Option<&str>,
    result: Result<Success, Refusal>,
) -> Response<Body> {
    let id_text = id.to_string();
    let (status, body, name, allow) = match result {
        Ok(Success::Empty) => (
            StatusCode::OK,
            Body::from(envelope::SUCCESS_WITHOUT_DATA),
            None,
            None,
        ),
        Ok(Success::Body(body)) => (StatusCode::OK, Body::from(body), None, None),
        Ok(Success::Static(body)) => (StatusCode::OK, Body::from(body), None, None),
        Err(Refusal {
            name,
            message,
            allow,
            ..
        }) => {
            let status =
                StatusCode::from_u16(name.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = envelope::failure(name, &message, &id_text);
            (status, Body::from(body), Some(name), allow)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS_MAX);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(envelope::CONTENT_TYPE),
    );
    guard(headers);
    if let Ok(value) = HeaderValue::from_str(&id_text) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some(value) = session_hash.and_then(|hash| HeaderValue::from_str(hash).ok()) {
        headers.insert(SESSION_HASH, value);
    }
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if name == Some(ErrorName::Unavailable) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_S);
    }
    // The rest of the body is not read, so the connection ends. A client that is not told (RFC 9112
    // §9.6) sends its next request into it.
    if matches!(name, Some(ErrorName::TooLarge | ErrorName::Timeout)) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What every answer carries, whatever is in it.
pub(crate) fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, VARIES);
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// A refusal as it goes over the wire, the last of its connection.
pub(crate) fn raw(id: RequestId, refusal: Refusal) -> Vec<u8> {
    let body = envelope::failure(refusal.name, &refusal.message, &id.to_string());
    let response = respond(id, None, Err(refusal));
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        if name == CONNECTION {
            continue;
        }
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let rest = format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    bytes.extend_from_slice(rest.as_bytes());
    bytes.extend_from_slice(body.as_ref());
    bytes
}
