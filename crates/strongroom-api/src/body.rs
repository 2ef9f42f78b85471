//! Reading a request's body under the limits of size and time.

use crate::answer::Refusal;
use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;
use strongroom_wire::ErrorName;

/// The whole body, at most `bytes_max` and within `time_max`.
pub(crate) async fn read(
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("the body is larger than {bytes_max} bytes");
        Refusal::new(ErrorName::TooLarge, message)
    };
    // What says that it is too long is not waited for.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let limited = Limited::new(body, bytes_max);
    match tokio::time::timeout(time_max, copied(limited)).await {
        Err(_) => Err(Refusal::new(
            ErrorName::Timeout,
            "the body did not arrive in time",
        )),
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(
            ErrorName::InvalidRequest,
            "the body was cut off",
        )),
    }
}

/// All pieces of a body as one. A piece is a view of the buffer that the connection read it into,
/// of 8 KiB or more: to keep pieces of a byte would keep a buffer for each of them.
async fn copied(mut body: Limited<Body>) -> Result<Bytes, axum::BoxError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
