//! The S3 endpoint: headers and parameters of single operations.

use super::lines;
use super::s3::set;
use http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use strongroom_core::UnixMillis;
use strongroom_s3::checksum::{self, Algorithm, Value};
use strongroom_s3::conditions::{COPY_SOURCE, READ, check_read};
use strongroom_s3::continuation;
use strongroom_s3::copy_source::CopySource;
use strongroom_s3::date::{http_date, parse_http_date};
use strongroom_s3::target::KEY_BYTES_MAX;

/// Lines: the five checksums, then algorithm and type of an upload. What is taken reads back from
/// its own text.
pub(super) fn checksums(data: &[u8]) -> bool {
    let [values @ .., algorithm, kind] = lines::<7>(data);
    let mut headers = HeaderMap::new();
    for (known, value) in Algorithm::ALL.into_iter().zip(values) {
        set(&mut headers, known.header(), value);
    }
    set(&mut headers, "x-amz-checksum-algorithm", algorithm);
    set(&mut headers, "x-amz-checksum-type", kind);
    let sent = checksum::sent(&headers);
    if let Ok(Some(value)) = &sent {
        let again = Value::parse(value.algorithm(), &value.text());
        assert_eq!(again.as_ref(), Some(value));
        assert!(!value.is_composite() || value.text().contains('-'));
    }
    let of_upload = checksum::of_upload(&headers);
    if let Ok(Some((algorithm, kind))) = of_upload {
        assert!(algorithm.allows(kind));
        let asked = checksum::of_type(&headers).expect("it was read before");
        assert_eq!(kind, asked.unwrap_or(algorithm.default_type()));
    }
    sent.is_ok() && of_upload.is_ok() && !headers.is_empty()
}

/// Lines: `if-match`, `if-none-match`, `if-unmodified-since`, `if-modified-since`, held against
/// one object. A copy's headers of the same meaning have the same answer.
pub(super) fn conditions(data: &[u8]) -> bool {
    const ETAG: &str = "tag";
    const STORED: UnixMillis = UnixMillis(1_800_000_000_500);
    let values: [&[u8]; 4] = lines(data);
    let names = ["match", "none-match", "unmodified-since", "modified-since"];
    let [mut read, mut copy] = [HeaderMap::new(), HeaderMap::new()];
    for (name, value) in names.into_iter().zip(values) {
        set(&mut read, &format!("if-{name}"), value);
        set(&mut copy, &format!("x-amz-copy-source-if-{name}"), value);
    }
    let answer = check_read(&READ, &read, ETAG, STORED);
    assert_eq!(answer, check_read(&COPY_SOURCE, &copy, ETAG, STORED));
    if read.is_empty() {
        assert_eq!(answer, Ok(true));
    }
    if answer.is_err() {
        assert!(read.contains_key("if-match") || read.contains_key("if-unmodified-since"));
    }
    let dates = values[2..].iter().map(|text| is_date(text));
    dates.fold(answer == Ok(true) && !read.is_empty(), |good, is| good | is)
}

/// What is a date is written as one that means the same.
fn is_date(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).ok();
    let Some(secs) = text.and_then(parse_http_date) else {
        return false;
    };
    let again = http_date(UnixMillis(secs * 1000 + 999));
    assert_eq!(parse_http_date(&again), Some(secs), "{again}");
    true
}

/// What `x-amz-copy-source` names is named the same when all of it is encoded.
pub(super) fn copy_source(data: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    set(&mut headers, "x-amz-copy-source", data);
    let Ok(source) = CopySource::parse(&headers) else {
        return false;
    };
    assert!(!source.bucket.is_empty() && !source.bucket.contains('/'));
    assert!((1..=KEY_BYTES_MAX).contains(&source.key.len()));
    let whole = format!("/{}/{}", source.bucket, source.key);
    let encoded = utf8_percent_encode(&whole, NON_ALPHANUMERIC).to_string();
    let mut headers = HeaderMap::new();
    set(&mut headers, "x-amz-copy-source", encoded.as_bytes());
    assert_eq!(CopySource::parse(&headers), Ok(source));
    true
}

/// There is one token for a place in a listing.
pub(super) fn continuation(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    if !text.is_empty() {
        assert_eq!(
            continuation::read(&continuation::token(text)).as_deref(),
            Ok(text)
        );
    }
    continuation::read(text).is_ok_and(|last| {
        assert_eq!(continuation::token(&last), text);
        true
    })
}
