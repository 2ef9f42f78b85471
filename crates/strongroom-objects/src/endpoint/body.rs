//! Reading request bodies: pace, framing, lengths, digests, and what is left of a refused one.

use super::faults::{of_store, too_large};
use crate::index::Condition;
use crate::store::{Writing, Written};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use std::time::Duration;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::{Digests, Value};
use strongroom_s3::chunked::{Decoder, Trailers};
use strongroom_s3::verify::Payload;
use tokio::time::Instant;

/// Bytes of a refused body that are read so that the client sees the answer.
const DISCARDED_BYTES_MAX: usize = 1 << 20;
/// How long that may take in all.
const DISCARD_TIME: Duration = Duration::from_secs(5);

const TIMEOUT: S3Error = S3Error::new(
    400,
    "RequestTimeout",
    "Your socket connection to the server was not read from or written to within the timeout \
     period. Idle connections will be closed.",
);

/// How slow a body may be: in each window, so many bytes, or its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) window: Duration,
    pub(super) bytes_per_s_min: u32,
}

impl Pace {
    /// Bytes of a window.
    pub(super) fn bytes_min(&self) -> u64 {
        self.bytes_in(self.window)
    }

    /// Bytes of so long a time.
    pub(super) fn bytes_in(&self, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        millis.saturating_mul(self.bytes_per_s_min.into()) / 1000
    }
}

/// A request's body, frame by frame.
pub(super) struct Frames<'a> {
    body: &'a mut Body,
    pace: Pace,
    /// Bytes that the window still wants, and its end.
    wanted: u64,
    end: Instant,
}

impl<'a> Frames<'a> {
    pub(super) fn new(body: &'a mut Body, pace: Pace) -> Self {
        let mut frames = Self {
            body,
            pace,
            wanted: 0,
            end: Instant::now(),
        };
        frames.open_window();
        frames
    }

    fn open_window(&mut self) {
        // The first byte counts at any rate, so that an idle client is ended even at 0 bytes/s.
        self.wanted = self.pace.bytes_min().max(1);
        self.end = Instant::now() + self.pace.window;
    }

    /// The next bytes of the body, nothing at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            let frame = tokio::time::timeout_at(self.end, self.body.frame()).await;
            match frame.map_err(|_| TIMEOUT)? {
                None => return Ok(None),
                // The connection broke, or the chunks were malformed.
                Some(Err(_)) => return Err(S3Error::INCOMPLETE_BODY),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.wanted = self.wanted.saturating_sub(data.len() as u64);
                        if self.wanted == 0 {
                            self.open_window();
                        }
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// Reads the rest of a small body and forgets it.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body) {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    // Who waits for 100 Continue has not begun to send.
    if length > DISCARDED_BYTES_MAX || headers.contains_key(header::EXPECT) {
        return;
    }
    let reading = async {
        let mut left = DISCARDED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Time is up or the body is over: the answer goes out either way.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// A body and what its signature says of it.
pub(super) struct Sent<'a> {
    pub(super) body: &'a mut Body,
    pub(super) payload: Payload,
    pub(super) pace: Pace,
}

/// A value on its way in: decoded, counted and digested.
pub(super) struct Incoming<'a> {
    frames: Frames<'a>,
    decoder: Option<Decoder>,
    digests: Digests,
    length: Option<u64>,
    max: u64,
    received: u64,
    /// Decoded bytes, the next one last.
    ready: Vec<Bytes>,
}

impl<'a> Incoming<'a> {
    /// Reads lengths and digests from the headers; a value over `max` bytes is refused unread.
    pub(super) fn new(headers: &HeaderMap, sent: Sent<'a>, max: u64) -> Result<Self, S3Error> {
        let mut digests = Digests::expected(headers)?;
        let declared = declared_length(headers)?;
        let (length, decoder) = match sent.payload {
            Payload::Unsigned => (declared, None),
            Payload::Sha256(sha256) => {
                digests.payload(sha256);
                (declared, None)
            }
            Payload::Chunked(signing) => {
                (Some(signing.decoded_length()), Some(Decoder::new(signing)))
            }
        };
        match length {
            Some(length) if length > max => return Err(too_large(length, max)),
            _ => {}
        }
        Ok(Self {
            frames: Frames::new(sent.body, sent.pace),
            decoder,
            digests,
            length,
            max,
            received: 0,
            ready: Vec::new(),
        })
    }

