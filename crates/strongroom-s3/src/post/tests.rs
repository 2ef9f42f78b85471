//! Forms and their policies, right and wrong, in pieces of any size.

use super::*;
use crate::sigv4::time_text;
use crate::testing::{ID, REGION, THEN, credential, find};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use strongroom_core::UnixMillis;

const CONTENT_TYPE: &[u8] = b"multipart/form-data; boundary=\"ab c\"";

fn part(name: &str, value: &str) -> String {
    format!("--ab c\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, value: &str) -> String {
    format!(
        "--ab c \r\ncontent-disposition:form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: text/plain\r\n\r\n{value}\r\n--ab c--\r\n"
    )
}

/// Fields and file of a form that comes in pieces.
fn read(pieces: &[&[u8]]) -> Result<(Fields, Vec<u8>), S3Error> {
    let mut reader = Reader::new(CONTENT_TYPE).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    let fields = reader.fields().cloned().unwrap_or_default();
    reader.finish()?;
    Ok((fields, out.concat()))
}

#[test]
fn fields_and_file_are_read() {
    let body = [
        part("Key", "user/${filename}"),
        part("Content-Type", "text/pl\u{e4}in"),
        part("empty", ""),
        file("C:\\dir\\a\\\"b.txt", "va\r\n--ab\rlue\r\n"),
    ];
    let (fields, value) = read(&[body.concat().as_bytes()]).unwrap();
    assert_eq!(value, b"va\r\n--ab\rlue\r\n");
    assert_eq!(fields.file_name(), "a\"b.txt");
    assert_eq!(fields.key().unwrap(), "user/a\"b.txt");
    let expected = [
        ("key", "user/${filename}"),
        ("content-type", "text/pl\u{e4}in"),
        ("empty", ""),
    ];
    assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
    let (_, value) = read(&[file("", "").as_bytes(), b"what follows counts not"]).unwrap();
    assert!(value.is_empty());
}

#[test]
fn what_follows_the_file_is_bounded() {
    let mut reader = Reader::new(CONTENT_TYPE).unwrap();
    let mut out = Vec::new();
    reader.push(file("", "value").into(), &mut out).unwrap();
    let more = Bytes::from(vec![b'x'; 1024]);
    let pushed = (0..1000).take_while(|_| reader.push(more.clone(), &mut out).is_ok());
    assert_eq!(pushed.count() * 1024, FIELDS_BYTES_MAX);
    assert_eq!(reader.finish().unwrap_err().code(), "MalformedPOSTRequest");
}

#[test]
fn the_fields_are_known_before_the_files_end() {
    let mut reader = Reader::new(CONTENT_TYPE).unwrap();
    let mut out = Vec::new();
    let body = [part("key", "k"), file("f", "value")].concat();
    let (start, rest) = body.split_at(body.find("value").unwrap());
    reader
        .push(Bytes::from(start.to_owned()), &mut out)
        .unwrap();
    assert_eq!(reader.fields().unwrap().get("key"), Some("k"));
    assert!(out.is_empty());
    reader.push(Bytes::from(rest.to_owned()), &mut out).unwrap();
    assert_eq!(out.concat(), b"value");
    reader.finish().unwrap();
}

#[test]
fn what_is_no_form_has_its_code() {
    let long = part("a", &"x".repeat(FIELDS_BYTES_MAX));
    let twice = [part("a", "1"), part("A", "2"), file("f", "v")].concat();
    let cut = file("f", "value");
    for (body, code) in [
        ("", "MalformedPOSTRequest"),
        ("--ab c--\r\n", "InvalidArgument"),
        (part("key", "k").as_str(), "MalformedPOSTRequest"),
        (
            [part("key", "k").as_str(), "--ab c--"].concat().as_str(),
            "InvalidArgument",
        ),
        (&cut[..cut.len() - 10], "MalformedPOSTRequest"),
        (&cut[..cut.len() - 4], "MalformedPOSTRequest"),
        (
            cut.replace("--ab c--", "--ab cd-").as_str(),
            "MalformedPOSTRequest",
        ),
        (
            cut.replace("name=", "nome=").as_str(),
            "MalformedPOSTRequest",
        ),
        (
            cut.replace("form-data", "mixed").as_str(),
            "MalformedPOSTRequest",
        ),
        ("--ab cx\r\na: b\r\n\r\n", "MalformedPOSTRequest"),
        ("--ab c\r\n\r\n\r\n", "MalformedPOSTRequest"),
        (long.as_str(), "MaxPostPreDataLengthExceeded"),
        (twice.as_str(), "InvalidArgument"),
    ] {
        let error = read(&[body.as_bytes()]).unwrap_err();
        assert_eq!(error.code(), code, "{body}");
    }
    for kind in [
        "",
        "text/plain; boundary=a",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\u{e4}",
    ] {
        let error = Reader::new(kind.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "PreconditionFailed", "{kind}");
    }
    let none = Fields::default().key().unwrap_err();
    assert_eq!(none.code(), "InvalidArgument");
}

proptest! {
    #[test]
    fn where_the_form_is_split_makes_no_difference(
        key in "[a-z\r\n-]{0,8}",
        value in "[ab \r\n-]{0,60}",
        junk in prop::collection::vec(any::<u8>(), 0..80),
        wild: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let form = [part("key", &key), file("f", &value)].concat().into_bytes();
        let body = if wild { junk } else { form };
        let whole = read(&[&body]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(body.len());
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        let bytes: Vec<_> = body.chunks(1).collect();
        prop_assert_eq!(&read(&pieces), &whole);
        prop_assert_eq!(&read(&bytes), &whole);
        if !wild && !value.contains("\r\n--ab c") {
            prop_assert_eq!(whole.unwrap().1, value.into_bytes());
        }
    }
}

/// AWS, *Example: browser-based upload using HTTP POST*.
#[test]
fn aws_example_of_a_policy_signature_is_right() {
    let policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6\
IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXN\
lci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOi\
AiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgI\
CBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQz\
NjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGF\
ydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE\
5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogI\
kFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
    let fields = fields(&[
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        (
            "success_action_redirect",
            "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        ),
        ("content-type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        (
            "x-amz-credential",
            &format!("{ID}/20151229/us-east-1/s3/aws4_request"),
        ),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-date", "20151229T000000Z"),
        ("x-amz-meta-tag", ""),
        ("policy", policy),
        (
            "x-amz-signature",
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
        ),
    ]);
    let then = UnixMillis(1_451_347_200_000);
    let accepted = verify(REGION, &find, "sigv4examplebucket", &fields, then).unwrap();
    assert_eq!(accepted.access_key_id, ID);
    assert_eq!((accepted.length_min, accepted.length_max), (0, u64::MAX));
    let error = verify(REGION, &find, "another", &fields, then).unwrap_err();
    assert_eq!(error.code(), "AccessDenied");
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let pairs = pairs.iter();
    Fields {
        fields: pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        file_name: "photo.jpg".into(),
    }
}

/// A form for bucket `b`, with a policy of these conditions and the usual ones.
fn signed(conditions: &str, more: &[(&str, &str)]) -> Fields {
    let credential_text = format!("{ID}/20130524/{REGION}/s3/aws4_request");
    let date = time_text(THEN);
    let policy = format!(
        "{{\"expiration\":\"2013-05-24T01:00:00Z\",\"conditions\":[{conditions}{{\"bucket\":\"b\"}},\
         {{\"x-amz-credential\":\"{credential_text}\"}},{{\"x-amz-date\":\"{date}\"}},\
         {{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}}]}}"
    );
    sign(&policy, more)
}

fn sign(policy: &str, more: &[(&str, &str)]) -> Fields {
    let credential_text = format!("{ID}/20130524/{REGION}/s3/aws4_request");
    let policy = BASE64_STANDARD.encode(policy);
    let signature = credential()
        .signer
        .day_key(THEN)
        .sign_text(policy.as_bytes());
    let date = time_text(THEN);
    let pairs = [
        ("x-amz-credential", credential_text.as_str()),
        ("x-amz-date", &date),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-signature", std::str::from_utf8(&signature).unwrap()),
        ("policy", &policy),
    ];
    fields(&[&pairs, more].concat())
}

fn check(fields: &Fields) -> Result<Accepted, S3Error> {
    verify(REGION, &find, "b", fields, THEN)
}

const KEY: (&str, &str) = ("key", "user/${filename}");

#[test]
fn conditions_are_checked() {
    let starts = "[\"starts-with\",\"$Key\",\"user/photo\"],";
    let range = format!("{starts}[\"content-length-range\",\"5\",10],");
    let accepted = check(&signed(&range, &[KEY])).unwrap();
    assert_eq!((accepted.length_min, accepted.length_max), (5, 10));
    let both = format!("{range}[\"content-length-range\",0,8],");
    let accepted = check(&signed(&both, &[KEY])).unwrap();
    assert_eq!((accepted.length_min, accepted.length_max), (5, 8));
    check(&signed(
        starts,
        &[KEY, ("x-ignore-me", "1"), ("bucket", "b")],
    ))
    .unwrap();
    let exact = "[\"eq\",\"$key\",\"user/photo.jpg\"],{\"ACL\":\"private\"},";
    check(&signed(exact, &[KEY, ("acl", "private")])).unwrap();

    let denied = |conditions: &str, more: &[(&str, &str)], part: &str| {
        let error = check(&signed(conditions, more)).unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (403, "AccessDenied")
        );
        assert!(error.message().contains(part), "{error}");
    };
    denied(
        exact,
        &[KEY, ("acl", "public-read")],
        "Policy Condition failed: {\"ACL\"",
    );
    denied(exact, &[KEY], "Policy Condition failed");
    denied(
        starts,
        &[("key", "other")],
        "Policy Condition failed: [\"starts-with\"",
    );
    denied(
        starts,
        &[KEY, ("acl", "private")],
        "Extra input fields: acl",
    );
    denied("", &[KEY], "Extra input fields: key");
    denied(
        starts,
        &[KEY, ("bucket", "c")],
        "Invalid according to Policy",
    );
}

#[test]
fn customer_keys_are_not_shown() {
    const NAME: &str = "x-amz-server-side-encryption-customer-key";
    let form = signed(
        &format!("{{\"{NAME}\":\"c2VjcmV0\"}},"),
        &[(NAME, "b3RoZXI=")],
    );
    let error = check(&form).unwrap_err();
    let xml = error.xml("id");
    assert!(xml.contains(NAME) && !xml.contains("c2VjcmV0") && !xml.contains("b3RoZXI="));
    assert!(!format!("{form:?}").contains("b3RoZXI="));
}

#[test]
fn policies_that_are_none_are_400() {
    let conditions = |inner: &str| {
        format!("{{\"expiration\":\"2013-05-24T01:00:00Z\",\"conditions\":[{inner}]}}")
    };
    for policy in [
        String::new(),
        "[]".into(),
        "{}".into(),
        "{\"expiration\":\"2013-05-24T01:00:00Z\"}".into(),
        "{\"expiration\":\"2013-05-24T01:00:00Z\",\"CONDITIONS\":[]}".into(),
        "{\"expiration\":\"soon\",\"conditions\":[]}".into(),
        conditions("1"),
        conditions("{}"),
        conditions("{\"acl\":1}"),
        conditions("[\"eq\",\"key\",\"x\"]"),
        conditions("[\"eq\",\"$key\"]"),
        conditions("[\"ends-with\",\"$key\",\"\"]"),
        conditions("[\"content-length-range\",0]"),
        conditions("[\"content-length-range\",-1,5]"),
        conditions("[\"content-length-range\",\"a\",5]"),
        "[".repeat(10_000),
    ] {
        let error = check(&sign(&policy, &[KEY])).unwrap_err();
        assert_eq!(error.code(), "InvalidPolicyDocument", "{policy}");
    }
}

#[test]
fn policies_expire() {
    let form = signed("{\"key\":\"k\"},", &[("key", "k")]);
    let at = |now: u64| verify(REGION, &find, "b", &form, UnixMillis(now)).map_err(|e| e.code());
    assert!(at(THEN.0 + 3_599_999).is_ok());
    assert_eq!(at(THEN.0 + 3_600_000), Err("AccessDenied"));
    assert_eq!(at(THEN.0 + 8 * 86_400_000), Err("AccessDenied"));
    assert_eq!(at(THEN.0 - 16 * 60_000), Err("AccessDenied"));
}

#[test]
fn signatures_of_policies_are_checked() {
    let good = signed("{\"key\":\"k\"},", &[("key", "k")]);
    check(&good).unwrap();
    let with = |name: &str, value: Option<&str>| {
        let mut fields = good.clone();
        fields.fields.retain(|pair| pair.0 != name);
        fields
            .fields
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
        check(&fields).unwrap_err().code()
    };
    for (name, value, code) in [
        ("x-amz-signature", Some("0"), "SignatureDoesNotMatch"),
        ("policy", Some("e30="), "SignatureDoesNotMatch"),
        ("policy", None, "AccessDenied"),
        ("x-amz-signature", None, "InvalidArgument"),
        ("x-amz-algorithm", Some("AWS4-X"), "InvalidArgument"),
        ("x-amz-date", Some("now"), "InvalidArgument"),
        ("x-amz-credential", Some("a/b"), "InvalidArgument"),
        (
            "x-amz-credential",
            Some("NOBODY/20130524/us-east-1/s3/aws4_request"),
            "InvalidAccessKeyId",
        ),
        ("awsaccesskeyid", Some(ID), "InvalidRequest"),
    ] {
        assert_eq!(with(name, value), code, "{name} {value:?}");
    }
}
