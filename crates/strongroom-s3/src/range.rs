//! The `range` header (RFC 9110 §14.2) as AWS reads it: one range of bytes, anything else ignored.

use crate::S3Error;
use std::ops::Range;

/// What a `range` header asks of an object.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: no range, several, or none that can be read.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Bytes that the object does not have.
    Unsatisfiable,
}

/// Reads the header's value against the object's size.
pub fn parse(value: &[u8], size: u64) -> Asked {
    let spec = std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.strip_prefix("bytes="));
    let Some((from, to)) = spec.and_then(|spec| spec.trim().split_once('-')) else {
        return Asked::Whole;
    };
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => part(from, to.saturating_add(1).min(size), size),
        (Some(from), None) if to.is_empty() => part(from, size, size),
        (None, Some(count)) if from.is_empty() => part(size.saturating_sub(count), size, size),
        _ => Asked::Whole,
    }
}

/// Reads `x-amz-copy-source-range` (AWS, `UploadPartCopy`): `bytes=first-last`, both given, within
/// the source. 400 `InvalidArgument`.
pub fn parse_copy_source(value: &[u8], size: u64) -> Result<Range<u64>, S3Error> {
    let spec = std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.strip_prefix("bytes="));
    let ends = spec.and_then(|spec| spec.split_once('-'));
    let ends = ends.and_then(|(from, to)| Some((number(from)?, number(to)?)));
    let text = || String::from_utf8_lossy(value).into_owned();
    let (from, to) = ends.filter(|(from, to)| from <= to).ok_or_else(|| {
        S3Error::new(
            400,
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy",
        )
        .with("ArgumentName", "x-amz-copy-source-range")
        .with("ArgumentValue", text())
    })?;
    if to >= size {
        return Err(S3Error::text(
            400,
            "InvalidArgument",
            format!("Range specified is not valid for source object of size: {size}"),
        )
        .with("ArgumentName", "x-amz-copy-source-range")
        .with("ArgumentValue", text()));
    }
    Ok(from..to + 1)
}

fn part(from: u64, to: u64, size: u64) -> Asked {
    if from < size && from < to {
        Asked::Part(from..to)
    } else {
        Asked::Unsatisfiable
    }
}

/// Decimal digits alone; a number over 64 bits counts as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_aws_does() {
        for (value, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-5", Asked::Part(2..6)),
            ("bytes=2-500", Asked::Part(2..10)),
            ("bytes=2-99999999999999999999", Asked::Part(2..10)),
            ("bytes=9-", Asked::Part(9..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=10-", Asked::Unsatisfiable),
            ("bytes=10-12", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=5-2", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("lines=1-2", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), 10), expected, "{value}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Asked::Unsatisfiable);
    }

    #[test]
    fn copies_name_both_ends_within_the_source() {
        for (value, expected) in [("bytes=0-0", 0..1), ("bytes=2-9", 2..10)] {
            let range = parse_copy_source(value.as_bytes(), 10).unwrap();
            assert_eq!(range, expected, "{value}");
        }
        for value in [
            "bytes=0-10",
            "bytes=0-18446744073709551615",
            "bytes=0-99999999999999999999",
            "bytes=5-2",
            "bytes=0-",
            "bytes=-5",
            "bytes=0-1,3-4",
            "0-1",
            "bytes=+0-1",
            "",
        ] {
            let error = parse_copy_source(value.as_bytes(), 10).unwrap_err();
            assert_eq!(error.code(), "InvalidArgument", "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_past_the_end(
            text in "bytes=[0-9]{0,21}-[0-9]{0,21}", junk: Vec<u8>, size: u64
        ) {
            for value in [text.as_bytes(), &junk] {
                if let Asked::Part(range) = parse(value, size) {
                    prop_assert!(range.start < range.end && range.end <= size);
                }
                if let Ok(range) = parse_copy_source(value, size) {
                    prop_assert!(range.start < range.end && range.end <= size);
                }
            }
        }
    }
}
