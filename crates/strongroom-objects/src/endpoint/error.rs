//! S3's errors as XML, with AWS's codes and messages.
//!
//! Unlike AWS, a refused signature does not repeat the canonical request: it holds the customer
//! key.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use std::borrow::Cow;
use std::fmt::Write;
use std::io;

/// A refusal: status, code, message, and further elements of the XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Error {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    extra: Vec<(&'static str, String)>,
}

impl S3Error {
    pub(super) const ACCESS_DENIED: Self = Self::new(403, "AccessDenied", "Access Denied");
    pub(super) const METHOD_NOT_ALLOWED: Self = Self::new(
        405,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    );
    pub(super) const NOT_IMPLEMENTED: Self = Self::new(
        501,
        "NotImplemented",
        "A header or query you provided, or the operation, is not implemented by this endpoint.",
    );
    pub(super) const NO_SUCH_BUCKET: Self =
        Self::new(404, "NoSuchBucket", "The specified bucket does not exist");
    pub(super) const NO_SUCH_KEY: Self =
        Self::new(404, "NoSuchKey", "The specified key does not exist.");
    pub(super) const PRECONDITION_FAILED: Self = Self::new(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    );
    pub(super) const SLOW_DOWN: Self =
        Self::new(503, "SlowDown", "Please reduce your request rate.");
    pub(super) const INTERNAL: Self = Self::new(
        500,
        "InternalError",
        "We encountered an internal error. Please try again.",
    );
    pub(super) const FULL: Self = Self::new(
        503,
        "ServiceUnavailable",
        "The object store has no room for this object at the moment.",
    );
    pub(super) const INCOMPLETE_BODY: Self = Self::new(
        400,
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    );

    /// `status` is one of the constants of this program; an unknown number becomes 500.
    pub(super) const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        let status = match status {
            400 => StatusCode::BAD_REQUEST,
            403 => StatusCode::FORBIDDEN,
            404 => StatusCode::NOT_FOUND,
            405 => StatusCode::METHOD_NOT_ALLOWED,
            409 => StatusCode::CONFLICT,
            411 => StatusCode::LENGTH_REQUIRED,
            412 => StatusCode::PRECONDITION_FAILED,
            416 => StatusCode::RANGE_NOT_SATISFIABLE,
            501 => StatusCode::NOT_IMPLEMENTED,
            503 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            code,
            message: Cow::Borrowed(message),
            extra: Vec::new(),
        }
    }

    /// With a message made at run time.
    pub(super) fn text(status: u16, code: &'static str, message: String) -> Self {
        Self {
            message: Cow::Owned(message),
            ..Self::new(status, code, "")
        }
    }

    /// With one more element.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The answer; to HEAD without a body.
    pub(super) fn answer(&self, request_id: &str, head: bool) -> Response {
        let body = if head {
            Body::empty()
        } else {
            Body::from(self.xml(request_id))
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = self.status;
        let xml = HeaderValue::from_static("application/xml");
        answer.headers_mut().insert(header::CONTENT_TYPE, xml);
        answer
    }

    fn xml(&self, request_id: &str) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut xml, "Code", self.code);
        element(&mut xml, "Message", &self.message);
        for (name, value) in &self.extra {
            element(&mut xml, name, value);
        }
        element(&mut xml, "RequestId", request_id);
        xml.push_str("</Error>");
        xml
    }
}

/// A full disk is the client's to retry later; anything else is logged and hidden.
impl From<io::Error> for S3Error {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
            tracing::error!(%error, "the object store is full");
            return Self::FULL;
        }
        tracing::error!(%error, "the object store failed");
        Self::INTERNAL
    }
}

fn element(xml: &mut String, name: &str, value: &str) {
    let _ = write!(xml, "<{name}>");
    for char in value.chars() {
        match char {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // XML 1.0 has no way to write the others.
            '\t' | '\n' | ' '.. => xml.push(char),
            _ => xml.push('\u{fffd}'),
        }
    }
    let _ = write!(xml, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let error = S3Error::ACCESS_DENIED.with("Header", "a<b>&\"'\u{0}\u{1b}");
        assert_eq!(
            error.xml("id"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>Access Denied</Message>\
             <Header>a&lt;b&gt;&amp;&quot;&apos;\u{fffd}\u{fffd}</Header>\
             <RequestId>id</RequestId></Error>"
        );
    }

    #[test]
    fn a_full_disk_is_unavailable_and_the_rest_internal() {
        let full = S3Error::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(
            (full.code(), full.status.as_u16()),
            ("ServiceUnavailable", 503)
        );
        assert_eq!(
            S3Error::from(io::Error::other("secret path")),
            S3Error::INTERNAL
        );
    }
}
