//! Checksums of bodies: what the client sent along, in headers or in a trailer, and what of it is
//! kept with the object (AWS, *Checking object integrity in Amazon S3*).

mod digests;
#[cfg(test)]
mod tests;

use crate::S3Error;
use aws_lc_rs::digest::{self, Context};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc_fast::CrcAlgorithm;
pub use digests::Digests;
use http::{HeaderMap, HeaderValue};

/// Most parts of an object.
const PARTS_MAX: u32 = 10_000;

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

    /// Whether a multipart object's checksum may be of this type (AWS, *Checking object
    /// integrity*).
    pub fn allows(self, kind: Type) -> bool {
        match self {
            Self::Crc32 | Self::Crc32c => true,
            Self::Crc64Nvme => kind == Type::FullObject,
            Self::Sha1 | Self::Sha256 => kind == Type::Composite,
        }
    }

    /// The type when a multipart upload names none.
    pub fn default_type(self) -> Type {
        match self {
            Self::Crc64Nvme => Type::FullObject,
            _ => Type::Composite,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
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
    pub fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let (text, parts) = match text.split_once('-') {
            None => (text, None),
            Some((text, parts)) => {
                let digits = parts.bytes().all(|byte| byte.is_ascii_digit());
                let parts = digits.then(|| parts.parse().ok()).flatten()?;
                if !(1..=PARTS_MAX).contains(&parts) {
                    return None;
                }
                (text, Some(parts))
            }
        };
        let digest = BASE64_STANDARD.decode(text).ok()?;
        (digest.len() == algorithm.bytes()).then_some(Self {
            algorithm,
            digest,
            parts,
        })
    }

    /// Base64, with `-N` at the end of a composite one.
    pub fn text(&self) -> String {
        let digest = BASE64_STANDARD.encode(&self.digest);
        match self.parts {
            None => digest,
            Some(parts) => format!("{digest}-{parts}"),
        }
    }

    /// Whose value it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it is of parts.
    pub fn is_composite(&self) -> bool {
        self.parts.is_some()
    }

    fn crc(algorithm: Algorithm, crc: u64) -> Self {
        let bytes = crc.to_be_bytes();
        Self {
            algorithm,
            digest: bytes[bytes.len() - algorithm.bytes()..].to_vec(),
            parts: None,
        }
    }

    fn as_crc(&self) -> u64 {
        let bytes = self.digest.iter();
        bytes.fold(0, |crc, byte| crc << 8 | u64::from(*byte))
    }
}

fn invalid(message: impl Into<String>) -> S3Error {
    S3Error::text(400, "InvalidRequest", message.into())
}

fn invalid_header(name: &str) -> S3Error {
    invalid(format!("Value for {name} header is invalid."))
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, S3Error> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::to_str).transpose();
    match (value, values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(invalid_header(name)),
    }
}

/// Algorithm and type that a multipart upload is made with, from `x-amz-checksum-algorithm` and
/// `x-amz-checksum-type`; nothing if the request has neither. 400 `InvalidRequest` for what AWS
/// does not combine.
pub fn of_upload(headers: &HeaderMap) -> Result<Option<(Algorithm, Type)>, S3Error> {
    let kind = of_type(headers)?;
    let Some(name) = one(headers, "x-amz-checksum-algorithm")? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(invalid(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            )),
        };
    };
    let algorithm = Algorithm::parse(name).ok_or_else(|| {
        invalid(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })?;
    let kind = kind.unwrap_or(algorithm.default_type());
    if !algorithm.allows(kind) {
        return Err(invalid(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            algorithm.key()
        )));
    }
    Ok(Some((algorithm, kind)))
}

/// What `x-amz-checksum-type` says, also where a multipart upload is completed. 400
/// `InvalidRequest`.
pub fn of_type(headers: &HeaderMap) -> Result<Option<Type>, S3Error> {
    let Some(name) = one(headers, "x-amz-checksum-type")? else {
        return Ok(None);
    };
    let kind = Type::parse(name).ok_or_else(|| invalid_header("x-amz-checksum-type"))?;
    Ok(Some(kind))
}

/// The one checksum in `x-amz-checksum-*`: of the body, or where a multipart upload is completed
/// of the object. 400 `InvalidRequest` for a malformed one, or several.
pub fn sent(headers: &HeaderMap) -> Result<Option<Value>, S3Error> {
    let mut sent = None;
    for algorithm in Algorithm::ALL {
        let Some(text) = one(headers, algorithm.header())? else {
            continue;
        };
        let value =
            Value::parse(algorithm, text).ok_or_else(|| invalid_header(algorithm.header()))?;
        if sent.replace(value).is_some() {
            return Err(several());
        }
    }
    Ok(sent)
}

fn several() -> S3Error {
    invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

/// The checksum of a multipart object from those of its parts, each with the part's bytes.
/// `None` if a part's is of another algorithm or composite itself, if there are none, or if the
/// type is not one of the algorithm's.
pub fn combine(algorithm: Algorithm, kind: Type, parts: &[(u64, Value)]) -> Option<Value> {
    let plain = |value: &Value| value.algorithm == algorithm && value.parts.is_none();
    if !algorithm.allows(kind) || parts.is_empty() || !parts.iter().all(|part| plain(&part.1)) {
        return None;
    }
    match kind {
        Type::Composite => {
            let mut hasher = Hasher::new(algorithm);
            for (_, value) in parts {
                hasher.update(&value.digest);
            }
            let mut whole = hasher.finish();
            whole.parts = u32::try_from(parts.len()).ok();
            whole.parts.is_some().then_some(whole)
        }
        Type::FullObject => {
            let crc = algorithm.crc()?;
            let whole = parts
                .iter()
                .fold(None, |whole, (bytes, value)| match whole {
                    None => Some(value.as_crc()),
                    Some(whole) => Some(crc_fast::checksum_combine(
                        crc,
                        whole,
                        value.as_crc(),
                        *bytes,
                    )),
                });
            whole.map(|whole| Value::crc(algorithm, whole))
        }
    }
}

/// One checksum being computed.
pub struct Hasher(Inner);

enum Inner {
    Crc(Algorithm, Box<crc_fast::Digest>),
    Sha(Algorithm, Context),
}

impl Hasher {
    /// Of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match (algorithm.crc(), algorithm) {
            (Some(crc), _) => Inner::Crc(algorithm, Box::new(crc_fast::Digest::new(crc))),
            (None, Algorithm::Sha1) => {
                Inner::Sha(algorithm, Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
            }
            (None, _) => Inner::Sha(algorithm, Context::new(&digest::SHA256)),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Inner::Crc(_, digest) => digest.update(data),
            Inner::Sha(_, context) => context.update(data),
        }
    }

    /// Whose value it will be.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Inner::Crc(algorithm, _) | Inner::Sha(algorithm, _) => *algorithm,
        }
    }

    /// The value; not composite.
    pub fn finish(self) -> Value {
        match self.0 {
            Inner::Crc(algorithm, digest) => Value::crc(algorithm, digest.finalize()),
            Inner::Sha(algorithm, context) => Value {
                algorithm,
                digest: context.finish().as_ref().to_vec(),
                parts: None,
            },
        }
    }
}
