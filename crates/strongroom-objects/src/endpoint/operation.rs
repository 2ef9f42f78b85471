//! Which operation a request is, and all that may stand in its query and in its `x-amz-*` headers.
//!
//! A parameter or header that is not listed here would be one that S3 knows and this endpoint
//! ignores, so it is refused: nobody may believe in a lock, a tag or an ACL that is not there.

use super::settings;
use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use http::{HeaderMap, HeaderValue, Method};
use strongroom_s3::S3Error;
use strongroom_s3::query::Query;
use strongroom_s3::target::Target;

/// What this endpoint does; names are AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketCors,
    PutBucketCors,
    DeleteBucketCors,
    /// A setting that is the same for every bucket: the sub-resource that asks for it.
    GetBucketSetting(&'static str),
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    GetObject,
    HeadObject,
    PutObject,
    CopyObject,
    DeleteObject,
    GetObjectAttributes,
    GetObjectAcl,
    GetObjectTagging,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
}

/// Query parameters that choose an operation; of one request at most one.
const SELECTORS: [&str; 33] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Query parameters that replace a header of the answer (AWS, `GetObject`).
pub(super) const OVERRIDES: [&str; 6] = [
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

pub(super) const METADATA_PREFIX: &str = "x-amz-meta-";

/// Good on every request: they belong to the signature, or are checked for all.
const ALWAYS: [&str; 5] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-user-agent",
];
const KEY: &[&str] = &[SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5];
const SOURCE: &[&str] = &[
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-source-expected-bucket-owner",
];
/// Of requests that make an object; with these comes `x-amz-meta-*`.
const NEW: &[&str] = &[
    "x-amz-acl",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
];
/// Of requests with a body.
const BODY: &[&str] = &[
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
];
const ALGORITHM: &[&str] = &["x-amz-checksum-algorithm"];

