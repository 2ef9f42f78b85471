//! Sealed runs: data of any size in authenticated segments that can be read from the middle.
//!
//! STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM, used by the embedded
//! object store (one run per object or part) and by envelope mode (one run per part). Integers
//! are big-endian, `str(x)` = `u16` length ‖ bytes.
//!
//! ```text
//! run     = 0x01 ‖ salt(32) ‖ segment…
//! run key = HKDF-Expand(HKDF-Extract(salt, key), "run\0" ‖ 0x01 ‖ context)
//! context = "s" ‖ str(bucket) ‖ str(object key) ‖ part number u32        embedded store
//!         | "e" ‖ str(token) ‖ part index u32 ‖ part size u64            envelope mode
//! segment = AES-256-GCM(run key, nonce = counter u88 ‖ flag u8, plaintext, no aad) = text ‖ tag(16)
//! ```
//!
//! The counter starts at 0. Every segment but the last holds exactly 65,536 bytes, the last 1 to
//! 65,536, or 0 in an empty run. The salt must be new at every attempt: two bodies under one salt
//! would share nonces.
//!
//! The manifest and the sealed head of a stored object are in [`manifest`]; what the store keeps
//! under its own key is in [`kept`].
//!
//! This module must not know where runs are kept, and draws no randomness itself.

pub mod kept;
pub mod manifest;

use crate::aead::TAG_BYTES;
use crate::reader::put_str;
use crate::secret::DataKey;
use crate::{Error, VERSION};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

/// Bytes of the random salt of a run.
pub const SALT_BYTES: usize = 32;
/// Version byte and salt.
pub const RUN_HEADER_BYTES: usize = 1 + SALT_BYTES;
/// Plaintext bytes of a full segment.
pub const SEGMENT_BYTES: usize = 65_536;
/// Bytes of a full segment with its tag.
pub const SEALED_SEGMENT_BYTES: usize = SEGMENT_BYTES + TAG_BYTES;
/// Plaintext bytes that a run may hold: 5 GiB, also the largest S3 PUT.
pub const RUN_BYTES_MAX: u64 = 5 << 30;

const SEGMENT: u64 = SEGMENT_BYTES as u64;
const SEALED_SEGMENT: u64 = SEALED_SEGMENT_BYTES as u64;
const RUN_HEADER: u64 = RUN_HEADER_BYTES as u64;
const TAG: u64 = TAG_BYTES as u64;

/// What a run belongs to; part of its key, so that a run moved elsewhere does not open.
#[derive(Debug, Clone, Copy)]
pub enum Context<'a> {
    /// A run in the embedded store.
    Stored {
        /// The bucket's name.
        bucket: &'a str,
        /// The object's key in the bucket.
        object_key: &'a str,
        /// From 1; a single PUT is part 1.
        part_number: u32,
    },
    /// A run sealed by the client before it leaves, in envelope mode.
    Envelope {
        /// The token's canonical text.
        token: &'a str,
        /// From 0.
        part_index: u32,
        /// Plaintext bytes of every part but the last.
        part_size: u64,
    },
}

impl Context<'_> {
    /// The bytes that enter the run key's info; refuses names over 65,535 bytes.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match *self {
            Self::Stored {
                bucket,
                object_key,
                part_number,
            } => {
                out.push(b's');
                put_str(out, bucket.as_bytes())?;
                put_str(out, object_key.as_bytes())?;
                out.extend_from_slice(&part_number.to_be_bytes());
            }
            Self::Envelope {
                token,
                part_index,
                part_size,
            } => {
                out.push(b'e');
                put_str(out, token.as_bytes())?;
                out.extend_from_slice(&part_index.to_be_bytes());
                out.extend_from_slice(&part_size.to_be_bytes());
            }
        }
        Ok(())
    }
}

/// What follows a segment; the last byte of its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// More segments of this run.
    More = 0,
    /// Nothing: the run ends here, the object may go on.
    EndOfRun = 1,
    /// Nothing: the object ends here (envelope mode alone).
    EndOfObject = 2,
}

