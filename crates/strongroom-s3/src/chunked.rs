//! Bodies of `content-encoding: aws-chunked` (AWS, *Signature calculations for the Authorization
//! header: transferring payload in multiple chunks*, and *… including trailing headers*).
//!
//! A state machine without I/O. Bytes of a signed chunk are handed on before the chunk's signature
//! is known to be right: whoever takes them must not acknowledge anything before
//! [`Decoder::finish`] returned.

#[cfg(test)]
mod tests;

use crate::S3Error;
use crate::checksum::Algorithm;
use crate::sigv4::{DayKey, hex_digest};
use crate::verify::MISMATCH;
use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Longest line before a chunk, and most bytes of all trailing headers.
pub const LINE_BYTES_MAX: usize = 8 << 10;
/// Largest signed chunk.
pub const SIGNED_CHUNK_BYTES_MAX: u64 = 16 << 20;
/// Signs the trailing headers.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

const BAD_TRAILER: S3Error = S3Error::new(
    400,
    "MalformedTrailerError",
    "The request contained trailing data that was not well-formed or did not conform to our \
     published schema.",
);

/// How a body is chunked and signed; made by [`crate::verify::verify`].
pub struct Signing {
    /// None if the chunks are not signed.
    chain: Option<Chain>,
    /// Whether trailing headers follow, and their names.
    trailing: bool,
    announced: Vec<String>,
    decoded_length: u64,
}

impl Signing {
    /// `trailing`: the body ends with trailing headers. 411 `MissingContentLength` without the
    /// decoded length, 400 `InvalidRequest` for trailing headers that S3 does not know.
    pub(crate) fn parse(
        headers: &HeaderMap,
        chain: Option<Chain>,
        trailing: bool,
    ) -> Result<Self, S3Error> {
        let length = headers.get("x-amz-decoded-content-length");
        let length = length.ok_or(S3Error::new(
            411,
            "MissingContentLength",
            "You must provide the x-amz-decoded-content-length HTTP header.",
        ))?;
        let decoded_length = length.to_str().ok().and_then(decimal).ok_or(S3Error::new(
            400,
            "InvalidArgument",
            "Invalid x-amz-decoded-content-length",
        ))?;
        let announced = announced(headers)?;
        if !trailing && !announced.is_empty() {
            return Err(S3Error::new(
                400,
                "InvalidRequest",
                "x-amz-trailer needs an x-amz-content-sha256 of a body with trailing headers.",
            ));
        }
        Ok(Self {
            chain,
            trailing,
            announced,
            decoded_length,
        })
    }

    /// Bytes of the body when decoded: `x-amz-decoded-content-length`.
    pub fn decoded_length(&self) -> u64 {
        self.decoded_length
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signing([REDACTED])")
    }
}

/// Decimal digits alone.
fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The names in `x-amz-trailer`: checksums alone, as S3 has no other.
pub(crate) fn announced(headers: &HeaderMap) -> Result<Vec<String>, S3Error> {
    let bad = S3Error::new(
        400,
        "InvalidRequest",
        "The value specified in the x-amz-trailer header is not supported",
    );
    let mut names = Vec::new();
    for value in headers.get_all("x-amz-trailer") {
        let value = value.to_str().map_err(|_| bad.clone())?;
        for name in value.split(',') {
            let name = name.trim().to_ascii_lowercase();
            let known = Algorithm::ALL.iter().any(|one| one.header() == name);
            if !known || names.contains(&name) {
                return Err(bad);
            }
            names.push(name);
        }
    }
    Ok(names)
}

/// Signatures that each sign the one before.
pub(crate) struct Chain {
    day: Arc<DayKey>,
    region: String,
    time: String,
    previous: [u8; 64],
}

impl Chain {
    /// `seed` is the signature of the request.
    pub(crate) fn new(day: Arc<DayKey>, region: &str, time: &str, seed: [u8; 64]) -> Self {
        Self {
            day,
            region: region.to_owned(),
            time: time.to_owned(),
            previous: seed,
        }
    }

    fn check(
        &mut self,
        algorithm: &str,
        digests: &[&[u8; 64]],
        sent: &[u8],
    ) -> Result<(), S3Error> {
        let lines = [&[&self.previous], digests].concat();
        let expected = self
            .day
            .sign_digests(algorithm, &self.region, &self.time, &lines);
        if !bool::from(expected.as_slice().ct_eq(sent)) {
            return Err(MISMATCH);
        }
        self.previous = expected;
        Ok(())
    }

