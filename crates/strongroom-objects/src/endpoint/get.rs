//! Reads of an object: GET, HEAD, `GetObjectAttributes`, and the sub-resources that are always
//! alike. The key is checked before anything is said of the object.

use super::answer::{self, quoted, set};
use super::body::Pace;
use super::faults::{PART_NUMBER, of_store};
use super::operation::OVERRIDES;
use super::put::say_server_keyed;
use super::turns::Turn;
use super::{Call, pace, settings, transfer, vault};
use crate::store::Stored;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use std::io;
use std::ops::Range;
use strongroom_core::stream::manifest::Manifest;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::{Algorithm, Value};
use strongroom_s3::conditions::{READ, check_read};
use strongroom_s3::date::http_date;
use strongroom_s3::range::{self, Asked};
use strongroom_s3::sse_c::SseC;
use strongroom_s3::xml::Writer;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Of a document that is sent in pieces.
const PIECE_BYTES: usize = 64 << 10;

pub(super) async fn get(call: &Call<'_>) -> Result<Response, S3Error> {
    let turn = vault::turn_to_download(call)?;
    let permit = transfer(call.store, call.who)?;
    let (mut answer, found) = find(call).await?;
    if let Some((stored, range)) = found {
        let bytes = stored.stream(range).await.map_err(of_store)?;
        // Permit and turn live as long as the body.
        let held = Held {
            _permit: permit,
            _turn: turn,
        };
        *answer.body_mut() = Body::from_stream(paced(bytes, pace(call.store), held));
    }
    Ok(answer)
}

pub(super) async fn head(call: &Call<'_>) -> Result<Response, S3Error> {
    Ok(find(call).await?.0)
}

/// What a running download takes part in.
struct Held {
    _permit: OwnedSemaphorePermit,
    _turn: Option<Turn>,
}

/// An answer that is there already, sent in pieces: it keeps its transfer until the client has
/// taken it, at the pace of a download.
pub(super) async fn held(
    answer: Response,
    permit: OwnedSemaphorePermit,
    pace: Pace,
) -> Result<Response, S3Error> {
    let (mut parts, body) = answer.into_parts();
    let whole = body.collect().await.map_err(|_| S3Error::INTERNAL)?;
    let whole = whole.to_bytes();
    let length = HeaderValue::from(whole.len());
    parts.headers.insert(header::CONTENT_LENGTH, length);
    let pieces = (0..whole.len())
        .step_by(PIECE_BYTES)
        .map(move |at| Ok(whole.slice(at..whole.len().min(at + PIECE_BYTES))));
    let held = Held {
        _permit: permit,
        _turn: None,
    };
    let bytes = paced(stream::iter(pieces), pace, held);
    Ok(Response::from_parts(parts, Body::from_stream(bytes)))
}

/// Breaks the transfer of a client that takes less than the pace wants of it.
fn paced(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    pace: Pace,
    held: Held,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (mut taken, mut since) = (0, Instant::now());
    bytes.map(move |bytes| {
        let _held = &held;
        let bytes = bytes?;
        // The client asks for these when it has taken those before.
        let elapsed = since.elapsed();
        if taken > 0 && elapsed > pace.window {
            // Of the whole time: what the client was given at once may have taken it many windows.
            if taken < pace.bytes_in(elapsed) {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client reads too slowly",
                ));
            }
            (taken, since) = (0, Instant::now());
        }
        taken += bytes.len() as u64;
        Ok(bytes)
    })
}

/// The answer without its body, and the object and range that the body is of.
async fn find(call: &Call<'_>) -> Result<(Response, Option<(Stored, Range<u64>)>), S3Error> {
    let overrides = overrides(call)?;
    let part_number = part_number(call)?;
    let mut answer = Response::default();
    let stored = open(call, answer.headers_mut()).await?;
    let (size, etag) = (stored.manifest.size, &stored.manifest.etag);
    let headers = answer.headers_mut();
    describe(&stored.manifest, headers);
    headers.extend(overrides);
    let stored_at = stored.manifest.stored_at;
    if !check_read(&READ, call.headers, etag, stored_at)? {
        headers.remove(header::CONTENT_TYPE);
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok((answer, None));
    }
    // With no body there is nothing to check, and clients would try.
    if part_number.is_none() {
        show_checksums(&stored.manifest, call.headers, headers);
    }
    let asked = match part_number {
        Some(number) => part_asked(&stored, number, headers)?,
        None => asked(call.headers, &quoted(etag), size),
    };
    let range = match asked {
        Asked::Whole => 0..size,
        Asked::Part(range) => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            set(headers, header::CONTENT_RANGE, &text);
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Asked::Unsatisfiable => return Err(unsatisfiable(size)),
    };
    let length = (range.end - range.start).to_string();
    set(answer.headers_mut(), header::CONTENT_LENGTH, &length);
    Ok((answer, Some((stored, range))))
}

