//! GET and HEAD of an object: key check, conditions, range, and the decrypted bytes.

use super::{Signed, refused, transfer};
use crate::Embedded;
use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use strongroom_core::UnixMillis;
use strongroom_core::stream::manifest::Manifest;
use strongroom_s3::S3Error;
use strongroom_s3::range::{self, Asked};
use strongroom_s3::sse_c::SseC;
use time::macros::format_description;

/// Signed query parameters that replace a header of the answer (AWS, `GetObject`).
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];

pub(super) async fn get(
    store: &Embedded,
    request: &Signed<'_>,
    method: &Method,
) -> Result<Response, S3Error> {
    check_supported(request)?;
    let overrides = overrides(request)?;
    let sse_c = SseC::parse(request.headers)?;
    let mut answer = Response::default();
    if let Some(sse_c) = &sse_c {
        sse_c.echo(answer.headers_mut());
    }
    let permit = transfer(store)?;
    let key = sse_c.as_ref().map(|sse_c| &sse_c.key);
    let stored = store.store.open(&store.vault_bucket, request.key, key);
    let stored = stored.await.map_err(refused)?;
    let (size, etag) = (
        stored.manifest.size,
        format!("\"{}\"", stored.manifest.etag),
    );
    describe(&stored.manifest, request.headers, answer.headers_mut());
    answer.headers_mut().extend(overrides);
    if !check_conditions(request.headers, &etag)? {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer.headers_mut().remove(header::CONTENT_TYPE);
        return Ok(answer);
    }
    let range = match asked(request.headers, &etag, size) {
        Asked::Whole => 0..size,
        Asked::Part(range) => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            set(answer.headers_mut(), header::CONTENT_RANGE, &text);
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Asked::Unsatisfiable => return Err(unsatisfiable(size)),
    };
    let length = range.end - range.start;
    set(
        answer.headers_mut(),
        header::CONTENT_LENGTH,
        &length.to_string(),
    );
    if method == Method::GET {
        let bytes = stored.stream(range).await.map_err(refused)?;
        // The permit lives as long as the body.
        let bytes = bytes.map(move |bytes| {
            let _permit = &permit;
            bytes
        });
        *answer.body_mut() = Body::from_stream(bytes);
    }
    Ok(answer)
}

fn check_supported(request: &Signed<'_>) -> Result<(), S3Error> {
    let header = |name: &str, value: &HeaderValue| match name {
        SSE_C_ALGORITHM
        | SSE_C_KEY
        | SSE_C_KEY_MD5
        | "x-amz-date"
        | "x-amz-user-agent"
        | "x-amz-checksum-mode" => true,
        "x-amz-content-sha256" => value == "UNSIGNED-PAYLOAD",
        _ => !name.starts_with("x-amz-"),
    };
    let parameter = |name: &str| match name {
        "x-id" => true,
        // A single PUT is its own only part.
        "partNumber" => request.query.one(name) == Some("1"),
        _ => name.starts_with("X-Amz-") || OVERRIDES.iter().any(|(known, _)| *known == name),
    };
    let headers = request
        .headers
        .iter()
        .all(|(name, value)| header(name.as_str(), value));
    if headers && request.query.names().all(parameter) {
        Ok(())
    } else {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}

fn overrides(request: &Signed<'_>) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    for (parameter, name) in OVERRIDES {
        if let Some(value) = request.query.one(parameter) {
            let value = HeaderValue::from_str(value).map_err(|_| {
                S3Error::new(
                    400,
                    "InvalidArgument",
                    "A response header has invalid characters",
                )
            })?;
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

/// The headers that come from the manifest.
fn describe(manifest: &Manifest, request: &HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in &manifest.headers {
        if let Ok(name) = HeaderName::try_from(name) {
            set(headers, name, value);
        }
    }
    set(headers, header::ETAG, &format!("\"{}\"", manifest.etag));
    set(
        headers,
        header::LAST_MODIFIED,
        &http_date(manifest.stored_at),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let wanted = request
        .get("x-amz-checksum-mode")
        .is_some_and(|mode| mode == "ENABLED");
    let whole = !request.contains_key(header::RANGE);
    for (algorithm, value) in manifest.checksums.iter().filter(|_| wanted && whole) {
        if let (true, Ok(name)) = (
            algorithm != "md5",
            HeaderName::try_from(format!("x-amz-checksum-{algorithm}")),
        ) {
            set(headers, name, value);
        }
    }
}

/// Whether the object is to be sent, or is as the client has it (RFC 9110 §13.2.2).
fn check_conditions(headers: &HeaderMap, etag: &str) -> Result<bool, S3Error> {
    let matches = |name: HeaderName| {
        headers.get(name).map(|value| {
            let listed = value.to_str().unwrap_or_default();
            listed.split(',').map(str::trim).any(|one| {
                let one = one.strip_prefix("W/").unwrap_or(one);
                one == "*" || one.trim_matches('"') == etag.trim_matches('"')
            })
        })
    };
    if matches(header::IF_MATCH) == Some(false) {
        return Err(S3Error::PRECONDITION_FAILED.with("Condition", "If-Match"));
    }
    Ok(matches(header::IF_NONE_MATCH) != Some(true))
}

fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Asked {
    let fresh = headers
        .get(header::IF_RANGE)
        .is_none_or(|value| value == etag);
    match headers.get(header::RANGE).filter(|_| fresh) {
        Some(value) => range::parse(value.as_bytes(), size),
        None => Asked::Whole,
    }
}

fn unsatisfiable(size: u64) -> S3Error {
    S3Error::new(
        416,
        "InvalidRange",
        "The requested range is not satisfiable",
    )
    .with("ActualObjectSize", size.to_string())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// RFC 9110 §5.6.7.
fn http_date(at: UnixMillis) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    i64::try_from(at.secs())
        .ok()
        .and_then(|secs| time::OffsetDateTime::from_unix_timestamp(secs).ok())
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_default()
}
