//! Signing keys and the JWTs made with them, sound ones and others (RFC 7519, RFC 7518).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A private key of one of the three kinds that the vault verifies.
pub enum Key {
    /// RS256.
    Rsa(RsaKeyPair),
    /// ES256.
    P256(EcdsaKeyPair),
    /// `EdDSA`.
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// A new RSA key of 2048 bits.
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key is made"))
    }

    /// A new P-256 key.
    pub fn p256() -> Self {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::P256(made.expect("a P-256 key is made"))
    }

    /// A new Ed25519 key.
    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key is made"))
    }

    /// An RSA key in PKCS #8 PEM, as `strongroom init` writes it.
    pub fn from_pem(pem: &str) -> Self {
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(base64).expect("PEM");
        Self::Rsa(RsaKeyPair::from_pkcs8(&der).expect("an RSA key in PKCS #8"))
    }

    /// The `alg` that goes with the key.
    pub fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The public key as PEM of an SPKI.
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::P256(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
        }
        .expect("a public key has an encoding");
        let base64 = BASE64_STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
    }

    /// The public key as one line of base64: PKCS #1 for RSA.
    pub fn public_base64(&self) -> String {
        BASE64_STANDARD.encode(match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::P256(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        })
    }

    /// The public key as a JWK with what it must have and nothing else (RFC 7518 §6, RFC 8037 §2).
    pub fn public_jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let (n, e) = (
                    n.big_endian_without_leading_zero(),
                    e.big_endian_without_leading_zero(),
                );
                json!({ "kty": "RSA", "n": text(n), "e": text(e) })
            }
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        }
    }

    /// A JWT with the plain header.
    pub fn mint(&self, claims: &Value) -> String {
        self.mint_with(&json!({ "alg": self.alg() }), claims)
    }

    /// A JWT with any header.
    pub fn mint_with(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("RSA signs");
                signature
            }
            Self::P256(pair) => pair
                .sign(&random, message)
                .expect("P-256 signs")
                .as_ref()
                .to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}
