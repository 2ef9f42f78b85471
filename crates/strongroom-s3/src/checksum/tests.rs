//! Checksums: known answers, combinations, hostile values.

use super::*;
use crate::chunked::Trailers;
use http::HeaderName;
use proptest::prelude::*;

fn of(algorithm: Algorithm, data: &[u8]) -> Value {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(data);
    hasher.finish()
}

/// The catalogue's check values (of `123456789`), and FIPS 180-4's digests of the same.
#[test]
fn known_answers() {
    for (algorithm, expected) in [
        (Algorithm::Crc32, "cbf43926"),
        (Algorithm::Crc32c, "e3069283"),
        (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (
            Algorithm::Sha256,
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ),
    ] {
        let value = of(algorithm, b"123456789");
        assert_eq!(hex::encode(&value.digest), expected, "{algorithm:?}");
        assert_eq!(Value::parse(algorithm, &value.text()), Some(value));
        assert_eq!(Algorithm::parse(algorithm.key()), Some(algorithm));
        assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
    }
    assert_eq!(Algorithm::parse("MD5"), None);
}

#[test]
fn values_of_another_form_are_refused() {
    for text in [
        "",
        "AAAA",
        "AAAAAA",
        "AAAAAA==-",
        "AAAAAA==-0",
        "AAAAAA==-10001",
        "AAAAAA==-x",
        "AAAAAA==-+1",
        "AAAAAA==-1-1",
        "AAAAAAAAAAA=",
        "!",
    ] {
        assert_eq!(Value::parse(Algorithm::Crc32, text), None, "{text}");
    }
    let composite = Value::parse(Algorithm::Crc32, "AAAAAA==-10000").unwrap();
    assert!(composite.is_composite());
    assert_eq!(composite.text(), "AAAAAA==-10000");
}

const NAME: &str = "x-amz-checksum-algorithm";
const TYPE: &str = "x-amz-checksum-type";

fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        map.append(HeaderName::from_static(name), value);
    }
    map
}

