//! A small HTTP/1.1 client that sends exactly what a test says, and tells a whole answer from
//! one that was cut off.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest silence that a test waits through.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A request; `host`, `connection: close` and `content-length` are added unless given.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            headers: vec![],
            body: vec![],
        }
    }

    /// A POST of JSON without a content type, as original clients may send it.
    pub fn post(target: &str, body: &Value) -> Self {
        Self::new("POST", target).body(body.to_string())
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The header and the empty line after it.
    pub fn head(&self, to: SocketAddr) -> String {
        use std::fmt::Write as _;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        if !has("host") {
            let _ = write!(head, "host: {to}\r\n");
        }
        if !has("connection") {
            head.push_str("connection: close\r\n");
        }
        let bodiless = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        if !has("content-length") && !has("transfer-encoding") && !bodiless {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// Sends it and reads the answer; panics if there is none.
    pub fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to).unwrap_or_else(|error| {
            panic!(
                "no answer to {} {}: {error}",
                self.method,
                path(&self.target)
            )
        })
    }

    /// Sends it and reads the answer, if one comes.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        self.try_send_over(&mut connect(to)?, to)
    }

    /// The same over a connection that stands already, such as one with TLS.
    pub fn try_send_over(
        &self,
        stream: &mut (impl Read + Write),
        to: SocketAddr,
    ) -> io::Result<Answer> {
        stream.write_all(self.head(to).as_bytes())?;
        // A server may answer before it has read everything.
        let _ = stream.write_all(&self.body).and_then(|()| stream.flush());
        let answer = Answer::read(stream, self.method == "HEAD")?;
        crate::contract::assert_kept(&self.method, &self.target, &answer);
        Ok(answer)
    }
}

/// A connection that fails after 30 seconds of silence.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

/// The target without its query, which holds a signature.
fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// As much as arrived.
    pub body: Vec<u8>,
    /// Whether all of the announced body arrived.
    pub whole: bool,
}

impl Answer {
    /// Reads one answer to the end of the connection.
    pub fn read(stream: &mut impl Read, bodiless: bool) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        let ended = loop {
            match stream.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Err(ended
                .err()
                .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        };
        let mut answer = Self::parse_head(&bytes[..end])?;
        answer.body = bytes.split_off(end + 4);
        let announced = answer
            .header("content-length")
            .and_then(|text| text.parse().ok());
        answer.whole = bodiless || announced == Some(answer.body.len());
        Ok(answer)
    }

    fn parse_head(head: &[u8]) -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let text = std::str::from_utf8(head).map_err(|_| invalid())?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Ok(Self {
            status: status.ok_or_else(invalid)?,
            headers: headers.collect(),
            body: vec![],
            whole: false,
        })
    }

    /// The value of a header that stands there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "two headers `{name}`");
        value
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("status {}, no JSON ({error}): {}", self.status, self.text())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
