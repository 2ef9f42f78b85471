//! JWK Sets as issuers publish them, and as nobody should.

use proptest::prelude::*;
use strongroom_session::{Algorithm, Error, KeySet, PublicKey};

use crate::mint::{ED25519, P256, Pair, RSA, b64};

const KEYS_MAX: usize = 32;

fn set(entries: &[String]) -> Result<KeySet, Error> {
    let text = format!(r#"{{"keys":[{}]}}"#, entries.join(","));
    KeySet::parse(text.as_bytes(), KEYS_MAX)
}

/// How many keys of these entries are used, passed over, and refused as private.
fn counts(entries: &[String]) -> (usize, usize, usize) {
    let set = set(entries).unwrap();
    (set.keys.len(), set.skipped, set.private)
}

/// The RSA key as the ancestor's applications publish it: `kty`, `n`, `e` and `kid` alone.
fn rsa_jwk(more: &str) -> String {
    // RFC 8017 §A.1.1 with 2048 bits: header, n with its sign byte, then e = 65537.
    let der = RSA.public_bytes();
    let (n, e) = (&der[9..9 + 256], &der[der.len() - 3..]);
    format!(r#"{{"kty":"RSA","n":"{}","e":"{}"{more}}}"#, b64(n), b64(e))
}

#[test]
fn a_set_with_no_more_than_numbers_and_a_kid_is_understood() {
    let set = set(&[rsa_jwk(r#","kid":"lunasec-signing-key""#)]).unwrap();
    assert_eq!((set.skipped, set.private), (0, 0));
    let [key] = set.keys.try_into().unwrap();
    assert_eq!(key.algorithm(), Algorithm::Rs256);
    assert_eq!(key.kid(), Some("lunasec-signing-key"));
    assert_eq!(key.thumbprint(), RSA.public().thumbprint());
}

#[test]
fn a_set_as_large_issuers_publish_it_is_understood() {
    let more = r#","use":"sig","alg":"RS256","kid":"a","x5t":"AAAA","x5c":["AAAA"],"issuer":"https://i.example""#;
    let text = format!(
        r#"{{"keys":[{},{},{}],"next":{{"a":[1]}}}}"#,
        rsa_jwk(more),
        P256.jwk(r#","key_ops":["verify"],"alg":"ES256""#),
        ED25519.jwk(r#","use":"sig""#)
    );
    let set = KeySet::parse(text.as_bytes(), KEYS_MAX).unwrap();
    let algorithms: Vec<_> = set.keys.iter().map(PublicKey::algorithm).collect();
    assert_eq!(
        algorithms,
        [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]
    );
}

#[test]
fn keys_for_others_are_passed_over_and_the_rest_is_used() {
    let good = ED25519.jwk("");
    for other in [
        rsa_jwk(r#","use":"enc""#),
        rsa_jwk(r#","alg":"RSA-OAEP-256""#),
        rsa_jwk(r#","alg":"RS512""#),
        rsa_jwk(r#","alg":"PS256""#),
        rsa_jwk(r#","key_ops":["encrypt"]"#),
        rsa_jwk(r#","kid":7"#),
        r#"{"kty":"RSA","e":"AQAB","n":"AQAB"}"#.to_owned(),
        r#"{"kty":"RSA","e":"AQAB"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#.to_owned(),
        r#"{"kty":1}"#.to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\"key\"".to_owned(),
    ] {
        assert_eq!(counts(&[other.clone(), good.clone()]), (1, 1, 0), "{other}");
    }
}

#[test]
fn a_private_key_is_refused_and_told_apart() {
    let good = P256.jwk("");
    for private in [
        ED25519.jwk(r#","d":"AAAA""#),
        ED25519.jwk(r#","d":null"#),
        rsa_jwk(r#","p":"AAAA""#),
        rsa_jwk(r#","dp":"AAAA","dq":"AAAA","qi":"AAAA""#),
        rsa_jwk(r#","oth":[]"#),
        r#"{"kty":"oct","k":"AAAA"}"#.to_owned(),
    ] {
        assert_eq!(
            counts(&[private.clone(), good.clone()]),
            (1, 0, 1),
            "{private}"
        );
    }
}

#[test]
fn keys_of_one_kid_are_all_kept_and_the_same_key_once() {
    let (one, two) = (Pair::ed25519(), Pair::ed25519());
    let kid = r#","kid":"1""#;
    assert_eq!(counts(&[one.jwk(kid), two.jwk(kid)]), (2, 0, 0));
    assert_eq!(counts(&[one.jwk(kid), P256.jwk(kid)]), (2, 0, 0));
    assert_eq!(counts(&[one.jwk(kid), one.jwk(kid)]), (1, 0, 0));
    // One key under two names may be asked for by either.
    assert_eq!(counts(&[one.jwk(kid), one.jwk(r#","kid":"2""#)]), (2, 0, 0));
}

#[test]
fn an_empty_set_is_the_issuers_word() {
    assert_eq!(counts(&[]), (0, 0, 0));
}

#[test]
fn what_is_no_set_is_refused() {
    let key = ED25519.jwk("");
    for text in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        format!("[{key}]"),
        key.clone(),
        "{}".to_owned(),
        r#"{"keys":{}}"#.to_owned(),
        r#"{"keys":null}"#.to_owned(),
        format!(r#"{{"Keys":[{key}]}}"#),
        format!(r#"{{"keys":[{key}]"#),
        format!(r#"{{"keys":[{key}]}} x"#),
        format!("\u{feff}{{\"keys\":[{key}]}}"),
        "<html></html>".to_owned(),
        r#"{"error":"temporarily unavailable"}"#.to_owned(),
    ] {
        let outcome = KeySet::parse(text.as_bytes(), KEYS_MAX);
        assert!(matches!(outcome, Err(Error::Jwks(_))), "{text}");
    }
    assert!(KeySet::parse(b"{\"keys\":[],\"x\":\"\xff\"}", KEYS_MAX).is_err());
}

#[test]
fn duplicate_members_are_refused_at_every_depth() {
    let key = ED25519.jwk("");
    let twice = ED25519.jwk(r#","kid":"1","\u006bid":"2""#);
    for text in [
        format!(r#"{{"keys":[{key}],"keys":[]}}"#),
        format!(r#"{{"keys":[{key}],"\u006beys":[]}}"#),
        format!(r#"{{"keys":[{key},{twice}]}}"#),
        format!(r#"{{"keys":[{key}],"x":{{"a":1,"a":1}}}}"#),
    ] {
        let outcome = KeySet::parse(text.as_bytes(), KEYS_MAX);
        assert!(matches!(outcome, Err(Error::Jwks(_))), "{text}");
    }
}

#[test]
fn more_entries_than_are_allowed_are_refused_whatever_they_are() {
    let entries = |count: usize| vec![r#"{"kty":"x"}"#.to_owned(); count];
    assert_eq!(counts(&entries(KEYS_MAX)), (0, KEYS_MAX, 0));
    assert!(matches!(set(&entries(KEYS_MAX + 1)), Err(Error::Jwks(_))));
}

#[test]
fn deep_nesting_does_no_harm() {
    let text = format!("{{\"keys\":{}{}}}", "[".repeat(60_000), "]".repeat(60_000));
    assert!(KeySet::parse(text.as_bytes(), KEYS_MAX).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = KeySet::parse(&bytes, KEYS_MAX);
        let entry = serde_json::json!({ "kty": "RSA", "n": text, "e": text, "kid": text });
        let set = KeySet::parse(format!(r#"{{"keys":[{entry}]}}"#).as_bytes(), KEYS_MAX);
        prop_assert!(set.unwrap().keys.is_empty());
    }
}
