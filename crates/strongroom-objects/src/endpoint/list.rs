//! Listings of a bucket's objects: name, size, time and entity tag, nothing that needs a key.

use super::Call;
use super::answer::{self, quoted};
use super::faults::of_store;
use crate::index::{Bucket, Entry, ListQuery, Listing, PAGE_MAX};
use axum::response::Response;
use percent_encoding::utf8_percent_encode;
use std::borrow::Cow;
use std::sync::Arc;
use strongroom_s3::date::iso_date;
use strongroom_s3::query::Query;
use strongroom_s3::sigv4::UNRESERVED_PATH;
use strongroom_s3::xml::Writer;
use strongroom_s3::{S3Error, continuation};

/// What all listings are asked alike.
pub(super) struct Asked<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: Option<&'a str>,
    /// Names are shown percent-encoded, as XML cannot hold every character.
    encoded: bool,
    pub(super) max: usize,
}

impl<'a> Asked<'a> {
    /// `max` is the name of the parameter that says how many.
    pub(super) fn of(query: &'a Query, max: &str) -> Result<Self, S3Error> {
        let encoded = match query.one("encoding-type") {
            None | Some("") => false,
            Some("url") => true,
            Some(_) => {
                return Err(S3Error::new(
                    400,
                    "InvalidArgument",
                    "Invalid Encoding Method specified in Request",
                ));
            }
        };
        Ok(Self {
            prefix: query.one("prefix").unwrap_or_default(),
            delimiter: query.one("delimiter").filter(|text| !text.is_empty()),
            encoded,
            max: parse_max(query, max)?,
        })
    }

    /// A key as this listing shows it.
    pub(super) fn show<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if self.encoded {
            utf8_percent_encode(key, UNRESERVED_PATH).into()
        } else {
            Cow::Borrowed(key)
        }
    }

    /// What every listing repeats of the request.
    pub(super) fn write(&self, xml: &mut Writer, max: &str) {
        xml.element("Prefix", &self.show(self.prefix));
        if let Some(delimiter) = self.delimiter {
            xml.element("Delimiter", &self.show(delimiter));
        }
        if self.encoded {
            xml.element("EncodingType", "url");
        }
        xml.element(max, &self.max.to_string());
    }

    pub(super) fn write_prefixes(&self, xml: &mut Writer, prefixes: &[String]) {
        for prefix in prefixes {
            xml.open("CommonPrefixes");
            xml.element("Prefix", &self.show(prefix));
            xml.close("CommonPrefixes");
        }
    }

    fn write_entry(&self, xml: &mut Writer, entry: &Entry) {
        xml.element("Key", &self.show(&entry.key));
        xml.element("LastModified", &iso_date(entry.stat.stored_at));
        xml.element("ETag", &quoted(&entry.stat.etag));
        xml.element("Size", &entry.stat.size.to_string());
        xml.element("StorageClass", "STANDARD");
    }
}

/// At most 1,000 (AWS).
pub(super) fn parse_max(query: &Query, name: &str) -> Result<usize, S3Error> {
    let Some(text) = query.one(name).filter(|text| !text.is_empty()) else {
        return Ok(PAGE_MAX);
    };
    match text.parse::<i32>() {
        Ok(max) => match usize::try_from(max) {
            Ok(max) => Ok(max.min(PAGE_MAX)),
            Err(_) => Err(S3Error::text(
                400,
                "InvalidArgument",
                format!("Argument {name} must be an integer between 0 and 2147483647"),
            )),
        },
        Err(_) => Err(S3Error::text(
            400,
            "InvalidArgument",
            format!("Provided {name} not an integer or within integer range"),
        )),
    }
}

/// The page behind `after` (names and prefixes) or `start_after` (names alone).
async fn page(
    call: &Call<'_>,
    asked: &Asked<'_>,
    after: Option<&str>,
    start_after: Option<&str>,
) -> Result<(Arc<Bucket>, Listing), S3Error> {
    let bucket = call.bucket().await?;
    if asked.max == 0 {
        return Ok((bucket, Listing::default()));
    }
    let query = ListQuery {
        prefix: asked.prefix.to_owned(),
        after: after.map(str::to_owned),
        start_after: start_after.map(str::to_owned),
        delimiter: asked.delimiter.map(str::to_owned),
        max: asked.max,
    };
    let listing = call.objects().list(&bucket, &query).await;
    Ok((bucket, listing.map_err(of_store)?))
}

