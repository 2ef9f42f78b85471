//! Checksums of bodies: what the client sent along, in headers or in a trailer, and what of it is
//! kept with the object (AWS, *Checking object integrity in Amazon S3*).

use crate::S3Error;
use crate::chunked::Trailers;
use http::HeaderMap;

/// The algorithms of `x-amz-checksum-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// As in `x-amz-checksum-algorithm`: `CRC64NVME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header of its value: `x-amz-checksum-crc64nvme`.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The XML element of its value: `ChecksumCRC64NVME`.
    pub fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// The key of its value among a manifest's checksums: `crc64nvme`.
    pub fn key(self) -> &'static str {
        &self.header()["x-amz-checksum-".len()..]
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// From a name in any case, as in `x-amz-checksum-algorithm` or of a manifest's checksums.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }
}

/// What a multipart object's checksum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Of all its bytes; the CRCs alone.
    FullObject,
    /// Of its parts' checksums, with `-` and their number at the end; all but CRC-64/NVME.
    Composite,
}

impl Type {
    /// As in `x-amz-checksum-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// A checksum's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    algorithm: Algorithm,
    digest: Vec<u8>,
    /// Of a composite one.
    parts: Option<u32>,
}

impl Value {
    /// From base64, with `-N` at the end of a composite one. `None` if it is not of this algorithm.
    pub fn parse(_algorithm: Algorithm, _text: &str) -> Option<Self> {
        None
    }

    /// Base64, with `-N` at the end of a composite one.
    pub fn text(&self) -> String {
        String::new()
    }

    /// Whose value it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Algorithm and type that a multipart upload is made with, from `x-amz-checksum-algorithm` and
/// `x-amz-checksum-type`; nothing if the request has neither. 400 `InvalidRequest` for what AWS
/// does not combine.
pub fn of_upload(_headers: &HeaderMap) -> Result<Option<(Algorithm, Type)>, S3Error> {
    Err(S3Error::NOT_IMPLEMENTED)
}

/// The checksum of a multipart object from those of its parts, each with the part's bytes.
/// `None` if a part's is of another algorithm, or the type is not one of the algorithm's.
pub fn combine(_algorithm: Algorithm, _type: Type, _parts: &[(u64, Value)]) -> Option<Value> {
    None
}

/// One checksum being computed.
pub struct Hasher {}

impl Hasher {
    /// Of nothing yet.
    pub fn new(_algorithm: Algorithm) -> Self {
        Self {}
    }

    /// Takes the next bytes.
    pub fn update(&mut self, _data: &[u8]) {}

    /// The value; not composite.
    pub fn finish(self) -> Value {
        Value {
            algorithm: Algorithm::Crc32,
            digest: vec![],
            parts: None,
        }
    }
}

/// Digests that the client sent along or announced, computed while the body passes.
///
/// `expected`, then perhaps `payload` and `also`, then `update` with the decoded body, at last
/// `finish`.
pub struct Digests {}

impl Digests {
    /// From `content-md5`, `x-amz-checksum-*`, and the names in `x-amz-trailer`, whose form is
    /// checked at once: 400 `InvalidDigest` or `InvalidRequest`.
    pub fn expected(_headers: &HeaderMap) -> Result<Self, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }

    /// Also checks the body against the SHA-256 of [`crate::verify::Payload::Sha256`].
    pub fn payload(&mut self, _sha256: [u8; 32]) {}

    /// Also computes this checksum, if the client did not send it (the default of an object, or
    /// that of a multipart upload).
    pub fn also(&mut self, _algorithm: Algorithm) {}

    /// The algorithm that the client sent or announced.
    pub fn algorithm(&self) -> Option<Algorithm> {
        None
    }

    /// Takes the next bytes of the decoded body.
    pub fn update(&mut self, _data: &[u8]) {}

    /// Compares with what came, in headers or trailers: 400 `BadDigest`, `InvalidRequest` or
    /// `XAmzContentSHA256Mismatch`. Gives the checksums to keep (never the MD5).
    pub fn finish(self, _trailers: &Trailers) -> Result<Vec<Value>, S3Error> {
        Err(S3Error::NOT_IMPLEMENTED)
    }
}