/// The first 33 bytes of a run.
pub fn run_header(salt: &[u8; SALT_BYTES]) -> [u8; RUN_HEADER_BYTES] {
    let mut header = [VERSION; RUN_HEADER_BYTES];
    header[1..].copy_from_slice(salt);
    header
}

/// The salt of a run that starts with `header`.
pub fn run_salt(header: &[u8; RUN_HEADER_BYTES]) -> Result<[u8; SALT_BYTES], Error> {
    let (version, salt) = header.split_first_chunk::<1>().ok_or(Error::Malformed)?;
    if *version != [VERSION] {
        return Err(Error::UnknownVersion);
    }
    salt.try_into().map_err(|_| Error::Malformed)
}

/// How many segments hold `plain` bytes: at least one.
pub fn segments(plain: u64) -> u64 {
    plain.div_ceil(SEGMENT).max(1)
}

/// Bytes of the whole run, header included, that holds `plain` bytes.
pub fn sealed_bytes(plain: u64) -> Result<u64, Error> {
    if plain > RUN_BYTES_MAX {
        return Err(Error::Malformed);
    }
    Ok(RUN_HEADER + plain + segments(plain) * TAG)
}

/// The inverse of [`sealed_bytes`]; refuses a length that no run has.
pub fn plain_bytes(sealed: u64) -> Result<u64, Error> {
    let body = sealed.checked_sub(RUN_HEADER).ok_or(Error::Malformed)?;
    let plain = body
        .checked_sub(body.div_ceil(SEALED_SEGMENT).max(1) * TAG)
        .filter(|plain| *plain <= RUN_BYTES_MAX)
        .ok_or(Error::Malformed)?;
    if sealed_bytes(plain)? == sealed {
        Ok(plain)
    } else {
        Err(Error::Malformed)
    }
}

/// Where segment `index` starts, counted from the first byte of the run's header.
pub fn segment_offset(index: u64) -> u64 {
    RUN_HEADER.saturating_add(index.saturating_mul(SEALED_SEGMENT))
}

/// The segment that holds plaintext byte `offset`.
pub fn segment_of(offset: u64) -> u64 {
    offset / SEGMENT
}

/// The run key, for tests against other implementations; the sealer and the opener derive it
/// themselves.
pub fn run_key(
    salt: &[u8; SALT_BYTES],
    key: &DataKey,
    context: &Context<'_>,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut info = b"run\0\x01".to_vec();
    context.encode(&mut info)?;
    Ok(expand(&extract(salt, key), &info))
}

/// `HKDF-Extract(salt, ikm)` (RFC 5869 §2.2).
fn extract(salt: &[u8; SALT_BYTES], ikm: &DataKey) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(ikm.expose())
}

/// `HKDF-Expand(prk, info, 32)` (RFC 5869 §2.3).
fn expand(prk: &Prk, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // INVARIANT: 32 bytes are one block of HKDF-SHA-256, far below its limit of 255.
    prk.expand(&[info], HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *out))
        .expect("32 bytes are one HKDF block");
    out
}

fn nonce(counter: u64, flag: Flag) -> Nonce {
    let mut bytes = [0; 12];
    bytes[3..11].copy_from_slice(&counter.to_be_bytes());
    bytes[11] = flag as u8;
    Nonce::assume_unique_for_key(bytes)
}

/// Seals the segments of one run, in order.
pub struct SegmentSealer {
    key: LessSafeKey,
    counter: u64,
    ended: bool,
}

impl SegmentSealer {
    /// `salt` must be fresh random bytes for each attempt.
    pub fn new(
        salt: &[u8; SALT_BYTES],
        key: &DataKey,
        context: &Context<'_>,
    ) -> Result<Self, Error> {
        let key = crate::aead::key(&*run_key(salt, key, context)?);
        Ok(Self {
            key,
            counter: 0,
            ended: false,
        })
    }

