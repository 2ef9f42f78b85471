//! What the store refuses, in AWS's codes and messages; faults of ours are logged here and hidden.

use crate::store::StoreError;
use std::io;
use strongroom_s3::S3Error;

const NO_KEY: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "The object was stored using a form of Server Side Encryption. The correct parameters must \
     be provided to retrieve the object.",
);
const WRONG_KEY: S3Error = S3Error::new(
    403,
    "AccessDenied",
    "Requests specifying Server Side Encryption with Customer provided keys must provide the \
     correct secret key.",
);
const KEY_NOT_APPLICABLE: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "The encryption parameters are not applicable to this object.",
);
pub(super) const NO_SUCH_UPLOAD: S3Error = S3Error::new(
    404,
    "NoSuchUpload",
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have \
     been aborted or completed.",
);
const INVALID_PART: S3Error = S3Error::new(
    400,
    "InvalidPart",
    "One or more of the specified parts could not be found. The part may not have been uploaded, \
     or the specified entity tag may not match the part's entity tag.",
);
const INVALID_PART_ORDER: S3Error = S3Error::new(
    400,
    "InvalidPartOrder",
    "The list of parts was not in ascending order. The parts list must be specified in order by \
     part number.",
);
const UPLOAD_WANTS_KEY: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "The multipart upload initiate requested encryption. Subsequent part requests must include \
     the appropriate encryption parameters.",
);
const UPLOAD_KEY_DIFFERS: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "The provided encryption parameters did not match the ones used originally.",
);
pub(super) const PART_NUMBER: S3Error = S3Error::new(
    400,
    "InvalidArgument",
    "Part number must be an integer between 1 and 10000, inclusive",
);
const TOO_LONG: S3Error = S3Error::new(
    400,
    "MetadataTooLarge",
    "Your metadata headers exceed the maximum allowed metadata size",
);
const TOO_MANY_UPLOADS: S3Error = S3Error::new(
    503,
    "SlowDown",
    "Too many multipart uploads are open. Complete or abort some first.",
);

/// More bytes than may be.
pub(super) fn too_large(proposed: u64, max: u64) -> S3Error {
    let message = "Your proposed upload exceeds the maximum allowed size";
    S3Error::new(400, "EntityTooLarge", message)
        .with("ProposedSize", proposed.to_string())
        .with("MaxSizeAllowed", max.to_string())
}

/// For `map_err`.
pub(super) fn of_store(error: StoreError) -> S3Error {
    match error {
        StoreError::NoSuchBucket => S3Error::NO_SUCH_BUCKET,
        StoreError::NoSuchKey => S3Error::NO_SUCH_KEY,
        StoreError::NoSuchUpload => NO_SUCH_UPLOAD,
        StoreError::NoKey => NO_KEY,
        StoreError::WrongKey => WRONG_KEY,
        StoreError::KeyNotApplicable => KEY_NOT_APPLICABLE,
        StoreError::PreconditionFailed => S3Error::PRECONDITION_FAILED,
        StoreError::InvalidPart => INVALID_PART,
        StoreError::InvalidPartOrder => INVALID_PART_ORDER,
        StoreError::EntityTooSmall {
            number,
            proposed,
            min,
            etag,
        } => S3Error::new(
            400,
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
        )
        .with("ETag", etag)
        .with("MinSizeAllowed", min.to_string())
        .with("PartNumber", number.to_string())
        .with("ProposedSize", proposed.to_string()),
        StoreError::PartNumber => PART_NUMBER,
        StoreError::UploadWantsKey => UPLOAD_WANTS_KEY,
        StoreError::UploadKeyDiffers => UPLOAD_KEY_DIFFERS,
        StoreError::TooLarge { proposed, max } => too_large(proposed, max),
        StoreError::Length => S3Error::INCOMPLETE_BODY,
        StoreError::TooLong => TOO_LONG,
        StoreError::TooManyUploads => TOO_MANY_UPLOADS,
        StoreError::Full => {
            tracing::error!("the object store is full");
            S3Error::FULL
        }
        // Logged where it was found.
        StoreError::Broken(_) => S3Error::INTERNAL,
        StoreError::Busy => S3Error::SLOW_DOWN,
        StoreError::Index(error) => {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the index failed");
            S3Error::INTERNAL
        }
        StoreError::Io(error) => of_io(&error),
    }
}

/// A full disk is the client's to retry later; anything else is logged and hidden.
pub(super) fn of_io(error: &io::Error) -> S3Error {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        tracing::error!(%error, "the object store is full");
        return S3Error::FULL;
    }
    tracing::error!(%error, "the object store failed");
    S3Error::INTERNAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_unavailable_and_the_rest_internal() {
        let full = of_store(StoreError::Io(io::ErrorKind::StorageFull.into()));
        assert_eq!(
            (full.code(), full.status().as_u16()),
            ("ServiceUnavailable", 503)
        );
        assert_eq!(of_store(StoreError::Full), S3Error::FULL);
        let other = of_store(StoreError::Io(io::Error::other("secret path")));
        assert_eq!(other, S3Error::INTERNAL);
    }
}
