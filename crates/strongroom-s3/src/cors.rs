//! CORS: a bucket's rules, preflights, and the headers of answers (AWS, *Using cross-origin
//! resource sharing*).
//!
//! Preflights are answered before any signature is looked at, as browsers cannot sign them.

mod document;
#[cfg(test)]
mod tests;

use crate::S3Error;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

/// The rules of a bucket, in order; the first that fits counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// One `CORSRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// At most 255 bytes.
    pub id: Option<String>,
    /// `https://a.example`, `*`, or with one `*` within.
    pub origins: Vec<String>,
    /// Of GET, PUT, POST, DELETE, HEAD.
    pub methods: Vec<Method>,
    /// Names that a request may carry, each with at most one `*`.
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
    pub fn from_xml(xml: &[u8]) -> Result<Self, S3Error> {
        document::read(xml).map(Self)
    }

    /// As `CORSConfiguration`.
    pub fn to_xml(&self) -> String {
        document::write(&self.0)
    }

    /// The first rule for this origin and method, and where the rule's pattern is `*` alone.
    fn find(&self, origin: &str, method: &str, asked: &[String]) -> Option<(&Rule, bool)> {
        self.0.iter().find_map(|rule| {
            let pattern = rule.origins.iter().find(|one| matches(one, origin))?;
            let fits = rule.methods.iter().any(|one| one == method)
                && asked.iter().all(|name| rule.allows_header(name));
            fits.then_some((rule, pattern == "*"))
        })
    }
}

impl Rule {
    fn allows_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
    }

    fn decorate(&self, origin: &HeaderValue, any: bool, answer: &mut HeaderMap) {
        if any {
            // A page that sends credentials is refused by its browser then.
            set(answer, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            set(answer, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        set(
            answer,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            &methods.join(", "),
        );
        if !self.expose.is_empty() {
            set(
                answer,
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                &self.expose.join(", "),
            );
        }
        answer.insert(header::VARY, VARY);
    }
}

/// Whether a text fits a pattern with at most one `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

fn forbidden(message: &'static str, method: &str) -> S3Error {
    S3Error::new(403, "AccessForbidden", message)
        .with("Method", method)
        .with("ResourceType", "OBJECT")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Answers OPTIONS: the headers of the 200. `rules` is `None` for a bucket without any (or that
/// there is not): 403 `AccessForbidden`, as when no rule fits. Without `origin` 400 `BadRequest`.
pub fn preflight(rules: Option<&Rules>, request: &HeaderMap) -> Result<HeaderMap, S3Error> {
    let origin = request.get(header::ORIGIN).ok_or(S3Error::new(
        400,
        "BadRequest",
        "Insufficient information. Origin request header needed.",
    ))?;
    let method = text(request, &header::ACCESS_CONTROL_REQUEST_METHOD);
    let rules = rules.ok_or_else(|| {
        forbidden(
            "CORSResponse: CORS is not enabled for this bucket.",
            method.unwrap_or("OPTIONS"),
        )
    })?;
    let asked = text(request, &header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let asked: Vec<_> = asked
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let found = method
        .zip(origin.to_str().ok())
        .and_then(|(method, origin)| rules.find(origin, method, &asked));
    let (rule, any) = found.ok_or_else(|| {
        forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the \
             evalution of Origin, request method / Access-Control-Request-Method or \
             Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
            method.unwrap_or("OPTIONS"),
        )
    })?;
    let mut answer = HeaderMap::new();
    rule.decorate(origin, any, &mut answer);
    if !asked.is_empty() {
        let asked = asked.join(", ");
        set(&mut answer, header::ACCESS_CONTROL_ALLOW_HEADERS, &asked);
    }
    if let Some(max_age_s) = rule.max_age_s {
        let max_age_s = max_age_s.to_string();
        set(&mut answer, header::ACCESS_CONTROL_MAX_AGE, &max_age_s);
    }
    Ok(answer)
}

/// Adds the CORS headers to the answer to a request of this method, errors included, so that pages
/// can read them; nothing if no rule fits.
pub fn decorate(rules: &Rules, method: &Method, request: &HeaderMap, answer: &mut HeaderMap) {
    let Some(origin) = request.get(header::ORIGIN) else {
        return;
    };
    let found = origin.to_str().ok();
    let found = found.and_then(|origin| rules.find(origin, method.as_str(), &[]));
    if let Some((rule, any)) = found {
        rule.decorate(origin, any, answer);
    }
}
