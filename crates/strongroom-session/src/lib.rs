//! A compact JWT goes in, a verified caller comes out.
//!
//! [`Verifier`] holds the configured key sources and a cache of verified JWTs. Parsing is this
//! crate's own and strict; signatures, hashes and key formats are checked by `aws-lc-rs`. The keys
//! of an issuer that publishes them are read by [`KeySet`] and put into the verifier as long as
//! they may be used; who fetches them, and when, is not known in here.
//!
//! In here there is no HTTP, no clock and no file: the present is an argument, and key material
//! arrives as text. The crate knows nothing of grants and revocations. Those are the gate's read,
//! once per request, and are never cached here.
//!
//! ```
//! use strongroom_core::{Subject, UnixMillis};
//! use strongroom_session::{KeySourceConfig, PublicKey, Refused, Rules, Verifier};
//!
//! let key = PublicKey::from_jwk(
//!     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
//! )?;
//! let source = KeySourceConfig {
//!     name: "default".to_owned(),
//!     keys: vec![key],
//!     fetched: false,
//!     subjects: vec![Subject::User, Subject::Application],
//!     iss: None,
//!     aud: None,
//! };
//! let verifier = Verifier::new(vec![source], Rules::default())?;
//! let now = UnixMillis(1_800_000_000_000);
//! assert_eq!(verifier.verify("not a JWT", now).unwrap_err(), Refused::Shape);
//! # Ok::<(), strongroom_session::Error>(())
//! ```

mod cache;
mod claims;
mod der;
mod json;
mod jwks;
mod jws;
mod key;
mod source;
mod verifier;

pub use jwks::KeySet;
pub use key::{Algorithm, PublicKey};
pub use source::KeySourceConfig;
pub use verifier::{Rules, Verified, Verifier};

/// What is wrong with the configured keys or sources. For the operator; never caused by a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No single PEM block with a label that is known.
    #[error("not a single PEM block \"PUBLIC KEY\" or \"RSA PUBLIC KEY\"")]
    Pem,
    /// A private key where the public one belongs. It should be considered leaked to this host.
    #[error("this is a private key; give the vault the public key alone")]
    PrivateKey,
    /// The base64 or the DER structure inside is damaged.
    #[error("the public key is damaged: not base64 of a DER public key")]
    Malformed,
    /// A sound key of a kind that is not verified with.
    #[error("unsupported key: RSA (RS256), P-256 (ES256) and Ed25519 (EdDSA) are known")]
    Unsupported,
    /// An RSA modulus outside 2048 to 8192 bits.
    #[error("an RSA key of {bits} bits; 2048 to 8192 are allowed")]
    RsaSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// The key is no good whatever its encoding: exponent, modulus or point.
    #[error("the public key is weak or not valid for its algorithm")]
    Weak,
    /// A JWK (RFC 7517) with a missing, doubled or contradicting member.
    #[error("bad JWK: {0}")]
    Jwk(&'static str),
    /// A JWK Set (RFC 7517 §5) that is none, or is too long.
    #[error("bad JWK Set: {0}")]
    Jwks(&'static str),
    /// There is nothing to verify with.
    #[error("no key source is configured")]
    NoSources,
    /// A name that cannot name a session's issuer.
    #[error("the name of a key source is 1 to 64 characters, none of them a control character")]
    SourceName,
    /// Two sources share a name, so their sessions would be one name space.
    #[error("two key sources are named {0:?}")]
    DuplicateSource(String),
    /// The source could verify nothing, now or later.
    #[error("key source {0:?} has no key")]
    NoKeys(String),
    /// The source could speak for nobody.
    #[error("key source {0:?} has no subjects")]
    NoSubjects(String),
    /// No source of this name was configured, at start, to have its keys fetched.
    #[error("no key source named {0:?} has its keys fetched")]
    UnknownSource(String),
}

/// Why a JWT was refused: for the log alone, and free of any part of the JWT.
///
/// The caller is answered 401 `NotAuthenticated` whatever the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// Longer than [`Rules::jwt_bytes_max`].
    #[error("the JWT is too long")]
    TooLong,
    /// Not three parts (RFC 7515 §7.1).
    #[error("not a compact JWT of three parts")]
    Shape,
    /// A part is not base64url in its one canonical form (RFC 7515 §2).
    #[error("a part is not canonical base64url")]
    Encoding,
    /// The header is not a JSON object with unique members, or its `kid` is no string.
    #[error("the header is not a sound JSON object")]
    Header,
    /// `alg` is missing, unknown, or of no configured key (RFC 8725 §3.1).
    #[error("no configured key has the header's algorithm")]
    Algorithm,
    /// `crit` is present, and no extension is understood (RFC 7515 §4.1.11).
    #[error("the header asks for extensions")]
    Critical,
    /// No configured key verifies the signature.
    #[error("the signature is of no configured key")]
    Signature,
    /// The key that verifies it was fetched too long ago to be believed still.
    #[error("the keys of its key source are stale")]
    Stale,
    /// The claims are not a JSON object with unique members.
    #[error("the claims are not a sound JSON object")]
    Claims,
    /// `iss` is not a string, or not the one that the source demands.
    #[error("iss is not what the key source demands")]
    Issuer,
    /// `aud` does not name this vault as the source demands.
    #[error("aud is not what the key source demands")]
    Audience,
    /// More than one source verifies the JWT, so its issuer is not known.
    #[error("more than one key source verifies it")]
    Ambiguous,
    /// `exp`, `nbf` or `iat` is not a date between 1970 and 9999 (RFC 7519 §2).
    #[error("exp, nbf or iat is not a date")]
    Date,
    /// There is no `exp`, and [`Rules::allow_unbounded`] is off.
    #[error("there is no exp")]
    NoExpiry,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` has not come.
    #[error("not valid yet")]
    NotYetValid,
    /// `exp` is further off than [`Rules::lifetime_max_s`] allows.
    #[error("it lives too long")]
    Lifetime,
    /// `sub` is missing, or none of `user`, `application`, `developer`.
    #[error("sub is not a known subject")]
    Subject,
    /// The source may not speak for this subject.
    #[error("the key source may not speak for this subject")]
    SubjectNotAllowed,
    /// `session_id`, or the `iss` that names an application's session, cannot name a session.
    #[error("there is no usable session id")]
    SessionId,
}
