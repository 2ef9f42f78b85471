//! The manifest of an object in the embedded store, and the sealed head that carries it.
//!
//! Integers are big-endian, `str(x)` = `u16` length ‖ bytes, text is UTF-8.
//!
//! ```text
//! head     = 0x01 ‖ check salt(32) ‖ check(32) ‖ nonce(12) ‖ ciphertext ‖ tag(16)
//! prk_m    = HKDF-Extract(check salt, customer key)
//! check    = HKDF-Expand(prk_m, "check\0")
//! sealed   = AES-256-GCM(HKDF-Expand(prk_m, "manifest\0"), nonce, manifest,
//!            aad = "strongroom.v1.manifest\0" ‖ 0x01 ‖ str(bucket) ‖ str(object key))
//!
//! manifest = 0x01 ‖ size u64 ‖ stored at u64 ‖ str(entity tag)
//!            ‖ number of runs u32      ‖ { part number u32 ‖ length u64 ‖ salt(32) }…
//!            ‖ number of checksums u8  ‖ { str(algorithm) ‖ str(value) }…
//!            ‖ number of headers u16   ‖ { str(name) ‖ str(value) }…
//! ```
//!
//! Size and lengths count plaintext bytes; the size is the sum of the lengths; part numbers rise
//! from 1. The entity tag has no quotes. A checksum is the header's suffix and its value as sent, as in
//! `sha256`, `<base64>`; Content-MD5 is `md5`. Headers are those of the upload that a download
//! repeats, names in lower case: `content-type`, `content-encoding`, `x-amz-meta-…`.
//!
//! A checksum named `type` says whether the others are of the whole object or of its parts'
//! checksums.

use super::{RUN_BYTES_MAX, SALT_BYTES, expand, extract};
use crate::aead::{self, OVERHEAD_BYTES};
use crate::reader::{Reader, put_str};
use crate::secret::DataKey;
use crate::{Error, UnixMillis, VERSION};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of the check that tells a right customer key from a wrong one.
pub const CHECK_BYTES: usize = 32;
/// Runs of one object: S3's limit of parts.
pub const RUNS_MAX: u32 = 10_000;
/// Longest head that is made or read: room for [`RUNS_MAX`] runs and 8 KiB of headers.
pub const HEAD_BYTES_MAX: usize = 512 << 10;
const HEAD_OVERHEAD_BYTES: usize = 1 + SALT_BYTES + CHECK_BYTES + OVERHEAD_BYTES;

/// One run of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// From 1, rising.
    pub part_number: u32,
    /// Plaintext bytes.
    pub length: u64,
    /// The salt in the run's header.
    pub salt: [u8; SALT_BYTES],
}

/// What the store knows about an object, readable with the customer key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Plaintext bytes of all runs.
    pub size: u64,
    /// When the upload was complete.
    pub stored_at: UnixMillis,
    /// Random, without quotes.
    pub etag: String,
    /// In the order of the object's bytes.
    pub runs: Vec<Run>,
    /// Algorithm and value, verified on arrival.
    pub checksums: Vec<(String, String)>,
    /// Name and value of the headers that a download repeats.
    pub headers: Vec<(String, String)>,
}

impl Manifest {
    /// The bytes; refuses counts and texts that the layout has no room for.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&self.stored_at.0.to_be_bytes());
        put_str(&mut out, self.etag.as_bytes())?;
        let runs = u32::try_from(self.runs.len()).map_err(|_| Error::Malformed)?;
        out.extend_from_slice(&runs.to_be_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.part_number.to_be_bytes());
            out.extend_from_slice(&run.length.to_be_bytes());
            out.extend_from_slice(&run.salt);
        }
        out.push(u8::try_from(self.checksums.len()).map_err(|_| Error::Malformed)?);
        put_pairs(&mut out, &self.checksums)?;
        let headers = u16::try_from(self.headers.len()).map_err(|_| Error::Malformed)?;
        out.extend_from_slice(&headers.to_be_bytes());
        put_pairs(&mut out, &self.headers)?;
        Ok(out)
    }

    /// Reads what [`Manifest::encode`] wrote and checks that size, lengths and part numbers agree.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.version()?;
        let size = reader.u64()?;
        let stored_at = reader.millis()?;
        let etag = reader.str()?.to_owned();
        let runs = read_runs(&mut reader, size)?;
        let checksums = usize::from(reader.u8()?);
        let checksums = read_pairs(&mut reader, checksums)?;
        let headers = usize::from(reader.u16()?);
        let headers = read_pairs(&mut reader, headers)?;
        reader.end()?;
        Ok(Self {
            size,
            stored_at,
            etag,
            runs,
            checksums,
            headers,
        })
    }
}

