//! `CopyObject` and `UploadPartCopy`: the source is opened, its bytes are sealed anew.
//!
//! There is one way for data: what a copy reads is what a GET reads, what it writes is what a PUT
//! writes. Bytes of the source never reach the disk in the clear.

use super::answer::{self, quoted};
use super::body::kept;
use super::faults::{of_io, of_store, too_large};
use super::get::checksums;
use super::multipart::{algorithm_of, part_number, upload_id};
use super::put::{kept_headers, keying, say_server_keyed};
use super::{Call, conditions, transfer};
use crate::index::Condition;
use crate::store::{Stored, Writing, Written};
use axum::response::Response;
use futures_util::StreamExt;
use http::HeaderMap;
use std::ops::Range;
use std::pin::pin;
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::{Algorithm, Hasher, Value};
use strongroom_s3::conditions::{COPY_SOURCE, check_read};
use strongroom_s3::copy_source::CopySource;
use strongroom_s3::date::iso_date;
use strongroom_s3::range::parse_copy_source;
use strongroom_s3::sse_c::{COPY_SOURCE_SSE_C, SSE_C_ALGORITHM, SseC};

/// Opens the source with its key, if its conditions hold.
async fn open(call: &Call<'_>, source: &CopySource) -> Result<Stored, S3Error> {
    let sse_c = SseC::parse_copy_source(call.headers)?;
    let expected = call.headers.get("x-amz-source-expected-bucket-owner");
    let bucket = call.bucket_of(&source.bucket, expected).await?;
    let key = sse_c.as_ref().map(|sse_c| &sse_c.key);
    let stored = call.objects().open(&bucket, &source.key, key).await;
    let stored = stored.map_err(of_store)?;
    let Stored { manifest, .. } = &stored;
    if check_read(
        &COPY_SOURCE,
        call.headers,
        &manifest.etag,
        manifest.stored_at,
    )? {
        Ok(stored)
    } else {
        Err(S3Error::PRECONDITION_FAILED)
    }
}

pub(super) async fn object(call: &Call<'_>) -> Result<Response, S3Error> {
    let source = CopySource::parse(call.headers)?;
    let replaced = replaces_headers(call.headers)?;
    check_changes(call, &source, replaced)?;
    let mut headers = HeaderMap::new();
    let keying = keying(call, &mut headers)?;
    let condition = conditions::of_write(call.headers)?;
    let algorithm = asked_algorithm(call.headers)?;
    let bucket = call.bucket().await?;
    let _permit = transfer(call.store, call.who)?;
    let stored = open(call, &source).await?;
    let size = stored.manifest.size;
    if size > RUN_BYTES_MAX {
        return Err(S3Error::text(
            400,
            "InvalidRequest",
            format!(
                "The specified copy source is larger than the maximum allowable size for a copy \
                 source: {RUN_BYTES_MAX}"
            ),
        ));
    }
    let kept = if replaced {
        kept_headers(call.headers, call.who)?
    } else {
        stored.manifest.headers.clone()
    };
    let of_source = checksums(&stored.manifest);
    let algorithm = algorithm.or(of_source.first().map(Value::algorithm));
    let writing = call
        .objects()
        .put(&bucket, call.key, keying, kept, Some(size))
        .await
        .map_err(of_store)?;
    let copied = pour(stored, 0..size, writing, algorithm, condition).await?;
    Ok(answered("CopyObjectResult", &copied, headers))
}

/// `x-amz-metadata-directive`.
fn replaces_headers(headers: &HeaderMap) -> Result<bool, S3Error> {
    match headers.get("x-amz-metadata-directive") {
        None => Ok(false),
        Some(value) if value == "COPY" => Ok(false),
        Some(value) if value == "REPLACE" => Ok(true),
        Some(_) => Err(S3Error::new(
            400,
            "InvalidArgument",
            "Unknown metadata directive.",
        )),
    }
}

