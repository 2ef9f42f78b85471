//! JWTs and the keys that verify them.

use super::{Input, altered};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use std::sync::LazyLock;
use strongroom_core::{Subject, UnixMillis};
use strongroom_session::{
    Algorithm, Error, KeySet, KeySourceConfig, PublicKey, Refused, Rules, Verified, Verifier,
};

const NOW_S: u32 = 1_800_000_000;
const NOW: UnixMillis = UnixMillis(NOW_S as u64 * 1000);
const LEEWAY_S: u32 = 60;
const LIFETIME_MAX_S: u32 = 86_400;
const ISSUER: &str = "https://issuer.test";
const AUDIENCE: &str = "vault";

/// `SubjectPublicKeyInfo` of Ed25519 and of P-256 up to the key's own bytes (RFC 8410 §4,
/// RFC 5480 §2).
const ED25519_SPKI: &str = "302a300506032b6570032100";
const P256_SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
/// `ECPrivateKey` on P-256 (RFC 5915 §3) around a number of 32 bytes, all 1.
const P256_PRIVATE: [&str; 3] = [
    "30310201010420",
    "0101010101010101010101010101010101010101010101010101010101010101",
    "a00a06082a8648ce3d030107",
];

/// Two sources: `ed` with Ed25519 speaks for everyone, `ec` with P-256 for users alone, from its
/// own issuer to its own audience.
struct Harness {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    verifier: Verifier,
}

static HARNESS: LazyLock<Harness> = LazyLock::new(|| {
    let ed = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("32 bytes are a seed");
    let private = hex::decode(P256_PRIVATE.concat()).expect("hexadecimal");
    let ec = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &private)
        .expect("a number below the order");
    let ed_jwk = format!(
        r#"{{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"{}"}}"#,
        b64(ed.public_key().as_ref())
    );
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let ec_jwk = format!(
        r#"{{"kty":"EC","crv":"P-256","kid":"ec","x":"{}","y":"{}"}}"#,
        b64(x),
        b64(y)
    );
    let sources = vec![
        KeySourceConfig {
            name: "ed".to_owned(),
            keys: vec![PublicKey::from_jwk(&ed_jwk).expect("a sound key")],
            subjects: vec![Subject::User, Subject::Application, Subject::Developer],
            fetched: false,
            iss: None,
            aud: None,
        },
        KeySourceConfig {
            name: "ec".to_owned(),
            keys: vec![PublicKey::from_jwk(&ec_jwk).expect("a sound key")],
            subjects: vec![Subject::User],
            fetched: false,
            iss: Some(ISSUER.to_owned()),
            aud: Some(AUDIENCE.to_owned()),
        },
    ];
    let rules = Rules {
        leeway_s: LEEWAY_S.into(),
        allow_unbounded: false,
        lifetime_max_s: LIFETIME_MAX_S.into(),
        cache_max: 64,
        jwt_bytes_max: 8192,
    };
    let verifier = Verifier::new(sources, rules).expect("sound sources");
    Harness { ed, ec, verifier }
});

impl Harness {
    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        if algorithm == Algorithm::EdDsa {
            return self.ed.sign(message).as_ref().to_vec();
        }
        let signed = self.ec.sign(&SystemRandom::new(), message);
        signed.expect("the key is sound").as_ref().to_vec()
    }

    /// Whether a signature is good, from its bytes alone.
    fn signed(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            // The same message has the same signature.
            "EdDSA" => self.ed.sign(message).as_ref() == signature,
            "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.ec.public_key())
                .verify(message, signature)
                .is_ok(),
            _ => false,
        }
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A compact JWT: nothing passes that is not signed.
pub(super) fn jwt(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let verified = HARNESS.verifier.verify(text, NOW);
    let again = HARNESS.verifier.verify(text, NOW);
    assert_eq!(verified.as_ref().err(), again.as_ref().err());
    verified.is_ok_and(|verified| {
        judge(text, &verified);
        for at in [0, text.len() / 2, text.len() - 1] {
            refused_when_altered(text, at);
        }
        true
    })
}