pub(super) fn put_pairs(out: &mut Vec<u8>, pairs: &[(String, String)]) -> Result<(), Error> {
    pairs.iter().try_for_each(|(name, value)| {
        put_str(out, name.as_bytes())?;
        put_str(out, value.as_bytes())
    })
}

pub(super) fn read_pairs(
    reader: &mut Reader<'_>,
    count: usize,
) -> Result<Vec<(String, String)>, Error> {
    // No room is reserved from the count: it is bounded only by the bytes that follow.
    (0..count)
        .map(|_| Ok((reader.str()?.to_owned(), reader.str()?.to_owned())))
        .collect()
}

fn read_runs(reader: &mut Reader<'_>, size: u64) -> Result<Vec<Run>, Error> {
    let count = reader.u32()?;
    if count == 0 || count > RUNS_MAX {
        return Err(Error::Malformed);
    }
    let mut runs = Vec::new();
    let (mut sum, mut part_before) = (0_u64, 0);
    for _ in 0..count {
        let run = Run {
            part_number: reader.u32()?,
            length: reader.u64()?,
            salt: reader.array()?,
        };
        sum = sum.checked_add(run.length).ok_or(Error::Malformed)?;
        if run.part_number <= part_before || run.length > RUN_BYTES_MAX {
            return Err(Error::Malformed);
        }
        part_before = run.part_number;
        runs.push(run);
    }
    if sum == size {
        Ok(runs)
    } else {
        Err(Error::Malformed)
    }
}

/// Check and manifest key of one object, both from the customer key and the check salt.
pub struct HeadKeys {
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) check: [u8; CHECK_BYTES],
    pub(super) manifest_key: Zeroizing<[u8; 32]>,
}

impl HeadKeys {
    /// `check_salt` is random for each object.
    pub fn new(check_salt: &[u8; SALT_BYTES], customer_key: &DataKey) -> Self {
        let prk = extract(check_salt, customer_key);
        Self {
            salt: *check_salt,
            check: *expand(&prk, b"check\0"),
            manifest_key: expand(&prk, b"manifest\0"),
        }
    }

    /// Whether they come of this customer key, in constant time.
    pub fn are_of(&self, customer_key: &DataKey) -> bool {
        let given = Self::new(&self.salt, customer_key);
        self.check.ct_eq(&given.check).into()
    }

    /// The public check.
    pub fn check(&self) -> &[u8; CHECK_BYTES] {
        &self.check
    }

    /// The sealed head; `rng` gives the 12 bytes of the nonce and nothing else. Refuses more than
    /// [`HEAD_BYTES_MAX`].
    pub fn seal(
        &self,
        bucket: &str,
        object_key: &str,
        manifest: &Manifest,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let plain = manifest.encode()?;
        if HEAD_OVERHEAD_BYTES + plain.len() > HEAD_BYTES_MAX {
            return Err(Error::Malformed);
        }
        let mut head = Vec::with_capacity(HEAD_OVERHEAD_BYTES + plain.len());
        head.push(VERSION);
        head.extend_from_slice(&self.salt);
        head.extend_from_slice(&self.check);
        aead::seal(
            &self.manifest_key,
            &plain,
            &aad(bucket, object_key)?,
            rng,
            &mut head,
        );
        Ok(head)
    }
}

/// Bytes of the head that [`HeadKeys::seal`] makes of a manifest of this shape.
pub fn head_bytes(manifest: &Manifest) -> Result<usize, Error> {
    Ok(HEAD_OVERHEAD_BYTES + manifest.encode()?.len())
}

/// Why a head does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The check belongs to another customer key (or was altered).
    #[error("another customer key")]
    WrongKey,
    /// The key is right and the rest is not what was sealed.
    #[error(transparent)]
    Broken(#[from] Error),
}

/// Opens a sealed head: compares the check in constant time, then opens the manifest.
pub fn open_head(
    head: &[u8],
    customer_key: &DataKey,
    bucket: &str,
    object_key: &str,
) -> Result<Manifest, HeadError> {
    if head.len() > HEAD_BYTES_MAX {
        return Err(Error::Malformed.into());
    }
    let mut reader = Reader::new(head);
    reader.version()?;
    let keys = HeadKeys::new(&reader.array()?, customer_key);
    let check: [u8; CHECK_BYTES] = reader.array()?;
    if !bool::from(keys.check.ct_eq(&check)) {
        return Err(HeadError::WrongKey);
    }
    let plain = aead::open(&keys.manifest_key, reader.rest(), &aad(bucket, object_key)?)?;
    Ok(Manifest::decode(&plain)?)
}

fn aad(bucket: &str, object_key: &str) -> Result<Vec<u8>, Error> {
    let mut aad = b"strongroom.v1.manifest\0\x01".to_vec();
    put_str(&mut aad, bucket.as_bytes())?;
    put_str(&mut aad, object_key.as_bytes())?;
    Ok(aad)
}
