//! Verification of `SigV4` signatures, in the query (presigned) or in the `authorization` header.
//!
//! A signature binds method, path, query and the signed headers; every `x-amz-*` header must be
//! signed, so that whoever holds a URL can add nothing to it. Other ways to sign are refused. What
//! is refused never repeats the canonical request: it may hold the customer key.

mod header;
mod presigned;
#[cfg(test)]
mod tests;

use crate::S3Error;
use crate::chunked;
use crate::query::Query;
use crate::sigv4::{ALGORITHM, Canonical, Signer};
use crate::target::Target;
use http::HeaderMap;
use std::fmt;
use std::sync::Arc;
use strongroom_core::UnixMillis;
use subtle::ConstantTimeEq;

/// How far a request may be from our clock: 15 minutes (AWS).
pub(crate) const SKEW_MS_MAX: u64 = 15 * 60 * 1000;
/// Header that says what of the body is signed.
pub const CONTENT_SHA256: &str = "x-amz-content-sha256";

pub(crate) const OLD_SIGNATURE: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
);

pub(crate) const MISMATCH: S3Error = S3Error::new(
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

/// What there is to verify in a request.
struct Request<'a> {
    method: &'a str,
    target: &'a Target,
    query: &'a Query,
    headers: &'a HeaderMap,
}

/// The parts of a signature, from wherever it stands.
struct Claim<'a> {
    credential: Arc<Credential>,
    region: &'a str,
    at: UnixMillis,
    /// `at` as it was signed.
    time: &'a str,
    /// The signed headers' names, and the same as they were sent.
    signed: Vec<&'a str>,
    signed_text: &'a str,
    signature: &'a str,
    /// What `x-amz-content-sha256` says, or stands for it.
    content: &'a str,
    presigned: bool,
}

/// Checks the signature of a request.
///
/// `find` gives the credential of an access key id. What is refused is an [`S3Error`] with AWS's
/// code: no signature at all is 403 `AccessDenied`.
pub fn verify(
    region: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    method: &str,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
    now: UnixMillis,
) -> Result<Verified, S3Error> {
    let request = Request {
        method,
        target,
        query,
        headers,
    };
    match mechanism(query, headers)? {
        Mechanism::Query => presigned::verify(region, find, &request, now),
        Mechanism::Header(value) => header::verify(region, find, &request, value, now),
    }
}

enum Mechanism<'a> {
    Query,
    /// What follows the algorithm in `authorization`.
    Header(&'a str),
}

fn mechanism<'a>(query: &Query, headers: &'a HeaderMap) -> Result<Mechanism<'a>, S3Error> {
    let in_query = query
        .names()
        .any(|name| presigned::PARAMETERS.contains(&name));
    if query.has("AWSAccessKeyId") {
        return Err(OLD_SIGNATURE);
    }
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return if in_query {
            Ok(Mechanism::Query)
        } else {
            Err(S3Error::ACCESS_DENIED)
        };
    };
    if in_query || values.next().is_some() {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
             Signature query string parameter or the Authorization header should be specified",
        ));
    }
    let text = value.to_str().unwrap_or_default();
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    match algorithm {
        ALGORITHM => Ok(Mechanism::Header(rest)),
        "AWS" => Err(OLD_SIGNATURE),
        "AWS4-ECDSA-P256-SHA256" => Err(S3Error::NOT_IMPLEMENTED),
        _ => Err(S3Error::new(
            400,
            "InvalidArgument",
            "Unsupported Authorization Type",
        )),
    }
}

/// Where a credential scope stands, and what AWS says when it is wrong.
pub(crate) struct Scope {
    /// Of the error.
    pub(crate) code: &'static str,
    /// Before what is wrong.
    pub(crate) lead: &'static str,
    /// What the date of the scope must match.
    pub(crate) date_of: &'static str,
}

impl Scope {
    fn wrong(&self, what: &str) -> S3Error {
        S3Error::text(400, self.code, format!("{}{what}", self.lead))
    }

