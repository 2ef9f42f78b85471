//! Signatures in the query (AWS, *Authenticating requests: using query parameters*).

use super::{CONTENT_SHA256, Claim, Credential, Request, SKEW_MS_MAX, Scope, Verified};
use crate::S3Error;
use crate::query::Query;
use crate::sigv4::{ALGORITHM, EXPIRES_S_MAX, parse_time};
use std::sync::Arc;
use strongroom_core::UnixMillis;

pub(super) const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];
const CODE: &str = "AuthorizationQueryParametersError";
const SCOPE: Scope = Scope {
    code: CODE,
    lead: "Error parsing the X-Amz-Credential parameter; ",
    date_of: "X-Amz-Date",
};

pub(super) fn verify(
    region: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    request: &Request<'_>,
    now: UnixMillis,
) -> Result<Verified, S3Error> {
    let [algorithm, credential, date, expires, signed_text, signature] = parameters(request.query)?;
    if algorithm != ALGORITHM {
        return Err(malformed(
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
        ));
    }
    let at = parse_time(date).ok_or(malformed(
        "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    ))?;
    let expires_s = parse_expires(expires)?;
    let credential = SCOPE.check(credential, region, &date[..8], find)?;
    check_time(at, expires_s, now)?;
    let signed: Vec<&str> = signed_text.split(';').collect();
    super::check_signed_headers(&signed, request.headers, &[])?;
    let content = request.headers.get(CONTENT_SHA256);
    let content = content.and_then(|content| content.to_str().ok());
    // A URL is made before its body is known.
    let content = content
        .or(request.query.one("X-Amz-Content-Sha256"))
        .unwrap_or("UNSIGNED-PAYLOAD");
    if content.starts_with("STREAMING-") {
        return Err(S3Error::NOT_IMPLEMENTED);
    }
    let claim = Claim {
        credential,
        region,
        at,
        time: date,
        signed,
        signed_text,
        signature,
        content,
        presigned: true,
    };
    claim.check(request)
}

const fn malformed(message: &'static str) -> S3Error {
    S3Error::new(400, CODE, message)
}

fn parameters(query: &Query) -> Result<[&str; 6], S3Error> {
    let mut values = [""; 6];
    for (value, name) in values.iter_mut().zip(PARAMETERS) {
        *value = query.one(name).ok_or(malformed(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, \
             X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
             X-Amz-Expires parameters.",
        ))?;
    }
    Ok(values)
}

fn parse_expires(text: &str) -> Result<u32, S3Error> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("X-Amz-Expires should be a number"));
    }
    if digits.len() < text.len() {
        return Err(malformed("X-Amz-Expires must be non-negative"));
    }
    text.parse()
        .ok()
        .filter(|expires_s| *expires_s <= EXPIRES_S_MAX)
        .ok_or(malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        ))
}

fn check_time(at: UnixMillis, expires_s: u32, now: UnixMillis) -> Result<(), S3Error> {
    let denied = |message| S3Error::new(403, "AccessDenied", message);
    if at.since(now) > SKEW_MS_MAX {
        return Err(denied("Request is not yet valid"));
    }
    let expiry = at.plus(u64::from(expires_s) * 1000);
    if now >= expiry {
        return Err(denied("Request has expired")
            .with("X-Amz-Expires", expires_s.to_string())
            .with("Expires", super::iso_time(expiry))
            .with("ServerTime", super::iso_time(now)));
    }
    Ok(())
}
