//! AES-256-GCM (SP 800-38D) as `gcm(key, data, aad)` = nonce(12) ‖ ciphertext ‖ tag(16).

use crate::Error;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of a GCM nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes of a GCM tag.
pub const TAG_BYTES: usize = 16;
/// What sealing adds to the data.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// A key ready for use. The library wipes its schedule on drop.
pub fn key(bytes: &[u8; 32]) -> LessSafeKey {
    // INVARIANT: 32 bytes are the length of an AES-256 key, the only thing checked here.
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes are an AES-256 key"))
}

/// Seals `data` under a fresh random nonce and appends the result to `out`.
pub fn seal(
    key_bytes: &[u8; 32],
    data: &[u8],
    aad: &[u8],
    rng: &mut impl CryptoRng,
    out: &mut Vec<u8>,
) {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    out.extend_from_slice(&nonce);
    let from = out.len();
    out.extend_from_slice(data);
    let tag = key(key_bytes)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut out[from..],
        )
        .expect("data is far below GCM's 64 GiB");
    out.extend_from_slice(tag.as_ref());
}

/// Opens what [`seal`] made; the plaintext is wiped when dropped.
pub fn open(key_bytes: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (nonce, rest) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(Error::Sealed)?;
    let mut data = Zeroizing::new(rest.to_vec());
    let len = key(key_bytes)
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            &mut data,
        )
        .map_err(|_| Error::Sealed)?
        .len();
    data.truncate(len);
    Ok(data)
}
