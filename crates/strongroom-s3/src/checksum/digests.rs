//! The digests of one body: what the client said, compared with what came.

use super::{Algorithm, Hasher, Value, invalid, invalid_header, one, sent, several};
use crate::S3Error;
use crate::chunked::{self, Trailers};
use aws_lc_rs::digest::{self, Context};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use md5::{Digest, Md5};
use std::fmt;

/// Digests that the client sent along or announced, computed while the body passes.
///
/// `expected`, then perhaps `payload` and `also`, then `update` with the decoded body, at last
/// `finish`.
pub struct Digests {
    md5: Option<([u8; 16], Md5)>,
    payload: Option<([u8; 32], Context)>,
    /// What the client said, or will say in a trailing header.
    sent: Option<Value>,
    announced: Option<Algorithm>,
    hashers: Vec<Hasher>,
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests")
    }
}

impl Digests {
    /// From `content-md5`, `x-amz-checksum-*`, `x-amz-sdk-checksum-algorithm`, and the names in
    /// `x-amz-trailer`, whose form is checked at once: 400 `InvalidDigest` or `InvalidRequest`.
    pub fn expected(headers: &HeaderMap) -> Result<Self, S3Error> {
        let sent = sent(headers)?;
        if sent.as_ref().is_some_and(Value::is_composite) {
            return Err(invalid("A composite checksum is not one of a body."));
        }
        let trailers = chunked::announced(headers)?;
        let announced = match trailers.as_slice() {
            [] => None,
            [name] if sent.is_none() => name
                .strip_prefix("x-amz-checksum-")
                .and_then(Algorithm::parse),
            _ => return Err(several()),
        };
        let algorithm = sent.as_ref().map(Value::algorithm).or(announced);
        check_sdk_algorithm(headers, algorithm)?;
        Ok(Self {
            md5: content_md5(headers)?.map(|digest| (digest, Md5::new())),
            payload: None,
            sent,
            announced,
            hashers: algorithm.map(Hasher::new).into_iter().collect(),
        })
    }

    /// Also checks the body against the SHA-256 of [`crate::verify::Payload::Sha256`].
    pub fn payload(&mut self, sha256: [u8; 32]) {
        self.payload = Some((sha256, Context::new(&digest::SHA256)));
    }

    /// Also computes this checksum, if it is not the one that the client sent (the default of an
    /// object, or that of a multipart upload).
    pub fn also(&mut self, algorithm: Algorithm) {
        if !self.hashers.iter().any(|one| one.algorithm() == algorithm) {
            self.hashers.push(Hasher::new(algorithm));
        }
    }

    /// The algorithm that the client sent or announced.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.sent.as_ref().map(Value::algorithm).or(self.announced)
    }

    /// Whether the client sent or announced a digest of the body, its MD5 or a checksum
    /// (`DeleteObjects` asks for one).
    pub fn any(&self) -> bool {
        self.md5.is_some() || self.algorithm().is_some()
    }

    /// Takes the next bytes of the decoded body.
    pub fn update(&mut self, data: &[u8]) {
        if let Some((_, md5)) = &mut self.md5 {
            md5.update(data);
        }
        if let Some((_, sha256)) = &mut self.payload {
            sha256.update(data);
        }
        for hasher in &mut self.hashers {
            hasher.update(data);
        }
    }

    /// Compares with what came, in headers or trailers: 400 `BadDigest`, `InvalidRequest` or
    /// `XAmzContentSHA256Mismatch`. Gives the checksums to keep (never the MD5).
    pub fn finish(self, trailers: &Trailers) -> Result<Vec<Value>, S3Error> {
        let bad = |message: String| S3Error::text(400, "BadDigest", message);
        if let Some((expected, md5)) = self.md5
            && md5.finalize().as_slice() != expected
        {
            return Err(bad(
                "The Content-MD5 you specified did not match what we received.".into(),
            ));
        }
        if let Some((expected, sha256)) = self.payload
            && sha256.finish().as_ref() != expected
        {
            let message =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(S3Error::new(400, "XAmzContentSHA256Mismatch", message));
        }
        let expected = match self.announced {
            None => self.sent,
            Some(algorithm) => Some(in_trailer(algorithm, trailers)?),
        };
        let values: Vec<Value> = self.hashers.into_iter().map(Hasher::finish).collect();
        match expected.filter(|expected| !values.contains(expected)) {
            None => Ok(values),
            Some(expected) => Err(bad(format!(
                "The {} you specified did not match the calculated checksum.",
                expected.algorithm.name()
            ))),
        }
    }
}

fn in_trailer(algorithm: Algorithm, trailers: &Trailers) -> Result<Value, S3Error> {
    let text = trailers.get(algorithm.header());
    let value = text.and_then(|text| Value::parse(algorithm, text));
    value.ok_or_else(|| invalid_header(algorithm.header()))
}

fn check_sdk_algorithm(headers: &HeaderMap, sent: Option<Algorithm>) -> Result<(), S3Error> {
    const NAME: &str = "x-amz-sdk-checksum-algorithm";
    let Some(name) = one(headers, NAME)? else {
        return Ok(());
    };
    match (Algorithm::parse(name), sent) {
        (None, _) => Err(invalid_header(NAME)),
        (Some(_), None) => Err(invalid(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
             x-amz-trailer headers were found.",
        )),
        (Some(named), Some(sent)) if named != sent => Err(invalid_header(NAME)),
        _ => Ok(()),
    }
}

fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, S3Error> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let digest = BASE64_STANDARD.decode(value.as_bytes()).ok();
    let digest = digest.and_then(|digest| digest.try_into().ok());
    digest.map(Some).ok_or(S3Error::new(
        400,
        "InvalidDigest",
        "The Content-MD5 you specified was invalid.",
    ))
}
