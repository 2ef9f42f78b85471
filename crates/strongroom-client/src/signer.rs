//! Mints the JWTs that the client authenticates with (RFC 7519; algorithm fixed by the key).

use crate::Error;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use strongroom_core::{Subject, UnixMillis};
use strongroom_wire::SecretText;

/// As whom a JWT speaks.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The application's back end; its JWT has no `session_id`.
    Application,
    /// A person in the application's session.
    User {
        /// The application's session id.
        session_id: SecretText,
    },
    /// A developer's tool.
    Developer {
        /// Random, one for each run: developers that share an id share grants.
        session_id: SecretText,
    },
}

impl Identity {
    /// The `sub` of the JWT.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Application => Subject::Application,
            Self::User { .. } => Subject::User,
            Self::Developer { .. } => Subject::Developer,
        }
    }

    fn session_id(&self) -> Option<&str> {
        match self {
            Self::Application => None,
            Self::User { session_id } | Self::Developer { session_id } => Some(session_id.expose()),
        }
    }
}

/// A private key and what every JWT from it says.
#[derive(Clone)]
pub struct JwtSigner {
    key: EncodingKey,
    header: Header,
    issuer: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    iat: u64,
    exp: u64,
}

impl JwtSigner {
    /// Reads a PEM private key: RSA signs RS256, P-256 ES256, Ed25519 `EdDSA`.
    ///
    /// The key signs once on the way, so that a key of the wrong curve or size is refused here.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let (key, algorithm) = EncodingKey::from_rsa_pem(pem)
            .map(|key| (key, Algorithm::RS256))
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256)))
            .or_else(|_| EncodingKey::from_ed_pem(pem).map(|key| (key, Algorithm::EdDSA)))
            .map_err(|_| Error::BadKey)?;
        let signer = Self {
            key,
            header: Header::new(algorithm),
            issuer: None,
        };
        signer.mint(&Identity::Application, UnixMillis(0), Duration::ZERO)?;
        Ok(signer)
    }

    /// Sets the `iss` of every JWT.
    #[must_use]
    pub fn with_issuer(mut self, issuer: Option<String>) -> Self {
        self.issuer = issuer;
        self
    }

    /// A compact JWT, valid from `now` for `ttl` in whole seconds.
    pub fn mint(
        &self,
        identity: &Identity,
        now: UnixMillis,
        ttl: Duration,
    ) -> Result<SecretText, Error> {
        let claims = Claims {
            sub: identity.subject().as_str(),
            iss: self.issuer.as_deref(),
            session_id: identity.session_id(),
            iat: now.secs(),
            exp: now.secs().saturating_add(ttl.as_secs()),
        };
        let jwt = jsonwebtoken::encode(&self.header, &claims, &self.key);
        jwt.map(SecretText::from).map_err(|_| Error::BadKey)
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSigner")
            .field("algorithm", &self.header.alg)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RsaKeyPair,
    };
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    pub(crate) fn pem(label: &str, der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    }

    pub(crate) fn ed25519() -> Ed25519KeyPair {
        Ed25519KeyPair::generate().unwrap()
    }

    pub(crate) fn signer(pair: &Ed25519KeyPair) -> JwtSigner {
        let der = pair.to_pkcs8().unwrap();
        JwtSigner::from_pem(pem("PRIVATE KEY", der.as_ref()).as_bytes()).unwrap()
    }

    fn parts(jwt: &SecretText) -> (serde_json::Value, serde_json::Value) {
        let part = |index: usize| {
            let text = jwt.expose().split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        (part(0), part(1))
    }

    /// Checks the signature with the cryptographic library directly.
    fn verify(
        jwt: &SecretText,
        algorithm: &'static dyn signature::VerificationAlgorithm,
        key: &[u8],
    ) {
        let (message, signature) = jwt.expose().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = signature::UnparsedPublicKey::new(algorithm, key);
        key.verify(message.as_bytes(), &signature).unwrap();
    }

    fn mint(signer: &JwtSigner, identity: &Identity) -> SecretText {
        signer
            .mint(
                identity,
                UnixMillis(1_700_000_000_999),
                Duration::from_mins(15),
            )
            .unwrap()
    }

    #[test]
    fn an_rsa_key_signs_rs256_from_pkcs8_and_pkcs1() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = pair.as_der().unwrap();
        // PKCS#8 for RSA-2048 is 26 bytes of frame around PKCS#1.
        let pkcs1 = pem("RSA PRIVATE KEY", &der.as_ref()[26..]);
        for text in [pem("PRIVATE KEY", der.as_ref()), pkcs1] {
            let jwt = mint(
                &JwtSigner::from_pem(text.as_bytes()).unwrap(),
                &Identity::Application,
            );
            assert_eq!(parts(&jwt).0["alg"], "RS256");
            verify(
                &jwt,
                &signature::RSA_PKCS1_2048_8192_SHA256,
                pair.public_key().as_ref(),
            );
        }
    }

    #[test]
    fn a_p256_key_signs_es256() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let text = pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
        let jwt = mint(
            &JwtSigner::from_pem(text.as_bytes()).unwrap(),
            &Identity::Application,
        );
        assert_eq!(parts(&jwt).0["alg"], "ES256");
        verify(
            &jwt,
            &signature::ECDSA_P256_SHA256_FIXED,
            pair.public_key().as_ref(),
        );
    }

    #[test]
    fn an_ed25519_key_signs_eddsa() {
        let pair = ed25519();
        let jwt = mint(&signer(&pair), &Identity::Application);
        assert_eq!(parts(&jwt).0["alg"], "EdDSA");
        verify(&jwt, &signature::ED25519, pair.public_key().as_ref());
    }

    #[test]
    fn other_keys_are_refused_when_they_are_read() {
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let p384 = pem("PRIVATE KEY", p384.to_pkcs8v1().unwrap().as_ref());
        let public = pem("PUBLIC KEY", ed25519().public_key().as_ref());
        let garbage = pem("PRIVATE KEY", b"garbage");
        let cut = pem("RSA PRIVATE KEY", &[0x30, 0x03, 0x02, 0x01, 0x00]);
        for text in [p384, public, garbage, cut, String::new(), "hello".into()] {
            assert!(
                matches!(JwtSigner::from_pem(text.as_bytes()), Err(Error::BadKey)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_application_has_no_session_id_and_the_others_have_theirs() {
        let signer = signer(&ed25519()).with_issuer(Some("shop".into()));
        let application = parts(&mint(&signer, &Identity::Application)).1;
        assert_eq!(
            application,
            serde_json::json!({
                "sub": "application", "iss": "shop", "iat": 1_700_000_000, "exp": 1_700_000_900,
            })
        );
        let user = mint(
            &signer,
            &Identity::User {
                session_id: "s".into(),
            },
        );
        assert_eq!(parts(&user).1["session_id"], "s");
        let developer = mint(
            &signer,
            &Identity::Developer {
                session_id: "d".into(),
            },
        );
        assert_eq!(parts(&developer).1["sub"], "developer");
    }

    #[test]
    fn debug_shows_no_key() {
        let debug = format!("{:?}", signer(&ed25519()));
        assert_eq!(debug, "JwtSigner { algorithm: EdDSA, issuer: None, .. }");
    }
}
