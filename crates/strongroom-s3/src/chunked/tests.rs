//! `aws-chunked` bodies: AWS's examples, cut anywhere, forged.

use super::*;
use crate::checksum::{Digests, Value};
use crate::testing::Sent;
use crate::verify::Payload;
use proptest::prelude::*;

const SEEDED: [(&str, &str); 5] = [
    ("host", "s3.amazonaws.com"),
    ("x-amz-date", "20130524T000000Z"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("content-encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
];

fn signing(sent: &Sent) -> Signing {
    match sent.verify().unwrap().payload {
        Payload::Chunked(signing) => signing,
        other => panic!("{other:?}"),
    }
}

/// AWS's example of a signed body in chunks of 64 KiB and 1 KiB.
fn aws_signed() -> (Sent, Vec<u8>) {
    let mut sent = Sent::new("PUT", "/examplebucket/chunkObject.txt", &SEEDED);
    sent.set("content-length", "66824");
    sent.set("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    sent.set(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class,\
         Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    let body = chunks([
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]);
    (sent, [body, b"\r\n".to_vec()].concat())
}

/// The same with a signed trailing header.
fn aws_trailing() -> (Sent, Vec<u8>) {
    let mut sent = Sent::new("PUT", "/examplebucket/chunkObject.txt", &SEEDED);
    sent.set(
        "x-amz-content-sha256",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    );
    sent.set("x-amz-trailer", "x-amz-checksum-crc32c");
    sent.set(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,\
         Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    );
    let body = chunks([
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]);
    let trailer = b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
        d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
    (sent, [body, trailer.to_vec()].concat())
}

/// 64 KiB, 1 KiB and nothing.
fn chunks(signatures: [&str; 3]) -> Vec<u8> {
    let mut body = Vec::new();
    for (bytes, signature) in [65_536, 1024, 0].into_iter().zip(signatures) {
        body.extend(format!("{bytes:x};chunk-signature={signature}\r\n").into_bytes());
        body.extend(vec![b'a'; bytes]);
        if bytes > 0 {
            body.extend(b"\r\n");
        }
    }
    body
}

fn decode(signing: Signing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Trailers), S3Error> {
    let mut decoder = Decoder::new(signing);
    let mut out = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    Ok((out.concat(), decoder.finish()?))
}

#[test]
fn aws_example_of_signed_chunks_is_right() {
    let (sent, body) = aws_signed();
    assert_eq!(body.len(), 66_824);
    let (value, trailers) = decode(signing(&sent), &[&body]).unwrap();
    assert_eq!(value, vec![b'a'; 66_560]);
    assert_eq!(trailers, Trailers::default());
}

#[test]
fn aws_example_of_a_signed_trailer_is_right() {
    let (sent, body) = aws_trailing();
    let (value, trailers) = decode(signing(&sent), &[&body]).unwrap();
    assert_eq!(trailers.get("x-amz-checksum-crc32c"), Some("sOO8/Q=="));
    let mut digests = Digests::expected(&sent.headers).unwrap();
    digests.update(&value);
    let kept = digests.finish(&trailers).unwrap();
    let texts: Vec<_> = kept.iter().map(Value::text).collect();
    assert_eq!(texts, ["sOO8/Q=="]);
}

#[test]
fn any_altered_byte_of_a_signed_body_is_refused() {
    for (sent, body) in [aws_signed(), aws_trailing()] {
        let framing = (0..90).chain(65_620..65_720).chain(66_650..body.len());
        for at in framing.chain([40_000, 66_000]) {
            let mut altered = body.clone();
            altered[at] ^= 1;
            let decoded = decode(signing(&sent), &[&altered]);
            assert!(decoded.is_err(), "byte {at}: {:?}", altered[at] as char);
        }
    }
}

#[test]
fn a_body_cut_short_or_followed_by_more_is_refused() {
    for (sent, body) in [aws_signed(), aws_trailing()] {
        for at in [
            0,
            1,
            50,
            70_000.min(body.len() - 1),
            body.len() - 1,
            body.len() - 2,
        ] {
            let error = decode(signing(&sent), &[&body[..at]]).unwrap_err();
            assert_eq!(error.code(), "IncompleteBody", "{at}");
        }
        let more = decode(signing(&sent), &[&body, b"x"]).unwrap_err();
        assert_eq!(more.code(), "IncompleteBody");
    }
}

fn unsigned(length: &str, trailer: Option<&str>) -> Signing {
    let mut sent = Sent::new("PUT", "/b/k", &SEEDED);
    sent.set("x-amz-decoded-content-length", length);
    sent.set("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    if let Some(trailer) = trailer {
        sent.set("x-amz-trailer", trailer);
    }
    signing(&sent.sign())
}

const CRC: Option<&str> = Some("x-amz-checksum-crc32");

#[test]
fn unsigned_chunks_end_with_their_trailer() {
    let body = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
    let (value, trailers) = decode(unsigned("11", CRC), &[body]).unwrap();
    assert_eq!(value, b"hello world");
    assert_eq!(trailers.get("x-amz-checksum-crc32"), Some("DUoRhQ=="));
    let (value, _) = decode(unsigned("0", None), &[b"0\r\n\r\n"]).unwrap();
    assert!(value.is_empty());
}

#[test]
fn bad_framing_has_its_code() {
    let long = format!("1;{}\r\n", "x".repeat(LINE_BYTES_MAX));
    for (body, code) in [
        ("", "IncompleteBody"),
        ("x\r\n", "IncompleteBody"),
        ("\r\n", "IncompleteBody"),
        ("-1\r\n", "IncompleteBody"),
        ("+5\r\nhello\r\n", "IncompleteBody"),
        ("5\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        ("5\r\nhelloworld", "IncompleteBody"),
        ("6\r\nhello!\r\n0\r\n\r\n", "IncompleteBody"),
        (
            "4\r\nhell\r\n0\r\nx-amz-checksum-crc32:a\r\n\r\n",
            "IncompleteBody",
        ),
        ("ffffffffffffffff\r\n", "IncompleteBody"),
        ("10000000000000000\r\n", "IncompleteBody"),
        (long.as_str(), "IncompleteBody"),
        ("5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"),
        (
            "5\r\nhello\r\n0\r\nx-amz-checksum-sha1:a\r\n\r\n",
            "MalformedTrailerError",
        ),
        (
            "5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
            "MalformedTrailerError",
        ),
        (
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:a\r\nx-amz-checksum-crc32:b\r\n\r\n",
            "MalformedTrailerError",
        ),
        (
            "5\r\nhello\r\n0\r\nx-amz-trailer-signature:a\r\n\r\n",
            "MalformedTrailerError",
        ),
    ] {
        let error = decode(unsigned("5", CRC), &[body.as_bytes()]).unwrap_err();
        assert_eq!(error.code(), code, "{body}");
    }
    let endless = format!("5\r\nhello\r\n0\r\n{}", "x".repeat(LINE_BYTES_MAX + 1));
    let error = decode(unsigned("5", CRC), &[endless.as_bytes()]).unwrap_err();
    assert_eq!(error.code(), "MalformedTrailerError");
}

#[test]
fn a_signed_body_needs_a_signature_on_each_chunk_and_small_ones() {
    let (sent, body) = aws_signed();
    let text = String::from_utf8(body).unwrap();
    let bare = text.replacen(
        ";chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "",
        1,
    );
    let error = decode(signing(&sent), &[bare.as_bytes()]).unwrap_err();
    assert_eq!(error.code(), "IncompleteBody");
    let mut large = Sent::new("PUT", "/b/k", &SEEDED);
    large.set("x-amz-decoded-content-length", "99999999999");
    large.set("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let line = b"1000001;chunk-signature=00\r\n";
    let error = decode(signing(&large.sign()), &[line]).unwrap_err();
    assert_eq!(error.code(), "InvalidChunkSizeError");
}

#[test]
fn nothing_is_taken_after_an_error() {
    let mut decoder = Decoder::new(unsigned("5", None));
    let mut out = Vec::new();
    assert!(
        decoder
            .push(Bytes::from_static(b"x\r\n"), &mut out)
            .is_err()
    );
    assert!(
        decoder
            .push(Bytes::from_static(b"5\r\nhello\r\n0\r\n\r\n"), &mut out)
            .is_err()
    );
    assert!(out.is_empty() && decoder.finish().is_err());
}

proptest! {
    #[test]
    fn where_the_body_is_split_makes_no_difference(
        body in prop_oneof![
            Just(b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n".to_vec()),
            "[0-9a-f]{1,2}\r\n[a-z\r\n0]{0,30}0\r\n[a-z0-9:\r\n-]{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..60),
        ],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = decode(unsigned("11", CRC), &[&body]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(body.len());
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        prop_assert_eq!(decode(unsigned("11", CRC), &pieces), whole);
    }
}