    fn check_chunk(&mut self, data: Context, sent: &[u8]) -> Result<(), S3Error> {
        let nothing = hex_digest(digest(&SHA256, b"").as_ref());
        let data = hex_digest(data.finish().as_ref());
        self.check("AWS4-HMAC-SHA256-PAYLOAD", &[&nothing, &data], sent)
    }

    fn check_trailers(&mut self, trailers: &Trailers, sent: &[u8]) -> Result<(), S3Error> {
        let lines = trailers.0.iter();
        let text: String = lines
            .flat_map(|(name, value)| [name, ":", value, "\n"])
            .collect();
        let text = hex_digest(digest(&SHA256, text.as_bytes()).as_ref());
        self.check("AWS4-HMAC-SHA256-TRAILER", &[&text], sent)
    }
}

/// The trailing headers that the body ended with; each was announced in `x-amz-trailer`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailers(Vec<(String, String)>);

impl Trailers {
    /// The value of a lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|pair| pair.0 == name);
        found.map(|pair| pair.1.as_str())
    }
}

/// Reads one body.
pub struct Decoder {
    signing: Signing,
    state: State,
    /// The line being read, and of the trailing headers the bytes of those before.
    line: Vec<u8>,
    trailer_bytes: usize,
    trailers: Trailers,
    /// The trailing headers' signature was right, or there is none to come.
    trailers_signed: bool,
    decoded: u64,
}

enum State {
    /// In the line before a chunk.
    Line,
    Data(Chunk),
    /// In the line end after a chunk.
    DataEnd(Chunk),
    /// In the trailing headers, or the empty line that stands for them.
    Trailers,
    Done,
    Broken,
}

struct Chunk {
    left: u64,
    /// Of a signed body.
    seal: Option<(Context, Vec<u8>)>,
}

impl Decoder {
    /// At the body's start.
    pub fn new(signing: Signing) -> Self {
        Self {
            trailers_signed: signing.chain.is_none() || !signing.trailing,
            signing,
            state: State::Line,
            line: Vec::new(),
            trailer_bytes: 0,
            trailers: Trailers::default(),
            decoded: 0,
        }
    }

    /// Takes the next bytes of the body, and appends what they hold of the value. 400
    /// `IncompleteBody`, `InvalidChunkSizeError` or `MalformedTrailerError` for bad framing, 403
    /// `SignatureDoesNotMatch` at the end of a chunk whose signature is wrong. After an error the
    /// decoder takes nothing more.
    pub fn push(&mut self, mut data: Bytes, out: &mut Vec<Bytes>) -> Result<(), S3Error> {
        while !data.is_empty() {
            // A failure leaves it broken.
            let state = std::mem::replace(&mut self.state, State::Broken);
            self.state = match state {
                State::Line => self.read_line(&mut data)?,
                State::Data(chunk) => self.read_data(chunk, &mut data, out),
                State::DataEnd(chunk) => self.read_data_end(chunk, &mut data)?,
                State::Trailers => self.read_trailer(&mut data)?,
                State::Done | State::Broken => return Err(S3Error::INCOMPLETE_BODY),
            };
        }
        Ok(())
    }

    /// At the body's end: all signatures were right, the last chunk and the announced trailing
    /// headers came, and the length is `x-amz-decoded-content-length`.
    pub fn finish(self) -> Result<Trailers, S3Error> {
        if !matches!(self.state, State::Done) || self.decoded != self.signing.decoded_length {
            return Err(S3Error::INCOMPLETE_BODY);
        }
        Ok(self.trailers)
    }

