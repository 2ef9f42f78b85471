//! Listings of a bucket's open uploads, and of an upload's parts.

use super::Call;
use super::answer::{self, quoted};
use super::faults::of_store;
use super::list::{Asked, parse_max, truth};
use super::multipart::upload_id;
use crate::index::{UploadListing, UploadQuery};
use crate::store::{PartInfo, PartList};
use axum::response::Response;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::Algorithm;
use strongroom_s3::date::iso_date;
use strongroom_s3::sse_c::SseC;
use strongroom_s3::xml::Writer;

pub(super) async fn list(call: &Call<'_>) -> Result<Response, S3Error> {
    let id = upload_id(call)?;
    let sse_c = SseC::parse(call.headers)?;
    let max = parse_max(call.query, "max-parts")?;
    let marker = match call.query.one("part-number-marker") {
        None | Some("") => 0,
        Some(text) => text.parse().map_err(|_| {
            S3Error::new(
                400,
                "InvalidArgument",
                "Provided part-number-marker not an integer or within integer range",
            )
        })?,
    };
    let bucket = call.bucket().await?;
    let key = sse_c.as_ref().map(|sse_c| &sse_c.key);
    // One part at least is asked for, to learn whether there is such an upload.
    let asked = u32::try_from(max.max(1)).unwrap_or(u32::MAX);
    let parts = call
        .objects()
        .parts(&bucket, call.key, id, key, marker, asked);
    let mut parts: PartList = parts.await.map_err(of_store)?;
    if max == 0 {
        parts.parts.clear();
        parts.next = None;
    }
    Ok(answer::document("ListPartsResult", |xml| {
        xml.element("Bucket", call.bucket_name);
        xml.element("Key", call.key);
        xml.element("UploadId", id);
        xml.element("PartNumberMarker", &marker.to_string());
        if let Some(next) = parts.next {
            xml.element("NextPartNumberMarker", &next.to_string());
        }
        xml.element("MaxParts", &max.to_string());
        xml.element("IsTruncated", truth(parts.next.is_some()));
        if let Some((algorithm, kind)) = &parts.checksum {
            xml.element("ChecksumAlgorithm", algorithm);
            xml.element("ChecksumType", kind);
        }
        for part in &parts.parts {
            write_part(xml, part);
        }
        answer::owner(xml, "Initiator", &bucket.owner);
        answer::owner(xml, "Owner", &bucket.owner);
        xml.element("StorageClass", "STANDARD");
    }))
}

fn write_part(xml: &mut Writer, part: &PartInfo) {
    xml.open("Part");
    xml.element("PartNumber", &part.number.to_string());
    xml.element("LastModified", &iso_date(part.stored_at));
    xml.element("ETag", &quoted(&part.etag));
    xml.element("Size", &part.size.to_string());
    for (name, text) in &part.checksums {
        if let Some(algorithm) = Algorithm::parse(name) {
            xml.element(algorithm.element(), text);
        }
    }
    xml.close("Part");
}

pub(super) async fn uploads(call: &Call<'_>) -> Result<Response, S3Error> {
    let query = call.query;
    let asked = Asked::of(query, "max-uploads")?;
    let key_marker = query.one("key-marker").filter(|text| !text.is_empty());
    let upload_marker = query
        .one("upload-id-marker")
        .filter(|text| !text.is_empty());
    let bucket = call.bucket().await?;
    let listing = if asked.max == 0 {
        UploadListing::default()
    } else {
        let query = UploadQuery {
            prefix: asked.prefix.to_owned(),
            key_marker: key_marker.map(str::to_owned),
            upload_marker: upload_marker.map(str::to_owned),
            delimiter: asked.delimiter.map(str::to_owned),
            max: asked.max,
        };
        let listing = call.objects().uploads(&bucket, &query).await;
        listing.map_err(of_store)?
    };
    Ok(answer::document("ListMultipartUploadsResult", |xml| {
        xml.element("Bucket", call.bucket_name);
        asked.write(xml, "MaxUploads");
        xml.element("KeyMarker", &asked.show(key_marker.unwrap_or_default()));
        xml.element("UploadIdMarker", upload_marker.unwrap_or_default());
        xml.element("IsTruncated", truth(listing.next.is_some()));
        if let Some((key, id)) = &listing.next {
            xml.element("NextKeyMarker", &asked.show(key));
            xml.element("NextUploadIdMarker", id.as_deref().unwrap_or_default());
        }
        for upload in &listing.entries {
            xml.open("Upload");
            xml.element("Key", &asked.show(&upload.key));
            xml.element("UploadId", &upload.id);
            answer::owner(xml, "Initiator", &bucket.owner);
            answer::owner(xml, "Owner", &bucket.owner);
            xml.element("StorageClass", "STANDARD");
            xml.element("Initiated", &iso_date(upload.created_at));
            xml.close("Upload");
        }
        asked.write_prefixes(xml, &listing.prefixes);
    }))
}
