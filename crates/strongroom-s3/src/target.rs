//! What the request's path names, decoded and in canonical form (`SigV4`, S3 flavour: the path is
//! encoded once). Path style alone.

use crate::S3Error;
use crate::query::{INVALID_URI, decode};
use crate::sigv4::UNRESERVED_PATH;
use percent_encoding::utf8_percent_encode;

/// Longest object key in bytes (AWS).
pub const KEY_BYTES_MAX: usize = 1024;

/// What the path names.
#[derive(Debug)]
pub struct Target {
    /// Empty for the service itself.
    pub bucket: String,
    /// Empty for the bucket itself.
    pub key: String,
    /// The path as it was signed.
    pub canonical: String,
}

impl Target {
    /// From the request's path; 400 `InvalidURI` or `KeyTooLongError`.
    pub fn parse(path: &str) -> Result<Self, S3Error> {
        let decoded = decode(path)?;
        let canonical = utf8_percent_encode(&decoded, UNRESERVED_PATH).to_string();
        let inner = decoded.strip_prefix('/').ok_or(INVALID_URI)?;
        let (bucket, key) = inner.split_once('/').unwrap_or((inner, ""));
        if key.len() > KEY_BYTES_MAX {
            return Err(S3Error::new(400, "KeyTooLongError", "Your key is too long"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            canonical,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_split_and_encoded_once() {
        let target = Target::parse("/vault/a%20b/c%2Fd+").unwrap();
        assert_eq!(
            (target.bucket.as_str(), target.key.as_str()),
            ("vault", "a b/c/d+")
        );
        assert_eq!(target.canonical, "/vault/a%20b/c/d%2B");
        let target = Target::parse("/").unwrap();
        assert_eq!((target.bucket.as_str(), target.key.as_str()), ("", ""));
        assert_eq!(Target::parse("/b/%ff").unwrap_err().code(), "InvalidURI");
        let long = format!("/b/{}", "k".repeat(1025));
        assert_eq!(Target::parse(&long).unwrap_err().code(), "KeyTooLongError");
    }

    proptest! {
        #[test]
        fn hostile_paths_never_panic(text in ".{0,80}", odd in "[%&=/a-f0-9]{0,60}") {
            let _ = (Target::parse(&text), Target::parse(&odd));
        }
    }
}
