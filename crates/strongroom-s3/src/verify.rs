//! Verification of presigned requests (`SigV4` in the query).
//!
//! A signature binds method, path, query and the signed headers; every `x-amz-*` header must be
//! signed, so that whoever holds a URL can add nothing to it. Other ways to sign are refused.

use crate::S3Error;
use crate::chunked;
use crate::query::Query;
use crate::sigv4::{ALGORITHM, Canonical, EXPIRES_S_MAX, Signer, parse_time};
use crate::target::Target;
use http::HeaderMap;
use std::fmt;
use std::sync::Arc;
use strongroom_core::UnixMillis;
use subtle::ConstantTimeEq;

/// How far a URL may be ahead of our clock: 15 minutes (AWS).
const AHEAD_MS_MAX: u64 = 15 * 60 * 1000;

const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

const OLD_SIGNATURE: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
);

const MISMATCH: S3Error = S3Error::new(
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. \
     Check your key and signing method.",
);

const UNKNOWN_KEY: S3Error = S3Error::new(
    403,
    "InvalidAccessKeyId",
    "The AWS Access Key Id you provided does not exist in our records.",
);

/// Who may sign, and with what.
pub struct Credential {
    /// Names the credential; not secret.
    pub access_key_id: String,
    /// Signs with its secret access key.
    pub signer: Signer,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.access_key_id)
    }
}

/// A request whose signature was right.
#[derive(Debug)]
pub struct Verified {
    /// Whose signature it is.
    pub access_key_id: String,
    /// Signed in the query, not by header.
    pub presigned: bool,
    /// Names of the signed headers, lower case.
    pub bound: Vec<String>,
    /// What the signature says of the body.
    pub payload: Payload,
}

/// What the signature says of the body.
#[derive(Debug)]
pub enum Payload {
    /// Nothing.
    Unsigned,
    /// It must have this SHA-256; see [`crate::checksum::Digests::payload`].
    Sha256([u8; 32]),
    /// It comes as `aws-chunked`, to be read through a [`chunked::Decoder`].
    Chunked(chunked::Signing),
}

/// Checks the signature of a request, in the query (presigned) or in the `authorization` header.
///
/// `find` gives the credential of an access key id. What is refused is an [`S3Error`] with AWS's
/// code: none at all is 403 `AccessDenied`.
pub fn verify(
    region: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    method: &str,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
    now: UnixMillis,
) -> Result<Verified, S3Error> {
    refuse_other_ways(query, headers)?;
    let [algorithm, credential, date, expires, signed, signature] = parameters(query)?;
    if algorithm != ALGORITHM {
        return Err(malformed(
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
        ));
    }
    let at = parse_time(date).ok_or_else(|| {
        malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    let expires_s = parse_expires(expires)?;
    let credential = check_credential(region, find, credential, &date[..8])?;
    check_time(at, expires_s, now)?;
    let signed: Vec<&str> = signed.split(';').collect();
    check_signed_headers(&signed, headers)?;

    let mut canonical = Canonical::new(method, &target.canonical, &query.canonical());
    for name in &signed {
        canonical.header(name, &header_value(headers, name)?);
    }
    let digest = canonical.finish(&signed.join(";"));
    let day = credential.signer.day_key(at);
    let expected = day.sign(region, date, digest.as_ref());
    if bool::from(expected.as_slice().ct_eq(signature.as_bytes())) {
        Ok(Verified {
            access_key_id: credential.access_key_id.clone(),
            presigned: true,
            bound: signed.into_iter().map(str::to_owned).collect(),
            payload: Payload::Unsigned,
        })
    } else {
        Err(MISMATCH)
    }
}

fn malformed(message: impl Into<String>) -> S3Error {
    S3Error::text(400, "AuthorizationQueryParametersError", message.into())
}

fn refuse_other_ways(query: &Query, headers: &HeaderMap) -> Result<(), S3Error> {
    let in_query = query.names().any(|name| PARAMETERS.contains(&name));
    if query.names().any(|name| name == "AWSAccessKeyId") {
        return Err(OLD_SIGNATURE);
    }
    let Some(value) = headers.get(http::header::AUTHORIZATION) else {
        return if in_query {
            Ok(())
        } else {
            Err(S3Error::ACCESS_DENIED)
        };
    };
    if in_query {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
             Signature query string parameter or the Authorization header should be specified",
        ));
    }
    match value.as_bytes() {
        value if value.starts_with(b"AWS ") => Err(OLD_SIGNATURE),
        value if value.starts_with(b"AWS4-") => Err(S3Error::NOT_IMPLEMENTED),
        _ => Err(S3Error::new(
            400,
            "InvalidArgument",
            "Unsupported Authorization Type",
        )),
    }
}