    /// Checks `id/date/region/s3/aws4_request` and finds the credential.
    pub(crate) fn check(
        &self,
        text: &str,
        region: &str,
        date: &str,
        find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    ) -> Result<Arc<Credential>, S3Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let &[id, scope_date, scope_region, service, end] = parts.as_slice() else {
            return Err(self.wrong(
                "the Credential is mal-formed; \
                 expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
            ));
        };
        if scope_region != region {
            let what = format!("the region '{scope_region}' is wrong; expecting '{region}'");
            return Err(self.wrong(&what).with("Region", region));
        }
        let what = if service != "s3" {
            format!("incorrect service \"{service}\". This endpoint belongs to \"s3\".")
        } else if end != "aws4_request" {
            format!("incorrect terminal \"{end}\". This endpoint uses \"aws4_request\".")
        } else if scope_date != date {
            format!(
                "incorrect date \"{scope_date}\". It must match {}.",
                self.date_of
            )
        } else {
            return find(id).ok_or(UNKNOWN_KEY);
        };
        Err(self.wrong(&what))
    }
}

impl Claim<'_> {
    /// Compares the signature, and reads what the claim says of the body.
    fn check(self, request: &Request<'_>) -> Result<Verified, S3Error> {
        let mut canonical = Canonical::new(
            request.method,
            &request.target.canonical,
            &request.query.canonical(),
        );
        for name in &self.signed {
            canonical.header(name, &header_value(request.headers, name)?);
        }
        let digest = canonical.finish_with(self.signed_text, self.content);
        let day = self.credential.signer.day_key(self.at);
        let expected = day.sign(self.region, self.time, digest.as_ref());
        if !bool::from(expected.as_slice().ct_eq(self.signature.as_bytes())) {
            return Err(MISMATCH);
        }
        let chain = chunked::Chain::new(day, self.region, self.time, expected);
        Ok(Verified {
            payload: payload(self.content, request.headers, chain)?,
            access_key_id: self.credential.access_key_id.clone(),
            presigned: self.presigned,
            bound: self.signed.into_iter().map(str::to_owned).collect(),
        })
    }
}

fn payload(content: &str, headers: &HeaderMap, chain: chunked::Chain) -> Result<Payload, S3Error> {
    let chunked = |chain, trailing| chunked::Signing::parse(headers, chain, trailing);
    let signing = match content {
        "UNSIGNED-PAYLOAD" => return Ok(Payload::Unsigned),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunked(Some(chain), false),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => chunked(Some(chain), true),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunked(None, true),
        _ if content.starts_with("STREAMING-AWS4-ECDSA-") => return Err(S3Error::NOT_IMPLEMENTED),
        _ => {
            let mut sha256 = [0; 32];
            hex::decode_to_slice(content, &mut sha256).map_err(|_| bad_content(content))?;
            return Ok(Payload::Sha256(sha256));
        }
    };
    signing.map(Payload::Chunked)
}

fn bad_content(content: &str) -> S3Error {
    let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                   STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                   STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.";
    S3Error::new(400, "InvalidArgument", message)
        .with("ArgumentName", CONTENT_SHA256)
        .with("ArgumentValue", content)
}

/// Refuses headers that carry meaning and are not signed; `also` besides `host` and `x-amz-*`.
fn check_signed_headers(
    signed: &[&str],
    headers: &HeaderMap,
    also: &[&str],
) -> Result<(), S3Error> {
    let must_be_signed = headers.keys().map(http::HeaderName::as_str);
    let mut missing: Vec<&str> = must_be_signed
        .filter(|name| name.starts_with("x-amz-") || also.contains(name))
        .chain(["host"])
        .filter(|name| !signed.contains(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_unstable();
    missing.dedup();
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

pub(crate) fn iso_time(at: UnixMillis) -> String {
    let secs = i64::try_from(at.secs()).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .and_then(|at| {
            at.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_default()
}
