//! The request's path and query, decoded and in canonical form (`SigV4`, S3 flavour: the path is
//! encoded once).

use super::error::S3Error;
use crate::sigv4::{UNRESERVED, UNRESERVED_PATH};
use percent_encoding::{percent_decode_str, utf8_percent_encode};

/// Longest object key in bytes (AWS).
const KEY_BYTES_MAX: usize = 1024;

const INVALID_URI: S3Error = S3Error::new(400, "InvalidURI", "Couldn't parse the specified URI.");

/// What the path names.
#[derive(Debug)]
pub(super) struct Target {
    /// Empty for the service itself.
    pub(super) bucket: String,
    /// Empty for the bucket itself.
    pub(super) key: String,
    /// The path as it was signed.
    pub(super) canonical: String,
}

impl Target {
    pub(super) fn parse(path: &str) -> Result<Self, S3Error> {
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

/// The query's parameters, decoded, in the order of the request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, S3Error> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The value of a parameter; of one that is repeated, none.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|pair| pair.0 == name)
            .map(|pair| pair.1.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pair| pair.0.as_str())
    }

    /// Encoded, sorted, without the signature.
    pub(super) fn canonical(&self) -> String {
        let encode = |text| utf8_percent_encode(text, UNRESERVED).to_string();
        let signed = self.0.iter().filter(|pair| pair.0 != "X-Amz-Signature");
        let mut pairs: Vec<_> = signed
            .map(|(name, value)| (encode(name), encode(value)))
            .collect();
        pairs.sort_unstable();
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    }
}

fn decode(text: &str) -> Result<String, S3Error> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| INVALID_URI)
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

    #[test]
    fn queries_are_sorted_and_repeated_names_have_no_value() {
        let query = Query::parse("b=2&a=%7e&X-Amz-Signature=s&c&b=1").unwrap();
        assert_eq!(query.canonical(), "a=~&b=1&b=2&c=");
        assert_eq!(
            (query.one("a"), query.one("b"), query.one("d")),
            (Some("~"), None, None)
        );
    }

    proptest! {
        #[test]
        fn hostile_paths_and_queries_never_panic(text in ".{0,80}", odd in "[%&=/a-f0-9]{0,60}") {
            for text in [text, odd] {
                let _ = Target::parse(&text);
                if let Ok(query) = Query::parse(&text) {
                    let _ = query.canonical();
                }
            }
        }
    }
}