/// Opens the request's object with the request's key, and says so.
async fn open(call: &Call<'_>, headers: &mut HeaderMap) -> Result<Stored, S3Error> {
    let sse_c = SseC::parse(call.headers)?;
    let bucket = call.bucket().await?;
    let key = sse_c.as_ref().map(|sse_c| &sse_c.key);
    let stored = call.objects().open(&bucket, call.key, key).await;
    let stored = stored.map_err(of_store)?;
    if let Some(sse_c) = &sse_c {
        sse_c.echo(headers);
    }
    if stored.server_keyed {
        say_server_keyed(headers);
    }
    Ok(stored)
}

fn part_number(call: &Call<'_>) -> Result<Option<u32>, S3Error> {
    let Some(text) = call.query.one("partNumber") else {
        return Ok(None);
    };
    let number = parse_part_number(text)?;
    if call.headers.contains_key(header::RANGE) {
        return Err(S3Error::new(
            400,
            "InvalidRequest",
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    Ok(Some(number))
}

/// 1 to 10,000.
pub(super) fn parse_part_number(text: &str) -> Result<u32, S3Error> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=10_000).contains(number))
        .ok_or(PART_NUMBER)
}

fn part_asked(stored: &Stored, number: u32, headers: &mut HeaderMap) -> Result<Asked, S3Error> {
    if stored.parts > 0 {
        let name = HeaderName::from_static("x-amz-mp-parts-count");
        headers.insert(name, HeaderValue::from(stored.parts));
    }
    match stored.part_range(number) {
        Some(range) if range.is_empty() => Ok(Asked::Whole),
        Some(range) => Ok(Asked::Part(range)),
        None => Err(S3Error::new(
            416,
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
        )
        .with("ActualPartCount", stored.parts.max(1).to_string())
        .with("PartNumberRequested", number.to_string())),
    }
}

