//! The record envelope: what a token's row holds, in two layers that age differently.
//!
//! ```text
//! birth = mode u8 ‖ str(kind) ‖ created at ‖ expires at (0 = never) ‖ size limit u64
//!         ‖ part size u64 ‖ object id ‖ metadata salt(32)
//! state = flags u8 (stored, hold, honeytoken) ‖ grant epoch u32 ‖ reads left u32
//!         ‖ metadata version u32 ‖ creator's session ref(32) ‖ creator's grant ends at
//!         ‖ str(pinned ETag)
//! inner = 0x01 ‖ g ‖ gcm(Expand(prk_g, "wrap\0" ‖ t), data key,
//!                        aad = "strongroom.v1.inner\0" ‖ 0x01 ‖ g ‖ record id ‖ birth)
//! outer = 0x01 ‖ k ‖ gcm(Expand(KEK k, "record\0" ‖ record id), birth ‖ state ‖ inner,
//!                        aad = "strongroom.v1.outer\0" ‖ 0x01 ‖ k ‖ record id ‖ row version u64)
//! meta  = 0x01 ‖ g ‖ gcm(Expand(prk_g, "metadata\0" ‖ metadata salt ‖ t), JSON,
//!                        aad = "strongroom.v1.metadata\0" ‖ 0x01 ‖ g ‖ record id ‖ metadata version)
//! ```
//!
//! The outer layer opens with the keyring; the inner one and the metadata need the token too.
//! `birth` never changes; `state` changes by compare-and-set on the row version.

use crate::aead::{self, OVERHEAD_BYTES};
use crate::derive::{KekKey, RootKey};
use crate::grant::UNLIMITED;
use crate::ids::{ObjectId, RecordId, SessionRef};
use crate::reader::{Reader, put_str};
use crate::secret::{DataKey, SECRET_BYTES};
use crate::{Error, Token, UnixMillis, VERSION};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

const INNER_LABEL: &[u8] = b"strongroom.v1.inner\0";
const OUTER_LABEL: &[u8] = b"strongroom.v1.outer\0";
const METADATA_LABEL: &[u8] = b"strongroom.v1.metadata\0";
/// version ‖ g or k.
const HEADER_BYTES: usize = 1 + 4;
const INNER_BYTES: usize = HEADER_BYTES + OVERHEAD_BYTES + SECRET_BYTES;

/// `birth` without the kind's own bytes.
const BIRTH_BYTES: usize = 1 + 2 + 4 * 8 + 32 + 32;

const STORED: u8 = 1;
const HOLD: u8 = 2;
const HONEYTOKEN: u8 = 4;

/// How the value is kept; part of `birth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The object store encrypts with the data key as SSE-C customer key.
    SseC = 1,
}

impl Mode {
    fn parse(byte: u8) -> Result<Self, Error> {
        match byte {
            1 => Ok(Self::SseC),
            _ => Err(Error::Malformed),
        }
    }
}

/// What is fixed when the token is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// How the value is kept.
    pub mode: Mode,
    /// The application's class of the value, empty if it named none.
    pub kind: String,
    /// When the token was made.
    pub created_at: UnixMillis,
    /// From when on it cannot be read; [`UnixMillis::NEVER`] if it lasts.
    pub expires_at: UnixMillis,
    /// Most bytes the value may have; 0 if the object store's own limit holds.
    pub size_limit: u64,
    /// Bytes of every part but the last; 0 for a value in one piece.
    pub part_size: u64,
    /// Name of the ciphertext in the bucket.
    pub object_id: ObjectId,
    /// Goes into the metadata key, so that shredding the record shreds the metadata.
    pub metadata_salt: [u8; 32],
}

