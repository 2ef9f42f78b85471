//! What a copy is made of.

use crate::S3Error;
use crate::target::KEY_BYTES_MAX;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// What `x-amz-copy-source` names.
#[derive(Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Its bucket, not empty.
    pub bucket: String,
    /// Its key, not empty.
    pub key: String,
}

impl CopySource {
    /// `/bucket/key`, percent-encoded, the first slash optional, perhaps `?versionId=null`.
    /// 400 `InvalidArgument` or `KeyTooLongError`.
    pub fn parse(headers: &HeaderMap) -> Result<Self, S3Error> {
        let bad = || {
            S3Error::new(
                400,
                "InvalidArgument",
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            )
            .with("ArgumentName", "x-amz-copy-source")
        };
        let mut values = headers.get_all("x-amz-copy-source").iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        let value = value.filter(|_| values.next().is_none()).ok_or_else(bad)?;
        let (path, query) = value.split_once('?').unwrap_or((value, ""));
        if !matches!(query, "" | "versionId=null") {
            let message = "Invalid version id specified";
            return Err(S3Error::new(400, "InvalidArgument", message));
        }
        let path = percent_decode_str(path).decode_utf8().map_err(|_| bad())?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        match path.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                if key.len() > KEY_BYTES_MAX {
                    return Err(S3Error::new(400, "KeyTooLongError", "Your key is too long"));
                }
                Ok(Self {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                })
            }
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn sources_are_decoded_once_and_have_no_versions() {
        let parse = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-copy-source", HeaderValue::from_str(value).unwrap());
            CopySource::parse(&headers).map(|source| (source.bucket, source.key))
        };
        let good = |bucket: &str, key: &str| Ok((bucket.to_owned(), key.to_owned()));
        assert_eq!(parse("/b/k"), good("b", "k"));
        assert_eq!(parse("b/a/k"), good("b", "a/k"));
        assert_eq!(parse("b/a%20b%2Bc+%2520"), good("b", "a b+c+%20"));
        assert_eq!(parse("%2Fb%2Fk"), good("b", "k"));
        assert_eq!(parse("b/k?versionId=null"), good("b", "k"));
        assert_eq!(parse("b/k%3Fq"), good("b", "k?q"));
        for bad in ["b", "/b/", "//k", "", "b/k?versionId=1", "b/%ff"] {
            assert_eq!(parse(bad).unwrap_err().code(), "InvalidArgument", "{bad}");
        }
    }
}
