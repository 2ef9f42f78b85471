//! The compact serialization (RFC 7515 §7.1) and its header. Nothing in here is verified yet,
//! and the claims stay undecoded until a key has vouched for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::key::Algorithm;
use crate::{Refused, json};

/// A JWT taken apart.
pub(crate) struct Jws<'a> {
    /// What the header asks to be verified with; only a key of that algorithm may do it.
    pub(crate) algorithm: Algorithm,
    /// A hint at the key, from an unknown hand.
    pub(crate) kid: Option<String>,
    /// The signing input (RFC 7515 §5.2).
    pub(crate) signed: &'a [u8],
    /// The claims, still encoded.
    pub(crate) payload: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Keys inside the header (`jwk`, `jku`, `x5c`, `x5u`) and `typ` are never looked at.
    pub(crate) fn parse(jwt: &'a str) -> Result<Self, Refused> {
        let (signed, signature) = jwt.rsplit_once('.').ok_or(Refused::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Shape)?;
        if payload.contains('.') {
            return Err(Refused::Shape);
        }
        let mut header = json::object(&decode(header)?).ok_or(Refused::Header)?;
        if header.contains_key("crit") {
            return Err(Refused::Critical);
        }
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::parse);
        let kid = match header.remove("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(Refused::Header),
        };
        Ok(Self {
            algorithm: algorithm.ok_or(Refused::Algorithm)?,
            kid,
            signed: signed.as_bytes(),
            payload,
            signature: decode(signature)?,
        })
    }
}

/// Base64url without padding, whitespace or stray bits: every value has one encoding.
pub(crate) fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(header: &str) -> Result<Option<String>, Refused> {
        let jwt = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
        Jws::parse(&jwt).map(|jws| jws.kid)
    }

    #[test]
    fn a_header_needs_no_more_than_its_algorithm() {
        assert_eq!(with_header(r#"{"alg":"RS256"}"#), Ok(None));
        assert_eq!(
            with_header(r#"{"alg":"ES256","typ":"JWT","kid":"a"}"#),
            Ok(Some("a".into()))
        );
        assert_eq!(
            with_header(r#"{"alg":"EdDSA","typ":[7],"jwk":{},"x5u":"x"}"#),
            Ok(None)
        );
    }

    #[test]
    fn algorithms_are_compared_exactly() {
        for alg in [
            "\"none\"",
            "\"rs256\"",
            "\"RS256 \"",
            "\"HS256\"",
            "\"\"",
            "null",
            "[\"RS256\"]",
            "1",
        ] {
            assert_eq!(
                with_header(&format!("{{\"alg\":{alg}}}")),
                Err(Refused::Algorithm),
                "{alg}"
            );
        }
        assert_eq!(with_header("{}"), Err(Refused::Algorithm));
    }

    #[test]
    fn extensions_are_refused_whatever_they_are() {
        for crit in [r#"["b64"],"b64":false"#, "[]", "null", "\"exp\""] {
            let header = format!("{{\"alg\":\"RS256\",\"crit\":{crit}}}");
            assert_eq!(with_header(&header), Err(Refused::Critical), "{crit}");
        }
    }

    #[test]
    fn a_kid_is_a_string() {
        for kid in ["1", "null", "{}", "[\"a\"]"] {
            let header = format!("{{\"alg\":\"RS256\",\"kid\":{kid}}}");
            assert_eq!(with_header(&header), Err(Refused::Header), "{kid}");
        }
    }

    #[test]
    fn there_are_three_parts() {
        for jwt in [
            "",
            ".",
            "e30",
            "e30.e30",
            "e30.e30.AAAA.AAAA",
            "e30.e30.e30.e30.e30",
        ] {
            assert_eq!(Jws::parse(jwt).err(), Some(Refused::Shape), "{jwt}");
        }
        assert_eq!(Jws::parse("..").err(), Some(Refused::Header));
    }

    #[test]
    fn every_value_has_one_encoding() {
        assert_eq!(decode("YQ").unwrap(), b"a");
        for part in [
            "YQ==", "YQ=", "YR", "YQ ", " YQ", "YQ\n", "Y Q", "Y", "+w", "/w", "YQ\0", "ÿ",
        ] {
            assert_eq!(decode(part), Err(Refused::Encoding), "{part:?}");
        }
    }
}