    /// Moves bytes up to a line feed into `line`; whether it is whole.
    fn take_line(&mut self, data: &mut Bytes) -> Result<bool, S3Error> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let taken = data.split_to(end.map_or(data.len(), |end| end + 1));
        if self.line.len() + taken.len() > LINE_BYTES_MAX {
            return Err(S3Error::INCOMPLETE_BODY);
        }
        self.line.extend_from_slice(&taken);
        Ok(end.is_some())
    }

    fn read_line(&mut self, data: &mut Bytes) -> Result<State, S3Error> {
        if !self.take_line(data)? {
            return Ok(State::Line);
        }
        let line = std::mem::take(&mut self.line);
        let (size, signature) = parse_chunk_line(&line).ok_or(S3Error::INCOMPLETE_BODY)?;
        let seal = match &mut self.signing.chain {
            None => None,
            Some(_) if size > SIGNED_CHUNK_BYTES_MAX => {
                return Err(S3Error::new(
                    400,
                    "InvalidChunkSizeError",
                    "A signed chunk must not have more than 16 MiB.",
                ));
            }
            Some(_) => {
                let signature = signature.ok_or(S3Error::INCOMPLETE_BODY)?;
                Some((Context::new(&SHA256), signature.to_vec()))
            }
        };
        self.decoded = self.decoded.saturating_add(size);
        if self.decoded > self.signing.decoded_length {
            return Err(S3Error::INCOMPLETE_BODY);
        }
        if size > 0 {
            return Ok(State::Data(Chunk { left: size, seal }));
        }
        self.check_chunk(seal)?;
        Ok(State::Trailers)
    }

    fn read_data(&mut self, mut chunk: Chunk, data: &mut Bytes, out: &mut Vec<Bytes>) -> State {
        let room = usize::try_from(chunk.left).unwrap_or(usize::MAX);
        let taken = data.split_to(room.min(data.len()));
        chunk.left -= taken.len() as u64;
        if let Some((context, _)) = &mut chunk.seal {
            context.update(&taken);
        }
        out.push(taken);
        if chunk.left > 0 {
            State::Data(chunk)
        } else {
            self.line.clear();
            State::DataEnd(chunk)
        }
    }

    fn read_data_end(&mut self, chunk: Chunk, data: &mut Bytes) -> Result<State, S3Error> {
        let expected = if self.line.is_empty() { b'\r' } else { b'\n' };
        if data.get_u8() != expected {
            return Err(S3Error::INCOMPLETE_BODY);
        }
        if self.line.is_empty() {
            self.line.push(expected);
            return Ok(State::DataEnd(chunk));
        }
        self.line.clear();
        self.check_chunk(chunk.seal)?;
        Ok(State::Line)
    }

    fn check_chunk(&mut self, seal: Option<(Context, Vec<u8>)>) -> Result<(), S3Error> {
        match (&mut self.signing.chain, seal) {
            (Some(chain), Some((data, signature))) => chain.check_chunk(data, &signature),
            _ => Ok(()),
        }
    }

    fn read_trailer(&mut self, data: &mut Bytes) -> Result<State, S3Error> {
        let whole = self.take_line(data).map_err(|_| BAD_TRAILER)?;
        if self.trailer_bytes + self.line.len() > LINE_BYTES_MAX {
            return Err(BAD_TRAILER);
        }
        if !whole {
            return Ok(State::Trailers);
        }
        let line = std::mem::take(&mut self.line);
        self.trailer_bytes += line.len();
        let line = std::str::from_utf8(&line).map_err(|_| BAD_TRAILER)?;
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if !line.is_empty() {
            self.take_trailer(line)?;
            return Ok(State::Trailers);
        }
        if self.trailers_signed {
            return self.check_announced().map(|()| State::Done);
        }
        // Some clients end the trailing headers with an empty line before their signature.
        Ok(State::Trailers)
    }

    fn take_trailer(&mut self, line: &str) -> Result<(), S3Error> {
        let (name, value) = line.split_once(':').ok_or(BAD_TRAILER)?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        if name == TRAILER_SIGNATURE && !self.trailers_signed {
            let chain = self.signing.chain.as_mut().ok_or(BAD_TRAILER)?;
            chain.check_trailers(&self.trailers, value.as_bytes())?;
            self.trailers_signed = true;
            return Ok(());
        }
        let signed_already = self.signing.chain.is_some() && self.trailers_signed;
        let unknown = !self.signing.announced.contains(&name);
        if signed_already || unknown || self.trailers.get(&name).is_some() {
            return Err(BAD_TRAILER);
        }
        self.trailers.0.push((name, value.to_owned()));
        Ok(())
    }

    fn check_announced(&self) -> Result<(), S3Error> {
        let mut announced = self.signing.announced.iter();
        if announced.all(|name| self.trailers.get(name).is_some()) {
            Ok(())
        } else {
            Err(BAD_TRAILER)
        }
    }
}

/// `size[;chunk-signature=…]`: the size is hexadecimal.
fn parse_chunk_line(line: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let mut parts = line.split(';');
    let size = parts.next()?;
    let digits = (1..=16).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
    let size = digits
        .then(|| u64::from_str_radix(size, 16).ok())
        .flatten()?;
    let mut signature = None;
    for part in parts {
        if let Some(value) = part.trim().strip_prefix("chunk-signature=")
            && signature.replace(value.as_bytes()).is_some()
        {
            return None;
        }
    }
    Some((size, signature))
}