impl Birth {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(BIRTH_BYTES + self.kind.len());
        out.push(self.mode as u8);
        put_str(&mut out, self.kind.as_bytes())?;
        for number in [
            self.created_at.0,
            self.expires_at.0,
            self.size_limit,
            self.part_size,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.object_id.as_bytes());
        out.extend_from_slice(&self.metadata_salt);
        Ok(out)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            mode: Mode::parse(reader.u8()?)?,
            kind: reader.str()?.to_owned(),
            created_at: reader.millis()?,
            expires_at: reader.millis()?,
            size_limit: reader.u64()?,
            part_size: reader.u64()?,
            object_id: ObjectId(reader.array()?),
            metadata_salt: reader.array()?,
        })
    }

    /// Whether the token can no longer be read.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires_at != UnixMillis::NEVER && now >= self.expires_at
    }
}

/// What changes while the token lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The upload was seen in the object store.
    pub stored: bool,
    /// Nothing may delete it.
    pub hold: bool,
    /// Reading it raises an alarm.
    pub honeytoken: bool,
    /// Raised to kill every grant at once.
    pub grant_epoch: u32,
    /// Releases left, or [`UNLIMITED`].
    pub reads_left: u32,
    /// 0 if metadata was never set, else raised by one with each write of it; it never falls,
    /// or an earlier text would open again.
    pub metadata_version: u32,
    /// Session that made the token.
    pub creator: SessionRef,
    /// When the creator's own grant ends.
    pub creator_grant_ends_at: UnixMillis,
    /// `ETag` that downloads are pinned to, empty if none. Treated as secret.
    pub pinned_etag: String,
}

impl Default for State {
    fn default() -> Self {
        Self {
            stored: false,
            hold: false,
            honeytoken: false,
            grant_epoch: 0,
            reads_left: UNLIMITED,
            metadata_version: 0,
            creator: SessionRef([0; 32]),
            creator_grant_ends_at: UnixMillis(0),
            pinned_etag: String::new(),
        }
    }
}

impl State {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(
            flag(self.stored, STORED) | flag(self.hold, HOLD) | flag(self.honeytoken, HONEYTOKEN),
        );
        for number in [self.grant_epoch, self.reads_left, self.metadata_version] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.creator.as_bytes());
        out.extend_from_slice(&self.creator_grant_ends_at.0.to_be_bytes());
        put_str(out, self.pinned_etag.as_bytes())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let flags = reader.u8()?;
        if flags & !(STORED | HOLD | HONEYTOKEN) != 0 {
            return Err(Error::Malformed);
        }
        Ok(Self {
            stored: flags & STORED != 0,
            hold: flags & HOLD != 0,
            honeytoken: flags & HONEYTOKEN != 0,
            grant_epoch: reader.u32()?,
            reads_left: reader.u32()?,
            metadata_version: reader.u32()?,
            creator: SessionRef(reader.array()?),
            creator_grant_ends_at: reader.millis()?,
            pinned_etag: reader.str()?.to_owned(),
        })
    }
}

/// The wrapped data key, still shut: it takes the token to open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Inner([u8; INNER_BYTES]);

impl Inner {
    /// Wraps `data_key` under the token and one root generation.
    pub fn wrap(
        root: &RootKey,
        token: &Token,
        id: &RecordId,
        birth: &Birth,
        data_key: &DataKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let mut out = header(root.generation());
        let aad = inner_aad(&out, id, birth)?;
        aead::seal(
            &root.wrap_key(token),
            data_key.expose(),
            &aad,
            rng,
            &mut out,
        );
        out.try_into().map(Self).map_err(|_| Error::Malformed)
    }

    /// The root generation *g* that wrapped the key.
    pub fn generation(&self) -> Result<u32, Error> {
        parse_header(&self.0).map(|(generation, _)| generation)
    }

    /// Unwraps the data key. The gate alone calls this, behind its `Pass`.
    pub fn unwrap(
        &self,
        root: &RootKey,
        token: &Token,
        id: &RecordId,
        birth: &Birth,
    ) -> Result<DataKey, Error> {
        let (generation, sealed) = parse_header(&self.0)?;
        if generation != root.generation() {
            return Err(Error::UnknownKey);
        }
        let aad = inner_aad(&self.0[..HEADER_BYTES], id, birth)?;
        let key = aead::open(&root.wrap_key(token), sealed, &aad)?;
        DataKey::from_slice(&key).ok_or(Error::Malformed)
    }
}

