//! One keep-alive connection that keeps whole answers and the time that each took.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail};

use crate::{answer, clock};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Headers that every answer has of its own.
const OF_EACH: [&str; 2] = ["date", "x-request-id"];

/// What an answer says, without date and request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// Header lines in their order, names in lower case.
    headers: Vec<String>,
    /// The body with the request id taken out.
    body: String,
}

impl Answer {
    /// For an error message.
    pub(super) fn brief(&self) -> String {
        format!("{} {:?} {}", self.status, self.headers, self.body)
    }

    fn parse(head: &str, status: u16, body: &str) -> Self {
        let (mut headers, mut request_id) = (Vec::new(), "");
        for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            if name == "x-request-id" {
                request_id = value;
            }
            if !OF_EACH.contains(&name.as_str()) {
                headers.push(format!("{name}: {value}"));
            }
        }
        let body = match request_id {
            "" => body.to_owned(),
            id => body.replace(id, ""),
        };
        Self {
            status,
            headers,
            body,
        }
    }
}

/// The connection.
pub(super) struct Client {
    /// The server's.
    pub(super) address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address,
            stream,
            buffer: vec![0; ANSWER_BYTES_MAX],
        })
    }

    /// Sends the request; gives the answer and the nanoseconds until it was here.
    pub(super) fn call(&mut self, request: &[u8]) -> anyhow::Result<(Answer, u32)> {
        let since = clock::now();
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                bail!("the server closed the connection, or its answer is too long");
            }
            filled += read;
            let Some(head) = answer::head(&self.buffer[..filled])? else {
                continue;
            };
            if filled < head.body_starts + usize::try_from(head.body_bytes)? {
                continue;
            }
            let ns = u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX);
            let text = std::str::from_utf8(&self.buffer[..filled])?;
            let (lines, body) = text.split_at(head.body_starts);
            return Ok((Answer::parse(lines, head.status, body), ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, cache: &str) -> Answer {
        let head = format!(
            "HTTP/1.1 404 Not Found\r\nDate: {id}\r\nX-Request-Id: {id}\r\ncache-control: {cache}\r\n\r\n"
        );
        Answer::parse(&head, 404, &format!(r#"{{"id":"{id}"}}"#))
    }

    #[test]
    fn answers_are_alike_but_for_date_and_request_id() {
        assert_eq!(answer("1a", "no-store"), answer("2b", "no-store"));
        assert_ne!(answer("1a", "no-store"), answer("1a", "private"));
    }
}