fn parameters(query: &Query) -> Result<[&str; 6], S3Error> {
    let mut values = [""; 6];
    for (value, name) in values.iter_mut().zip(PARAMETERS) {
        *value = query.one(name).ok_or_else(|| {
            malformed(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            )
        })?;
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
        .ok_or_else(|| {
            malformed(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
            )
        })
}

fn check_credential(
    expected: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    credential: &str,
    date: &str,
) -> Result<Arc<Credential>, S3Error> {
    let parts: Vec<&str> = credential.split('/').collect();
    let &[id, scope_date, region, service, end] = parts.as_slice() else {
        return Err(malformed(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; \
             expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        ));
    };
    let wrong = |what: String| {
        Err(malformed(format!(
            "Error parsing the X-Amz-Credential parameter; {what}"
        )))
    };
    if region != expected {
        let error = wrong(format!(
            "the region '{region}' is wrong; expecting '{expected}'"
        ));
        return error.map_err(|error: S3Error| error.with("Region", expected));
    }
    if service != "s3" {
        return wrong(format!(
            "incorrect service \"{service}\". This endpoint belongs to \"s3\"."
        ));
    }
    if end != "aws4_request" {
        return wrong(format!(
            "incorrect terminal \"{end}\". This endpoint uses \"aws4_request\"."
        ));
    }
    if scope_date != date {
        return wrong(format!(
            "incorrect date \"{scope_date}\". It must match X-Amz-Date."
        ));
    }
    find(id).ok_or(UNKNOWN_KEY)
}

fn check_time(at: UnixMillis, expires_s: u32, now: UnixMillis) -> Result<(), S3Error> {
    let denied = |message| Err(S3Error::new(403, "AccessDenied", message));
    if at.since(now) > AHEAD_MS_MAX {
        return denied("Request is not yet valid");
    }
    let expiry = at.plus(u64::from(expires_s) * 1000);
    if now >= expiry {
        return denied("Request has expired").map_err(|error: S3Error| {
            error
                .with("X-Amz-Expires", expires_s.to_string())
                .with("Expires", iso_time(expiry))
                .with("ServerTime", iso_time(now))
        });
    }
    Ok(())
}

fn iso_time(at: UnixMillis) -> String {
    let secs = i64::try_from(at.secs()).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .and_then(|at| {
            at.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_default()
}

fn check_signed_headers(signed: &[&str], headers: &HeaderMap) -> Result<(), S3Error> {
    let must_be_signed = headers.keys().map(http::HeaderName::as_str);
    let mut missing: Vec<&str> = must_be_signed
        .filter(|name| name.starts_with("x-amz-"))
        .chain(["host"])
        .filter(|name| !signed.contains(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_unstable();
    let error = S3Error::new(
        403,
        "AccessDenied",
        "There were headers present in the request which were not signed",
    );
    Err(error.with("HeadersNotSigned", missing.join(", ")))
}

/// Values of one name, trimmed, inner spaces collapsed, joined by commas.
fn header_value(headers: &HeaderMap, name: &str) -> Result<String, S3Error> {
    let mut joined = String::new();
    for (at, value) in headers.get_all(name).iter().enumerate() {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| MISMATCH)?;
        if at > 0 {
            joined.push(',');
        }
        for (at, word) in value.split_ascii_whitespace().enumerate() {
            if at > 0 {
                joined.push(' ');
            }
            joined.push_str(word);
        }
    }
    Ok(joined)
}
