//! The key schedule: which key or name is made of what (`docs/crypto.md`, *Names*).
//!
//! HKDF-SHA-256 (RFC 5869) and HMAC-SHA-256 (RFC 2104). A label is ASCII and ends in its only
//! zero byte, so no label is a prefix of another label's input.

use crate::ids::{RecordId, SessionRef, TokenRef};
use crate::secret::{AuditKey, GrantKey, IndexSecret, Kek, MasterKey, RootSecret, StoreKey};
use crate::{Session, Token, reader};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

const INDEX_SALT: &[u8] = b"strongroom.v1.index";
const ROOT_SALT: &[u8] = b"strongroom.v1.root";
const MASTER_SALT: &[u8] = b"strongroom.v1.master";

const RECORD: &[u8] = b"record\0";
const SESSION: &[u8] = b"session\0";
const GRANT: &[u8] = b"grant\0";
const STORE: &[u8] = b"store\0";
const WRAP: &[u8] = b"wrap\0";
const METADATA: &[u8] = b"metadata\0";
const TOKEN: &[u8] = b"token\0";
const SLOT: &[u8] = b"slot\0";

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// `Extract(salt, ikm)` (RFC 5869 §2.2).
pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(ikm)
}

/// `Expand(prk, info)` to 32 bytes (RFC 5869 §2.3); `info` is given in pieces.
pub(crate) fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8; 32]) {
    // INVARIANT: 32 bytes are one block of HMAC-SHA-256, which HKDF always grants.
    prk.expand(info, Bytes32)
        .and_then(|okm| okm.fill(out))
        .expect("HKDF grants one block");
}

/// A 32-byte key that lives for one call.
pub(crate) fn expand_key(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    expand(prk, info, &mut key);
    key
}

/// The index secret, ready for use: `prk_x`. It names things and opens no value.
pub struct IndexKey(Prk);

impl IndexKey {
    /// `prk_x = Extract("strongroom.v1.index", index secret)`.
    pub fn new(secret: &IndexSecret) -> Self {
        Self(extract(INDEX_SALT, secret.expose()))
    }

    /// `Expand(prk_x, "record\0" ‖ t)`: primary key of the token's record, for life.
    pub fn record_id(&self, token: &Token) -> RecordId {
        let mut id = [0; 32];
        expand(&self.0, &[RECORD, token.expose().as_bytes()], &mut id);
        RecordId(id)
    }

    /// `Expand(prk_x, "session\0" ‖ kind u8 ‖ str(issuer) ‖ str(session id))`.
    pub fn session_ref(&self, session: &Session) -> SessionRef {
        let mut info = vec![session.kind() as u8];
        for text in [session.issuer(), session.id()] {
            // INVARIANT: `Session::new` lets neither be longer than 256 bytes.
            reader::put_str(&mut info, text.as_bytes()).expect("at most 256 bytes");
        }
        let mut id = [0; 32];
        expand(&self.0, &[SESSION, &info], &mut id);
        SessionRef(id)
    }

    /// `Expand(prk_x, "grant\0")`: authenticates grant and revocation rows.
    pub fn grant_key(&self) -> GrantKey {
        GrantKey::init_with(|key| expand(&self.0, &[GRANT], key))
    }

    /// `Expand(prk_x, "store\0")`: the embedded object store's own.
    pub fn store_key(&self) -> StoreKey {
        StoreKey::init_with(|key| expand(&self.0, &[STORE], key))
    }
}

/// One generation of the root secret, ready for use: `prk_g`.
pub struct RootKey {
    generation: u32,
    prk: Prk,
}

impl RootKey {
    /// `prk_g = Extract("strongroom.v1.root", root secret g)`.
    pub fn new(generation: u32, secret: &RootSecret) -> Self {
        Self {
            generation,
            prk: extract(ROOT_SALT, secret.expose()),
        }
    }

    /// The generation's number, *g*.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// `Expand(prk_g, "wrap\0" ‖ t)`: wraps the token's data key.
    pub(crate) fn wrap_key(&self, token: &Token) -> Zeroizing<[u8; 32]> {
        expand_key(&self.prk, &[WRAP, token.expose().as_bytes()])
    }

    /// `Expand(prk_g, "metadata\0" ‖ metadata salt ‖ t)`: seals the token's metadata.
    pub(crate) fn metadata_key(&self, salt: &[u8; 32], token: &Token) -> Zeroizing<[u8; 32]> {
        expand_key(&self.prk, &[METADATA, salt, token.expose().as_bytes()])
    }
}

/// One KEK, ready for use: the secret itself is the pseudorandom key.
pub struct KekKey {
    number: u32,
    prk: Prk,
}

impl KekKey {
    /// The KEK is uniform, so it needs no Extract (RFC 5869 §3.3).
    pub fn new(number: u32, secret: &Kek) -> Self {
        Self {
            number,
            prk: Prk::new_less_safe(HKDF_SHA256, secret.expose()),
        }
    }

    /// The KEK's number, *k*.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// `Expand(KEK k, "record\0" ‖ record id)`: seals the outer layer of one record.
    pub(crate) fn record_key(&self, id: &RecordId) -> Zeroizing<[u8; 32]> {
        expand_key(&self.prk, &[RECORD, id.as_bytes()])
    }
}

/// One audit key, ready for use.
pub struct TokenRefKey(hmac::Key);

impl TokenRefKey {
    /// Prepares the HMAC.
    pub fn new(secret: &AuditKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// `HMAC(audit key, "token\0" ‖ record id)[..16]`: names a token in audit and alerts.
    pub fn token_ref(&self, id: &RecordId) -> TokenRef {
        let tag = hmac_parts(&self.0, &[TOKEN, id.as_bytes()]);
        let mut short = [0; 16];
        short.copy_from_slice(&tag.as_ref()[..16]);
        TokenRef(short)
    }
}

/// `Expand(Extract("strongroom.v1.master", master key), "slot\0")`: wraps a keyring's file key.
pub fn slot_key(master: &MasterKey) -> Zeroizing<[u8; 32]> {
    expand_key(&extract(MASTER_SALT, master.expose()), &[SLOT])
}

/// `HMAC(key, message)` with the message in pieces.
pub(crate) fn hmac_parts(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}
