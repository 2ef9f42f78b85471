//! Puts a value where `/tokenize` said. An upload is write-once, so a broken one is subtle:
//! it may have been stored although nobody heard of it.

use crate::transport::{self, Transport, host_text, store_error, transport_error};
use crate::value::{Meter, Value, metered};
use crate::{Error, limits};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, Response, Url};
use std::sync::Arc;
use strongroom_wire::Upload;

/// How an upload ended.
pub(crate) enum Outcome {
    /// The object store has the value under this upload's token.
    Stored,
    /// Something is stored, perhaps by an attempt whose answer was lost. The token must not be
    /// used; the value needs a new one.
    Unknown,
}

/// Sends the value, again where that is safe: the URL stores once, whatever is sent.
pub(crate) async fn put(
    transport: &Transport,
    upload: &Upload,
    value: &mut Value,
) -> Result<Outcome, Error> {
    let url: Url = upload
        .upload_url
        .expose()
        .parse()
        .map_err(|_| Error::BadUrl)?;
    let mut attempt = 1;
    let mut ambiguous = false;
    loop {
        let result = put_once(transport, &url, upload, value).await;
        let pause = match &result {
            Ok(answer) if answer.status().as_u16() == 200 => return Ok(Outcome::Stored),
            Ok(answer) if answer.status().as_u16() == 412 && ambiguous => {
                return Ok(Outcome::Unknown);
            }
            Ok(answer) if answer.status().as_u16() == 409 => Some(transport::backoff(attempt)),
            Ok(answer) => transport::busy_pause(answer, attempt),
            Err(Error::Unreachable { .. }) => Some(transport::backoff(attempt)),
            Err(Error::Interrupted { .. } | Error::TimedOut { .. }) => {
                ambiguous = true;
                Some(transport::backoff(attempt))
            }
            Err(_) => None,
        };
        match pause {
            Some(pause) if attempt < limits::ATTEMPTS_MAX && value.can_open() => {
                if let Some(error) = final_conflict(&url, result).await {
                    return Err(error);
                }
                tokio::time::sleep(pause).await;
            }
            _ => return Err(refusal(&url, result).await),
        }
        attempt += 1;
    }
}

/// A 409 that is not the one that AWS wants repeated.
async fn final_conflict(url: &Url, result: Result<Response, Error>) -> Option<Error> {
    let Ok(answer) = result else { return None };
    if answer.status().as_u16() != 409 {
        return None;
    }
    let error = store_error(url, answer).await;
    let repeat = matches!(&error, Error::ObjectStore { code: Some(code), .. }
        if code == "ConditionalRequestConflict");
    (!repeat).then_some(error)
}

async fn refusal(url: &Url, result: Result<Response, Error>) -> Error {
    match result {
        Ok(answer) => store_error(url, answer).await,
        Err(error) => error,
    }
}

async fn put_once(
    transport: &Transport,
    url: &Url,
    upload: &Upload,
    value: &mut Value,
) -> Result<Response, Error> {
    let headers = transport::signed_headers(url, &upload.headers)?;
    let mut request = transport.client(url).put(url.clone()).headers(headers);
    if let Some(length) = value.length_bytes() {
        request = request.header(CONTENT_LENGTH, length);
    }
    // `put` looks before it repeats, so there is always something to open.
    let gone = || Error::Value(std::io::ErrorKind::UnexpectedEof.into());
    let meter = Arc::new(Meter::default());
    let stream = metered(value.open().ok_or_else(gone)?, Arc::clone(&meter));
    let request = request.body(Body::wrap_stream(stream));
    let sending = async {
        request
            .send()
            .await
            .map_err(|error| transport_error(url, error))
    };
    tokio::select! {
        sent = sending => sent.map_err(|error| meter.take_failure().map_or(error, Error::Value)),
        () = stalled(&meter) => Err(Error::TimedOut { host: host_text(url) }),
    }
}

/// Returns once nothing has moved for [`limits::STALL_TIMEOUT`].
async fn stalled(meter: &Meter) {
    let mut seen = None;
    while seen != Some(meter.bytes()) {
        seen = Some(meter.bytes());
        tokio::time::sleep(limits::STALL_TIMEOUT).await;
    }
}
