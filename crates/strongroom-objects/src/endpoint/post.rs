//! Uploads from HTML forms, allowed by a signed policy.

use super::access::Who;
use super::body::{Frames, kept};
use super::faults::{of_store, too_large};
use super::operation::METADATA_PREFIX;
use super::put::{choose_keying, kept_headers};
use super::{INSECURE, answer, find_bucket, is_secure, pace, transfer};
use crate::Embedded;
use crate::index::Condition;
use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use crate::store::{Writing, Written};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::utf8_percent_encode;
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::{Algorithm, Digests, Value};
use strongroom_s3::chunked::Trailers;
use strongroom_s3::post::{Accepted, Fields, Reader, verify};
use strongroom_s3::query::Query;
use strongroom_s3::sigv4::UNRESERVED_PATH;
use strongroom_s3::sse_c::SseC;
use strongroom_s3::target::{KEY_BYTES_MAX, Target};

/// Fields that are read elsewhere, or that change nothing.
const KNOWN: [&str; 10] = [
    "bucket",
    "key",
    "policy",
    "success_action_status",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-algorithm",
];
/// Fields that mean what the header of their name means.
const HEADERS: [&str; 9] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    SSE_C_ALGORITHM,
    SSE_C_KEY,
    SSE_C_KEY_MD5,
];
/// Fields that choose, and the choice that this endpoint has.
const CHOICES: [(&str, &[&str]); 3] = [
    ("acl", &["private", "bucket-owner-full-control"]),
    ("x-amz-storage-class", &["STANDARD"]),
    ("x-amz-server-side-encryption", &["AES256"]),
];

/// Whether the request is such a form, which is not signed as other requests are.
pub(super) fn is_form(parts: &Parts, target: &Target, query: &Query) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_multipart = content_type.is_some_and(|value| {
        let start = value.as_bytes().get(..FORM.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(FORM.as_bytes()))
    });
    parts.method == Method::POST
        && is_multipart
        && !target.bucket.is_empty()
        && target.key.is_empty()
        && query.names().next().is_none()
}

const FORM: &str = "multipart/form-data";

pub(super) async fn post(
    store: &Embedded,
    parts: &Parts,
    bucket_name: &str,
    body: &mut Body,
) -> Result<Response, S3Error> {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let mut form = Form {
        frames: Frames::new(body, pace(store)),
        reader: Reader::new(content_type.map_or(b"", HeaderValue::as_bytes))?,
        ready: Vec::new(),
    };
    let fields = form.read_fields().await?;
    let access = &store.gates.access;
    let accepted = verify(
        &store.config.region,
        &|id| access.find(id),
        bucket_name,
        &fields,
        store.clock.now(),
    )?;
    // The vault's bucket takes no forms.
    let Some(who @ Who::Client(_)) = access.who(&accepted.access_key_id) else {
        return Err(S3Error::ACCESS_DENIED);
    };
    let bucket = find_bucket(store, who, bucket_name, None).await?;
    let key = fields.key()?;
    if key.len() > KEY_BYTES_MAX {
        return Err(S3Error::new(400, "KeyTooLongError", "Your key is too long"));
    }
    let headers = as_headers(&fields)?;
    if headers.contains_key(SSE_C_KEY) && !is_secure(parts) {
        return Err(INSECURE);
    }
    let mut answer = Response::default();
    let keying = choose_keying(who, SseC::parse(&headers)?, answer.headers_mut())?;
    let digests = Digests::expected(&headers)?;
    let status = success_status(&fields);
    let _permit = transfer(store, who)?;
    let kept = kept_headers(&headers, who)?;
    let writing = store.store.put(&bucket, &key, keying, kept, None).await;
    let writing = writing.map_err(of_store)?;
    let max = store.config.object_bytes_max.min(RUN_BYTES_MAX);
    let (written, checksums) = form.store(writing, digests, &accepted, max).await?;
    answer::checksums(answer.headers_mut(), checksums.iter());
    Ok(answered(store, bucket_name, &key, &written, status, answer))
}

/// A form being read.
struct Form<'a> {
    frames: Frames<'a>,
    reader: Reader,
    /// Bytes of the file that came already.
    ready: Vec<Bytes>,
}

