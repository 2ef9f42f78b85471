//! Reads one HTTP/1.1 answer (RFC 9112) as cheaply as possible: status, length, body.
//!
//! Only what servers on this machine send: a `content-length`, no chunks, no trailers.

use anyhow::{Context, bail};

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Where the body starts, after the closing empty line.
    pub(crate) body_starts: usize,
    /// Bytes of the body.
    pub(crate) body_bytes: u64,
}

/// The head at the start of `buffer`, or `None` while its end has not come.
pub(crate) fn head(buffer: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = buffer[..end].split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| line.get(9..12));
    let status = status
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .context("the answer has no status")?;
    let mut body_bytes = None;
    for line in lines {
        if let Some(value) = value_of(line, b"content-length:") {
            body_bytes = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse().ok());
        } else if value_of(line, b"transfer-encoding:").is_some() {
            bail!("the answer is chunked, which this client does not read");
        }
    }
    Ok(Some(Head {
        status,
        body_starts: end + 4,
        body_bytes: body_bytes.unwrap_or(0),
    }))
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = line.get(..name.len())?;
    start
        .eq_ignore_ascii_case(name)
        .then(|| &line[name.len()..])
}

/// The text of the member `name` in a JSON body, without parsing the rest of it.
pub(crate) fn text_member<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(body).ok()?;
    let start = body.find(&format!("\"{name}\":\""))? + name.len() + 4;
    let length = body[start..].find('"')?;
    Some(&body[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_head_gives_status_and_lengths() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y\r\n\r\nhello";
        let expected = Head {
            status: 200,
            body_starts: 45,
            body_bytes: 12,
        };
        assert_eq!(head(bytes).unwrap(), Some(expected));
    }

    #[test]
    fn half_a_head_is_not_an_answer_yet() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap(), None);
    }

    #[test]
    fn a_chunked_answer_is_refused() {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(head(bytes).is_err());
    }

    #[test]
    fn a_text_member_is_found_without_parsing() {
        let body = br#"{"data":{"tokenId":"lunasec-1","n":2}}"#;
        assert_eq!(text_member(body, "tokenId"), Some("lunasec-1"));
        assert_eq!(text_member(body, "other"), None);
    }
}
