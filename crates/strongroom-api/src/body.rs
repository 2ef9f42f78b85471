//! Reading a request's body under the limits of size and time.

use crate::answer::Refusal;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
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
    match tokio::time::timeout(time_max, limited.collect()).await {
        Err(_) => Err(Refusal::new(
            ErrorName::Timeout,
            "the body did not arrive in time",
        )),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(
            ErrorName::InvalidRequest,
            "the body was cut off",
        )),
    }
}
