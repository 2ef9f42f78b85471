//! Settings that every bucket has alike. Tools ask for them before they work; none can be changed.

use super::answer;
use axum::response::Response;
use strongroom_s3::S3Error;

/// What asking for a setting gives.
enum Setting {
    /// The document's root and what is in it.
    Is(&'static str, &'static str),
    /// There is none: code and message, with 404.
    None(&'static str, &'static str),
}

/// By the sub-resource that asks for it.
const SETTINGS: [(&str, Setting); 15] = [
    ("accelerate", Setting::Is("AccelerateConfiguration", "")),
    (
        "encryption",
        Setting::None(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        ),
    ),
    (
        "lifecycle",
        Setting::None(
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ),
    ),
    ("logging", Setting::Is("BucketLoggingStatus", "")),
    ("notification", Setting::Is("NotificationConfiguration", "")),
    (
        "object-lock",
        Setting::None(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ),
    ),
    (
        "ownershipControls",
        Setting::Is(
            "OwnershipControls",
            "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>",
        ),
    ),
    (
        "policy",
        Setting::None("NoSuchBucketPolicy", "The bucket policy does not exist"),
    ),
    (
        "policyStatus",
        Setting::None("NoSuchBucketPolicy", "The bucket policy does not exist"),
    ),
    (
        "publicAccessBlock",
        Setting::Is(
            "PublicAccessBlockConfiguration",
            "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
             <BlockPublicPolicy>true</BlockPublicPolicy>\
             <RestrictPublicBuckets>true</RestrictPublicBuckets>",
        ),
    ),
    (
        "replication",
        Setting::None(
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found",
        ),
    ),
    (
        "requestPayment",
        Setting::Is("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"),
    ),
    (
        "tagging",
        Setting::None("NoSuchTagSet", "The TagSet does not exist"),
    ),
    ("versioning", Setting::Is("VersioningConfiguration", "")),
    (
        "website",
        Setting::None(
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
        ),
    ),
];

fn find(name: &str) -> Option<&'static Setting> {
    let mut settings = SETTINGS.iter();
    settings.find(|known| known.0 == name).map(|known| &known.1)
}

/// Whether a bucket has this setting. Its ACL is one too, with the owner in it.
pub(super) fn is_known(name: &str) -> bool {
    name == "acl" || find(name).is_some()
}

/// Answers for a bucket of `owner`.
pub(super) fn get(name: &str, owner: &str) -> Result<Response, S3Error> {
    match find(name) {
        None => Ok(acl(owner)),
        Some(Setting::None(code, message)) => Err(S3Error::new(404, code, message)),
        Some(Setting::Is(root, inner)) => Ok(answer::fixed(root, inner)),
    }
}

/// Of buckets and objects: all for the owner, nothing for others. The configuration allows owners
/// no character that XML would have to escape.
pub(super) fn acl(owner: &str) -> Response {
    let owner = format!("<ID>{owner}</ID><DisplayName>{owner}</DisplayName>");
    let inner = format!(
        "<Owner>{owner}</Owner><AccessControlList><Grant>\
         <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:type=\"CanonicalUser\">{owner}</Grantee><Permission>FULL_CONTROL</Permission>\
         </Grant></AccessControlList>"
    );
    answer::fixed("AccessControlPolicy", &inner)
}

/// Objects have no tags.
pub(super) fn no_tags() -> Response {
    answer::fixed("Tagging", "<TagSet></TagSet>")
}
