//! The three SSE-C headers: validation with AWS's codes and messages, and the echo.

use crate::S3Error;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue};
use md5::{Digest, Md5};
use strongroom_core::secret::DataKey;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Header with the SSE-C algorithm.
pub const SSE_C_ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
/// Header with the base64 of the customer key.
pub const SSE_C_KEY: &str = "x-amz-server-side-encryption-customer-key";
/// Header with the base64 of the MD5 of the customer key.
pub const SSE_C_KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
/// The same three for the source of a copy.
pub const COPY_SOURCE_SSE_C: [&str; 3] = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];
const SSE_C: [&str; 3] = [SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5];

/// A customer key whose headers agree.
#[derive(Debug)]
pub struct SseC {
    /// The customer key.
    pub key: DataKey,
    md5: HeaderValue,
}

fn invalid(message: &'static str) -> S3Error {
    let error = S3Error::new(400, "InvalidArgument", message);
    error.with("ArgumentName", "x-amz-server-side-encryption")
}

impl SseC {
    /// The customer key of a request; nothing if it has none of the headers.
    pub fn parse(headers: &HeaderMap) -> Result<Option<Self>, S3Error> {
        Self::of(headers, SSE_C)
    }

    /// The customer key of the object that a copy reads.
    pub fn parse_copy_source(headers: &HeaderMap) -> Result<Option<Self>, S3Error> {
        Self::of(headers, COPY_SOURCE_SSE_C)
    }

    fn of(headers: &HeaderMap, names: [&str; 3]) -> Result<Option<Self>, S3Error> {
        let [algorithm, key, md5] = names.map(|name| headers.get(name));
        if algorithm.is_none() && key.is_none() && md5.is_none() {
            return Ok(None);
        }
        let repeated = |name| headers.get_all(name).iter().count() > 1;
        if names.into_iter().any(repeated) {
            return Err(invalid(
                "A customer encryption header was sent more than once.",
            ));
        }
        let algorithm = algorithm.ok_or_else(|| {
            invalid(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide a valid encryption algorithm.",
            )
        })?;
        if algorithm != "AES256" {
            return Err(S3Error::new(
                400,
                "InvalidEncryptionAlgorithmError",
                "The Encryption request you specified is not valid. Supported value: AES256.",
            ));
        }
        let key = key.ok_or_else(|| {
            invalid(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide an appropriate secret key.",
            )
        })?;
        let md5 = md5.ok_or_else(|| {
            invalid(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide the client calculated MD5 of the secret key.",
            )
        })?;
        Ok(Some(Self {
            key: check(key.as_bytes(), md5.as_bytes())?,
            md5: md5.clone(),
        }))
    }

    /// What every answer to a request with a good key repeats.
    pub fn echo(&self, headers: &mut HeaderMap) {
        headers.insert(SSE_C_ALGORITHM, HeaderValue::from_static("AES256"));
        headers.insert(SSE_C_KEY_MD5, self.md5.clone());
    }
}

fn check(key: &[u8], md5: &[u8]) -> Result<DataKey, S3Error> {
    let key = BASE64_STANDARD.decode(key).map(Zeroizing::new).ok();
    let key = key.and_then(|key| DataKey::from_slice(&key));
    let key =
        key.ok_or_else(|| invalid("The secret key was invalid for the specified algorithm."))?;
    let md5 = BASE64_STANDARD.decode(md5).unwrap_or_default();
    if bool::from(Md5::digest(key.expose()).as_slice().ct_eq(&md5)) {
        Ok(key)
    } else {
        Err(invalid(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const MD5: &str = "cLyPS3KoaSFGi/joRB3OUQ==";

    fn parse(values: [Option<&str>; 3]) -> Result<Option<SseC>, S3Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in [SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5]
            .into_iter()
            .zip(values)
        {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        SseC::parse(&headers)
    }

    #[test]
    fn a_good_set_is_taken_and_echoed() {
        let sse_c = parse([Some("AES256"), Some(KEY), Some(MD5)])
            .unwrap()
            .unwrap();
        assert_eq!(sse_c.key.expose(), &[0; 32]);
        let mut headers = HeaderMap::new();
        sse_c.echo(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[SSE_C_KEY_MD5], MD5);
        assert!(!format!("{sse_c:?}").contains("AAAA"));
        assert!(parse([None; 3]).unwrap().is_none());
    }

    #[test]
    fn the_source_of_a_copy_has_a_key_of_its_own() {
        let mut headers = HeaderMap::new();
        for (name, value) in COPY_SOURCE_SSE_C.into_iter().zip(["AES256", KEY, MD5]) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let key = SseC::parse_copy_source(&headers).unwrap().unwrap().key;
        assert_eq!(key.expose(), &[0; 32]);
        assert!(SseC::parse(&headers).unwrap().is_none());
        headers.remove(COPY_SOURCE_SSE_C[2]);
        let error = SseC::parse_copy_source(&headers).unwrap_err();
        assert_eq!(error.code(), "InvalidArgument");
    }

    #[test]
    fn every_bad_set_has_its_code() {
        let cases = [
            (
                [None, Some(KEY), Some(MD5)],
                "InvalidArgument",
                "valid encryption algorithm.",
            ),
            (
                [Some("AES128"), Some(KEY), Some(MD5)],
                "InvalidEncryptionAlgorithmError",
                "AES256.",
            ),
            (
                [Some("AES256"), None, Some(MD5)],
                "InvalidArgument",
                "appropriate secret key.",
            ),
            (
                [Some("AES256"), None, None],
                "InvalidArgument",
                "appropriate secret key.",
            ),
            (
                [Some("AES256"), Some(KEY), None],
                "InvalidArgument",
                "MD5 of the secret key.",
            ),
            (
                [Some("AES256"), Some("AAAA"), Some(MD5)],
                "InvalidArgument",
                "specified algorithm.",
            ),
            (
                [Some("AES256"), Some("!"), Some(MD5)],
                "InvalidArgument",
                "specified algorithm.",
            ),
            (
                [Some("AES256"), Some(KEY), Some("AAAA")],
                "InvalidArgument",
                "that was provided.",
            ),
            (
                [Some("AES256"), Some(KEY), Some("dLyPS3KoaSFGi/joRB3OUQ==")],
                "InvalidArgument",
                "that was provided.",
            ),
        ];
        for (values, code, ending) in cases {
            let error = parse(values).unwrap_err();
            assert_eq!(error.code(), code, "{values:?}");
            assert!(
                error.message().ends_with(ending),
                "{values:?}: {}",
                error.message()
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic(values in prop::array::uniform3(prop::option::of("[ -~]{0,60}"))) {
            let values = values.each_ref().map(Option::as_deref);
            if let Ok(Some(sse_c)) = parse(values) {
                let key = BASE64_STANDARD.encode(sse_c.key.expose());
                prop_assert_eq!(values[1], Some(key.as_str()));
            }
        }
    }
}