impl Form<'_> {
    async fn read_fields(&mut self) -> Result<Fields, S3Error> {
        loop {
            if let Some(fields) = self.reader.fields() {
                return Ok(fields.clone());
            }
            match self.frames.next().await? {
                Some(data) => self.reader.push(data, &mut self.ready)?,
                None => {
                    return Err(S3Error::new(
                        400,
                        "InvalidArgument",
                        "POST requires exactly one file upload per request.",
                    ));
                }
            }
        }
    }

    /// Stores the file, or nothing of it.
    async fn store(
        self,
        mut writing: Writing,
        digests: Digests,
        accepted: &Accepted,
        max: u64,
    ) -> Result<(Written, Vec<Value>), S3Error> {
        match self.drain_into(&mut writing, digests, accepted, max).await {
            Ok(checksums) => {
                let written = writing.finish(kept(&checksums), Condition::None).await;
                Ok((written.map_err(of_store)?, checksums))
            }
            Err(error) => {
                writing.abandon().await;
                Err(error)
            }
        }
    }

    async fn drain_into(
        mut self,
        writing: &mut Writing,
        mut digests: Digests,
        accepted: &Accepted,
        max: u64,
    ) -> Result<Vec<Value>, S3Error> {
        let max = max.min(accepted.length_max);
        let mut received = 0;
        loop {
            for data in self.ready.drain(..) {
                received += data.len() as u64;
                if received > max {
                    return Err(too_large(received, max));
                }
                digests.update(&data);
                writing.push(&data).await.map_err(of_store)?;
            }
            match self.frames.next().await? {
                Some(data) => self.reader.push(data, &mut self.ready)?,
                None => break,
            }
        }
        self.reader.finish()?;
        if received < accepted.length_min {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(S3Error::new(400, "EntityTooSmall", message)
                .with("ProposedSize", received.to_string())
                .with("MinSizeAllowed", accepted.length_min.to_string()));
        }
        digests.finish(&Trailers::default())
    }
}

/// The fields that stand for headers; one that would change more than is built is 501.
fn as_headers(fields: &Fields) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter() {
        let checksum = Algorithm::ALL
            .iter()
            .any(|algorithm| algorithm.header() == name);
        let header = checksum || HEADERS.contains(&name) || name.starts_with(METADATA_PREFIX);
        if header {
            let value = HeaderValue::from_str(value);
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value) {
                headers.insert(name, value);
                continue;
            }
            let message = "A field has a character that no header can hold.";
            return Err(S3Error::new(400, "InvalidArgument", message));
        }
        let choice = CHOICES.iter().find(|(choice, _)| *choice == name);
        let built = match choice {
            Some((_, values)) => values.contains(&value),
            None => KNOWN.contains(&name) || name.starts_with("x-ignore-"),
        };
        if !built {
            return Err(S3Error::NOT_IMPLEMENTED);
        }
    }
    let doubly = fields.get("x-amz-server-side-encryption").is_some();
    if doubly && headers.contains_key(SSE_C_KEY) {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "Server Side Encryption with Customer provided key is incompatible with the \
             encryption method specified",
        ));
    }
    Ok(headers)
}

/// 200 and 201 if asked for, 204 else (AWS).
fn success_status(fields: &Fields) -> StatusCode {
    match fields.get("success_action_status") {
        Some("200") => StatusCode::OK,
        Some("201") => StatusCode::CREATED,
        _ => StatusCode::NO_CONTENT,
    }
}

fn answered(
    store: &Embedded,
    bucket: &str,
    key: &str,
    written: &Written,
    status: StatusCode,
    mut answer: Response,
) -> Response {
    let origin = store.config.public_url.trim_end_matches('/');
    let path = format!("/{bucket}/{key}");
    let location = format!("{origin}{}", utf8_percent_encode(&path, UNRESERVED_PATH));
    let headers = answer.headers_mut();
    answer::etag(headers, &written.etag);
    answer::set(headers, header::LOCATION, &location);
    if status == StatusCode::CREATED {
        let document = answer::document("PostResponse", |xml| {
            xml.element("Location", &location);
            xml.element("Bucket", bucket);
            xml.element("Key", key);
            xml.element("ETag", &answer::quoted(&written.etag));
        });
        let (parts, body) = document.into_parts();
        answer.headers_mut().extend(parts.headers);
        *answer.body_mut() = body;
    }
    *answer.status_mut() = status;
    answer
}
