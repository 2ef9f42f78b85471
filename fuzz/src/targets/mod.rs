//! One function per parser: it must not panic, and what it asserts must hold, whatever the input.
//! Each returns whether the input is a good one.
//!
//! Also compiled into a test of `strongroom-tests`, which replays the corpora. Public interfaces
//! alone are used; where a format is sealed, the keys are derived here a second time, from
//! `docs/crypto.md`, so that inputs get past the seal.

mod audit;
mod config;
mod keyring;
mod records;
mod s3;
mod s3_headers;
mod sessions;
mod store;
mod wire;

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use strongroom_core::aead;
use tempfile::TempDir;

/// What an input is given to.
pub(crate) type Target = fn(&[u8]) -> bool;

/// Every target under its name, which is also that of its folder in `corpus/`.
pub(crate) const ALL: [(&str, Target); 31] = [
    ("token", records::token),
    ("record", records::record),
    ("envelope", records::envelope),
    ("grant_rows", records::grant_rows),
    ("keyring", keyring::keyring),
    ("master_key", keyring::master_key),
    ("sealed_run", store::sealed_run),
    ("manifest", store::manifest),
    ("kept", store::kept),
    ("jwt", sessions::jwt),
    ("jwt_claims", sessions::jwt_claims),
    ("jwk", sessions::jwk),
    ("jwks", sessions::jwks),
    ("public_keys", sessions::public_keys),
    ("duration", wire::duration),
    ("json_bodies", wire::json_bodies),
    ("metadata", wire::metadata),
    ("answers", wire::answers),
    ("audit_log", audit::audit_log),
    ("config", config::config),
    ("sigv4_header", s3::sigv4_header),
    ("sigv4_query", s3::sigv4_query),
    ("chunk_framing", s3::chunk_framing),
    ("sse_c_headers", s3::sse_c_headers),
    ("xml_bodies", s3::xml_bodies),
    ("range", s3::range),
    ("post_form", s3::post_form),
    ("checksums", s3_headers::checksums),
    ("conditions", s3_headers::conditions),
    ("copy_source", s3_headers::copy_source),
    ("continuation", s3_headers::continuation),
];

/// Takes values off the front of an input; where it has ended, they are zero or empty.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let bytes = self.bytes(N);
        out[..bytes.len()].copy_from_slice(bytes);
        out
    }

    fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// At most 255 bytes, with replacement characters for what is no UTF-8.
    fn text(&mut self) -> String {
        let len = usize::from(self.u8());
        String::from_utf8_lossy(self.bytes(len)).into_owned()
    }
}

/// One byte of `bytes`, which must not be empty, is another one.
fn altered(bytes: &[u8], at: u16, flip: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = usize::from(at) % bytes.len();
    bytes[at] ^= flip.max(1);
    bytes
}

/// Input lines, the missing ones empty.
fn lines<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut lines = data.split(|byte| *byte == b'\n');
    [(); N].map(|()| lines.next().unwrap_or_default())
}

/// Gives the same bytes again and again where a program takes random ones.
struct Given<'a>(&'a [u8]);

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for (byte, given) in out.iter_mut().zip(self.0.iter().cycle()) {
            *byte = *given;
        }
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

/// The byte of every nonce that is sealed with here.
const FILL: u8 = 7;
const FILLED: Given<'_> = Given(&[FILL]);

/// `gcm(key, data, aad)`, appended.
fn gcm(key: &[u8; 32], data: &[u8], aad: &[u8], out: &mut Vec<u8>) {
    aead::seal(key, data, aad, &mut { FILLED }, out);
}

/// `Extract(salt, ikm)`.
fn extract(salt: &[u8], ikm: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(ikm)
}

/// `Expand(prk, info)`.
fn expand(prk: &Prk, info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    prk.expand(info, HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out))
        .expect("HKDF grants one block");
    out
}

/// A secret that is itself a pseudorandom key.
fn uniform(secret: &[u8; 32]) -> Prk {
    Prk::new_less_safe(HKDF_SHA256, secret)
}

/// `str(x)`, for texts that fit.
fn put_str(out: &mut Vec<u8>, text: &str) {
    strongroom_core::reader::put_str(out, text.as_bytes()).expect("a short text");
}

/// A directory for what can only be read from a file; in memory, where a sync costs nothing.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary directory can be made")
}
