//! S3's errors as XML, with AWS's codes and messages.
//!
//! Unlike AWS, a refused signature does not repeat the canonical request: it holds the customer
//! key.

use crate::xml::Writer;
use http::StatusCode;
use std::borrow::Cow;
use std::fmt;

/// A refusal: status, code, message, and further elements of the XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Error {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    extra: Vec<(&'static str, String)>,
}

impl S3Error {
    /// No signature, or not this credential's to do.
    pub const ACCESS_DENIED: Self = Self::new(403, "AccessDenied", "Access Denied");
    /// The `host` is none of the endpoint's names.
    pub const WRONG_HOST: Self = Self::new(
        421,
        "WrongHost",
        "The endpoint has no such name. Buckets are named in the path, not in the host.",
    );
    /// S3 has it, this program has not.
    pub const NOT_IMPLEMENTED: Self = Self::new(
        501,
        "NotImplemented",
        "A header or query you provided, or the operation, is not implemented by this endpoint.",
    );
    /// No bucket of this name.
    pub const NO_SUCH_BUCKET: Self =
        Self::new(404, "NoSuchBucket", "The specified bucket does not exist");
    /// No object of this name.
    pub const NO_SUCH_KEY: Self = Self::new(404, "NoSuchKey", "The specified key does not exist.");
    /// `if-match` or `if-none-match` did not hold.
    pub const PRECONDITION_FAILED: Self = Self::new(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    );
    /// Too many transfers at a time.
    pub const SLOW_DOWN: Self = Self::new(503, "SlowDown", "Please reduce your request rate.");
    /// A fault of ours; the cause is for the log alone.
    pub const INTERNAL: Self = Self::new(
        500,
        "InternalError",
        "We encountered an internal error. Please try again.",
    );
    /// No room at the moment.
    pub const FULL: Self = Self::new(
        503,
        "ServiceUnavailable",
        "The object store has no room for this object at the moment.",
    );
    /// The body has another length than was said.
    pub const INCOMPLETE_BODY: Self = Self::new(
        400,
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    );

    /// `status` is one of the constants of this program; an unknown number becomes 500.
    pub const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        let status = match status {
            400 => StatusCode::BAD_REQUEST,
            403 => StatusCode::FORBIDDEN,
            404 => StatusCode::NOT_FOUND,
            409 => StatusCode::CONFLICT,
            411 => StatusCode::LENGTH_REQUIRED,
            412 => StatusCode::PRECONDITION_FAILED,
            421 => StatusCode::MISDIRECTED_REQUEST,
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
    pub fn text(status: u16, code: &'static str, message: String) -> Self {
        Self {
            message: Cow::Owned(message),
            ..Self::new(status, code, "")
        }
    }

    /// With one more element.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// AWS's name of the error.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body of the answer (to HEAD there is none), of type `application/xml`.
    pub fn xml(&self, request_id: &str) -> String {
        let mut xml = Writer::new();
        xml.open("Error");
        xml.element("Code", self.code);
        xml.element("Message", &self.message);
        for (name, value) in &self.extra {
            xml.element(name, value);
        }
        xml.element("RequestId", request_id);
        xml.close("Error");
        xml.finish()
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for S3Error {}

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
}