fn asked_algorithm(headers: &HeaderMap) -> Result<Option<Algorithm>, S3Error> {
    let Some(value) = headers.get("x-amz-checksum-algorithm") else {
        return Ok(None);
    };
    let algorithm = value.to_str().ok().and_then(Algorithm::parse);
    algorithm.map(Some).ok_or(S3Error::new(
        400,
        "InvalidRequest",
        "Checksum algorithm provided is unsupported. Please try again with any of the valid \
         types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
    ))
}

/// A copy onto itself must change something (AWS).
fn check_changes(call: &Call<'_>, source: &CopySource, replaced: bool) -> Result<(), S3Error> {
    let rekeyed = [
        SSE_C_ALGORITHM,
        COPY_SOURCE_SSE_C[0],
        "x-amz-server-side-encryption",
    ]
    .iter()
    .any(|name| call.headers.contains_key(*name));
    let itself = source.bucket == call.bucket_name && source.key == call.key;
    if itself && !replaced && !rekeyed {
        return Err(S3Error::new(
            400,
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location or \
             encryption attributes.",
        ));
    }
    Ok(())
}

pub(super) async fn part(call: &Call<'_>) -> Result<Response, S3Error> {
    let source = CopySource::parse(call.headers)?;
    let (id, number) = (upload_id(call)?, part_number(call)?);
    let sse_c = SseC::parse(call.headers)?;
    let mut headers = HeaderMap::new();
    if let Some(sse_c) = &sse_c {
        sse_c.echo(&mut headers);
    }
    let bucket = call.bucket().await?;
    let _permit = transfer(call.store, call.who)?;
    let stored = open(call, &source).await?;
    let size = stored.manifest.size;
    let range = match call.headers.get("x-amz-copy-source-range") {
        Some(value) => parse_copy_source(value.as_bytes(), size)?,
        None => 0..size,
    };
    let (length, max) = (range.end - range.start, call.single_bytes_max());
    if length > max {
        return Err(too_large(length, max));
    }
    let key = sse_c.map(|sse_c| sse_c.key);
    let writing = call
        .objects()
        .part(&bucket, call.key, id, number, key, Some(length))
        .await
        .map_err(of_store)?;
    if writing.server_keyed() {
        say_server_keyed(&mut headers);
    }
    let algorithm = algorithm_of(&writing);
    let copied = pour(stored, range, writing, algorithm, Condition::None).await?;
    Ok(answered("CopyPartResult", &copied, headers))
}

/// Stores the bytes of `range`, or nothing of them.
async fn pour(
    stored: Stored,
    range: Range<u64>,
    mut writing: Writing,
    algorithm: Option<Algorithm>,
    condition: Condition,
) -> Result<(Written, Option<Value>), S3Error> {
    let mut hasher = algorithm.map(Hasher::new);
    match pour_all(stored, range, &mut writing, hasher.as_mut()).await {
        Ok(()) => {
            let checksum = hasher.map(Hasher::finish);
            let written = writing.finish(kept(checksum.as_slice()), condition).await;
            Ok((written.map_err(of_store)?, checksum))
        }
        Err(error) => {
            writing.abandon().await;
            Err(error)
        }
    }
}

async fn pour_all(
    stored: Stored,
    range: Range<u64>,
    writing: &mut Writing,
    mut hasher: Option<&mut Hasher>,
) -> Result<(), S3Error> {
    let mut bytes = pin!(stored.stream(range).await.map_err(of_store)?);
    while let Some(data) = bytes.next().await {
        let data = data.map_err(|error| of_io(&error))?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&data);
        }
        writing.push(&data).await.map_err(of_store)?;
    }
    Ok(())
}

fn answered(root: &str, copied: &(Written, Option<Value>), headers: HeaderMap) -> Response {
    let (written, checksum) = copied;
    let mut answer = answer::document(root, |xml| {
        xml.element("LastModified", &iso_date(written.stored_at));
        xml.element("ETag", &quoted(&written.etag));
        if let Some(value) = checksum {
            xml.element(value.algorithm().element(), &value.text());
        }
    });
    answer.headers_mut().extend(headers);
    answer
}
