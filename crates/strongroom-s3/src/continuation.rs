//! Continuation tokens of listings: where a page ended, of no use but to go on there.

use crate::S3Error;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The token for the page behind `last`, a key or a common prefix.
pub fn token(last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(last)
}

/// What the page before ended with; 400 `InvalidArgument`.
pub fn read(token: &str) -> Result<String, S3Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let last = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    last.filter(|last| !last.is_empty()).ok_or(S3Error::new(
        400,
        "InvalidArgument",
        "The continuation token provided is incorrect",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_of_ours_is_refused() {
        assert_eq!(read(&token("a/ключ")).as_deref(), Ok("a/ключ"));
        for bad in ["", "=", "YQ==", "YR", "_w", "a b"] {
            assert_eq!(read(bad).unwrap_err().code(), "InvalidArgument", "{bad}");
        }
    }
}
