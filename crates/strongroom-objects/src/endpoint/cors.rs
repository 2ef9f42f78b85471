//! CORS: each bucket's own rules; those of the vault's bucket come from the configuration.

use super::body::{Sent, read_small};
use super::delete::check_digest_sent;
use super::faults::of_store;
use super::{Call, answer};
use crate::Embedded;
use crate::index::Bucket;
use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use std::borrow::Cow;
use strongroom_s3::S3Error;
use strongroom_s3::cors::{self, Rule, Rules};
use strongroom_s3::target::Target;

/// Bytes of a `CORSConfiguration` (AWS).
const XML_BYTES_MAX: usize = 64 << 10;
/// How long a browser may keep a preflight's answer about the vault's bucket, in seconds.
const VAULT_MAX_AGE_S: u32 = 600;

/// The rules of the vault's bucket: PUT and GET with the headers that presigned URLs need.
pub(super) fn of_vault(origins: &[String]) -> Option<Rules> {
    if origins.is_empty() {
        return None;
    }
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Some(Rules::new(vec![Rule {
        id: None,
        origins: origins.to_vec(),
        methods: vec![Method::PUT, Method::GET],
        headers: names(&[
            "content-type",
            "if-none-match",
            "if-match",
            SSE_C_ALGORITHM,
            SSE_C_KEY,
            SSE_C_KEY_MD5,
        ]),
        expose: names(&[
            "etag",
            "content-range",
            "x-amz-request-id",
            SSE_C_ALGORITHM,
            SSE_C_KEY_MD5,
        ]),
        max_age_s: Some(VAULT_MAX_AGE_S),
    }]))
}

/// Those of the bucket that a path names; none for a bucket that there is not.
async fn rules<'a>(store: &'a Embedded, path: &str) -> Result<Option<Cow<'a, Rules>>, S3Error> {
    let Ok(target) = Target::parse(path) else {
        return Ok(None);
    };
    if target.bucket == store.config.bucket {
        return Ok(store.gates.cors.as_ref().map(Cow::Borrowed));
    }
    let bucket = store.store.bucket(&target.bucket).await;
    let bucket = bucket.map_err(of_store)?;
    let xml = bucket.as_ref().and_then(|bucket| bucket.cors.as_deref());
    xml.map(|xml| Rules::from_xml(xml.as_bytes()).map(Cow::Owned))
        .transpose()
}

/// Answers OPTIONS.
pub(super) async fn preflight(store: &Embedded, parts: &Parts) -> Result<Response, S3Error> {
    let rules = rules(store, parts.uri.path()).await?;
    let mut answer = Response::default();
    *answer.headers_mut() = cors::preflight(rules.as_deref(), &parts.headers)?;
    Ok(answer)
}

/// Adds the CORS headers to an answer, errors included, so that pages can read them.
pub(super) async fn decorate(store: &Embedded, parts: &Parts, headers: &mut HeaderMap) {
    // What cannot be read now was refused with the request itself.
    if let Ok(Some(rules)) = rules(store, parts.uri.path()).await {
        cors::decorate(&rules, &parts.method, &parts.headers, headers);
    }
}

pub(super) async fn get(call: &Call<'_>) -> Result<Response, S3Error> {
    let bucket = call.bucket().await?;
    let xml = bucket.cors.clone().ok_or(S3Error::new(
        404,
        "NoSuchCORSConfiguration",
        "The CORS configuration does not exist",
    ))?;
    Ok(answer::of_xml(xml))
}

pub(super) async fn put(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    check_digest_sent(call.headers)?;
    let bucket = call.bucket().await?;
    let body = read_small(call.headers, sent, XML_BYTES_MAX).await?;
    let rules = Rules::from_xml(&body)?;
    keep(call, &bucket, Some(rules.to_xml())).await?;
    Ok(Response::default())
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Response, S3Error> {
    let bucket = call.bucket().await?;
    keep(call, &bucket, None).await?;
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

async fn keep(call: &Call<'_>, bucket: &Bucket, rules: Option<String>) -> Result<(), S3Error> {
    if let Some(rules) = &rules {
        call.objects()
            .check_row_room(rules.len())
            .map_err(of_store)?;
    }
    let kept = call.objects().set_cors(bucket, rules).await;
    if kept.map_err(of_store)? {
        Ok(())
    } else {
        Err(S3Error::NO_SUCH_BUCKET)
    }
}
