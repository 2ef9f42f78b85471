//! What the embedded store keeps under its own key: the data keys of server-keyed objects, and the
//! keys of open multipart uploads, with what those uploads seal under their manifest key.
//!
//! `gcm(key, data, aad)` = nonce(12) ‖ ciphertext ‖ tag(16); integers are big-endian, `str(x)` =
//! `u16` length ‖ bytes, `pairs` as in [`super::manifest`].
//!
//! ```text
//! kept key   = 0x01 ‖ gcm(Expand(store key, "object\0" ‖ str(bucket) ‖ str(object key)), data key,
//!                         aad = "strongroom.v1.object\0" ‖ 0x01)
//! upload     = 0x01 ‖ gcm(Expand(store key, "upload\0" ‖ str(upload id)),
//!                         check salt(32) ‖ check(32) ‖ manifest key(32) [‖ data key(32)],
//!                         aad = "strongroom.v1.upload\0" ‖ 0x01 ‖ str(bucket) ‖ str(object key))
//! draft      = 0x01 ‖ gcm(manifest key, number of headers u16 ‖ pairs
//!                         ‖ 0x00 or ( 0x01 ‖ str(checksum algorithm) ‖ str(checksum type) ),
//!                         aad = "strongroom.v1.draft\0" ‖ 0x01 ‖ str(upload id))
//! part       = 0x01 ‖ gcm(manifest key, length u64 ‖ stored at u64 ‖ salt(32) ‖ file name(16)
//!                         ‖ str(entity tag) ‖ number of checksums u8 ‖ pairs,
//!                         aad = "strongroom.v1.part\0" ‖ 0x01 ‖ str(upload id) ‖ part number u32)
//! ```
//!
//! Completing an upload brings no customer key, so until then the upload keeps the manifest key,
//! which opens no data. The data key is there in a server-keyed upload alone.

use super::SALT_BYTES;
use super::manifest::{CHECK_BYTES, HeadKeys, put_pairs, read_pairs};
use crate::derive;
use crate::reader::{Reader, put_str};
use crate::secret::{DataKey, SECRET_BYTES, StoreKey};
use crate::{Error, UnixMillis, VERSION, aead};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of a file's name.
pub const FILE_NAME_BYTES: usize = 16;

/// The store key, ready for use: it is itself the pseudorandom key (RFC 5869 §3.3).
pub struct StoreKeys(Prk);

impl StoreKeys {
    /// Keeps what the derivations need.
    pub fn new(store_key: &StoreKey) -> Self {
        Self(Prk::new_less_safe(HKDF_SHA256, store_key.expose()))
    }

    /// Seals the data key of a server-keyed object; `rng` gives the nonce alone.
    pub fn seal_object_key(
        &self,
        bucket: &str,
        object_key: &str,
        data_key: &DataKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let key = self.object_key(bucket, object_key)?;
        Ok(seal(&key, data_key.expose(), OBJECT_AAD, rng))
    }

    /// Opens what [`StoreKeys::seal_object_key`] made.
    pub fn open_object_key(
        &self,
        bucket: &str,
        object_key: &str,
        sealed: &[u8],
    ) -> Result<DataKey, Error> {
        let plain = open(&*self.object_key(bucket, object_key)?, sealed, OBJECT_AAD)?;
        DataKey::from_slice(&plain).ok_or(Error::Malformed)
    }

    /// Seals the keys of an upload; `rng` gives the nonce alone.
    pub fn seal_upload(
        &self,
        upload_id: &str,
        bucket: &str,
        object_key: &str,
        keys: &UploadKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let key = self.upload_key(upload_id)?;
        let aad = upload_aad(bucket, object_key)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(4 * SECRET_BYTES));
        plain.extend_from_slice(&keys.head.salt);
        plain.extend_from_slice(&keys.head.check);
        plain.extend_from_slice(&*keys.head.manifest_key);
        if let Some(data_key) = &keys.data_key {
            plain.extend_from_slice(data_key.expose());
        }
        Ok(seal(&key, &plain, &aad, rng))
    }

    /// Opens what [`StoreKeys::seal_upload`] made.
    pub fn open_upload(
        &self,
        upload_id: &str,
        bucket: &str,
        object_key: &str,
        sealed: &[u8],
    ) -> Result<UploadKeys, Error> {
        let aad = upload_aad(bucket, object_key)?;
        let plain = open(&*self.upload_key(upload_id)?, sealed, &aad)?;
        let mut reader = Reader::new(&plain);
        let salt: [u8; SALT_BYTES] = reader.array()?;
        let check: [u8; CHECK_BYTES] = reader.array()?;
        let manifest_key = Zeroizing::new(reader.array()?);
        let data_key = match reader.rest() {
            [] => None,
            rest => Some(DataKey::from_slice(rest).ok_or(Error::Malformed)?),
        };
        Ok(UploadKeys {
            head: HeadKeys {
                salt,
                check,
                manifest_key,
            },
            data_key,
        })
    }

    fn object_key(&self, bucket: &str, object_key: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        let mut names = Vec::new();
        put_str(&mut names, bucket.as_bytes())?;
        put_str(&mut names, object_key.as_bytes())?;
        Ok(derive::expand_key(&self.0, &[b"object\0", &names]))
    }

    fn upload_key(&self, upload_id: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        let mut id = Vec::new();
        put_str(&mut id, upload_id.as_bytes())?;
        Ok(derive::expand_key(&self.0, &[b"upload\0", &id]))
    }
}

