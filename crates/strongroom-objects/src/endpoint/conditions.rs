//! Conditions on writes. Those on reads are in `strongroom_s3::conditions`.

use crate::index::Condition;
use http::{HeaderMap, HeaderValue, header};
use strongroom_s3::S3Error;

/// The condition of a PUT, a copy or a Complete: `if-none-match: *`, or `if-match` with one entity
/// tag; others are 501, as on AWS.
pub(super) fn of_write(headers: &HeaderMap) -> Result<Condition, S3Error> {
    let none_match = headers.get(header::IF_NONE_MATCH);
    match (none_match, headers.get(header::IF_MATCH)) {
        (None, None) => Ok(Condition::None),
        (Some(value), None) if value == "*" => Ok(Condition::IfNoneMatch),
        (None, Some(value)) => one_tag(value),
        _ => Err(S3Error::NOT_IMPLEMENTED),
    }
}

/// The condition of a deletion.
pub(super) fn of_delete(headers: &HeaderMap) -> Result<Condition, S3Error> {
    match headers.get(header::IF_MATCH) {
        None if headers.contains_key(header::IF_NONE_MATCH) => Err(S3Error::NOT_IMPLEMENTED),
        None => Ok(Condition::None),
        Some(value) => one_tag(value),
    }
}

fn one_tag(value: &HeaderValue) -> Result<Condition, S3Error> {
    let tag = value.to_str().unwrap_or_default().trim();
    if tag.is_empty() || tag.contains(',') {
        return Err(S3Error::NOT_IMPLEMENTED);
    }
    Ok(Condition::IfMatch(tag.trim_matches('"').to_owned()))
}