/// One byte for the key, two for what is altered, then header and claims with a zero byte between
/// them; they are signed here.
pub(super) fn jwt_claims(data: &[u8]) -> bool {
    let mut input = Input(data);
    let (algorithm, name) = match input.u8() % 2 {
        0 => (Algorithm::EdDsa, "EdDSA"),
        _ => (Algorithm::Es256, "ES256"),
    };
    let at = usize::from(input.u16());
    let mut parts = input.0.splitn(2, |byte| *byte == 0);
    let header = parts.next().unwrap_or_default();
    let claims = parts.next().unwrap_or_default();
    let signed = format!("{}.{}", b64(header), b64(claims));
    let text = format!(
        "{signed}.{}",
        b64(HARNESS.sign(algorithm, signed.as_bytes()))
    );
    match HARNESS.verifier.verify(&text, NOW) {
        Ok(verified) => {
            judge(&text, &verified);
            refused_when_altered(&text, at % text.len());
            true
        }
        Err(refused) => {
            assert!(!matches!(refused, Refused::Shape | Refused::Encoding));
            let header: Option<Value> = serde_json::from_slice(header).ok();
            let names_key = header.is_some_and(|header| header["alg"] == name);
            assert!(!(names_key && refused == Refused::Signature));
            false
        }
    }
}

fn refused_when_altered(text: &str, at: usize) {
    let mut other = text.as_bytes().to_vec();
    other[at] = if other[at] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).expect("an accepted JWT is ASCII");
    assert!(HARNESS.verifier.verify(&other, NOW).is_err(), "{other}");
}

/// What was accepted is judged once more, by other means.
fn judge(text: &str, verified: &Verified) {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("{} parts", parts.len());
    };
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let json = |part| -> Value { serde_json::from_slice(&decode(part)).expect("JSON") };
    let message = &text.as_bytes()[..header.len() + 1 + claims.len()];
    let (header, claims) = (json(header), json(claims));
    let algorithm = header["alg"].as_str().expect("it names its algorithm");
    assert!(HARNESS.signed(algorithm, message, &decode(signature)));
    assert!(header.get("crit").is_none());
    assert!(header.get("kid").is_none_or(Value::is_string));
    check_dates(&claims);
    check_caller(&claims, algorithm, verified);
}

/// To the millisecond, which is what floating point and the vault's time agree on.
fn check_dates(claims: &Value) {
    const MS: f64 = 0.001;
    let (now, leeway) = (f64::from(NOW_S), f64::from(LEEWAY_S));
    let lifetime = f64::from(LIFETIME_MAX_S) + leeway;
    let exp = claims["exp"].as_f64().expect("exp is a number");
    assert!(now < exp + leeway + MS && exp <= now + lifetime + MS);
    if let Some(nbf) = claims.get("nbf") {
        assert!(nbf.as_f64().expect("nbf is a number") <= now + leeway + MS);
    }
    if let Some(iat) = claims.get("iat") {
        let iat = iat.as_f64().expect("iat is a number");
        assert!(exp <= iat + lifetime + MS);
    }
}

fn check_caller(claims: &Value, algorithm: &str, verified: &Verified) {
    let caller = &verified.caller;
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    assert_eq!(caller.subject.as_str(), text("sub"));
    let id = match caller.subject {
        Subject::Application => text("iss"),
        Subject::User | Subject::Developer => text("session_id"),
    };
    assert_eq!(caller.session.id(), id);
    assert!(!id.is_empty() || caller.subject == Subject::Application);
    assert_eq!(caller.session_id_claim, text("session_id"));
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text("session_id").as_bytes());
    assert_eq!(verified.session_hash_str(), hex::encode(hash));
    if algorithm == "EdDSA" {
        assert_eq!(caller.issuer(), "ed");
        return;
    }
    assert_eq!((caller.issuer(), text("iss")), ("ec", ISSUER));
    assert_eq!(caller.subject, Subject::User);
    let named = |value: &Value| value == AUDIENCE;
    let listed = claims["aud"].as_array();
    assert!(named(&claims["aud"]) || listed.is_some_and(|list| list.iter().any(named)));
}

/// A JWK: what is taken is no private key, and is known by the thumbprint of its own members.
pub(super) fn jwk(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(key) = PublicKey::from_jwk(text) else {
        return false;
    };
    let jwk: Value = serde_json::from_str(text).expect("a key that was taken is JSON");
    judge_key(&key, &jwk);
    true
}

