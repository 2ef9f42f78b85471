//! Operations on buckets themselves.

use super::body::{Sent, declared_length, read_small};
use super::faults::of_store;
use super::{Call, answer, settings};
use crate::index::{CreateBucket, DeleteBucket};
use axum::response::Response;
use http::{HeaderName, StatusCode, header};
use strongroom_s3::S3Error;
use strongroom_s3::bucket_name;
use strongroom_s3::date::iso_date;
use strongroom_s3::xml::{self, CREATE_BUCKET_BYTES_MAX};

/// The region where AWS answers a bucket's second creation by its owner with 200, and where a
/// bucket's location is the empty string.
const FIRST_REGION: &str = "us-east-1";
/// Buckets of one page (AWS).
const PAGE_MAX: usize = 10_000;

/// The caller's own buckets.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, S3Error> {
    let client = call.client()?;
    let query = call.query;
    let max = match query.one("max-buckets") {
        None => PAGE_MAX,
        Some(text) => text
            .parse()
            .ok()
            .filter(|max| (1..=PAGE_MAX).contains(max))
            .ok_or(S3Error::new(
                400,
                "InvalidArgument",
                "max-buckets must be an integer between 1 and 10000",
            ))?,
    };
    let prefix = query.one("prefix").unwrap_or_default();
    // A token is the last name of the page before; names are no secret of their owner.
    let after = query.one("continuation-token").unwrap_or_default();
    let region = query.one("bucket-region");
    let elsewhere = region.is_some_and(|region| region != call.store.config.region);
    let buckets = call.objects().buckets(&client.name).await;
    let mut buckets = buckets.map_err(of_store)?;
    buckets.retain(|bucket| {
        bucket.name.starts_with(prefix) && *bucket.name > *after && client.may(&bucket.name)
    });
    if elsewhere {
        buckets.clear();
    }
    let more = buckets.len() > max;
    buckets.truncate(max);
    Ok(answer::document("ListAllMyBucketsResult", |xml| {
        answer::owner(xml, "Owner", &client.name);
        xml.open("Buckets");
        for bucket in &buckets {
            xml.open("Bucket");
            xml.element("Name", &bucket.name);
            xml.element("CreationDate", &iso_date(bucket.created_at));
            xml.element("BucketRegion", &call.store.config.region);
            xml.close("Bucket");
        }
        xml.close("Buckets");
        if let Some(last) = buckets.last().filter(|_| more) {
            xml.element("ContinuationToken", &last.name);
        }
        if !prefix.is_empty() {
            xml.element("Prefix", prefix);
        }
    }))
}

pub(super) async fn create(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    let client = call.client()?;
    let name = call.bucket_name;
    bucket_name::check(name)?;
    if !client.may(name) {
        return Err(S3Error::ACCESS_DENIED);
    }
    // Some clients send no length with no body.
    let body = match declared_length(call.headers) {
        Err(_) => Vec::new(),
        Ok(_) => read_small(call.headers, sent, CREATE_BUCKET_BYTES_MAX).await?,
    };
    let region = &call.store.config.region;
    let location = xml::CreateBucket::parse(&body)?.location;
    if let Some(location) = location.filter(|location| location != region) {
        return Err(S3Error::text(
            400,
            "IllegalLocationConstraintException",
            format!(
                "The {location} location constraint is incompatible for the region specific \
                 endpoint this request was sent to."
            ),
        ));
    }
    call.objects().check_row_room(0).map_err(of_store)?;
    let created = call.objects().create_bucket(name, &client.name).await;
    match created.map_err(of_store)? {
        CreateBucket::Created(_) => {}
        CreateBucket::Exists(bucket) if bucket.owner != client.name => {
            return Err(S3Error::new(
                409,
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by \
                 all users of the system. Please select a different name and try again.",
            )
            .with("BucketName", name));
        }
        CreateBucket::Exists(_) if region == FIRST_REGION => {}
        CreateBucket::Exists(_) => {
            return Err(S3Error::new(
                409,
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own \
                 it.",
            )
            .with("BucketName", name));
        }
        CreateBucket::TooMany => {
            return Err(S3Error::new(
                400,
                "TooManyBuckets",
                "You have attempted to create more buckets than allowed",
            ));
        }
    }
    let mut answer = Response::default();
    answer::set(answer.headers_mut(), header::LOCATION, &format!("/{name}"));
    Ok(answer)
}

pub(super) async fn head(call: &Call<'_>) -> Result<Response, S3Error> {
    call.bucket().await?;
    let mut answer = Response::default();
    let name = HeaderName::from_static("x-amz-bucket-region");
    answer::set(answer.headers_mut(), name, &call.store.config.region);
    Ok(answer)
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Response, S3Error> {
    let bucket = call.bucket().await?;
    match call
        .objects()
        .delete_bucket(&bucket)
        .await
        .map_err(of_store)?
    {
        DeleteBucket::Deleted(_) => {}
        DeleteBucket::NotEmpty => {
            return Err(S3Error::new(
                409,
                "BucketNotEmpty",
                "The bucket you tried to delete is not empty",
            )
            .with("BucketName", call.bucket_name));
        }
        DeleteBucket::NoBucket => return Err(S3Error::NO_SUCH_BUCKET),
    }
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

pub(super) async fn location(call: &Call<'_>) -> Result<Response, S3Error> {
    call.bucket().await?;
    let region = call.store.config.region.as_str();
    let region = if region == FIRST_REGION { "" } else { region };
    Ok(answer::fixed("LocationConstraint", region))
}

pub(super) async fn setting(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let bucket = call.bucket().await?;
    settings::get(name, &bucket.owner)
}
