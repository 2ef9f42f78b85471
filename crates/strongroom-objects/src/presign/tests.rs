//! URLs compared with another implementation's.

use super::*;
use proptest::prelude::*;
use rusty_s3::actions::S3Action;
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::time::Duration;

fn presigner(public_url: &str, bucket: &str, region: &str, secret: &str) -> Presigner {
    Presigner::new(
        public_url,
        bucket.into(),
        region.into(),
        "AKIDEXAMPLE".into(),
        SigningSecret::new(secret.into()),
    )
    .unwrap()
}

/// What rusty-s3 makes of the same request.
struct Oracle {
    bucket: Bucket,
    credentials: Credentials,
    object: String,
    life: Duration,
    secs: i64,
}

impl Oracle {
    fn url<'a, A: S3Action<'a>>(
        &self,
        mut action: A,
        headers: &[(&'static str, String)],
    ) -> String {
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            action.headers_mut().insert(*name, value.clone());
        }
        let at = jiff_at(self.secs);
        action.sign_with_time(self.life, &at).to_string()
    }
}

fn jiff_at(secs: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(secs).unwrap()
}

fn arb_host() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("http://127.0.0.1:9000".to_owned()),
        Just("https://[::1]:9443".to_owned()),
        Just("http://localhost:80".to_owned()),
        Just("https://vault.example:443/".to_owned()),
        "https://[a-z]{1,12}\\.example(:[1-9][0-9]{3})?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn urls_are_byte_identical_to_rusty_s3(
        public_url in arb_host(),
        bucket in "[a-z0-9][a-z0-9-]{1,30}[a-z0-9]",
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        secret in "[A-Za-z0-9/+]{1,60}",
        secs in 0i64..4_102_444_800,
        millis in 0u64..1000,
        life_s in 1u32..=604_800,
        object: [u8; 32],
        key: [u8; 32],
        length in prop::option::of(0u64..=5 << 30),
    ) {
        let ours = presigner(&public_url, &bucket, &region, &secret);
        let (object, key) = (ObjectId(object), DataKey::init_with(|bytes| *bytes = key));
        let now = UnixMillis(u64::try_from(secs).unwrap() * 1000 + millis);
        let oracle = Oracle {
            bucket: Bucket::new(public_url.parse().unwrap(), UrlStyle::Path, bucket, region).unwrap(),
            credentials: Credentials::new("AKIDEXAMPLE", secret),
            object: object.to_string(),
            life: Duration::from_secs(u64::from(life_s)),
            secs,
        };

        let put = ours.put(&object, &key, now, life_s, length);
        let mut headers = put.headers.clone();
        headers.extend(length.map(|length| ("content-length", length.to_string())));
        let action = rusty_s3::actions::PutObject::new(
            &oracle.bucket, Some(&oracle.credentials), &oracle.object);
        prop_assert_eq!(&put.url, &oracle.url(action, &headers));

        let get = ours.get(&object, &key, now, life_s);
        let mut action = rusty_s3::actions::GetObject::new(
            &oracle.bucket, Some(&oracle.credentials), &oracle.object);
        action.query_mut().insert("response-cache-control", "no-store");
        prop_assert_eq!(&get.url, &oracle.url(action, &get.headers));
        prop_assert!(put.url.len() <= URL_BYTES + public_url.len() + 30 + 11);
    }
}

#[test]
fn the_headers_are_those_a_client_must_send() {
    let ours = presigner("http://localhost:9000", "vault", "us-east-1", "secret");
    let key = DataKey::init_with(|bytes| bytes.fill(0));
    let put = ours.put(&ObjectId([1; 32]), &key, UnixMillis(0), 900, Some(5));
    let expected = [
        ("host", "localhost:9000"),
        ("if-none-match", "*"),
        (SSE_C_ALGORITHM, "AES256"),
        (SSE_C_KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        (SSE_C_KEY_MD5, "cLyPS3KoaSFGi/joRB3OUQ=="),
    ];
    let headers: Vec<_> = put
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(headers, expected);
    assert_eq!(format!("{put:?}"), "Presigned([REDACTED])");
}

#[test]
fn names_that_would_need_escaping_are_refused() {
    let new = |url: &str, bucket: &str, region: &str, id: &str| {
        let secret = SigningSecret::new("secret".into());
        Presigner::new(url, bucket.into(), region.into(), id.into(), secret).map(|_| ())
    };
    assert!(new("http://localhost", "vault", "us-east-1", "AKID").is_ok());
    for (url, bucket, region, id) in [
        ("localhost", "vault", "us-east-1", "AKID"),
        ("ftp://localhost", "vault", "us-east-1", "AKID"),
        ("http://localhost/path", "vault", "us-east-1", "AKID"),
        ("http://user@localhost", "vault", "us-east-1", "AKID"),
        ("http://Localhost", "vault", "us-east-1", "AKID"),
        ("http://", "vault", "us-east-1", "AKID"),
        ("http://localhost", "va", "us-east-1", "AKID"),
        ("http://localhost", "va/ult", "us-east-1", "AKID"),
        ("http://localhost", "vault", "", "AKID"),
        ("http://localhost", "vault", "us-east-1", "AK/ID"),
    ] {
        assert!(
            matches!(new(url, bucket, region, id), Err(Error::Config(_))),
            "{url} {bucket}"
        );
    }
}
