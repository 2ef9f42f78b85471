//! PUT of an object: write-once, under a customer key, streamed to disk.

use super::body::{self, Digests};
use super::{Signed, idle, refused, transfer};
use crate::Embedded;
use crate::index::Condition;
use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use crate::store::{Keying, Writing};
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use strongroom_s3::S3Error;
use strongroom_s3::sse_c::SseC;

/// Bytes of user metadata, names and values (AWS).
const METADATA_BYTES_MAX: usize = 2048;
/// Bytes of all headers that are kept with an object (AWS: of a PUT's header).
const KEPT_BYTES_MAX: usize = 8192;
const METADATA_PREFIX: &str = "x-amz-meta-";
/// Further `x-amz-*` headers that change nothing here.
const TOLERATED: [&str; 3] = ["x-amz-date", "x-amz-user-agent", "x-amz-checksum-sha256"];

pub(super) async fn put(
    store: &Embedded,
    request: &Signed<'_>,
    body: &mut Body,
) -> Result<Response, S3Error> {
    let headers = request.headers;
    check_write_once(request)?;
    let sse_c = SseC::parse(headers)?;
    check_supported(request, sse_c.is_some())?;
    let sse_c = sse_c.ok_or(S3Error::new(
        403,
        "AccessDenied",
        "This bucket keeps objects under customer provided keys alone.",
    ))?;
    let length = declared_length(headers, store.config.object_bytes_max)?;
    let mut digests = Digests::expected(headers)?;
    let kept = kept_headers(headers)?;
    let mut answer = Response::default();
    sse_c.echo(answer.headers_mut());
    let _held = store.uploading.hold(request.key).ok_or(UPLOAD_UNDER_WAY)?;
    let _permit = transfer(store)?;
    let stat = store.store.stat(&store.vault_bucket, request.key).await;
    if stat.map_err(refused)?.is_some() {
        return Err(S3Error::PRECONDITION_FAILED);
    }
    let keying = Keying::Customer(sse_c.key);
    let writing = store
        .store
        .put(&store.vault_bucket, request.key, keying, kept, length);
    let mut writing = writing.await.map_err(refused)?;
    let checksums = digests.values();
    let received = receive(store, body, length, &mut writing, &mut digests).await;
    if let Err(error) = received.and_then(|()| digests.check()) {
        writing.abandon().await;
        return Err(error);
    }
    let written = writing.finish(checksums, Condition::IfNoneMatch);
    let etag = written.await.map_err(refused)?.etag;
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        answer.headers_mut().insert(header::ETAG, etag);
    }
    Ok(answer)
}

/// AWS's answer to a conditional write that meets another one (API reference, `PutObject`).
const UPLOAD_UNDER_WAY: S3Error = S3Error::new(
    409,
    "ConditionalRequestConflict",
    "Another upload of this object is under way.",
);

/// The bucket is write-once always, so a URL must say that it is.
fn check_write_once(request: &Signed<'_>) -> Result<(), S3Error> {
    let condition = request.headers.get(header::IF_NONE_MATCH);
    if !request.bound.iter().any(|name| name == "if-none-match") || condition.is_none() {
        return Err(S3Error::new(
            403,
            "AccessDenied",
            "This bucket is write-once: sign and send if-none-match: *",
        ));
    }
    if condition.is_some_and(|condition| condition != "*")
        || request.headers.contains_key(header::IF_MATCH)
    {
        return Err(S3Error::NOT_IMPLEMENTED);
    }
    Ok(())
}

/// Refuses what would change the meaning of the request and is not built.
fn check_supported(request: &Signed<'_>, keyed: bool) -> Result<(), S3Error> {
    if request.headers.contains_key("x-amz-server-side-encryption") && keyed {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "Server Side Encryption with Customer provided key is incompatible with the \
             encryption method specified",
        ));
    }
    let supported = |name: &str, value: &HeaderValue| match name {
        SSE_C_ALGORITHM | SSE_C_KEY | SSE_C_KEY_MD5 => true,
        "x-amz-acl" => value == "private",
        "x-amz-content-sha256" => value == "UNSIGNED-PAYLOAD",
        "x-amz-sdk-checksum-algorithm" => value == "SHA256",
        "content-encoding" => !value
            .as_bytes()
            .windows(11)
            .any(|part| part == b"aws-chunked"),
        _ if name.starts_with(METADATA_PREFIX) => true,
        _ => !name.starts_with("x-amz-") || TOLERATED.contains(&name),
    };
    let headers = request
        .headers
        .iter()
        .all(|(name, value)| supported(name.as_str(), value));
    let query = request
        .query
        .names()
        .all(|name| name.starts_with("X-Amz-") || name == "x-id");
    if headers && query {
        Ok(())
    } else {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

/// The length sent ahead; none for a chunked body, which is cut off at the limit.
fn declared_length(headers: &HeaderMap, max: u64) -> Result<Option<u64>, S3Error> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        let coding = headers
            .get(header::TRANSFER_ENCODING)
            .map(HeaderValue::as_bytes);
        if coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            return Ok(None);
        }
        return Err(S3Error::new(
            411,
            "MissingContentLength",
            "You must provide the Content-Length HTTP header.",
        ));
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let length = length.ok_or(S3Error::new(
        400,
        "InvalidArgument",
        "Invalid Content-Length",
    ))?;
    if length > max {
        Err(too_large(length, max))
    } else {
        Ok(Some(length))
    }
}

fn too_large(proposed: u64, max: u64) -> S3Error {
    let message = "Your proposed upload exceeds the maximum allowed size";
    S3Error::new(400, "EntityTooLarge", message)
        .with("ProposedSize", proposed.to_string())
        .with("MaxSizeAllowed", max.to_string())
}

/// The headers that a download repeats.
fn kept_headers(headers: &HeaderMap) -> Result<Vec<(String, String)>, S3Error> {
    let too_large = S3Error::new(
        400,
        "MetadataTooLarge",
        "Your metadata headers exceed the maximum allowed metadata size",
    );
    let mut kept = vec![];
    let (mut bytes, mut metadata_bytes) = (0, 0);
    for (name, value) in headers {
        let metadata = name.as_str().strip_prefix(METADATA_PREFIX);
        let content = [
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
        ];
        if metadata.is_none() && !content.contains(name) {
            continue;
        }
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| S3Error::new(400, "InvalidArgument", "A header is not UTF-8"))?;
        bytes += name.as_str().len() + value.len();
        metadata_bytes += metadata.map_or(0, |name| name.len() + value.len());
        if bytes > KEPT_BYTES_MAX || metadata_bytes > METADATA_BYTES_MAX {
            return Err(too_large);
        }
        kept.push((name.as_str().to_owned(), value.to_owned()));
    }
    if !headers.contains_key(header::CONTENT_TYPE) {
        kept.push(("content-type".to_owned(), "binary/octet-stream".to_owned()));
    }
    Ok(kept)
}

async fn receive(
    store: &Embedded,
    body: &mut Body,
    length: Option<u64>,
    writing: &mut Writing,
    digests: &mut Digests,
) -> Result<(), S3Error> {
    let max = store.config.object_bytes_max;
    let mut received = 0;
    while let Some(data) = body::next(body, idle(store)).await? {
        received += data.len() as u64;
        match length {
            Some(length) if received > length => return Err(S3Error::INCOMPLETE_BODY),
            None if received > max => return Err(too_large(received, max)),
            _ => {}
        }
        digests.update(&data);
        writing.push(&data).await.map_err(refused)?;
    }
    if length.is_some_and(|length| length != received) {
        return Err(S3Error::INCOMPLETE_BODY);
    }
    Ok(())
}
