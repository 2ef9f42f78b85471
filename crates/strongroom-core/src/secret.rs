//! One newtype per secret: wiped on drop, no `Clone`, no `PartialEq`, `Debug` says nothing.
//!
//! Bytes come out through `expose` alone, which is what an auditor searches for.

use rand_core::CryptoRng;
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox};
use std::fmt;
use subtle::ConstantTimeEq;

/// Bytes of a symmetric secret.
pub const SECRET_BYTES: usize = 32;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(SecretBox<[u8; SECRET_BYTES]>);

        impl $name {
            /// Fills a new secret in place, so that no copy stays on the stack.
            pub fn init_with(fill: impl FnOnce(&mut [u8; SECRET_BYTES])) -> Self {
                let mut secret = SecretBox::new(Box::new([0; SECRET_BYTES]));
                fill(secret.expose_secret_mut());
                Self(secret)
            }

            /// A new random secret.
            pub fn generate(rng: &mut impl CryptoRng) -> Self {
                Self::init_with(|bytes| rng.fill_bytes(bytes))
            }

            /// A copy of exactly 32 bytes, or nothing.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                (bytes.len() == SECRET_BYTES)
                    .then(|| Self::init_with(|secret| secret.copy_from_slice(bytes)))
            }

            /// The bytes. Every call is a place to review.
            pub fn expose(&self) -> &[u8; SECRET_BYTES] {
                self.0.expose_secret()
            }

            /// Whether two secrets are the same, in constant time.
            pub fn same_as(&self, other: &Self) -> bool {
                self.expose().ct_eq(other.expose()).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[REDACTED]")
            }
        }
    };
}

secret! {
    /// Wraps the keyring's file key and nothing else; kept apart from everything.
    MasterKey
}
secret! {
    /// Seals the body of one version of the keyring file.
    FileKey
}
secret! {
    /// Names records, sessions and grants; opens no value. Never rotated.
    IndexSecret
}
secret! {
    /// One generation; with the token it makes the key that wraps a data key.
    RootSecret
}
secret! {
    /// Key-encryption key of the outer layer of a record.
    Kek
}
secret! {
    /// Makes token references for audit entries.
    AuditKey
}
secret! {
    /// Seed of the Ed25519 key that signs receipts and certifies node keys (RFC 8032 §5.1.5).
    SigningSeed
}
secret! {
    /// Encrypts one token's value: the SSE-C customer key of its object.
    DataKey
}
secret! {
    /// Authenticates grant and revocation rows.
    GrantKey
}
secret! {
    /// The embedded object store's own key.
    StoreKey
}
