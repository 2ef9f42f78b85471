//! Deletion of one object, and of up to 1,000 at once.

use super::body::{Sent, read_small};
use super::faults::of_store;
use super::{Call, answer, conditions};
use crate::index::{Bucket, Condition};
use crate::store::StoreError;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use strongroom_s3::S3Error;
use strongroom_s3::checksum::Algorithm;
use strongroom_s3::xml::{DELETE_BYTES_MAX, DeleteObject, DeleteRequest, Writer};

pub(super) async fn one(call: &Call<'_>) -> Result<Response, S3Error> {
    let condition = conditions::of_delete(call.headers)?;
    let bucket = call.bucket().await?;
    delete_if(call, &bucket, call.key, condition).await?;
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

/// No such object is no error, whatever the condition (AWS, *conditional deletes*).
async fn delete_if(
    call: &Call<'_>,
    bucket: &Bucket,
    key: &str,
    condition: Condition,
) -> Result<(), S3Error> {
    match call.objects().delete(bucket, key, condition).await {
        Ok(()) | Err(StoreError::NoSuchKey) => Ok(()),
        Err(error) => Err(of_store(error)),
    }
}

pub(super) async fn many(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    check_digest_sent(call.headers)?;
    let bucket = call.bucket().await?;
    let body = read_small(call.headers, sent, DELETE_BYTES_MAX).await?;
    let request = DeleteRequest::parse(&body)?;
    let plain = request.objects.iter();
    let plain = plain.filter(|object| object.etag.is_none() && is_there(object));
    let plain: Vec<String> = plain.map(|object| object.key.clone()).collect();
    let at_once = if plain.is_empty() {
        Ok(())
    } else {
        let deleted = call.objects().delete_many(&bucket, plain).await;
        deleted.map_err(of_store)
    };
    let mut outcomes = Vec::with_capacity(request.objects.len());
    for object in &request.objects {
        outcomes.push(match &object.etag {
            _ if !is_there(object) => Err(NO_SUCH_VERSION),
            None => at_once.clone(),
            Some(etag) => {
                let condition = Condition::IfMatch(etag.clone());
                delete_if(call, &bucket, &object.key, condition).await
            }
        });
    }
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
