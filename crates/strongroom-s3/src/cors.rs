//! CORS: a bucket's rules, preflights, and the headers of answers (AWS, *Using cross-origin
//! resource sharing*).
//!
//! Preflights are answered before any signature is looked at, as browsers cannot sign them.

use crate::S3Error;
use http::{HeaderMap, Method};

/// The rules of a bucket, in order; the first that fits counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// One `CORSRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// At most 255 bytes; none if empty.
    pub id: Option<String>,
    /// `https://a.example`, `*`, or with one `*` within.
    pub origins: Vec<String>,
    /// Of GET, PUT, POST, DELETE, HEAD.
    pub methods: Vec<Method>,
    /// Names that a request may carry, lower case, each with at most one `*`.
    pub headers: Vec<String>,
    /// Names that a page may read of an answer.
    pub expose: Vec<String>,
    /// How long a browser may keep a preflight's answer, in seconds.
    pub max_age_s: Option<u32>,
}

impl Rules {
    /// Of a program's own configuration, unchecked.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// From a `CORSConfiguration`: at most 64 KiB and 100 rules. 400 `MalformedXML` or
    /// `InvalidRequest`.
    pub fn from_xml(_xml: &[u8]) -> Result<Self, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }

    /// As `CORSConfiguration`.
    pub fn to_xml(&self) -> String {
        String::new()
    }
}

/// Answers OPTIONS: the headers of the 200. `rules` is `None` for a bucket without any (or that
/// there is not): 403 `AccessForbidden`, as when no rule fits. Without `origin` 400 `BadRequest`.
pub fn preflight(_rules: Option<&Rules>, _request: &HeaderMap) -> Result<HeaderMap, S3Error> {
    Err(S3Error::NOT_IMPLEMENTED)
}

/// Adds the CORS headers to the answer to a request of this method, errors included, so that pages
/// can read them; nothing if no rule fits.
pub fn decorate(_rules: &Rules, _method: &Method, _request: &HeaderMap, _answer: &mut HeaderMap) {}
