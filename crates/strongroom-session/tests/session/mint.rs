//! Keys and JWTs for the tests, sound ones and others.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use strongroom_core::{Subject, UnixMillis};
use strongroom_session::{KeySourceConfig, PublicKey, Rules, Verifier};

/// The present of most tests.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A user's claims, good until 15 minutes from [`NOW`].
pub(crate) const USER: &str = r#"{"sub":"user","session_id":"alice","exp":1800000900}"#;

/// A signing key of one of the three kinds.
pub(crate) enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// One key of each kind; generating RSA keys is slow.
pub(crate) static RSA: LazyLock<Pair> =
    LazyLock::new(|| Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(crate) static P256: LazyLock<Pair> = LazyLock::new(Pair::p256);
pub(crate) static ED25519: LazyLock<Pair> = LazyLock::new(Pair::ed25519);

impl Pair {
    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn all() -> [&'static Self; 3] {
        [&RSA, &P256, &ED25519]
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// PKCS #1, an uncompressed point, or 32 bytes.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::P256(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        match self {
            Self::Rsa(_) => PublicKey::from_pkcs1_base64(&STANDARD.encode(self.public_bytes())),
            _ => PublicKey::from_jwk(&self.jwk("")),
        }
        .unwrap()
    }

    /// With further members, each with a comma before it. Not for RSA.
    pub(crate) fn jwk(&self, more: &str) -> String {
        let (kty, coordinates) = match self {
            Self::Rsa(_) => panic!("no JWK for RSA"),
            Self::P256(_) => (r#""EC","crv":"P-256""#, &self.public_bytes()[1..]),
            Self::Ed25519(_) => (r#""OKP","crv":"Ed25519""#, self.public_bytes()),
        };
        let named: Vec<String> = ["x", "y"]
            .iter()
            .zip(coordinates.chunks(32))
            .map(|(name, bytes)| format!(r#","{name}":"{}""#, b64(bytes)))
            .collect();
        format!(r#"{{"kty":{kty}{}{more}}}"#, named.concat())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A JWT with the plain header.
    pub(crate) fn mint(&self, claims: &str) -> String {
        self.mint_with(&format!(r#"{{"alg":"{}"}}"#, self.alg()), claims)
    }

    pub(crate) fn mint_with(&self, header: &str, claims: &str) -> String {
        self.mint_raw(&format!("{}.{}", b64(header), b64(claims)))
    }

    /// Signs whatever `signed` is.
    pub(crate) fn mint_raw(&self, signed: &str) -> String {
        format!("{signed}.{}", b64(self.sign(signed.as_bytes())))
    }
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn source(name: &str, pairs: &[&Pair]) -> KeySourceConfig {
    KeySourceConfig {
        name: name.to_owned(),
        keys: pairs.iter().map(|pair| pair.public()).collect(),
        fetched: false,
        subjects: vec![Subject::User, Subject::Application, Subject::Developer],
        iss: None,
        aud: None,
    }
}

/// One source `default` with these keys.
pub(crate) fn verifier(pairs: &[&Pair]) -> Verifier {
    Verifier::new(vec![source("default", pairs)], Rules::default()).unwrap()
}

/// One source `default` whose keys come and go: these for now, until [`LATER`].
pub(crate) fn fetching(pairs: &[&Pair]) -> Verifier {
    let config = KeySourceConfig {
        fetched: true,
        ..source("default", &[])
    };
    let verifier = Verifier::new(vec![config], Rules::default()).unwrap();
    put(&verifier, "default", pairs);
    verifier
}

/// When keys that were [`put`] become stale: after every JWT of these tests has expired.
pub(crate) const LATER: UnixMillis = UnixMillis(1_900_000_000_000);

/// Puts keys in the place of those that were fetched before.
pub(crate) fn put(verifier: &Verifier, source: &str, pairs: &[&Pair]) {
    let keys = pairs.iter().map(|pair| pair.public()).collect();
    verifier.put_keys(source, keys, LATER).unwrap();
}
