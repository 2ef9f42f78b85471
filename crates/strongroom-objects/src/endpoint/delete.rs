//! Deletion of one object, and of up to 1,000 at once.

use super::body::{Sent, read_small};
use super::faults::of_store;
use super::{Call, answer, conditions, transfer};
use crate::index::Condition;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use strongroom_s3::S3Error;
use strongroom_s3::checksum::Algorithm;
use strongroom_s3::xml::{DELETE_BYTES_MAX, DeleteObject, DeleteRequest, Writer};

pub(super) async fn one(call: &Call<'_>) -> Result<Response, S3Error> {
    let condition = conditions::of_delete(call.headers)?;
    let bucket = call.bucket().await?;
    let deleted = call.objects().delete(&bucket, call.key, condition).await;
    // No such object is no error, whatever the condition (AWS, *conditional deletes*).
    deleted.map_err(of_store)?;
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

pub(super) async fn many(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    check_digest_sent(call.headers)?;
    let bucket = call.bucket().await?;
    // For its memory's sake.
    let _permit = transfer(call.store, call.who)?;
    let body = read_small(call.headers, sent, DELETE_BYTES_MAX).await?;
    let request = DeleteRequest::parse(&body)?;
    let there = request.objects.iter().filter(|object| is_there(object));
    let keys: Vec<_> = there.map(key_and_condition).collect();
    let mut deleted = if keys.is_empty() {
        Vec::new()
    } else {
        let deleted = call.objects().delete_many(&bucket, keys).await;
        deleted.map_err(of_store)?
    }
    .into_iter();
    let mut outcome = |object: &DeleteObject| {
        if !is_there(object) {
            return Err(NO_SUCH_VERSION);
        }
        let outcome = deleted.next().map(|outcome| outcome.map_err(of_store));
        outcome.unwrap_or(Err(S3Error::INTERNAL))
    };
    let outcomes: Vec<_> = request.objects.iter().map(&mut outcome).collect();
    Ok(answer::document("DeleteResult", |xml| {
        for (object, outcome) in request.objects.iter().zip(&outcomes) {
            write_outcome(xml, object, outcome, request.quiet);
        }
    }))
}

const NO_SUCH_VERSION: S3Error = S3Error::new(
    404,
    "NoSuchVersion",
    "The specified version does not exist.",
);

/// Objects have one version, `null`.
fn is_there(object: &DeleteObject) -> bool {
    matches!(object.version_id.as_deref(), None | Some("" | "null"))
}

fn key_and_condition(object: &DeleteObject) -> (String, Condition) {
    let condition = match &object.etag {
        None => Condition::None,
        Some(etag) => Condition::IfMatch(etag.clone()),
    };
    (object.key.clone(), condition)
}

fn write_outcome(
    xml: &mut Writer,
    object: &DeleteObject,
    outcome: &Result<(), S3Error>,
    quiet: bool,
) {
    let (element, error) = match outcome {
        Ok(()) if quiet => return,
        Ok(()) => ("Deleted", None),
        Err(error) => ("Error", Some(error)),
    };
    xml.open(element);
    xml.element("Key", &object.key);
    if let Some(version) = &object.version_id {
        xml.element("VersionId", version);
    }
    if let Some(error) = error {
        xml.element("Code", error.code());
        xml.element("Message", error.message());
    }
    xml.close(element);
}

/// Requests that change much say what their body is, even over TLS (AWS).
pub(super) fn check_digest_sent(headers: &HeaderMap) -> Result<(), S3Error> {
    let checksum = Algorithm::ALL
        .iter()
        .any(|algorithm| headers.contains_key(algorithm.header()));
    if checksum || headers.contains_key("content-md5") || headers.contains_key("x-amz-trailer") {
        return Ok(());
    }
    Err(S3Error::new(
        400,
        "InvalidRequest",
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
    ))
}
