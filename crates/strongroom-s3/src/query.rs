//! The request's query, decoded and in canonical form (`SigV4`).

use crate::S3Error;
use crate::sigv4::UNRESERVED;
use percent_encoding::{percent_decode_str, utf8_percent_encode};

pub(crate) const INVALID_URI: S3Error =
    S3Error::new(400, "InvalidURI", "Couldn't parse the specified URI.");

/// The query's parameters, decoded, in the order of the request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// From the request's query string; 400 `InvalidURI` if it is not UTF-8 when decoded.
    pub fn parse(query: &str) -> Result<Self, S3Error> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The value of a parameter; of one that is repeated, none.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|pair| pair.0 == name)
            .map(|pair| pair.1.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pair| pair.0.as_str())
    }

    /// Encoded, sorted, without the signature.
    pub fn canonical(&self) -> String {
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

pub(crate) fn decode(text: &str) -> Result<String, S3Error> {
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
        fn hostile_queries_never_panic(text in ".{0,80}", odd in "[%&=/a-f0-9]{0,60}") {
            for text in [text, odd] {
                if let Ok(query) = Query::parse(&text) {
                    let _ = query.canonical();
                }
            }
        }
    }
}