fn check(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Vec<String>, S3Error> {
    let mut digests = Digests::expected(&map(headers))?;
    digests.update(body);
    let values = digests.finish(&Trailers::default())?;
    Ok(values.iter().map(Value::text).collect())
}

const CRC: (&str, &str) = ("x-amz-checksum-crc32", "DUoRhQ==");
const MD5: (&str, &str) = ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==");

#[test]
fn what_the_client_sent_is_compared() {
    let body = b"hello world";
    assert_eq!(check(&[CRC, MD5], body).unwrap(), ["DUoRhQ=="]);
    assert!(check(&[], body).unwrap().is_empty());
    for (headers, code) in [
        (vec![CRC], "BadDigest"),
        (vec![MD5], "BadDigest"),
        (vec![("content-md5", "AAAA")], "InvalidDigest"),
        (vec![("content-md5", "!")], "InvalidDigest"),
        (vec![("x-amz-checksum-crc32", "DUoR")], "InvalidRequest"),
        (
            vec![("x-amz-checksum-crc32", "DUoRhQ==-1")],
            "InvalidRequest",
        ),
        (vec![CRC, CRC], "InvalidRequest"),
        (
            vec![CRC, ("x-amz-checksum-crc32c", "AAAAAA==")],
            "InvalidRequest",
        ),
        (
            vec![CRC, ("x-amz-trailer", "x-amz-checksum-sha1")],
            "InvalidRequest",
        ),
        (
            vec![("x-amz-trailer", "x-amz-checksum-sha1")],
            "InvalidRequest",
        ),
        (
            vec![("x-amz-sdk-checksum-algorithm", "CRC32")],
            "InvalidRequest",
        ),
        (
            vec![CRC, ("x-amz-sdk-checksum-algorithm", "SHA1")],
            "InvalidRequest",
        ),
        (
            vec![CRC, ("x-amz-sdk-checksum-algorithm", "x")],
            "InvalidRequest",
        ),
    ] {
        let error = check(&headers, b"another").unwrap_err();
        assert_eq!(error.code(), code, "{headers:?}");
    }
    check(&[CRC, ("x-amz-sdk-checksum-algorithm", "CRC32")], body).unwrap();
}

#[test]
fn further_checksums_and_the_payloads_digest_are_computed() {
    let body = b"hello world";
    let mut digests = Digests::expected(&map(&[CRC])).unwrap();
    assert_eq!(digests.algorithm(), Some(Algorithm::Crc32));
    digests.also(Algorithm::Crc64Nvme);
    digests.also(Algorithm::Crc32);
    let sha256 = of(Algorithm::Sha256, body).digest;
    digests.payload(sha256.try_into().unwrap());
    digests.update(body);
    let values = digests.finish(&Trailers::default()).unwrap();
    assert_eq!(
        values,
        [of(Algorithm::Crc32, body), of(Algorithm::Crc64Nvme, body)]
    );
    let mut digests = Digests::expected(&HeaderMap::new()).unwrap();
    assert!(!digests.any());
    digests.payload([0; 32]);
    let error = digests.finish(&Trailers::default()).unwrap_err();
    assert_eq!(error.code(), "XAmzContentSHA256Mismatch");
}

#[test]
fn uploads_name_algorithms_and_types_that_go_together() {
    let of = |headers: &[(&'static str, &str)]| of_upload(&map(headers));
    assert_eq!(of(&[]).unwrap(), None);
    for (algorithm, kind) in [
        (Algorithm::Crc32, Type::Composite),
        (Algorithm::Crc32c, Type::Composite),
        (Algorithm::Crc64Nvme, Type::FullObject),
        (Algorithm::Sha1, Type::Composite),
        (Algorithm::Sha256, Type::Composite),
    ] {
        let upload = of(&[(NAME, algorithm.name())]).unwrap();
        assert_eq!(upload, Some((algorithm, kind)));
    }
    let full = of(&[(NAME, "CRC32"), (TYPE, "FULL_OBJECT")]).unwrap();
    assert_eq!(full, Some((Algorithm::Crc32, Type::FullObject)));
    for headers in [
        vec![(NAME, "MD5")],
        vec![(TYPE, "COMPOSITE")],
        vec![(NAME, "CRC32"), (TYPE, "HALF_OBJECT")],
        vec![(NAME, "SHA1"), (TYPE, "FULL_OBJECT")],
        vec![(NAME, "CRC64NVME"), (TYPE, "COMPOSITE")],
    ] {
        assert_eq!(
            of(&headers).unwrap_err().code(),
            "InvalidRequest",
            "{headers:?}"
        );
    }
}

#[test]
fn composites_are_of_the_parts_digests() {
    let parts = [b"hello".as_slice(), b" world"];
    let values = parts.map(|part| (part.len() as u64, of(Algorithm::Sha256, part)));
    let whole = combine(Algorithm::Sha256, Type::Composite, &values).unwrap();
    let joined = [values[0].1.digest.as_slice(), &values[1].1.digest].concat();
    let expected = format!("{}-2", of(Algorithm::Sha256, &joined).text());
    assert_eq!(whole.text(), expected);
    assert_eq!(combine(Algorithm::Sha256, Type::FullObject, &values), None);
    assert_eq!(combine(Algorithm::Sha1, Type::Composite, &values), None);
    assert_eq!(combine(Algorithm::Sha256, Type::Composite, &[]), None);
}

proptest! {
    #[test]
    fn crcs_of_parts_combine_to_that_of_the_whole(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
    ) {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let values: Vec<_> = parts
                .iter()
                .map(|part| (part.len() as u64, of(algorithm, part)))
                .collect();
            let whole = combine(algorithm, Type::FullObject, &values);
            prop_assert_eq!(whole, Some(of(algorithm, &parts.concat())));
        }
    }

    #[test]
    fn hostile_values_never_panic(text in "[ -~]{0,60}") {
        for algorithm in Algorithm::ALL {
            if let Some(value) = Value::parse(algorithm, &text) {
                prop_assert_eq!(Value::parse(algorithm, &value.text()), Some(value));
            }
        }
    }
}
