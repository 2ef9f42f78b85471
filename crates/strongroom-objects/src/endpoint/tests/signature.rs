//! Signature and expiry, and what a URL's holder cannot change.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

async fn get_url(world: &World, change: impl Fn(String) -> String) -> Answer {
    let mut signed = world.presign_get(1);
    signed.url = change(signed.url);
    world.send(Method::GET, &signed, "").await
}

#[tokio::test]
async fn sig_tampered_otherkey_expires_altered_and_extraquery_are_403() {
    let world = world();
    world.put("value").await;
    let flip = |text: String| {
        let last = if text.ends_with('0') { '1' } else { '0' };
        format!("{}{last}", &text[..text.len() - 1])
    };
    get_url(&world, flip).await.is(403, "SignatureDoesNotMatch");
    let changes: [fn(String) -> String; 7] = [
        |url| url.replace("/vault/abab", "/vault/abac"),
        |url| url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
        |url| url + "&extra=1",
        |url| url.replace("no-store", "public"),
        |url| url.replace("&response-cache-control=no-store", ""),
        |url| url[..url.len() - 1].to_owned(),
        |url| url.replace("T080000Z", "T080001Z"),
    ];
    for change in changes {
        get_url(&world, change)
            .await
            .is(403, "SignatureDoesNotMatch");
    }
}

#[tokio::test]
async fn sig_othermethod_is_403() {
    let world = world();
    for method in [Method::PUT, Method::HEAD, Method::DELETE, Method::POST] {
        let request = request(method.clone(), &world.presign_get(1)).header("content-length", 0);
        let answer = world.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 403, "{method}");
    }
    world
        .send(Method::GET, &world.presign_put(1), "")
        .await
        .is(403, "SignatureDoesNotMatch");
    assert!(!world.is_stored().await);
}

