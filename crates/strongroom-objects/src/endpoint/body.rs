//! Reading request bodies: lengths, idle time, digests, and what is left of a refused one.

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use std::time::Duration;
use strongroom_s3::S3Error;

/// Bytes of a refused body that are read so that the client sees the answer.
const DISCARDED_BYTES_MAX: usize = 1 << 20;
/// How long that may take in all.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// The next bytes of the body, nothing at its end.
pub(super) async fn next(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, S3Error> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame())
            .await
            .map_err(|_| {
                S3Error::new(
                    400,
                    "RequestTimeout",
                    "Your socket connection to the server was not read from or written to within \
                 the timeout period. Idle connections will be closed.",
                )
            })?;
        match frame {
            None => return Ok(None),
            // The connection broke, or the chunks were malformed.
            Some(Err(_)) => return Err(S3Error::INCOMPLETE_BODY),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
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
        while let Ok(Some(data)) = next(&mut body, DISCARD_TIME).await {
            left = left.saturating_sub(data.len());
            if left == 0 {
                break;
            }
        }
    };
    // Time is up or the body is over: the answer goes out either way.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// Digests that the client sent along, computed while the body passes.
pub(super) struct Digests {
    md5: Option<(String, Md5)>,
    sha256: Option<(String, Context)>,
}

impl Digests {
    /// From `content-md5` and `x-amz-checksum-sha256`, whose length is checked at once.
    pub(super) fn expected(headers: &HeaderMap) -> Result<Self, S3Error> {
        let bad_md5 = S3Error::new(
            400,
            "InvalidDigest",
            "The Content-MD5 you specified was invalid.",
        );
        let bad_sha256 = S3Error::new(
            400,
            "InvalidRequest",
            "Value for x-amz-checksum-sha256 header is invalid.",
        );
        let md5 = sent(headers, "content-md5", 16, &bad_md5)?;
        let sha256 = sent(headers, "x-amz-checksum-sha256", 32, &bad_sha256)?;
        Ok(Self {
            md5: md5.map(|text| (text, Md5::new())),
            sha256: sha256.map(|text| (text, Context::new(&SHA256))),
        })
    }

    /// Algorithm and value of each, as they go into the manifest.
    pub(super) fn values(&self) -> Vec<(String, String)> {
        let md5 = self
            .md5
            .iter()
            .map(|(text, _)| ("md5".to_owned(), text.clone()));
        let sha256 = self
            .sha256
            .iter()
            .map(|(text, _)| ("sha256".to_owned(), text.clone()));
        md5.chain(sha256).collect()
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        if let Some((_, md5)) = &mut self.md5 {
            md5.update(data);
        }
        if let Some((_, sha256)) = &mut self.sha256 {
            sha256.update(data);
        }
    }

    /// Compares them with what came.
    pub(super) fn check(self) -> Result<(), S3Error> {
        let bad = |message| Err(S3Error::new(400, "BadDigest", message));
        if self
            .md5
            .is_some_and(|(text, md5)| BASE64_STANDARD.encode(md5.finalize()) != text)
        {
            return bad("The Content-MD5 you specified did not match what we received.");
        }
        if self
            .sha256
            .is_some_and(|(text, sha)| BASE64_STANDARD.encode(sha.finish()) != text)
        {
            return bad("The SHA256 you specified did not match the calculated checksum.");
        }
        Ok(())
    }
}

fn sent(
    headers: &HeaderMap,
    name: &str,
    bytes: usize,
    bad: &S3Error,
) -> Result<Option<String>, S3Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| bad.clone())?;
    match BASE64_STANDARD.decode(text) {
        Ok(digest) if digest.len() == bytes => Ok(Some(text.to_owned())),
        _ => Err(bad.clone()),
    }
}
