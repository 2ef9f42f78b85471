//! Which names a bucket may have (AWS, *General purpose bucket naming rules*).

use crate::S3Error;

const INVALID: S3Error = S3Error::new(
    400,
    "InvalidBucketName",
    "The specified bucket is not valid.",
);
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Whether a bucket may be made under this name: 3 to 63 of `a-z 0-9 - .`, a letter or digit at
/// both ends, labels that are not empty, no IPv4 address, none of AWS's reserved ones.
pub fn is_valid(name: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let ends = [name.bytes().next(), name.bytes().last()];
    (3..=63).contains(&name.len())
        && name.bytes().all(fits)
        && ends.iter().flatten().all(u8::is_ascii_alphanumeric)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// As [`is_valid`]: 400 `InvalidBucketName`.
pub fn check(name: &str) -> Result<(), S3Error> {
    if is_valid(name) {
        Ok(())
    } else {
        Err(INVALID.with("BucketName", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_aws_does() {
        let longest = "a".repeat(63);
        for name in [
            "abc",
            "a.b-c",
            "123",
            "my-bucket.example.com",
            longest.as_str(),
            "1.2.3",
        ] {
            assert!(check(name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in [
            "",
            "ab",
            too_long.as_str(),
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-x",
            "x-s3alias",
            "x--ol-s3",
            "x.mrap",
            "x--x-s3",
            "b\u{e4}r",
            "a/b",
            "a b",
        ] {
            assert_eq!(
                check(name).unwrap_err().code(),
                "InvalidBucketName",
                "{name}"
            );
        }
    }
}