/// A JWK Set: its keys are those that its entries are by themselves, each once.
pub(super) fn jwks(data: &[u8]) -> bool {
    const KEYS_MAX: usize = 8;
    let Ok(set) = KeySet::parse(data, KEYS_MAX) else {
        return false;
    };
    let json: Value = serde_json::from_slice(data).expect("a set that was read is JSON");
    let entries = json["keys"].as_array().expect("a set has keys");
    assert!(entries.len() <= KEYS_MAX);
    let alone = |entry: &Value| PublicKey::from_jwk(&entry.to_string());
    let mut expected: Vec<PublicKey> = Vec::new();
    let (mut private, mut skipped) = (0, 0);
    for entry in entries {
        match alone(entry) {
            Ok(key) => {
                judge_key(&key, entry);
                if !expected.iter().any(|known| is_same(known, &key)) {
                    expected.push(key);
                }
            }
            Err(Error::PrivateKey) => private += 1,
            Err(_) => skipped += 1,
        }
    }
    assert_eq!((set.private, set.skipped), (private, skipped));
    assert_eq!(set.keys.len(), expected.len());
    let mut pairs = set.keys.iter().zip(&expected);
    assert!(pairs.all(|(key, expected)| is_same(key, expected)));
    !set.keys.is_empty()
}

fn is_same(one: &PublicKey, other: &PublicKey) -> bool {
    (one.thumbprint(), one.kid()) == (other.thumbprint(), other.kid())
}

fn judge_key(key: &PublicKey, jwk: &Value) {
    assert!(jwk.get("d").is_none() && jwk.get("k").is_none());
    assert_eq!(key.kid(), jwk.get("kid").and_then(Value::as_str));
    let (kty, members): (_, &[&str]) = match key.algorithm() {
        Algorithm::Rs256 => ("RSA", &["e", "kty", "n"]),
        Algorithm::Es256 => ("EC", &["crv", "kty", "x", "y"]),
        Algorithm::EdDsa => ("OKP", &["crv", "kty", "x"]),
    };
    assert_eq!(jwk["kty"], kty);
    let named = |name: &&str| format!("{name:?}:{}", jwk[*name]);
    let canonical = members.iter().map(named).collect::<Vec<_>>().join(",");
    let expected = digest(&SHA256, format!("{{{canonical}}}").as_bytes());
    assert_eq!(key.thumbprint(), expected.as_ref());
}

/// One byte for the form that the rest is taken for: PEM as it is, or DER in PEM, of either label.
/// What is taken is a key to the library's own parser too.
pub(super) fn public_keys(data: &[u8]) -> bool {
    let Some((form, rest)) = data.split_first() else {
        return false;
    };
    let base64 = BASE64_STANDARD.encode(rest);
    let pem = |label| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    match form % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(rest) else {
                return false;
            };
            let key = PublicKey::from_pem(text);
            // Without dashes it is base64 as good as any.
            if text.contains("PRIVATE KEY-----") {
                assert!(key.is_err());
            }
            let _ = PublicKey::from_pkcs1_base64(text);
            key.is_ok()
        }
        1 => PublicKey::from_pem(&pem("PUBLIC KEY")).is_ok_and(|key| {
            check_spki(rest, &key);
            true
        }),
        _ => {
            let key = PublicKey::from_pem(&pem("RSA PUBLIC KEY"));
            let bare = PublicKey::from_pkcs1_base64(&base64);
            let thumbprint = |key: &Result<PublicKey, Error>| {
                key.as_ref()
                    .map(PublicKey::thumbprint)
                    .map_err(Clone::clone)
            };
            assert_eq!(thumbprint(&key), thumbprint(&bare));
            if key.is_ok() {
                assert!(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rest).is_ok());
                let broken = altered(rest, 0, 1);
                assert!(PublicKey::from_pkcs1_base64(&BASE64_STANDARD.encode(broken)).is_err());
            }
            key.is_ok()
        }
    }
}

/// Of the two curves there is one encoding, so that it is known to the byte.
fn check_spki(der: &[u8], key: &PublicKey) {
    let is = |prefix: &str, key_bytes: usize| {
        let prefix = hex::decode(prefix).expect("hexadecimal");
        assert!(der.starts_with(&prefix) && der.len() == prefix.len() + key_bytes);
    };
    match key.algorithm() {
        Algorithm::EdDsa => is(ED25519_SPKI, 32),
        Algorithm::Es256 => is(P256_SPKI, 65),
        Algorithm::Rs256 => {
            assert!(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).is_ok());
        }
    }
}