impl Operation {
    /// The operation of a request, whose query and headers hold nothing that it does not know.
    pub(super) fn of(
        method: &Method,
        target: &Target,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Self, S3Error> {
        let mut selectors = SELECTORS.iter().filter(|name| has(query, name));
        let selector = selectors.next().copied().unwrap_or_default();
        if selectors.next().is_some() {
            return Err(S3Error::NOT_IMPLEMENTED);
        }
        let operation = if target.bucket.is_empty() {
            Self::of_service(method, selector)
        } else if target.key.is_empty() {
            Self::of_bucket(method, selector, query)
        } else {
            Self::of_object(method, selector, query, headers)
        };
        let operation = operation.ok_or(S3Error::NOT_IMPLEMENTED)?;
        operation.check_query(selector, query)?;
        operation.check_headers(headers)?;
        Ok(operation)
    }

    fn of_service(method: &Method, selector: &str) -> Option<Self> {
        (method == Method::GET && selector.is_empty()).then_some(Self::ListBuckets)
    }

    fn of_bucket(method: &Method, selector: &'static str, query: &Query) -> Option<Self> {
        Some(match (method.as_str(), selector) {
            ("PUT", "") => Self::CreateBucket,
            ("HEAD", "") => Self::HeadBucket,
            ("DELETE", "") => Self::DeleteBucket,
            ("GET", "location") => Self::GetBucketLocation,
            ("GET", "cors") => Self::GetBucketCors,
            ("PUT", "cors") => Self::PutBucketCors,
            ("DELETE", "cors") => Self::DeleteBucketCors,
            ("GET", "versions") => Self::ListObjectVersions,
            ("GET", "uploads") => Self::ListMultipartUploads,
            ("GET", "") if query.one("list-type") == Some("2") => Self::ListObjectsV2,
            ("GET", "") => Self::ListObjects,
            ("GET", name) if settings::is_known(name) => Self::GetBucketSetting(name),
            ("POST", "delete") => Self::DeleteObjects,
            _ => return None,
        })
    }

    fn of_object(
        method: &Method,
        selector: &str,
        query: &Query,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let copy = headers.contains_key("x-amz-copy-source");
        Some(match (method.as_str(), selector) {
            ("GET", "") => Self::GetObject,
            ("HEAD", "") => Self::HeadObject,
            ("PUT", "") if has(query, "partNumber") => return None,
            ("PUT", "") if copy => Self::CopyObject,
            ("PUT", "") => Self::PutObject,
            ("DELETE", "") => Self::DeleteObject,
            ("GET", "attributes") => Self::GetObjectAttributes,
            ("GET", "acl") => Self::GetObjectAcl,
            ("GET", "tagging") => Self::GetObjectTagging,
            ("POST", "uploads") => Self::CreateMultipartUpload,
            ("PUT", "uploadId") if copy => Self::UploadPartCopy,
            ("PUT", "uploadId") => Self::UploadPart,
            ("POST", "uploadId") => Self::CompleteMultipartUpload,
            ("DELETE", "uploadId") => Self::AbortMultipartUpload,
            ("GET", "uploadId") => Self::ListParts,
            _ => return None,
        })
    }

    /// Whether its answer is a page of names, which may have megabytes.
    pub(super) fn lists(self) -> bool {
        matches!(
            self,
            Self::ListObjects
                | Self::ListObjectsV2
                | Self::ListObjectVersions
                | Self::ListMultipartUploads
        )
    }

    /// Further parameters that it knows.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::ListBuckets => &[
                "bucket-region",
                "continuation-token",
                "max-buckets",
                "prefix",
            ],
            Self::ListObjects => &["delimiter", "encoding-type", "marker", "max-keys", "prefix"],
            Self::ListObjectsV2 => &[
                "continuation-token",
                "delimiter",
                "encoding-type",
                "fetch-owner",
                "list-type",
                "max-keys",
                "prefix",
                "start-after",
            ],
            Self::ListObjectVersions => &[
                "delimiter",
                "encoding-type",
                "key-marker",
                "max-keys",
                "prefix",
                "version-id-marker",
            ],
            Self::ListMultipartUploads => &[
                "delimiter",
                "encoding-type",
                "key-marker",
                "max-uploads",
                "prefix",
                "upload-id-marker",
            ],
            Self::ListParts => &["max-parts", "part-number-marker"],
            Self::GetObject | Self::HeadObject => &["partNumber", "versionId"],
            Self::DeleteObject
            | Self::GetObjectAttributes
            | Self::GetObjectAcl
            | Self::GetObjectTagging => &["versionId"],
            Self::UploadPart | Self::UploadPartCopy => &["partNumber"],
            _ => &[],
        }
    }

    fn check_query(self, selector: &str, query: &Query) -> Result<(), S3Error> {
        let reads = matches!(self, Self::GetObject | Self::HeadObject);
        let known = |name: &str| {
            // Names the operation for the reader of a log alone.
            name == "x-id"
                || name == selector
                || name.starts_with("X-Amz-")
                || self.parameters().contains(&name)
                || (reads && OVERRIDES.contains(&name))
        };
        if !query.names().all(known) {
            return Err(S3Error::NOT_IMPLEMENTED);
        }
        if query.names().any(|name| query.one(name).is_none()) {
            let message = "A query parameter was sent more than once.";
            return Err(S3Error::new(400, "InvalidArgument", message));
        }
        match query.one("versionId") {
            // Objects have no versions, and AWS calls the only one of such an object `null`.
            None | Some("null") => Ok(()),
            Some(_) => Err(S3Error::new(
                400,
                "InvalidArgument",
                "Invalid version id specified",
            )),
        }
    }

    /// Further `x-amz-*` headers that it knows.
    fn headers(self) -> [&'static [&'static str]; 4] {
        match self {
            Self::PutObject => [KEY, NEW, BODY, &[]],
            Self::CopyObject => [
                KEY,
                NEW,
                SOURCE,
                &[
                    "x-amz-checksum-algorithm",
                    "x-amz-metadata-directive",
                    "x-amz-tagging-directive",
                ],
            ],
            Self::CreateMultipartUpload => [
                KEY,
                NEW,
                ALGORITHM,
                &["x-amz-checksum-type", "x-amz-sdk-checksum-algorithm"],
            ],
            Self::UploadPart => [KEY, BODY, ALGORITHM, &[]],
            Self::UploadPartCopy => [KEY, SOURCE, &["x-amz-copy-source-range"], &[]],
            Self::CompleteMultipartUpload => [
                KEY,
                BODY,
                &["x-amz-checksum-type", "x-amz-mp-object-size"],
                &[],
            ],
            Self::GetObject | Self::HeadObject => [KEY, &["x-amz-checksum-mode"], &[], &[]],
            Self::GetObjectAttributes => [
                KEY,
                &[
                    "x-amz-max-parts",
                    "x-amz-object-attributes",
                    "x-amz-part-number-marker",
                ],
                &[],
                &[],
            ],
            Self::ListParts => [KEY, &[], &[], &[]],
            Self::CreateBucket => [
                BODY,
                &[
                    "x-amz-acl",
                    "x-amz-bucket-object-lock-enabled",
                    "x-amz-object-ownership",
                ],
                &[],
                &[],
            ],
            // There is no retention to bypass.
            Self::DeleteObject => [&["x-amz-bypass-governance-retention"], &[], &[], &[]],
            Self::DeleteObjects => [BODY, ALGORITHM, &["x-amz-bypass-governance-retention"], &[]],
            Self::PutBucketCors => [BODY, ALGORITHM, &[], &[]],
            _ => [&[]; 4],
        }
    }

    fn check_headers(self, headers: &HeaderMap) -> Result<(), S3Error> {
        let groups = self.headers();
        let keeps = matches!(
            self,
            Self::PutObject | Self::CopyObject | Self::CreateMultipartUpload
        );
        let known = |name: &str, value: &HeaderValue| {
            !name.starts_with("x-amz-")
                || ALWAYS.contains(&name)
                || (keeps && name.starts_with(METADATA_PREFIX))
                || (groups.iter().any(|group| group.contains(&name)) && is_built(name, value))
        };
        if headers
            .iter()
            .all(|(name, value)| known(name.as_str(), value))
        {
            Ok(())
        } else {
            Err(S3Error::NOT_IMPLEMENTED)
        }
    }
}

/// Of headers that choose: the choices that this endpoint has.
fn is_built(name: &str, value: &HeaderValue) -> bool {
    match name {
        "x-amz-acl" => value == "private" || value == "bucket-owner-full-control",
        "x-amz-storage-class" => value == "STANDARD",
        "x-amz-server-side-encryption" => value == "AES256",
        "x-amz-bucket-object-lock-enabled" => value == "false",
        "x-amz-object-ownership" => value == "BucketOwnerEnforced",
        "x-amz-tagging-directive" => value == "COPY",
        _ => true,
    }
}

fn has(query: &Query, name: &str) -> bool {
    query.names().any(|known| known == name)
}
