//! XML of requests, read within bounds and without DTD or entities beyond XML's five, and a small
//! writer for answers.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use crate::S3Error;
use crate::checksum::{Algorithm, Value};
pub(crate) use reader::{Element, MALFORMED};
pub use writer::Writer;

/// Largest body that [`DeleteRequest::parse`] takes: 1,000 keys of 1 KiB, escaped.
pub const DELETE_BYTES_MAX: usize = 2 << 20;
/// Largest body that [`CompleteRequest::parse`] takes: 10,000 parts with a checksum each.
pub const COMPLETE_BYTES_MAX: usize = 4 << 20;
/// Largest body that [`CreateBucket::parse`] takes.
pub const CREATE_BUCKET_BYTES_MAX: usize = 64 << 10;

/// Most objects of a [`DeleteRequest`] (AWS).
const OBJECTS_MAX: usize = 1000;
/// Most parts of a [`CompleteRequest`], and the highest number of one (AWS).
const PARTS_MAX: u32 = 10_000;

/// The body of `DeleteObjects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Only failures are to be reported.
    pub quiet: bool,
    /// 1 to 1,000.
    pub objects: Vec<DeleteObject>,
}

/// One object of a [`DeleteRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteObject {
    /// Its name, not empty; how long it may be is the reader's to check.
    pub key: String,
    /// The version asked for.
    pub version_id: Option<String>,
    /// Delete only if it has this `ETag`, without quotes, or `*`.
    pub etag: Option<String>,
}

impl DeleteRequest {
    /// 400 `MalformedXML`.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let root = Element::parse(xml, DELETE_BYTES_MAX, "Delete")?;
        let (mut quiet, mut objects) = (None, Vec::new());
        for child in root.children()? {
            match child.name.as_str() {
                "Quiet" => {
                    let value = match child.leaf()?.trim() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(MALFORMED),
                    };
                    once(&mut quiet, value)?;
                }
                "Object" => objects.push(DeleteObject::read(child)?),
                _ => return Err(MALFORMED),
            }
        }
        if objects.is_empty() || objects.len() > OBJECTS_MAX {
            return Err(MALFORMED);
        }
        Ok(Self {
            quiet: quiet.unwrap_or(false),
            objects,
        })
    }
}

impl DeleteObject {
    fn read(element: Element) -> Result<Self, S3Error> {
        let (mut key, mut version_id, mut etag) = (None, None, None);
        for child in element.children()? {
            match child.name.as_str() {
                "Key" => once(&mut key, child.leaf()?)?,
                "VersionId" => once(&mut version_id, child.leaf()?)?,
                "ETag" => once(&mut etag, unquoted(&child.leaf()?))?,
                // Of directory buckets.
                "LastModifiedTime" | "Size" => return Err(S3Error::NOT_IMPLEMENTED),
                _ => return Err(MALFORMED),
            }
        }
        Ok(Self {
            key: key.filter(|key| !key.is_empty()).ok_or(MALFORMED)?,
            version_id,
            etag,
        })
    }
}

/// The body of `CompleteMultipartUpload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteRequest {
    /// 1 to 10,000, in the order sent (whether it ascends is the reader's to check).
    pub parts: Vec<CompletePart>,
}

/// One part of a [`CompleteRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletePart {
    /// 1 to 10,000.
    pub number: u32,
    /// Without quotes.
    pub etag: String,
    /// What the client says of it; not composite.
    pub checksums: Vec<Value>,
}

impl CompleteRequest {
    /// 400 `MalformedXML`, `InvalidArgument` for a part number out of range, `InvalidRequest` for a
    /// checksum that is none.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let root = Element::parse(xml, COMPLETE_BYTES_MAX, "CompleteMultipartUpload")?;
        let parts = root.children()?.into_iter().map(|child| {
            if child.name == "Part" {
                CompletePart::read(child)
            } else {
                Err(MALFORMED)
            }
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() || parts.len() > PARTS_MAX as usize {
            return Err(MALFORMED);
        }
        Ok(Self { parts })
    }
}

impl CompletePart {
    fn read(element: Element) -> Result<Self, S3Error> {
        let (mut number, mut etag, mut checksums) = (None, None, Vec::new());
        for child in element.children()? {
            let name = child.name.as_str();
            if let Some(algorithm) = Algorithm::ALL.into_iter().find(|one| one.element() == name) {
                checksums.push(part_checksum(algorithm, child.leaf()?.trim())?);
                continue;
            }
            match name {
                "PartNumber" => once(&mut number, part_number(child.leaf()?.trim())?)?,
                "ETag" => once(&mut etag, unquoted(&child.leaf()?))?,
                _ => return Err(MALFORMED),
            }
        }
        Ok(Self {
            number: number.ok_or(MALFORMED)?,
            etag: etag.ok_or(MALFORMED)?,
            checksums,
        })
    }
}

/// A part's number, in XML or in the query: 1 to 10,000. 400 `InvalidArgument`.
pub fn part_number(text: &str) -> Result<u32, S3Error> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number
        .filter(|number| (1..=PARTS_MAX).contains(number))
        .ok_or_else(|| {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            S3Error::new(400, "InvalidArgument", message)
                .with("ArgumentName", "partNumber")
                .with("ArgumentValue", text)
        })
}

fn part_checksum(algorithm: Algorithm, text: &str) -> Result<Value, S3Error> {
    let value = Value::parse(algorithm, text).filter(|value| !value.is_composite());
    value.ok_or_else(|| {
        let message = format!("Value for {} is invalid.", algorithm.element());
        S3Error::text(400, "InvalidRequest", message)
    })
}

/// The body of `CreateBucket`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateBucket {
    /// The region asked for.
    pub location: Option<String>,
}

impl CreateBucket {
    /// An empty body is an empty configuration. 400 `MalformedXML`; 501 `NotImplemented` for what
    /// directory buckets have beyond it.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        if xml.is_empty() {
            return Ok(Self::default());
        }
        let root = Element::parse(xml, CREATE_BUCKET_BYTES_MAX, "CreateBucketConfiguration")?;
        let mut location = None;
        for child in root.children()? {
            match child.name.as_str() {
                "LocationConstraint" => {
                    once(&mut location, child.leaf()?.trim().to_owned())?;
                }
                "Location" | "Bucket" | "Tags" => return Err(S3Error::NOT_IMPLEMENTED),
                _ => return Err(MALFORMED),
            }
        }
        Ok(Self {
            location: location.filter(|location| !location.is_empty()),
        })
    }
}

/// Sets what may come once.
pub(crate) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), S3Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(MALFORMED),
    }
}

fn unquoted(etag: &str) -> String {
    let etag = etag.trim();
    let inner = etag
        .strip_prefix('"')
        .and_then(|etag| etag.strip_suffix('"'));
    inner.unwrap_or(etag).to_owned()
}