#[tokio::test]
async fn get_signed_otherkey_is_403() {
    let world = world();
    world.put("value").await;
    let mut signed = world.presign_get(1);
    signed.headers.retain(|(name, _)| *name == "host");
    signed.headers.extend(sse_c(2));
    world
        .send(Method::GET, &signed, "")
        .await
        .is(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn put_signed_missing_is_403() {
    let world = world();
    let mut signed = world.presign_put(1);
    signed
        .headers
        .retain(|(name, _)| *name == "host" || *name == "if-none-match");
    world
        .send(Method::PUT, &signed, "")
        .await
        .is(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn get_and_put_unsignedhdrs_and_sig_extrahdr_are_403_headers_not_signed() {
    let world = world();
    for (mut signed, method) in [
        (forge(Method::GET).sign(), Method::GET),
        (Forge::put().sign(), Method::PUT),
    ] {
        signed.headers.extend(sse_c(1));
        let answer = world.send(method, &signed, "").await;
        let text = answer.is(403, "AccessDenied").text();
        assert!(
            text.contains(&format!("<HeadersNotSigned>{SSE_C_ALGORITHM}, ")),
            "{text}"
        );
    }
    for name in [
        "x-amz-meta-a",
        "x-amz-acl",
        "x-amz-copy-source",
        "x-amz-nonsense",
    ] {
        let request = request(Method::PUT, &world.presign_put(1)).header(name, "x");
        let answer = world.raw(request.body(Body::empty()).unwrap()).await;
        let text = answer.is(403, "AccessDenied").text();
        assert!(
            text.contains(&format!("<HeadersNotSigned>{name}<")),
            "{text}"
        );
    }
    let hostless = forge(Method::GET).without("host").sse_c(1).sign();
    world
        .send(Method::GET, &hostless, "")
        .await
        .is(403, "AccessDenied");
}

#[tokio::test]
async fn get_signed_partial_is_403_as_every_amz_header_must_be_signed() {
    let world = world();
    world.put("value").await;
    let [algorithm, key, md5] = <[_; 3]>::try_from(sse_c(1)).unwrap();
    let mut signed = forge(Method::GET)
        .header(algorithm.0, &algorithm.1)
        .header(md5.0, &md5.1)
        .sign();
    signed.headers.push(key);
    world
        .send(Method::GET, &signed, "")
        .await
        .is(403, "AccessDenied");
}

#[tokio::test]
async fn put_signedlen_binds_the_length() {
    let world = world();
    let signed = world
        .store
        .presign_put(&OBJECT, &key(1), START, 900, Some(10));
    let bad = request(Method::PUT, &signed).header("content-length", 13);
    let bad = bad.body("0123456789abc".into()).unwrap();
    world.raw(bad).await.is(403, "SignatureDoesNotMatch");
    let chunked = request(Method::PUT, &signed).header("transfer-encoding", "chunked");
    let chunked = chunked.body("0123456789".into()).unwrap();
    world.raw(chunked).await.is(403, "SignatureDoesNotMatch");
    let good = request(Method::PUT, &signed).header("content-length", 10);
    assert_eq!(
        world
            .raw(good.body("0123456789".into()).unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn sig_expired_is_403_from_the_very_millisecond() {
    let world = world();
    world.put("value").await;
    world.clock.0.store(START.0 + 59_999, Ordering::Relaxed);
    assert_eq!(world.get().await.status, 200);
    world.clock.0.store(START.0 + 60_000, Ordering::Relaxed);
    let answer = world.get().await;
    let text = answer.is(403, "AccessDenied").text();
    for part in [
        "Request has expired",
        "<X-Amz-Expires>60</X-Amz-Expires>",
        "<Expires>2027-01-15T08:01:00Z</Expires>",
        "<ServerTime>2027-01-15T08:01:00Z</ServerTime>",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
}

#[tokio::test]
async fn a_url_from_the_future_is_403_after_15_minutes() {
    let world = world();
    world.put("value").await;
    world
        .clock
        .0
        .store(START.0 - 15 * 60_000, Ordering::Relaxed);
    assert_eq!(world.get().await.status, 200);
    world
        .clock
        .0
        .store(START.0 - 15 * 60_000 - 1, Ordering::Relaxed);
    assert!(
        world
            .get()
            .await
            .is(403, "AccessDenied")
            .text()
            .contains("not yet valid")
    );
}

#[tokio::test]
async fn a_url_is_good_on_the_day_after_it_was_signed() {
    let world = world();
    world.put("value").await;
    let signed = world.store.presign_get(&OBJECT, &key(1), START, 604_800);
    world
        .clock
        .0
        .store(START.0 + 604_799_000, Ordering::Relaxed);
    // A newer day's key is in use in between.
    world
        .store
        .presign_get(&OBJECT, &key(1), world.clock.now(), 60);
    assert_eq!(world.send(Method::GET, &signed, "").await.text(), "value");
}

#[tokio::test]
async fn sig_expires_max_neg_zero_and_nonsense() {
    let world = world();
    for expires in ["604801", "-1", "x", "", "99999999999999999999", "+5"] {
        let signed = forge(Method::GET)
            .sse_c(1)
            .query("X-Amz-Expires", expires)
            .sign();
        let answer = world.send(Method::GET, &signed, "").await;
        answer.is(400, "AuthorizationQueryParametersError");
    }
    let zero = forge(Method::GET)
        .sse_c(1)
        .query("X-Amz-Expires", "0")
        .sign();
    world
        .send(Method::GET, &zero, "")
        .await
        .is(403, "AccessDenied");
}

#[tokio::test]
async fn sig_missing_and_malformed_parameters_are_400() {
    let world = world();
    let names = [
        "Algorithm",
        "Credential",
        "Date",
        "Expires",
        "SignedHeaders",
        "Signature",
    ];
    for name in names {
        let removed = get_url(&world, |url| {
            url.replace(&format!("X-Amz-{name}="), "other=")
        })
        .await;
        removed.is(400, "AuthorizationQueryParametersError");
        let twice = get_url(&world, |url| format!("{url}&X-Amz-{name}=x")).await;
        twice.is(400, "AuthorizationQueryParametersError");
    }
    for (name, value) in [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA1"),
        ("X-Amz-Date", "2027-01-15"),
        ("X-Amz-Credential", "AKIDEXAMPLE"),
        (
            "X-Amz-Credential",
            "AKIDEXAMPLE/20270114/us-east-1/s3/aws4_request",
        ),
        (
            "X-Amz-Credential",
            "AKIDEXAMPLE/20270115/us-east-1/iam/aws4_request",
        ),
        (
            "X-Amz-Credential",
            "AKIDEXAMPLE/20270115/us-east-1/s3/aws5_request",
        ),
    ] {
        let signed = forge(Method::GET).sse_c(1).query(name, value).sign();
        world
            .send(Method::GET, &signed, "")
            .await
            .is(400, "AuthorizationQueryParametersError");
    }
}

#[tokio::test]
async fn sig_region_is_400_and_names_ours() {
    let world = world();
    let mut wrong = forge(Method::GET).sse_c(1).query(
        "X-Amz-Credential",
        "AKIDEXAMPLE/20270115/eu-west-1/s3/aws4_request",
    );
    wrong.region = "eu-west-1";
    let answer = world.send(Method::GET, &wrong.sign(), "").await;
    let text = answer.is(400, "AuthorizationQueryParametersError").text();
    assert!(text.contains("<Region>us-east-1</Region>"), "{text}");
}

#[tokio::test]
async fn sig_noaccesskey_and_sig_wrongsecret_are_403() {
    let world = world();
    let unknown = forge(Method::GET)
        .sse_c(1)
        .query(
            "X-Amz-Credential",
            "NOBODY/20270115/us-east-1/s3/aws4_request",
        )
        .sign();
    world
        .send(Method::GET, &unknown, "")
        .await
        .is(403, "InvalidAccessKeyId");
    let mut wrong = forge(Method::GET).sse_c(1);
    wrong.secret = "another";
    let answer = world.send(Method::GET, &wrong.sign(), "").await;
    let text = answer.is(403, "SignatureDoesNotMatch").text();
    assert!(!text.contains(&sse_c(1)[1].1) && !text.contains("CanonicalRequest"));
}

#[tokio::test]
async fn anon_get_and_put_are_403() {
    let world = world();
    for method in ["GET", "PUT", "HEAD", "DELETE", "POST"] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/vault/{OBJECT}"));
        let request = request
            .header("cookie", "access_token=x")
            .body(Body::empty())
            .unwrap();
        assert_eq!(world.raw(request).await.status, 403, "{method}");
    }
    let root = Request::builder().uri("/").body(Body::empty()).unwrap();
    world.raw(root).await.is(403, "AccessDenied");
}

#[tokio::test]
async fn other_ways_to_sign_are_refused() {
    let world = world();
    for (header, status, code) in [
        ("AWS AKIDEXAMPLE:c2ln", 400, "InvalidRequest"),
        (
            "AWS4-HMAC-SHA256 Credential=x",
            400,
            "AuthorizationHeaderMalformed",
        ),
        ("Bearer x", 400, "InvalidArgument"),
    ] {
        let request = Request::builder()
            .uri("/vault/key")
            .header("authorization", header);
        world
            .raw(request.body(Body::empty()).unwrap())
            .await
            .is(status, code);
    }
    let old = "/vault/key?AWSAccessKeyId=AKIDEXAMPLE&Expires=9999999999&Signature=x";
    let old = Request::builder().uri(old).body(Body::empty()).unwrap();
    world.raw(old).await.is(400, "InvalidRequest");
    // The vault signs URLs and nothing else.
    let by_header = forge(Method::GET).sse_c(1).sign_header("");
    let answer = world.send(Method::GET, &by_header, "").await;
    answer.is(501, "NotImplemented");
    let both = request(Method::GET, &world.presign_get(1)).header("authorization", "AWS4-X");
    world
        .raw(both.body(Body::empty()).unwrap())
        .await
        .is(400, "InvalidArgument");
}

#[test]
fn any_altered_byte_of_a_url_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = world();
    let good = world.presign_get(1).url;
    let altered = (any::<prop::sample::Index>(), 0x21u8..0x7f);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2048));
    let outcome = runner.run(&altered, |(at, byte)| {
        let from = "http://objects.test:9000/".len();
        let at = from + at.index(good.len() - from);
        let mut bytes = good.clone().into_bytes();
        bytes[at] = byte;
        let url = String::from_utf8(bytes).unwrap();
        if url == good || url.parse::<http::Uri>().is_err() {
            return Ok(());
        }
        let mut signed = world.presign_get(1);
        signed.url = url;
        let answer = runtime.block_on(world.send(Method::GET, &signed, ""));
        // There is no object, so 404 means that the signature was accepted.
        let same = decoded(&signed.url) == decoded(&good);
        prop_assert!(
            same || answer.status != 404,
            "{}: {}",
            signed.url,
            answer.text()
        );
        prop_assert!(
            matches!(answer.status.as_u16(), 400 | 403 | 404),
            "{}",
            answer.status
        );
        Ok(())
    });
    outcome.unwrap();
}

fn decoded(url: &str) -> String {
    // A fragment never reaches a server.
    let url = url.split('#').next().unwrap_or_default();
    percent_encoding::percent_decode_str(url)
        .decode_utf8_lossy()
        .into_owned()
}