/// Signed query parameters that replace a header of the answer; every request is signed.
fn overrides(call: &Call<'_>) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    for parameter in OVERRIDES {
        let Some(value) = call.query.one(parameter) else {
            continue;
        };
        let name = HeaderName::from_static(&parameter["response-".len()..]);
        let value = HeaderValue::from_str(value).map_err(|_| {
            S3Error::new(
                400,
                "InvalidArgument",
                "A response header has invalid characters",
            )
        })?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The headers that come from the manifest.
fn describe(manifest: &Manifest, headers: &mut HeaderMap) {
    for (name, value) in &manifest.headers {
        if let Ok(name) = HeaderName::try_from(name) {
            set(headers, name, value);
        }
    }
    answer::etag(headers, &manifest.etag);
    set(
        headers,
        header::LAST_MODIFIED,
        &http_date(manifest.stored_at),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// Of the whole object, if the request asks for them and for all of it.
fn show_checksums(manifest: &Manifest, request: &HeaderMap, headers: &mut HeaderMap) {
    let wanted = request
        .get("x-amz-checksum-mode")
        .is_some_and(|mode| mode == "ENABLED");
    if wanted && !request.contains_key(header::RANGE) {
        answer::checksums(headers, checksums(manifest).iter());
    }
}

/// Those that clients know; older objects may have others.
pub(super) fn checksums(manifest: &Manifest) -> Vec<Value> {
    let pairs = manifest.checksums.iter();
    pairs
        .filter_map(|(name, text)| Value::parse(Algorithm::parse(name)?, text))
        .collect()
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

/// `GetObjectAttributes`, of which nothing is said without the key.
pub(super) async fn attributes(call: &Call<'_>) -> Result<Response, S3Error> {
    let asked = asked_attributes(call.headers)?;
    let mut headers = HeaderMap::new();
    let stored = open(call, &mut headers).await?;
    let manifest = &stored.manifest;
    let modified = http_date(manifest.stored_at);
    set(&mut headers, header::LAST_MODIFIED, &modified);
    let mut answer = answer::document("GetObjectAttributesResponse", |xml| {
        for name in &asked {
            write_attribute(xml, name, &stored);
        }
    });
    answer.headers_mut().extend(headers);
    Ok(answer)
}

const ATTRIBUTES: [&str; 5] = [
    "ETag",
    "Checksum",
    "ObjectParts",
    "StorageClass",
    "ObjectSize",
];

/// What `x-amz-object-attributes` names, in AWS's order.
fn asked_attributes(headers: &HeaderMap) -> Result<Vec<&'static str>, S3Error> {
    let bad = S3Error::new(400, "InvalidArgument", "Invalid attribute name specified.");
    let mut asked = vec![];
    for value in headers.get_all("x-amz-object-attributes") {
        let value = value.to_str().map_err(|_| bad.clone())?;
        for name in value.split(',').map(str::trim) {
            let known = ATTRIBUTES.iter().find(|known| **known == name);
            asked.push(*known.ok_or_else(|| bad.clone())?);
        }
    }
    if asked.is_empty() {
        return Err(S3Error::new(
            400,
            "InvalidRequest",
            "The x-amz-object-attributes header specifying the attributes to be retrieved is \
             either missing or empty",
        ));
    }
    Ok(ATTRIBUTES
        .into_iter()
        .filter(|name| asked.contains(name))
        .collect())
}

fn write_attribute(xml: &mut Writer, name: &str, stored: &Stored) {
    let manifest = &stored.manifest;
    match name {
        "ETag" => xml.element("ETag", &manifest.etag),
        "StorageClass" => xml.element("StorageClass", "STANDARD"),
        "ObjectSize" => xml.element("ObjectSize", &manifest.size.to_string()),
        "ObjectParts" if stored.parts > 0 => {
            xml.open("ObjectParts");
            xml.element("PartsCount", &stored.parts.to_string());
            xml.close("ObjectParts");
        }
        "Checksum" => {
            let values = checksums(manifest);
            if values.is_empty() {
                return;
            }
            xml.open("Checksum");
            for value in &values {
                write_checksum(xml, value);
            }
            xml.close("Checksum");
        }
        _ => {}
    }
}

/// Value and type, as elements.
pub(super) fn write_checksum(xml: &mut Writer, value: &Value) {
    let text = value.text();
    xml.element(value.algorithm().element(), &text);
    xml.element("ChecksumType", answer::type_of(&text));
}

pub(super) async fn acl(call: &Call<'_>) -> Result<Response, S3Error> {
    let bucket = call.bucket().await?;
    check_there(call, &bucket).await?;
    Ok(settings::acl(&bucket.owner))
}

pub(super) async fn tagging(call: &Call<'_>) -> Result<Response, S3Error> {
    let bucket = call.bucket().await?;
    check_there(call, &bucket).await?;
    Ok(settings::no_tags())
}

async fn check_there(call: &Call<'_>, bucket: &crate::index::Bucket) -> Result<(), S3Error> {
    let there = call.objects().stat(bucket, call.key).await;
    let there = there.map_err(of_store)?;
    there.map(|_| ()).ok_or(S3Error::NO_SUCH_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_client_that_takes_many_windows_for_one_piece_is_cut_off() {
        let pace = Pace {
            window: Duration::from_millis(20),
            bytes_per_s_min: 1_000_000,
        };
        let transfers = Arc::new(Semaphore::new(1));
        let held = Held {
            _permit: Arc::clone(&transfers).try_acquire_owned().unwrap(),
            _turn: None,
        };
        // A segment is more than a window's bytes.
        let bytes = stream::iter((0..3).map(|_| Ok(Bytes::from(vec![7; 65_536]))));
        let mut taken = Box::pin(paced(bytes, pace, held));
        assert!(taken.next().await.unwrap().is_ok());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(taken.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_client_that_takes_a_byte_now_and_then_is_cut_off() {
        let pace = Pace {
            window: Duration::from_millis(20),
            bytes_per_s_min: 1_000_000,
        };
        // The second flows so fast that a busy machine does not make it slow.
        for (len, whole) in [(1, false), (2_000_000, true)] {
            let transfers = Arc::new(Semaphore::new(1));
            let held = Held {
                _permit: Arc::clone(&transfers).try_acquire_owned().unwrap(),
                _turn: None,
            };
            let bytes = stream::iter((0..20).map(move |_| Ok(Bytes::from(vec![7; len]))));
            let mut taken = Box::pin(paced(bytes, pace, held));
            let mut broken = false;
            while let Some(frame) = taken.next().await {
                broken |= frame.is_err();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(broken, !whole);
            drop(taken);
            assert_eq!(transfers.available_permits(), 1);
        }
    }
}