fn inner_aad(header: &[u8], id: &RecordId, birth: &Birth) -> Result<Vec<u8>, Error> {
    Ok([INNER_LABEL, header, id.as_bytes(), &birth.encode()?].concat())
}

/// A record, its outer layer open and its data key still wrapped.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What never changes.
    pub birth: Birth,
    /// What changes.
    pub state: State,
    /// The wrapped data key.
    pub inner: Inner,
}

impl Record {
    /// Seals the outer layer for one row version.
    pub fn seal(
        &self,
        kek: &KekKey,
        id: &RecordId,
        row_version: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let mut data = self.birth.encode()?;
        self.state.encode(&mut data)?;
        data.extend_from_slice(&self.inner.0);
        let mut out = header(kek.number());
        let aad = outer_aad(&out, id, row_version);
        aead::seal(&kek.record_key(id), &data, &aad, rng, &mut out);
        Ok(out)
    }

    /// Opens the outer layer; `row_version` is the one the row came with.
    pub fn open(
        kek: &KekKey,
        id: &RecordId,
        row_version: u64,
        outer: &[u8],
    ) -> Result<Self, Error> {
        let (number, sealed) = parse_header(outer)?;
        if number != kek.number() {
            return Err(Error::UnknownKey);
        }
        let aad = outer_aad(&outer[..HEADER_BYTES], id, row_version);
        let data = aead::open(&kek.record_key(id), sealed, &aad)?;
        let mut reader = Reader::new(&data);
        let birth = Birth::decode(&mut reader)?;
        let state = State::decode(&mut reader)?;
        let inner = Inner(reader.array()?);
        reader.end()?;
        Ok(Self {
            birth,
            state,
            inner,
        })
    }
}

/// The KEK number *k* that a sealed outer layer names.
pub fn kek_of(outer: &[u8]) -> Result<u32, Error> {
    parse_header(outer).map(|(number, _)| number)
}

fn outer_aad(header: &[u8], id: &RecordId, row_version: u64) -> Vec<u8> {
    [
        OUTER_LABEL,
        header,
        id.as_bytes(),
        &row_version.to_be_bytes(),
    ]
    .concat()
}

/// Seals a token's metadata, JSON text, for one metadata version.
pub fn seal_metadata(
    root: &RootKey,
    token: &Token,
    id: &RecordId,
    salt: &[u8; 32],
    version: u32,
    json: &[u8],
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let mut out = header(root.generation());
    let aad = metadata_aad(&out, id, version);
    aead::seal(&root.metadata_key(salt, token), json, &aad, rng, &mut out);
    out
}

/// Opens a token's metadata.
pub fn open_metadata(
    root: &RootKey,
    token: &Token,
    id: &RecordId,
    salt: &[u8; 32],
    version: u32,
    meta: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (generation, sealed) = parse_header(meta)?;
    if generation != root.generation() {
        return Err(Error::UnknownKey);
    }
    let aad = metadata_aad(&meta[..HEADER_BYTES], id, version);
    aead::open(&root.metadata_key(salt, token), sealed, &aad)
}

/// The root generation *g* that sealed metadata names.
pub fn generation_of(meta: &[u8]) -> Result<u32, Error> {
    parse_header(meta).map(|(generation, _)| generation)
}

fn metadata_aad(header: &[u8], id: &RecordId, version: u32) -> Vec<u8> {
    [
        METADATA_LABEL,
        header,
        id.as_bytes(),
        &version.to_be_bytes(),
    ]
    .concat()
}

fn header(number: u32) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&number.to_be_bytes());
    out
}

fn parse_header(bytes: &[u8]) -> Result<(u32, &[u8]), Error> {
    let mut reader = Reader::new(bytes);
    reader.version()?;
    let number = reader.u32()?;
    Ok((number, reader.rest()))
}

#[cfg(test)]
mod tests;
