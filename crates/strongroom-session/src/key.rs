//! Public keys, parsed once, each fixed to its one algorithm (RFC 8725 §3.1).
//!
//! A key does not know which source it belongs to, nor what the signed bytes mean.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::Error;
use crate::der::{self, Parts};
use crate::json;

/// The signature algorithms that are known (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The exact name in a header's or a JWK's `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|known| known.as_str() == name)
    }
}

/// Members that only a private or a secret key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that verifies with one algorithm: RS256 (RSA of 2048 to 8192 bits), ES256 (P-256)
/// or `EdDSA` (Ed25519).
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
    thumbprint: [u8; 32],
    kid: Option<String>,
}

impl PublicKey {
    /// One PEM block: `PUBLIC KEY` (RFC 7468 §13) or `RSA PUBLIC KEY` (PKCS #1).
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let (label, body) = pem_block(text).ok_or(Error::Pem)?;
        match label {
            "PUBLIC KEY" => Self::from_parts(&der::spki(&base64_lines(body)?)?),
            "RSA PUBLIC KEY" => Self::from_parts(&der::pkcs1(&base64_lines(body)?)?),
            _ if label.ends_with("PRIVATE KEY") => Err(Error::PrivateKey),
            _ => Err(Error::Pem),
        }
    }

    /// Base64 of a DER `RSAPublicKey` (PKCS #1), as the ancestor's configuration held it.
    pub fn from_pkcs1_base64(text: &str) -> Result<Self, Error> {
        Self::from_parts(&der::pkcs1(&base64_lines(text)?)?)
    }

    /// A JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). `alg`, `use`, `key_ops` and `kid` may be
    /// missing; where they are present they must fit.
    pub fn from_jwk(text: &str) -> Result<Self, Error> {
        let jwk = json::object(text.as_bytes())
            .ok_or(Error::Jwk("not a JSON object with unique members"))?;
        Self::from_members(&jwk)
    }

    pub(crate) fn from_members(jwk: &Map<String, Value>) -> Result<Self, Error> {
        if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
            return Err(Error::PrivateKey);
        }
        let mut key = match (member(jwk, "kty")?, jwk.get("crv").and_then(Value::as_str)) {
            ("RSA", _) => Self::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?),
            ("EC", Some("P-256")) => Self::p256(&point(jwk)?),
            ("OKP", Some("Ed25519")) => Self::ed25519(&bytes(jwk, "x")?),
            _ => Err(Error::Unsupported),
        }?;
        check_purpose(jwk, key.algorithm)?;
        key.kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Error::Jwk("kid is not a string")),
        };
        Ok(key)
    }

    /// The one algorithm that this key verifies with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// RFC 7638 with SHA-256: what a key is known by, whatever file it came in.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// The JWK's `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(signed, signature).is_ok()
    }

    fn from_parts(parts: &Parts<'_>) -> Result<Self, Error> {
        match *parts {
            Parts::Rsa { n, e } => Self::rsa(n, e),
            Parts::P256(point) => Self::p256(point),
            Parts::Ed25519(point) => Self::ed25519(point),
        }
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Error> {
        let (Some(&first), Some(&last)) = (n.first(), n.last()) else {
            return Err(Error::Malformed);
        };
        if first == 0 || e.first().is_none_or(|&first| first == 0) {
            return Err(Error::Malformed);
        }
        let bits = n.len() * 8 - first.leading_zeros() as usize;
        if !(2048..=8192).contains(&bits) {
            return Err(Error::RsaSize { bits });
        }
        // With e = 1 every message is its own signature; beyond 32 bits it only costs time.
        let weak_exponent = e.len() > 4 || e == [1] || e.last().is_some_and(|last| last % 2 == 0);
        if weak_exponent || last % 2 == 0 {
            return Err(Error::Weak);
        }
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| Error::Weak)?;
        let (e, n) = (URL_SAFE_NO_PAD.encode(e), URL_SAFE_NO_PAD.encode(n));
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        Ok(Self::of(Algorithm::Rs256, key, &canonical))
    }

    /// `point` is uncompressed (SEC 1 §2.3.3); the library checks that it lies on the curve.
    fn p256(point: &[u8]) -> Result<Self, Error> {
        let Some((&[4], coordinates)) = point.split_first_chunk() else {
            return Err(Error::Malformed);
        };
        if coordinates.len() != 64 {
            return Err(Error::Malformed);
        }
        let (x, y) = coordinates.split_at(32);
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| Error::Weak)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Self::of(Algorithm::Es256, key, &canonical))
    }

    fn ed25519(point: &[u8]) -> Result<Self, Error> {
        let &point = <&[u8; 32]>::try_from(point).map_err(|_| Error::Malformed)?;
        if is_of_low_order(point) {
            return Err(Error::Weak);
        }
        let key = ParsedPublicKey::new(&ED25519, point).map_err(|_| Error::Weak)?;
        let x = URL_SAFE_NO_PAD.encode(point);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Ok(Self::of(Algorithm::EdDsa, key, &canonical))
    }

    /// `canonical` is the JWK in the form of RFC 7638 §3.
    fn of(algorithm: Algorithm, key: ParsedPublicKey, canonical: &str) -> Self {
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        Self {
            algorithm,
            key,
            thumbprint,
            kid: None,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thumbprint = URL_SAFE_NO_PAD.encode(self.thumbprint);
        write!(f, "PublicKey({}, {thumbprint})", self.algorithm.as_str())
    }
}

/// Label and body of the only block in `text`.
fn pem_block(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text
        .trim()
        .strip_prefix("-----BEGIN ")?
        .split_once("-----")?;
    let body = rest
        .strip_suffix("-----")?
        .strip_suffix(label)?
        .strip_suffix("-----END ")?;
    (!body.contains('-')).then_some((label, body))
}

fn base64_lines(text: &str) -> Result<Vec<u8>, Error> {
    let joined: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(joined).map_err(|_| Error::Malformed)
}

fn member<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Error> {
    jwk.get(name)
        .and_then(Value::as_str)
        .ok_or(Error::Jwk("kty or a member that it demands is missing"))
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(member(jwk, name)?)
        .map_err(|_| Error::Malformed)
}

fn point(jwk: &Map<String, Value>) -> Result<Vec<u8>, Error> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != 32 || y.len() != 32 {
        return Err(Error::Malformed);
    }
    Ok([&[4], x.as_slice(), y.as_slice()].concat())
}

/// Refuses a JWK that says of itself that it is not for verifying with `algorithm`.
fn check_purpose(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<(), Error> {
    if jwk.get("alg").is_some_and(|alg| alg != algorithm.as_str()) {
        return Err(Error::Jwk(
            "alg is not the key's own: RS256, ES256 or EdDSA",
        ));
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(Error::Jwk("use is not sig"));
    }
    let verifies = |ops: &Value| {
        ops.as_array()
            .is_some_and(|ops| ops.contains(&"verify".into()))
    };
    if jwk.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err(Error::Jwk("key_ops does not hold verify"));
    }
    Ok(())
}

/// Under a key of order 1, 2, 4 or 8 signatures can be made without any secret (RFC 8032 §5.1).
fn is_of_low_order(mut point: [u8; 32]) -> bool {
    // y of the points of order 4, 1, 8, 8, 2, then 0 and 1 again as p and p + 1.
    const LOW: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    // The top bit is the sign of x.
    point[31] &= 0x7f;
    LOW.contains(&hex::encode(point).as_str())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
