//! Signatures: AWS's examples, and what must be refused.

use super::*;
use crate::testing::{ID, NO_BYTES, Sent, THEN};
use proptest::prelude::*;

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", "20130524T000000Z");
const EMPTY: (&str, &str) = (CONTENT_SHA256, NO_BYTES);

fn authorized(mut sent: Sent, signed: &str, signature: &str) -> Sent {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={ID}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed},Signature={signature}"
    );
    sent.set("authorization", &value);
    sent
}

/// AWS, *Signature calculations for the Authorization header: transferring payload in a single
/// chunk*, all four examples.
#[test]
fn aws_examples_of_header_signatures_are_right() {
    let get = Sent::new(
        "GET",
        "/test.txt",
        &[HOST, ("range", "bytes=0-9"), EMPTY, DATE],
    );
    let get = authorized(
        get,
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    let verified = get.verify().unwrap();
    assert_eq!(verified.access_key_id, ID);
    assert!(!verified.presigned);
    assert_eq!(
        verified.bound,
        ["host", "range", "x-amz-content-sha256", "x-amz-date"]
    );
    assert!(matches!(verified.payload, Payload::Sha256(sha) if hex::encode(sha) == NO_BYTES));

    let put = Sent::new(
        "PUT",
        "/test$file.text",
        &[
            HOST,
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            (
                CONTENT_SHA256,
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
        ],
    );
    let put = authorized(
        put,
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    put.verify().unwrap();

    for (query, signature) in [
        (
            "lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let mut list = Sent::new("GET", "/", &[HOST, EMPTY, DATE]);
        list.query = query.into();
        let signed = "host;x-amz-content-sha256;x-amz-date";
        authorized(list, signed, signature).verify().unwrap();
    }
}

/// AWS, *Authenticating requests: using query parameters*.
#[test]
fn aws_example_of_a_presigned_url_is_right() {
    let mut get = Sent::new("GET", "/test.txt", &[HOST]);
    get.query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential={ID}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
    let verified = get.verify().unwrap();
    assert!(verified.presigned && matches!(verified.payload, Payload::Unsigned));
    get.now = THEN.plus(86_400_000);
    assert_eq!(get.verify().unwrap_err().code(), "AccessDenied");
}

fn plain() -> Sent {
    Sent::new("GET", "/b/k", &[HOST, EMPTY, DATE])
}

#[track_caller]
fn refused(sent: &Sent, status: u16, code: &str) -> S3Error {
    let error = sent.verify().unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (status, code),
        "{error}"
    );
    error
}

#[test]
fn what_a_signature_binds_cannot_be_changed() {
    plain().sign().verify().unwrap();
    let changes: [fn(&mut Sent); 6] = [
        |sent| sent.method = "PUT",
        |sent| sent.path = "/b/l".into(),
        |sent| sent.query = "acl".into(),
        |sent| sent.set("host", "elsewhere"),
        |sent| sent.set(CONTENT_SHA256, "UNSIGNED-PAYLOAD"),
        |sent| sent.set("x-amz-date", "20130524T000001Z"),
    ];
    for change in changes {
        let mut sent = plain().sign();
        change(&mut sent);
        let error = refused(&sent, 403, "SignatureDoesNotMatch");
        assert!(!error.xml("id").contains("Canonical"));
    }
}

#[test]
fn the_scope_is_checked_as_aws_does() {
    let scope = |from: &str, to: &str| {
        let mut sent = plain().sign();
        let value = sent.headers["authorization"].to_str().unwrap();
        let value = value.replacen(from, to, 1);
        sent.set("authorization", &value);
        sent
    };
    let malformed = "AuthorizationHeaderMalformed";
    let error = refused(&scope("us-east-1", "eu-west-1"), 400, malformed);
    assert!(
        error
            .message()
            .ends_with("the region 'eu-west-1' is wrong; expecting 'us-east-1'")
    );
    assert!(error.xml("id").contains("<Region>us-east-1</Region>"));
    refused(&scope("20130524", "20130523"), 400, malformed);
    refused(&scope("/s3/", "/iam/"), 400, malformed);
    refused(&scope("aws4_request", "aws5_request"), 400, malformed);
    refused(&scope("/20130524/", "/"), 400, malformed);
    refused(&scope(ID, "NOBODY"), 403, "InvalidAccessKeyId");
    refused(
        &scope("Signature=", "Signature=0"),
        403,
        "SignatureDoesNotMatch",
    );
    for (from, to) in [
        ("Credential=", "Other="),
        (", Signature=", ";Signature="),
        ("SignedHeaders=", "SignedHeaders"),
        ("Signature=", "Signature=x, Signature="),
    ] {
        refused(&scope(from, to), 400, malformed);
    }
    refused(
        &scope("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
        400,
        "InvalidArgument",
    );
    refused(
        &scope("AWS4-HMAC-SHA256 ", "Bearer "),
        400,
        "InvalidArgument",
    );
    refused(&scope("AWS4-HMAC-SHA256 ", "AWS "), 400, "InvalidRequest");
    refused(
        &scope("HMAC-SHA256 ", "ECDSA-P256-SHA256 "),
        501,
        "NotImplemented",
    );
}

#[test]
fn clocks_may_differ_by_15_minutes() {
    let mut sent = plain().sign();
    for (now, fits) in [
        (THEN.0 + SKEW_MS_MAX, true),
        (THEN.0 - SKEW_MS_MAX, true),
        (THEN.0 + SKEW_MS_MAX + 1, false),
        (THEN.0 - SKEW_MS_MAX - 1, false),
    ] {
        sent.now = UnixMillis(now);
        if fits {
            sent.verify().unwrap();
        } else {
            let error = refused(&sent, 403, "RequestTimeTooSkewed");
            let part = "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>";
            assert!(error.xml("id").contains(part));
        }
    }
}

#[test]
fn the_date_header_counts_where_there_is_no_x_amz_date() {
    for date in ["Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"] {
        let sent = Sent::new("GET", "/b/k", &[HOST, EMPTY, ("date", date)]);
        sent.sign().verify().unwrap();
    }
    for headers in [
        vec![HOST, EMPTY],
        vec![HOST, EMPTY, ("date", "yesterday")],
        vec![HOST, EMPTY, ("x-amz-date", "Fri, 24 May 2013 00:00:00 GMT")],
    ] {
        let sent = Sent::new("GET", "/b/k", &headers).sign();
        refused(&sent, 403, "AccessDenied");
    }
}

#[test]
fn headers_that_carry_meaning_must_be_signed() {
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-copy-source", "/b/other"),
        ("content-md5", "x"),
        ("content-type", "text/html"),
    ] {
        let mut sent = plain().sign();
        sent.set(name, value);
        let error = refused(&sent, 403, "AccessDenied");
        let part = format!("<HeadersNotSigned>{name}</HeadersNotSigned>");
        assert!(error.xml("id").contains(&part), "{name}");
        let mut sent = plain();
        sent.set(name, value);
        sent.sign().verify().unwrap();
    }
    let sent = plain().sign_but(&["host", "x-amz-date"]);
    let error = refused(&sent, 403, "AccessDenied");
    assert!(error.xml("id").contains(">host, x-amz-date<"));
    let mut sent = plain().sign();
    sent.set("accept", "*/*");
    sent.verify().unwrap();
}

#[test]
fn the_payload_must_be_described() {
    refused(
        &Sent::new("GET", "/b/k", &[HOST, DATE]).sign(),
        400,
        "InvalidRequest",
    );
    let with = |content: &str| {
        let mut sent = plain();
        sent.set(CONTENT_SHA256, content);
        sent
    };
    assert!(matches!(
        with("UNSIGNED-PAYLOAD").sign().verify().unwrap().payload,
        Payload::Unsigned
    ));
    for bad in [
        "",
        "abc",
        "STREAMING-AWS4-HMAC-SHA512-PAYLOAD",
        &NO_BYTES[1..],
    ] {
        refused(&with(bad).sign(), 400, "InvalidArgument");
    }
    let ecdsa = with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").sign();
    refused(&ecdsa, 501, "NotImplemented");
    let streaming = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    refused(&with(streaming).sign(), 411, "MissingContentLength");
    for (name, value, code) in [
        ("x-amz-decoded-content-length", "-1", "InvalidArgument"),
        ("x-amz-decoded-content-length", "", "InvalidArgument"),
        ("x-amz-trailer", "x-amz-meta-a", "InvalidRequest"),
        ("x-amz-trailer", "", "InvalidRequest"),
    ] {
        let mut sent = with(streaming);
        sent.set("x-amz-decoded-content-length", "5");
        sent.set(name, value);
        refused(&sent.sign(), 400, code);
    }
    let mut sent = with("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    sent.set("x-amz-decoded-content-length", "5");
    sent.set("x-amz-trailer", "x-amz-checksum-crc32");
    refused(&sent.sign(), 400, "InvalidRequest");
}

#[test]
fn there_is_one_way_to_sign_at_a_time() {
    refused(&plain(), 403, "AccessDenied");
    let mut both = plain().sign();
    both.query = "X-Amz-Signature=x".into();
    refused(&both, 400, "InvalidArgument");
    let mut twice = plain().sign();
    let again = twice.headers["authorization"].clone();
    twice.headers.append("authorization", again);
    refused(&twice, 400, "InvalidArgument");
    let mut old = plain();
    old.query = "AWSAccessKeyId=x".into();
    refused(&old, 400, "InvalidRequest");
}

#[test]
fn values_are_trimmed_and_their_blanks_collapsed() {
    let mut sent = plain();
    sent.set("x-amz-meta-a", "b c");
    let mut sent = sent.sign();
    sent.set("x-amz-meta-a", "  b   c ");
    sent.verify().unwrap();
}

proptest! {
    #[test]
    fn hostile_authorizations_never_panic_and_never_pass(
        text in "(AWS4-HMAC-SHA256 )?[ -~]{0,200}",
        date in "[ -~]{0,20}",
    ) {
        let mut sent = plain();
        sent.set("authorization", &text);
        prop_assert!(sent.verify().is_err());
        sent.set("x-amz-date", &date);
        prop_assert!(sent.verify().is_err());
    }

    #[test]
    fn any_altered_byte_of_a_signature_is_refused(at in 0usize..64, digit in "[0-9a-f]") {
        let mut sent = plain().sign();
        let value = sent.headers["authorization"].to_str().unwrap().to_owned();
        let at = value.len() - 64 + at;
        let altered = format!("{}{digit}{}", &value[..at], &value[at + 1..]);
        sent.set("authorization", &altered);
        prop_assert_eq!(sent.verify().is_ok(), altered == value);
    }
}
