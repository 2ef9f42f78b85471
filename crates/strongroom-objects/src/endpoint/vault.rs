//! What holds for the vault's own bucket alone: less of S3, and stricter.
//!
//! Its objects are written once, under a customer key, by a URL that the vault signed; of such a
//! URL's holder nothing is believed that is not signed. Whatever else S3 has is answered 501 here.

use super::operation::{METADATA_PREFIX, Operation};
use super::turns::Turn;
use super::{Call, Who};
use http::{HeaderValue, header};
use strongroom_s3::S3Error;
use strongroom_s3::sse_c::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};

/// AWS's answer to a conditional write that meets another one (API reference, `PutObject`).
const UPLOAD_UNDER_WAY: S3Error = S3Error::new(
    409,
    "ConditionalRequestConflict",
    "Another upload of this object is under way.",
);

/// Checks a request that the vault's credential signed.
pub(super) fn check(call: &Call<'_>) -> Result<(), S3Error> {
    if !call.presigned {
        return Err(S3Error::NOT_IMPLEMENTED);
    }
    match call.operation {
        Operation::PutObject => {
            check_write_once(call)?;
            check_put(call)
        }
        Operation::GetObject | Operation::HeadObject => check_get(call),
        _ => Err(S3Error::NOT_IMPLEMENTED),
    }
}

/// The bucket is write-once always, so a URL must say that it is.
fn check_write_once(call: &Call<'_>) -> Result<(), S3Error> {
    let condition = call.headers.get(header::IF_NONE_MATCH);
    if !call.bound.iter().any(|name| name == "if-none-match") || condition.is_none() {
        return Err(S3Error::new(
            403,
            "AccessDenied",
            "This bucket is write-once: sign and send if-none-match: *",
        ));
    }
    Ok(())
}

fn check_put(call: &Call<'_>) -> Result<(), S3Error> {
    let supported = |name: &str, value: &HeaderValue| match name {
        SSE_C_ALGORITHM
        | SSE_C_KEY
        | SSE_C_KEY_MD5
        | "x-amz-date"
        | "x-amz-user-agent"
        | "x-amz-checksum-sha256"
        // Refused where the key is looked at, beside it and without it.
        | "x-amz-server-side-encryption" => true,
        "x-amz-acl" => value == "private",
        "x-amz-content-sha256" => value == "UNSIGNED-PAYLOAD",
        "x-amz-sdk-checksum-algorithm" => value == "SHA256",
        "content-encoding" => !value
            .as_bytes()
            .windows(11)
            .any(|part| part == b"aws-chunked"),
        _ => name.starts_with(METADATA_PREFIX) || !name.starts_with("x-amz-"),
    };
    let mut headers = call.headers.iter();
    let supported = headers.all(|(name, value)| supported(name.as_str(), value));
    supported.then_some(()).ok_or(S3Error::NOT_IMPLEMENTED)
}

fn check_get(call: &Call<'_>) -> Result<(), S3Error> {
    let supported = |name: &str, value: &HeaderValue| match name {
        SSE_C_ALGORITHM
        | SSE_C_KEY
        | SSE_C_KEY_MD5
        | "x-amz-date"
        | "x-amz-user-agent"
        | "x-amz-checksum-mode" => true,
        "x-amz-content-sha256" => value == "UNSIGNED-PAYLOAD",
        _ => !name.starts_with("x-amz-"),
    };
    let mut headers = call.headers.iter();
    let supported = headers.all(|(name, value)| supported(name.as_str(), value));
    // Its objects were put whole: each is its own only part, and has no versions.
    let query = call.query;
    if supported && !query.has("versionId") && matches!(query.one("partNumber"), None | Some("1")) {
        Ok(())
    } else {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

/// In the vault's bucket one upload of a name goes on at a time: the others could not win.
pub(super) fn turn_to_upload(call: &Call<'_>) -> Result<Option<Turn>, S3Error> {
    match call.who {
        Who::Client(_) => Ok(None),
        Who::Vault => {
            let turn = call.store.gates.uploads.take(call.key, 1);
            turn.map(Some).ok_or(UPLOAD_UNDER_WAY)
        }
    }
}

/// In the vault's bucket one object is downloaded so many times at once, so that one URL cannot
/// take every transfer.
pub(super) fn turn_to_download(call: &Call<'_>) -> Result<Option<Turn>, S3Error> {
    match call.who {
        Who::Client(_) => Ok(None),
        Who::Vault => {
            let max = call.store.config.object_downloads_max;
            let turn = call.store.gates.downloads.take(call.key, max);
            turn.map(Some).ok_or(S3Error::SLOW_DOWN)
        }
    }
}
