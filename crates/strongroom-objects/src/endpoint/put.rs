//! PUT of an object, and what all requests that make an object have in common.

use super::body::{Incoming, Sent, receive};
use super::faults::of_store;
use super::operation::METADATA_PREFIX;
use super::{Call, Who, answer, conditions, transfer, vault};
use crate::index::Condition;
use crate::store::Keying;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_s3::S3Error;
use strongroom_s3::sse_c::SseC;

/// Bytes of user metadata, names and values (AWS).
const METADATA_BYTES_MAX: usize = 2048;
/// Bytes of all headers that are kept with an object (AWS: of a PUT's header).
const KEPT_BYTES_MAX: usize = 8192;
/// Headers that a download repeats, in every bucket.
const KEPT: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
];
/// In the vault's bucket these stay what they are on every answer.
const KEPT_FOR_CLIENTS: [HeaderName; 3] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::EXPIRES,
];

pub(super) async fn put(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    let mut answer = Response::default();
    let keying = keying(call, answer.headers_mut())?;
    let condition = conditions::of_write(call.headers)?;
    let max = call.single_bytes_max();
    let incoming = Incoming::new(call.headers, sent, max)?;
    let headers = kept_headers(call.headers, call.who)?;
    let bucket = call.bucket().await?;
    let _turn = vault::turn_to_upload(call)?;
    let _permit = transfer(call.store, call.who)?;
    if condition == Condition::IfNoneMatch {
        // Refused before the body comes; the store decides again when it has come.
        let there = call.objects().stat(&bucket, call.key).await;
        if there.map_err(of_store)?.is_some() {
            return Err(S3Error::PRECONDITION_FAILED);
        }
    }
    let writing = call
        .objects()
        .put(&bucket, call.key, keying, headers, incoming.length())
        .await
        .map_err(of_store)?;
    let (written, checksums) = receive(incoming, writing, condition).await?;
    answer::etag(answer.headers_mut(), &written.etag);
    answer::checksums(answer.headers_mut(), checksums.iter());
    Ok(answer)
}

/// Whose key is to seal what the request stores; the answer says so too.
pub(super) fn keying(call: &Call<'_>, answer: &mut HeaderMap) -> Result<Keying, S3Error> {
    let sse_c = SseC::parse(call.headers)?;
    if sse_c.is_some() && call.headers.contains_key(SERVER_SIDE_ENCRYPTION) {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "Server Side Encryption with Customer provided key is incompatible with the \
             encryption method specified",
        ));
    }
    choose_keying(call.who, sse_c, answer)
}

/// As [`keying`], from what a form says.
pub(super) fn choose_keying(
    who: &Who,
    sse_c: Option<SseC>,
    answer: &mut HeaderMap,
) -> Result<Keying, S3Error> {
    match (sse_c, who) {
        (Some(sse_c), _) => {
            sse_c.echo(answer);
            Ok(Keying::Customer(sse_c.key))
        }
        (None, Who::Client(client)) if client.server_keyed => {
            say_server_keyed(answer);
            Ok(Keying::Server)
        }
        (None, Who::Client(_)) => Err(S3Error::new(
            403,
            "AccessDenied",
            "This credential stores objects under customer provided keys alone.",
        )),
        (None, Who::Vault) => Err(S3Error::new(
            403,
            "AccessDenied",
            "This bucket keeps objects under customer provided keys alone.",
        )),
    }
}

const SERVER_SIDE_ENCRYPTION: &str = "x-amz-server-side-encryption";

/// What answers about server-keyed objects say.
pub(super) fn say_server_keyed(answer: &mut HeaderMap) {
    answer.insert(SERVER_SIDE_ENCRYPTION, HeaderValue::from_static("AES256"));
}

/// The headers that a download repeats.
pub(super) fn kept_headers(
    headers: &HeaderMap,
    who: &Who,
) -> Result<Vec<(String, String)>, S3Error> {
    let further: &[HeaderName] = match who {
        Who::Vault => &[],
        Who::Client(_) => &KEPT_FOR_CLIENTS,
    };
    let mut kept = vec![];
    for (name, value) in headers {
        let metadata = name.as_str().starts_with(METADATA_PREFIX);
        if !metadata && !KEPT.contains(name) && !further.contains(name) {
            continue;
        }
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| S3Error::new(400, "InvalidArgument", "A header is not UTF-8"))?;
        if name == header::CONTENT_ENCODING {
            keep_encoding(value, &mut kept);
        } else {
            kept.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    check_kept(kept)
}

/// `aws-chunked` is how the body travels, not what the object is (AWS).
fn keep_encoding(value: &str, kept: &mut Vec<(String, String)>) {
    let codings = value.split(',').map(str::trim);
    let codings: Vec<_> = codings.filter(|coding| *coding != "aws-chunked").collect();
    if codings.iter().any(|coding| !coding.is_empty()) {
        kept.push(("content-encoding".to_owned(), codings.join(",")));
    }
}

/// Adds the default type and checks the size of what is kept.
pub(super) fn check_kept(
    mut kept: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, S3Error> {
    let (mut bytes, mut metadata_bytes) = (0, 0);
    for (name, value) in &kept {
        bytes += name.len() + value.len();
        let metadata = name.strip_prefix(METADATA_PREFIX);
        metadata_bytes += metadata.map_or(0, |name| name.len() + value.len());
    }
    if bytes > KEPT_BYTES_MAX || metadata_bytes > METADATA_BYTES_MAX {
        return Err(S3Error::new(
            400,
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
        ));
    }
    if !kept.iter().any(|(name, _)| name == "content-type") {
        kept.push(("content-type".to_owned(), "binary/octet-stream".to_owned()));
    }
    Ok(kept)
}
