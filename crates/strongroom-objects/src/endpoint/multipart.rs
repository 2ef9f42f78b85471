//! Multipart uploads: begun, part by part, and completed or given up.

use super::answer::{self, quoted, set};
use super::body::{Incoming, Sent, kept, read_small, receive};
use super::faults::{NO_SUCH_UPLOAD, of_store};
use super::get::{parse_part_number, write_checksum};
use super::put::{kept_headers, keying, say_server_keyed};
use super::{Call, conditions, transfer};
use crate::index::Condition;
use crate::store::{Assembly, NamedPart, PartInfo, StoreError, Writing};
use axum::response::Response;
use http::{HeaderMap, HeaderName, StatusCode};
use percent_encoding::utf8_percent_encode;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::{Algorithm, Type, Value, combine, of_upload};
use strongroom_s3::sigv4::UNRESERVED_PATH;
use strongroom_s3::sse_c::SseC;
use strongroom_s3::xml::{COMPLETE_BYTES_MAX, CompletePart, CompleteRequest};

pub(super) async fn create(call: &Call<'_>) -> Result<Response, S3Error> {
    let mut headers = HeaderMap::new();
    let keying = keying(call, &mut headers)?;
    let checksum = of_upload(call.headers)?;
    let kept = kept_headers(call.headers, call.who)?;
    let bucket = call.bucket().await?;
    let named = checksum.map(|(algorithm, kind)| (algorithm.name(), kind.name()));
    let pair = named.map(|(algorithm, kind)| (algorithm.to_owned(), kind.to_owned()));
    call.objects().check_row_room(0).map_err(of_store)?;
    let id = call
        .objects()
        .create_upload(&bucket, call.key, keying, kept, pair)
        .await
        .map_err(of_store)?;
    let mut answer = answer::document("InitiateMultipartUploadResult", |xml| {
        xml.element("Bucket", call.bucket_name);
        xml.element("Key", call.key);
        xml.element("UploadId", &id);
    });
    if let Some((algorithm, kind)) = named {
        let name = |name| HeaderName::from_static(name);
        set(&mut headers, name("x-amz-checksum-algorithm"), algorithm);
        set(&mut headers, name("x-amz-checksum-type"), kind);
    }
    answer.headers_mut().extend(headers);
    Ok(answer)
}

/// The upload that the request names.
pub(super) fn upload_id<'a>(call: &'a Call<'_>) -> Result<&'a str, S3Error> {
    call.query.one("uploadId").ok_or(NO_SUCH_UPLOAD)
}

/// The part that the request names.
pub(super) fn part_number(call: &Call<'_>) -> Result<u32, S3Error> {
    parse_part_number(call.query.one("partNumber").unwrap_or_default())
}

pub(super) async fn part(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    let (id, number) = (upload_id(call)?, part_number(call)?);
    let sse_c = SseC::parse(call.headers)?;
    let mut answer = Response::default();
    if let Some(sse_c) = &sse_c {
        sse_c.echo(answer.headers_mut());
    }
    let mut incoming = Incoming::new(call.headers, sent, call.single_bytes_max())?;
    let bucket = call.bucket().await?;
    let _permit = transfer(call.store, call.who)?;
    let key = sse_c.map(|sse_c| sse_c.key);
    let writing = call
        .objects()
        .part(&bucket, call.key, id, number, key, incoming.length())
        .await
        .map_err(of_store)?;
    if writing.server_keyed() {
        say_server_keyed(answer.headers_mut());
    }
    if let Err(error) = expect_checksum(&writing, &mut incoming) {
        writing.abandon().await;
        return Err(error);
    }
    let (written, checksums) = receive(incoming, writing, Condition::None).await?;
    answer::etag(answer.headers_mut(), &written.etag);
    for value in &checksums {
        let name = HeaderName::from_static(value.algorithm().header());
        set(answer.headers_mut(), name, &value.text());
    }
    Ok(answer)
}

/// The algorithm that the upload was begun with, if any.
pub(super) fn algorithm_of(writing: &Writing) -> Option<Algorithm> {
    writing
        .checksum()
        .and_then(|pair| Algorithm::parse(&pair.0))
}

/// Every part gets the upload's checksum, sent along or not; another one is refused.
fn expect_checksum(writing: &Writing, incoming: &mut Incoming<'_>) -> Result<(), S3Error> {
    let Some(wanted) = algorithm_of(writing) else {
        return Ok(());
    };
    match incoming.digests().algorithm() {
        Some(sent) if sent != wanted => Err(S3Error::text(
            400,
            "InvalidRequest",
            format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum \
                 Type: {}",
                wanted.key(),
                sent.key()
            ),
        )),
        Some(_) => Ok(()),
        None => {
            incoming.digests().also(wanted);
            Ok(())
        }
    }
}