    /// Bytes of the value, if they are known beforehand.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(super) fn digests(&mut self) -> &mut Digests {
        &mut self.digests
    }

    /// The next bytes of the value, nothing at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            if let Some(data) = self.ready.pop() {
                self.count(&data)?;
                return Ok(Some(data));
            }
            let Some(frame) = self.frames.next().await? else {
                return Ok(None);
            };
            match &mut self.decoder {
                None => self.ready.push(frame),
                Some(decoder) => {
                    decoder.push(frame, &mut self.ready)?;
                    self.ready.reverse();
                }
            }
        }
    }

    fn count(&mut self, data: &[u8]) -> Result<(), S3Error> {
        self.received += data.len() as u64;
        match self.length {
            Some(length) if self.received > length => return Err(S3Error::INCOMPLETE_BODY),
            None if self.received > self.max => return Err(too_large(self.received, self.max)),
            _ => {}
        }
        self.digests.update(data);
        Ok(())
    }

    /// At the value's end: lengths, signatures and digests were right. Gives the checksums to keep.
    pub(super) fn finish(self) -> Result<Vec<Value>, S3Error> {
        let trailers = match self.decoder {
            Some(decoder) => decoder.finish()?,
            None => Trailers::default(),
        };
        if self.length.is_some_and(|length| length != self.received) {
            return Err(S3Error::INCOMPLETE_BODY);
        }
        self.digests.finish(&trailers)
    }

    async fn drain_into(mut self, writing: &mut Writing) -> Result<Vec<Value>, S3Error> {
        while let Some(data) = self.next().await? {
            writing.push(&data).await.map_err(of_store)?;
        }
        self.finish()
    }
}

/// Stores the value, or nothing of it.
pub(super) async fn receive(
    incoming: Incoming<'_>,
    mut writing: Writing,
    condition: Condition,
) -> Result<(Written, Vec<Value>), S3Error> {
    match incoming.drain_into(&mut writing).await {
        Ok(checksums) => {
            let written = writing.finish(kept(&checksums), condition).await;
            Ok((written.map_err(of_store)?, checksums))
        }
        Err(error) => {
            writing.abandon().await;
            Err(error)
        }
    }
}

/// Checksums as a manifest keeps them.
pub(super) fn kept(checksums: &[Value]) -> Vec<(String, String)> {
    let pair = |value: &Value| (value.algorithm().key().to_owned(), value.text());
    checksums.iter().map(pair).collect()
}

/// A small value, whole: the XML of a request.
pub(super) async fn read_small(
    headers: &HeaderMap,
    sent: Sent<'_>,
    bytes_max: usize,
) -> Result<Vec<u8>, S3Error> {
    let mut incoming = Incoming::new(headers, sent, bytes_max as u64)?;
    let mut whole = Vec::new();
    while let Some(data) = incoming.next().await? {
        whole.extend_from_slice(&data);
    }
    incoming.finish()?;
    Ok(whole)
}

/// The length sent ahead; none for a chunked body, which is cut off at the limit.
pub(super) fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, S3Error> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        let coding = headers
            .get(header::TRANSFER_ENCODING)
            .map(HeaderValue::as_bytes);
        if coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            return Ok(None);
        }
        return Err(S3Error::new(
            411,
            "MissingContentLength",
            "You must provide the Content-Length HTTP header.",
        ));
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = S3Error::new(400, "InvalidArgument", "Invalid Content-Length");
    length.map(Some).ok_or(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use std::io;

    #[tokio::test]
    async fn a_body_that_drips_is_ended_and_one_that_flows_is_not() {
        let pace = Pace {
            window: Duration::from_millis(50),
            bytes_per_s_min: 1_000_000,
        };
        // A byte a millisecond is always in time, and never enough.
        let drip = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, io::Error>(Bytes::from_static(b"x"))
        });
        let mut body = Body::from_stream(drip);
        let mut frames = Frames::new(&mut body, pace);
        let ended = loop {
            match frames.next().await {
                Ok(frame) => assert!(frame.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(ended, TIMEOUT);
        let mut body = Body::from_stream(stream::iter(
            (0..100).map(|_| Ok::<_, io::Error>(Bytes::from(vec![7; 60_000]))),
        ));
        let mut frames = Frames::new(&mut body, pace);
        while frames.next().await.unwrap().is_some() {}
    }
}
