//! Conditions on reads (RFC 9110 §13.2.2, for copies AWS's headers of the same meaning).

use crate::S3Error;
use crate::date::parse_http_date;
use http::{HeaderMap, HeaderValue};
use strongroom_core::UnixMillis;

/// The headers of a condition on what is read.
#[derive(Debug)]
pub struct Names {
    matches: &'static str,
    none_match: &'static str,
    unmodified_since: &'static str,
    modified_since: &'static str,
}

/// Of GET and HEAD.
pub const READ: Names = Names {
    matches: "if-match",
    none_match: "if-none-match",
    unmodified_since: "if-unmodified-since",
    modified_since: "if-modified-since",
};
/// Of the source of a copy.
pub const COPY_SOURCE: Names = Names {
    matches: "x-amz-copy-source-if-match",
    none_match: "x-amz-copy-source-if-none-match",
    unmodified_since: "x-amz-copy-source-if-unmodified-since",
    modified_since: "x-amz-copy-source-if-modified-since",
};

/// Whether the object is to be sent, or is as the client has it; 412 `PreconditionFailed` if it is
/// another one.
pub fn check_read(
    names: &Names,
    headers: &HeaderMap,
    etag: &str,
    stored_at: UnixMillis,
) -> Result<bool, S3Error> {
    let matches = |name| headers.get(name).map(|value| is_listed(value, etag));
    // A date that cannot be read is no condition (RFC 9110 §13.1.3).
    let newer = |name| date(headers, name).map(|at| stored_at.secs() > at);
    match matches(names.matches) {
        Some(false) => return Err(failed("If-Match")),
        None if newer(names.unmodified_since) == Some(true) => {
            return Err(failed("If-Unmodified-Since"));
        }
        Some(true) | None => {}
    }
    Ok(match matches(names.none_match) {
        Some(same) => !same,
        None => newer(names.modified_since) != Some(false),
    })
}

fn failed(condition: &str) -> S3Error {
    S3Error::PRECONDITION_FAILED.with("Condition", condition)
}

fn is_listed(value: &HeaderValue, etag: &str) -> bool {
    let listed = value.to_str().unwrap_or_default();
    listed.split(',').map(str::trim).any(|one| {
        let one = one.strip_prefix("W/").unwrap_or(one);
        one == "*" || one.trim_matches('"') == etag
    })
}

fn date(headers: &HeaderMap, name: &str) -> Option<u64> {
    parse_http_date(headers.get(name)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    const BEFORE: &str = "Fri, 15 Jan 2027 07:59:59 GMT";
    const AT: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

    fn read(pairs: &[(&'static str, &'static str)]) -> Option<bool> {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let headers: HeaderMap = pairs.collect();
        check_read(&READ, &headers, "tag", UnixMillis(1_800_000_000_500)).ok()
    }

    #[test]
    fn conditions_have_the_order_of_rfc_9110() {
        assert_eq!(read(&[]), Some(true));
        assert_eq!(read(&[("if-match", "\"a\", \"tag\"")]), Some(true));
        assert_eq!(read(&[("if-match", "\"a\"")]), None);
        assert_eq!(read(&[("if-none-match", "W/\"tag\"")]), Some(false));
        assert_eq!(read(&[("if-none-match", "*")]), Some(false));
        assert_eq!(read(&[("if-none-match", "\"a\"")]), Some(true));
        assert_eq!(read(&[("if-modified-since", AT)]), Some(false));
        assert_eq!(read(&[("if-modified-since", BEFORE)]), Some(true));
        assert_eq!(read(&[("if-modified-since", "never")]), Some(true));
        assert_eq!(read(&[("if-unmodified-since", AT)]), Some(true));
        assert_eq!(read(&[("if-unmodified-since", BEFORE)]), None);
        let both = [("if-match", "\"tag\""), ("if-unmodified-since", BEFORE)];
        assert_eq!(read(&both), Some(true));
        let both = [("if-none-match", "\"a\""), ("if-modified-since", AT)];
        assert_eq!(read(&both), Some(true));
    }
}