pub(super) async fn complete(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    let id = upload_id(call)?;
    let condition = conditions::of_write(call.headers)?;
    // A key is not needed here, but one that is sent must be right.
    let key = SseC::parse(call.headers)?.map(|sse_c| sse_c.key);
    let bucket = call.bucket().await?;
    // For its memory's sake.
    let _permit = transfer(call.store, call.who)?;
    let body = read_small(&without_checksums(call.headers), sent, COMPLETE_BYTES_MAX).await?;
    let request = CompleteRequest::parse(&body)?;
    let named = request.parts.into_iter().map(named_part).collect();
    // The manifest is about as long as the request that names its parts.
    call.objects()
        .check_row_room(body.len())
        .map_err(of_store)?;
    let assembly = call.objects().assemble(&bucket, call.key, id, named).await;
    let assembly = assembly.map_err(of_store)?;
    if key.as_ref().is_some_and(|key| !assembly.is_of(key)) {
        return Err(of_store(StoreError::UploadKeyDiffers));
    }
    check_size(call.headers, assembly.size)?;
    let checksum = whole_checksum(call.headers, &assembly)?;
    let server_keyed = assembly.server_keyed();
    let written = assembly
        .finish(kept(checksum.as_slice()), condition)
        .await
        .map_err(of_store)?;
    let path = format!("/{}/{}", call.bucket_name, call.key);
    let path = utf8_percent_encode(&path, UNRESERVED_PATH);
    let location = format!(
        "{}{path}",
        call.store.config.public_url.trim_end_matches('/')
    );
    let mut answer = answer::document("CompleteMultipartUploadResult", |xml| {
        xml.element("Location", &location);
        xml.element("Bucket", call.bucket_name);
        xml.element("Key", call.key);
        xml.element("ETag", &quoted(&written.etag));
        // Who has no key learns no digest either.
        if let Some(value) = checksum.filter(|_| server_keyed || key.is_some()) {
            write_checksum(xml, &value);
        }
    });
    if server_keyed {
        say_server_keyed(answer.headers_mut());
    }
    Ok(answer)
}

/// Here these headers are of the object, not of the request's body.
fn without_checksums(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for algorithm in Algorithm::ALL {
        headers.remove(algorithm.header());
    }
    headers
}

fn named_part(part: CompletePart) -> NamedPart {
    NamedPart {
        number: part.number,
        etag: part.etag,
        checksums: kept(&part.checksums),
    }
}

fn check_size(headers: &HeaderMap, size: u64) -> Result<(), S3Error> {
    match headers.get("x-amz-mp-object-size") {
        Some(value) if *value != size.to_string() => Err(S3Error::new(
            400,
            "InvalidRequest",
            "The provided x-amz-mp-object-size header does not match what was computed.",
        )),
        _ => Ok(()),
    }
}

/// The object's checksum, if the upload was begun with one; compared with what the request says.
fn whole_checksum(headers: &HeaderMap, assembly: &Assembly) -> Result<Option<Value>, S3Error> {
    let pair = assembly.checksum.as_ref();
    let Some((algorithm, kind)) =
        pair.and_then(|pair| Some((Algorithm::parse(&pair.0)?, Type::parse(&pair.1)?)))
    else {
        return Ok(None);
    };
    let said = headers.get("x-amz-checksum-type");
    if said.is_some_and(|said| said != kind.name()) {
        return Err(S3Error::text(
            400,
            "InvalidRequest",
            format!(
                "The upload was created using the {} checksum type. The complete request must \
                 use the same checksum type.",
                kind.name()
            ),
        ));
    }
    let parts: Option<Vec<_>> = assembly
        .parts
        .iter()
        .map(|part| Some((part.size, value_of(part, algorithm)?)))
        .collect();
    let value = parts.and_then(|parts| combine(algorithm, kind, &parts));
    let value = value.ok_or_else(|| {
        tracing::error!("a part lacks its upload's checksum");
        S3Error::INTERNAL
    })?;
    match headers.get(algorithm.header()) {
        Some(expected) if *expected != value.text() => Err(S3Error::text(
            400,
            "BadDigest",
            format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.key()
            ),
        )),
        _ => Ok(Some(value)),
    }
}

fn value_of(part: &PartInfo, algorithm: Algorithm) -> Option<Value> {
    let mut pairs = part.checksums.iter();
    let found = pairs.find(|pair| pair.0 == algorithm.key())?;
    Value::parse(algorithm, &found.1)
}

pub(super) async fn abort(call: &Call<'_>) -> Result<Response, S3Error> {
    let id = upload_id(call)?;
    let bucket = call.bucket().await?;
    let gone = call.objects().abort(&bucket, call.key, id).await;
    gone.map_err(of_store)?;
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}