/// The keys of one multipart upload.
pub struct UploadKeys {
    /// Those of the head that the object will have.
    pub head: HeadKeys,
    /// Of a server-keyed upload alone.
    pub data_key: Option<DataKey>,
}

/// What an upload was begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Name and value of the headers that a download repeats.
    pub headers: Vec<(String, String)>,
    /// Algorithm and type of the object's checksum.
    pub checksum: Option<(String, String)>,
}

impl Draft {
    /// Seals it under the upload's manifest key; `rng` gives the nonce alone.
    pub fn seal(
        &self,
        upload_id: &str,
        keys: &HeadKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        let headers = u16::try_from(self.headers.len()).map_err(|_| Error::Malformed)?;
        plain.extend_from_slice(&headers.to_be_bytes());
        put_pairs(&mut plain, &self.headers)?;
        plain.push(u8::from(self.checksum.is_some()));
        put_pairs(&mut plain, self.checksum.as_slice())?;
        let aad = draft_aad(upload_id)?;
        Ok(seal(&keys.manifest_key, &plain, &aad, rng))
    }

    /// Opens what [`Draft::seal`] made.
    pub fn open(upload_id: &str, keys: &HeadKeys, sealed: &[u8]) -> Result<Self, Error> {
        let plain = open(&keys.manifest_key, sealed, &draft_aad(upload_id)?)?;
        let mut reader = Reader::new(&plain);
        let headers = usize::from(reader.u16()?);
        let headers = read_pairs(&mut reader, headers)?;
        let checksum = match reader.u8()? {
            0 => None,
            1 => read_pairs(&mut reader, 1)?.pop(),
            _ => return Err(Error::Malformed),
        };
        reader.end()?;
        Ok(Self { headers, checksum })
    }
}

/// One part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Plaintext bytes.
    pub length: u64,
    /// When it was complete.
    pub stored_at: UnixMillis,
    /// The salt in its run's header.
    pub salt: [u8; SALT_BYTES],
    /// The file that holds its run.
    pub file: [u8; FILE_NAME_BYTES],
    /// Random, without quotes.
    pub etag: String,
    /// Algorithm and value, verified on arrival.
    pub checksums: Vec<(String, String)>,
}

impl Part {
    /// Seals it under the upload's manifest key; `rng` gives the nonce alone.
    pub fn seal(
        &self,
        upload_id: &str,
        number: u32,
        keys: &HeadKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        plain.extend_from_slice(&self.length.to_be_bytes());
        plain.extend_from_slice(&self.stored_at.0.to_be_bytes());
        plain.extend_from_slice(&self.salt);
        plain.extend_from_slice(&self.file);
        put_str(&mut plain, self.etag.as_bytes())?;
        plain.push(u8::try_from(self.checksums.len()).map_err(|_| Error::Malformed)?);
        put_pairs(&mut plain, &self.checksums)?;
        let aad = part_aad(upload_id, number)?;
        Ok(seal(&keys.manifest_key, &plain, &aad, rng))
    }

    /// Opens what [`Part::seal`] made.
    pub fn open(
        upload_id: &str,
        number: u32,
        keys: &HeadKeys,
        sealed: &[u8],
    ) -> Result<Self, Error> {
        let plain = open(&keys.manifest_key, sealed, &part_aad(upload_id, number)?)?;
        let mut reader = Reader::new(&plain);
        let length = reader.u64()?;
        let stored_at = reader.millis()?;
        let (salt, file) = (reader.array()?, reader.array()?);
        let etag = reader.str()?.to_owned();
        let checksums = usize::from(reader.u8()?);
        let checksums = read_pairs(&mut reader, checksums)?;
        reader.end()?;
        Ok(Self {
            length,
            stored_at,
            salt,
            file,
            etag,
            checksums,
        })
    }
}

const OBJECT_AAD: &[u8] = b"strongroom.v1.object\0\x01";

fn upload_aad(bucket: &str, object_key: &str) -> Result<Vec<u8>, Error> {
    let mut aad = b"strongroom.v1.upload\0\x01".to_vec();
    put_str(&mut aad, bucket.as_bytes())?;
    put_str(&mut aad, object_key.as_bytes())?;
    Ok(aad)
}

fn draft_aad(upload_id: &str) -> Result<Vec<u8>, Error> {
    let mut aad = b"strongroom.v1.draft\0\x01".to_vec();
    put_str(&mut aad, upload_id.as_bytes())?;
    Ok(aad)
}

fn part_aad(upload_id: &str, number: u32) -> Result<Vec<u8>, Error> {
    let mut aad = b"strongroom.v1.part\0\x01".to_vec();
    put_str(&mut aad, upload_id.as_bytes())?;
    aad.extend_from_slice(&number.to_be_bytes());
    Ok(aad)
}

fn seal(key: &[u8; 32], plain: &[u8], aad: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + plain.len() + aead::OVERHEAD_BYTES);
    out.push(VERSION);
    aead::seal(key, plain, aad, rng, &mut out);
    out
}

fn open(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut reader = Reader::new(sealed);
    reader.version()?;
    aead::open(key, reader.rest(), aad)
}

#[cfg(test)]
mod tests;