fn filled<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.one(name).filter(|text| !text.is_empty())
}

pub(super) async fn v1(call: &Call<'_>) -> Result<Response, S3Error> {
    let asked = Asked::of(call.query, "max-keys")?;
    let marker = filled(call.query, "marker");
    let (bucket, listing) = page(call, &asked, marker, None).await?;
    Ok(answer::document("ListBucketResult", |xml| {
        xml.element("Name", call.bucket_name);
        asked.write(xml, "MaxKeys");
        xml.element("Marker", &asked.show(marker.unwrap_or_default()));
        xml.element("IsTruncated", truth(listing.next.is_some()));
        // Without a delimiter the last key is the marker (AWS).
        if let Some(next) = listing.next.as_ref().filter(|_| asked.delimiter.is_some()) {
            xml.element("NextMarker", &asked.show(next));
        }
        for entry in &listing.entries {
            xml.open("Contents");
            asked.write_entry(xml, entry);
            answer::owner(xml, "Owner", &bucket.owner);
            xml.close("Contents");
        }
        asked.write_prefixes(xml, &listing.prefixes);
    }))
}

pub(super) async fn v2(call: &Call<'_>) -> Result<Response, S3Error> {
    let query = call.query;
    let asked = Asked::of(query, "max-keys")?;
    let token = query.one("continuation-token");
    let after = token.map(continuation::read).transpose()?;
    let start_after = filled(query, "start-after");
    let (bucket, listing) = page(call, &asked, after.as_deref(), start_after).await?;
    let owners = query.one("fetch-owner") == Some("true");
    let count = listing.entries.len() + listing.prefixes.len();
    Ok(answer::document("ListBucketResult", |xml| {
        xml.element("Name", call.bucket_name);
        asked.write(xml, "MaxKeys");
        xml.element("KeyCount", &count.to_string());
        xml.element("IsTruncated", truth(listing.next.is_some()));
        if let Some(token) = token {
            xml.element("ContinuationToken", token);
        }
        if let Some(start_after) = start_after {
            xml.element("StartAfter", &asked.show(start_after));
        }
        if let Some(next) = &listing.next {
            let token = continuation::token(next);
            xml.element("NextContinuationToken", &token);
        }
        for entry in &listing.entries {
            xml.open("Contents");
            asked.write_entry(xml, entry);
            if owners {
                answer::owner(xml, "Owner", &bucket.owner);
            }
            xml.close("Contents");
        }
        asked.write_prefixes(xml, &listing.prefixes);
    }))
}

/// Every object has one version, `null`, which is the latest.
pub(super) async fn versions(call: &Call<'_>) -> Result<Response, S3Error> {
    let asked = Asked::of(call.query, "max-keys")?;
    let marker = filled(call.query, "key-marker");
    let version = filled(call.query, "version-id-marker");
    if version.is_some() && marker.is_none() {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    if version.is_some_and(|version| version != "null") {
        return Err(S3Error::new(
            400,
            "InvalidArgument",
            "Invalid version id specified",
        ));
    }
    let (bucket, listing) = page(call, &asked, marker, None).await?;
    Ok(answer::document("ListVersionsResult", |xml| {
        xml.element("Name", call.bucket_name);
        asked.write(xml, "MaxKeys");
        xml.element("KeyMarker", &asked.show(marker.unwrap_or_default()));
        xml.element("VersionIdMarker", version.unwrap_or_default());
        xml.element("IsTruncated", truth(listing.next.is_some()));
        if let Some(next) = &listing.next {
            xml.element("NextKeyMarker", &asked.show(next));
            xml.element("NextVersionIdMarker", "null");
        }
        for entry in &listing.entries {
            xml.open("Version");
            asked.write_entry(xml, entry);
            xml.element("VersionId", "null");
            xml.element("IsLatest", "true");
            answer::owner(xml, "Owner", &bucket.owner);
            xml.close("Version");
        }
        asked.write_prefixes(xml, &listing.prefixes);
    }))
}

pub(super) fn truth(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}
