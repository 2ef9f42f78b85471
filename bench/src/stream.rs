//! One long body up or down over plain sockets, as cheaply as a client can.
//!
//! Knows HTTP/1.1 as [`crate::answer`] reads it, and no vault.

use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail};

use crate::answer;

/// Bytes that the client hands over at a time.
const PART_BYTES: usize = 1024 * 1024;

/// Where to send, and the head without `content-length` and the closing empty line.
pub(crate) struct Request {
    /// Of the server.
    pub(crate) address: SocketAddr,
    /// Ends with a line's end.
    pub(crate) head: String,
}

/// A short answer with status 200.
pub(crate) struct Said {
    lines: String,
    /// What was said.
    pub(crate) body: Vec<u8>,
}

impl Said {
    /// The value of a header; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.lines.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found.eq_ignore_ascii_case(name)).then(|| value.trim())
        })
    }
}

/// What a download must hold.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    Zeros,
    Pattern,
}

/// One part of the value; the value is this, repeated.
fn pattern() -> Vec<u8> {
    let words = (0..PART_BYTES as u64 / 8).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).collect()
}

impl Request {
    /// Sends `bytes` bytes of the pattern.
    pub(crate) fn put(&self, bytes: u64) -> anyhow::Result<Said> {
        let part = pattern();
        let mut stream = connect(self.address)?;
        write!(stream, "{}content-length: {bytes}\r\n\r\n", self.head)?;
        let mut left = bytes;
        while left > 0 {
            let now = usize::try_from(left).map_or(part.len(), |left| left.min(part.len()));
            if stream.write_all(&part[..now]).is_err() {
                // The answer says why the server stopped reading.
                break;
            }
            left -= now as u64;
        }
        let said = AnswerReader::open(stream)?.read_short()?;
        if left > 0 {
            bail!("the server took {} of {bytes} bytes", bytes - left);
        }
        Ok(said)
    }

    /// Sends a short body.
    pub(crate) fn send(&self, body: &[u8]) -> anyhow::Result<Said> {
        let mut stream = connect(self.address)?;
        write!(
            stream,
            "{}content-length: {}\r\n\r\n",
            self.head,
            body.len()
        )?;
        stream.write_all(body)?;
        AnswerReader::open(stream)?.read_short()
    }

    /// Reads `bytes` bytes and compares them.
    pub(crate) fn get(&self, bytes: u64, content: Content) -> anyhow::Result<()> {
        let part = match content {
            Content::Zeros => vec![0; PART_BYTES],
            Content::Pattern => pattern(),
        };
        let mut stream = connect(self.address)?;
        write!(stream, "{}\r\n", self.head)?;
        let mut reader = AnswerReader::open(stream)?;
        if reader.head.status != 200 {
            reader.read_short()?;
            return Ok(());
        }
        let mut at = 0;
        let same = reader.read_body(|mut got| {
            while !got.is_empty() {
                let now = got.len().min(PART_BYTES - at);
                if got[..now] != part[at..at + now] {
                    return false;
                }
                at = (at + now) % PART_BYTES;
                got = &got[now..];
            }
            true
        })?;
        if !same || reader.head.body_bytes != bytes {
            bail!("the download is not the value");
        }
        Ok(())
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An answer whose head has been read.
struct AnswerReader {
    stream: TcpStream,
    head: answer::Head,
    lines: String,
    buffer: Vec<u8>,
    filled: usize,
}

impl AnswerReader {
    fn open(mut stream: TcpStream) -> anyhow::Result<Self> {
        let mut buffer = vec![0; PART_BYTES];
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..])?;
            if read == 0 {
                bail!("the server closed the connection before it answered");
            }
            filled += read;
            if let Some(head) = answer::head(&buffer[..filled])? {
                let lines = String::from_utf8_lossy(&buffer[..head.body_starts]).into_owned();
                buffer.copy_within(head.body_starts..filled, 0);
                filled -= head.body_starts;
                return Ok(Self {
                    stream,
                    head,
                    lines,
                    buffer,
                    filled,
                });
            }
        }
    }

    /// Hands the body over part by part; `false` when `each` did not like a part.
    fn read_body(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> anyhow::Result<bool> {
        let mut left = self.head.body_bytes;
        loop {
            if !each(&self.buffer[..self.filled]) {
                return Ok(false);
            }
            left = left
                .checked_sub(self.filled as u64)
                .context("the body is longer than was said")?;
            if left == 0 {
                return Ok(true);
            }
            self.filled = self.stream.read(&mut self.buffer)?;
            if self.filled == 0 {
                bail!("the answer ended {left} bytes early");
            }
        }
    }

    /// The rest of an answer that must be 200.
    fn read_short(mut self) -> anyhow::Result<Said> {
        let mut body = Vec::new();
        self.read_body(|part| {
            body.extend_from_slice(part);
            true
        })?;
        if self.head.status != 200 {
            let said = String::from_utf8_lossy(&body[..body.len().min(300)]);
            bail!("an answer was not 200: {} {said}", self.head.status);
        }
        Ok(Said {
            lines: self.lines,
            body,
        })
    }
}
