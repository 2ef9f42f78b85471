//! Signatures in the `authorization` header (AWS, *Authenticating requests: using the
//! Authorization header*).

use super::{CONTENT_SHA256, Claim, Credential, Request, SKEW_MS_MAX, Scope, Verified};
use crate::S3Error;
use crate::sigv4::{parse_time, time_text};
use http::{HeaderMap, header};
use std::sync::Arc;
use strongroom_core::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

const CODE: &str = "AuthorizationHeaderMalformed";
const SCOPE: Scope = Scope {
    code: CODE,
    lead: "The authorization header is malformed; ",
    date_of: "the request's date",
};
/// Headers that AWS wants signed when they are sent, besides `host` and `x-amz-*`.
const ALSO_SIGNED: [&str; 2] = ["content-md5", "content-type"];

pub(super) fn verify(
    region: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    request: &Request<'_>,
    authorization: &str,
    now: UnixMillis,
) -> Result<Verified, S3Error> {
    let [credential, signed_text, signature] = components(authorization)?;
    let at = signed_at(request.headers)?;
    let time = time_text(at);
    let credential = SCOPE.check(credential, region, &time[..8], find)?;
    check_skew(at, &time, now)?;
    let signed: Vec<&str> = signed_text.split(';').collect();
    super::check_signed_headers(&signed, request.headers, &ALSO_SIGNED)?;
    let content = request.headers.get(CONTENT_SHA256).ok_or(S3Error::new(
        400,
        "InvalidRequest",
        "Missing required header for this request: x-amz-content-sha256",
    ))?;
    let claim = Claim {
        credential,
        region,
        at,
        time: &time,
        signed,
        signed_text,
        signature,
        content: content.to_str().unwrap_or_default(),
        presigned: false,
    };
    claim.check(request)
}

/// `Credential`, `SignedHeaders` and `Signature`, once each, in any order.
fn components(text: &str) -> Result<[&str; 3], S3Error> {
    let mut values = [None; 3];
    for part in text.split(',') {
        let known = part.trim().split_once('=').and_then(|(name, value)| {
            let names = ["Credential", "SignedHeaders", "Signature"];
            Some((names.iter().position(|known| *known == name)?, value))
        });
        match known {
            Some((at, value)) if values[at].is_none() => values[at] = Some(value),
            _ => return Err(malformed()),
        }
    }
    let [Some(credential), Some(signed), Some(signature)] = values else {
        return Err(malformed());
    };
    Ok([credential, signed, signature])
}

fn malformed() -> S3Error {
    S3Error::new(
        400,
        CODE,
        "The authorization header is malformed; the authorization header requires three \
         components: Credential, SignedHeaders, and Signature.",
    )
}

/// `x-amz-date`, or else `date` in the same form or that of RFC 9110 §5.6.7.
fn signed_at(headers: &HeaderMap) -> Result<UnixMillis, S3Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let at = if headers.contains_key("x-amz-date") {
        text("x-amz-date").and_then(parse_time)
    } else {
        let date = text(header::DATE.as_str());
        date.and_then(|date| parse_time(date).or_else(|| parse_http_date(date)))
    };
    at.ok_or(S3Error::new(
        403,
        "AccessDenied",
        "AWS authentication requires a valid Date or x-amz-date header",
    ))
}

fn parse_http_date(text: &str) -> Option<UnixMillis> {
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    let secs = u64::try_from(at.unix_timestamp()).ok()?;
    secs.checked_mul(1000).map(UnixMillis)
}

fn check_skew(at: UnixMillis, time: &str, now: UnixMillis) -> Result<(), S3Error> {
    if at.since(now).max(now.since(at)) <= SKEW_MS_MAX {
        return Ok(());
    }
    let message = "The difference between the request time and the current time is too large.";
    Err(S3Error::new(403, "RequestTimeTooSkewed", message)
        .with("RequestTime", time)
        .with("ServerTime", super::iso_time(now))
        .with("MaxAllowedSkewMilliseconds", SKEW_MS_MAX.to_string()))
}