    /// Seals in place: `segment` is the plaintext and 16 spare bytes, which become the tag.
    ///
    /// Refuses a short segment with [`Flag::More`], an empty one unless the run is empty, a run
    /// over [`RUN_BYTES_MAX`], and anything after the end.
    pub fn seal(&mut self, segment: &mut [u8], flag: Flag) -> Result<(), Error> {
        let plain = segment
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(Error::Malformed)?;
        self.seal_from(segment, plain, &[], flag)
    }

    /// As [`SegmentSealer::seal`], but only the first `gathered` bytes of the plaintext are in
    /// `segment`; the others are `rest`, which is not copied first.
    pub fn seal_from(
        &mut self,
        segment: &mut [u8],
        gathered: usize,
        rest: &[u8],
        flag: Flag,
    ) -> Result<(), Error> {
        let plain = gathered + rest.len();
        let fits = match (flag, plain) {
            (Flag::More, _) => plain == SEGMENT_BYTES,
            (_, 0) => self.counter == 0,
            _ => plain <= SEGMENT_BYTES,
        };
        let run_bytes = self.counter * SEGMENT + plain as u64;
        let room = segment.len() == plain + TAG_BYTES;
        if self.ended || !fits || !room || run_bytes > RUN_BYTES_MAX {
            return Err(Error::Malformed);
        }
        let (text, rest_and_tag) = segment.split_at_mut(gathered);
        self.key
            .seal_in_place_scatter(
                nonce(self.counter, flag),
                Aad::empty(),
                text,
                rest,
                rest_and_tag,
            )
            .map_err(|_| Error::Malformed)?;
        self.counter += 1;
        self.ended = flag != Flag::More;
        Ok(())
    }
}

/// Opens the segments of one run, in any order. The run's length is given, not guessed: it comes
/// from an authenticated manifest, or from the stored length that [`plain_bytes`] accepts.
pub struct SegmentOpener {
    key: LessSafeKey,
    plain: u64,
    end: Flag,
}

impl SegmentOpener {
    /// A run of `plain` bytes whose last segment carries `end`.
    pub fn new(
        salt: &[u8; SALT_BYTES],
        key: &DataKey,
        context: &Context<'_>,
        plain: u64,
        end: Flag,
    ) -> Result<Self, Error> {
        if plain > RUN_BYTES_MAX || end == Flag::More {
            return Err(Error::Malformed);
        }
        let key = crate::aead::key(&*run_key(salt, key, context)?);
        Ok(Self { key, plain, end })
    }

    /// Bytes of segment `index` with its tag; nothing past the end of the run.
    pub fn segment_bytes(&self, index: u64) -> Option<usize> {
        let count = segments(self.plain);
        if index >= count {
            return None;
        }
        let plain = (self.plain - index * SEGMENT).min(SEGMENT);
        usize::try_from(plain + TAG).ok()
    }

    /// Opens segment `index` in place and returns its plaintext. After a failure the buffer's
    /// content is undefined.
    pub fn open<'a>(&self, index: u64, segment: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        let flag = self.flag(index, segment.len())?;
        self.key
            .open_in_place(nonce(index, flag), Aad::empty(), segment)
            .map_err(|_| Error::Sealed)
    }

    /// Opens segment `index` into `plain`, which must be 16 bytes shorter. After a failure its
    /// content is undefined.
    pub fn open_to(&self, index: u64, segment: &[u8], plain: &mut [u8]) -> Result<(), Error> {
        let flag = self.flag(index, segment.len())?;
        let (text, tag) = segment
            .split_at_checked(plain.len())
            .ok_or(Error::Malformed)?;
        self.key
            .open_separate_gather(nonce(index, flag), Aad::empty(), text, tag, plain)
            .map_err(|_| Error::Sealed)
    }

    /// The flag of segment `index`, which must have `bytes` bytes.
    fn flag(&self, index: u64, bytes: usize) -> Result<Flag, Error> {
        if self.segment_bytes(index) != Some(bytes) {
            return Err(Error::Sealed);
        }
        let last = index + 1 == segments(self.plain);
        Ok(if last { self.end } else { Flag::More })
    }
}

#[cfg(test)]
mod tests;
