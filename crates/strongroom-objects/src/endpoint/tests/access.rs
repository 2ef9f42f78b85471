//! Who may touch which bucket, with which keys, over which transport.

use super::*;

#[tokio::test]
async fn the_vaults_bucket_is_closed_to_every_other_credential() {
    let world = world();
    world.put("value").await;
    let object = format!("/vault/{OBJECT}");
    for (method, path) in [
        (Method::GET, object.as_str()),
        (Method::HEAD, &object),
        (Method::PUT, &object),
        (Method::DELETE, &object),
        (Method::GET, "/vault"),
        (Method::PUT, "/vault"),
        (Method::HEAD, "/vault"),
        (Method::DELETE, "/vault"),
        (Method::GET, "/vault?cors"),
        (Method::GET, "/vault?uploads"),
        (Method::POST, "/vault/key?uploads"),
    ] {
        for id in ["AKIDALICE", "AKIDBOB", "AKIDCAROL"] {
            let answer = world.ask(of(id, method.clone(), path), "").await;
            assert_eq!(answer.status, 403, "{id} {method} {path}");
        }
    }
    let copy = alice(Method::PUT, "/named/copy").header("x-amz-copy-source", &object);
    world.ask(copy, "").await.is(403, "AccessDenied");
    let cors = alice(Method::PUT, "/vault?cors").header("content-md5", "");
    assert_ne!(world.ask(cors, "").await.status, 200);
    assert_eq!(world.get().await.text(), "value");
}

#[tokio::test]
async fn the_vaults_credential_touches_nothing_else() {
    let world = world();
    for path in ["/named", "/named/key", "/elsewhere/key"] {
        let signed = forge(Method::GET).path(path).sign();
        let answer = world.send(Method::GET, &signed, "").await;
        answer.is(404, "NoSuchBucket");
    }
    for (method, query) in [
        (Method::DELETE, ""),
        (Method::GET, "attributes"),
        (Method::GET, "tagging"),
        (Method::GET, "versionId=null"),
        (Method::POST, "uploads"),
        (Method::PUT, "partNumber=1&uploadId=x"),
    ] {
        let path = format!("/vault/{OBJECT}?{query}");
        let asked = of("AKIDEXAMPLE", method.clone(), &path).sse_c(1);
        let answer = world.send(method, &asked.sign(), "").await;
        answer.is(501, "NotImplemented");
    }
}

#[tokio::test]
async fn a_bucket_is_its_owners_and_patterns_bound_its_user() {
    let world = world();
    world.make_bucket("photos").await;
    let put = alice(Method::PUT, "/photos/a");
    assert_eq!(world.ask(put, "value").await.status, 200);
    for (method, path) in [
        (Method::GET, "/photos/a"),
        (Method::GET, "/photos"),
        (Method::DELETE, "/photos/a"),
        (Method::DELETE, "/photos"),
    ] {
        let answer = world.ask(bob(method.clone(), path), "").await;
        answer.is(403, "AccessDenied");
        let answer = world.ask(of("AKIDCAROL", method, path), "").await;
        answer.is(403, "AccessDenied");
    }
    let copy = bob(Method::PUT, "/bobs").header("x-amz-acl", "private");
    assert_eq!(world.ask(copy, "").await.status, 200);
    let steal = bob(Method::PUT, "/bobs/a")
        .sse_c(1)
        .header("x-amz-copy-source", "/photos/a");
    world.ask(steal, "").await.is(403, "AccessDenied");
    let carol = of("AKIDCAROL", Method::PUT, "/photos2");
    world.ask(carol, "").await.is(403, "AccessDenied");
    let carol = of("AKIDCAROL", Method::PUT, "/carol-1");
    assert_eq!(world.ask(carol, "").await.status, 200);
    let missing = bob(Method::GET, "/nowhere/a");
    world.ask(missing, "").await.is(404, "NoSuchBucket");
    let taken = bob(Method::PUT, "/photos");
    world.ask(taken, "").await.is(409, "BucketAlreadyExists");
}

#[tokio::test]
async fn the_expected_owner_is_checked() {
    let world = world();
    for (owner, status) in [("alice", 200), ("123456789012", 403)] {
        let head = alice(Method::HEAD, "/named").header("x-amz-expected-bucket-owner", owner);
        assert_eq!(world.ask(head, "").await.status, status);
    }
}

#[tokio::test]
async fn only_a_server_keyed_credential_stores_without_a_customer_key() {
    let world = world();
    assert_eq!(world.ask(bob(Method::PUT, "/bobs"), "").await.status, 200);
    for forge in [
        bob(Method::PUT, "/bobs/a"),
        bob(Method::PUT, "/bobs/a").header("x-amz-server-side-encryption", "AES256"),
        bob(Method::POST, "/bobs/a?uploads"),
    ] {
        world.ask(forge, "").await.is(403, "AccessDenied");
    }
    let keyed = world
        .ask(bob(Method::PUT, "/bobs/a").sse_c(1), "value")
        .await;
    assert_eq!(keyed.status, 200);
    assert_eq!(keyed.header(SSE_C_ALGORITHM), "AES256");
    let copy = bob(Method::PUT, "/bobs/b")
        .header("x-amz-copy-source", "/bobs/a")
        .sse_c_source(1);
    world.ask(copy, "").await.is(403, "AccessDenied");
}

#[tokio::test]
async fn a_customer_key_over_an_insecure_transport_is_400() {
    let world = world();
    world.put("value").await;
    for transport in [None, Some(Transport::Insecure)] {
        let copy = alice(Method::PUT, "/named/b")
            .header("x-amz-copy-source", "/named/a")
            .sse_c_source(1);
        for (method, signed) in [
            (Method::GET, forge(Method::GET).sse_c(1).sign()),
            (Method::GET, alice(Method::GET, "/named/a").sse_c(1).sign()),
            (Method::PUT, copy.sign()),
        ] {
            let mut request = request(method, &signed).body(Body::empty()).unwrap();
            request.extensions_mut().remove::<Transport>();
            if let Some(transport) = transport {
                request.extensions_mut().insert(transport);
            }
            let answer = world.router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 400);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body = std::str::from_utf8(&body).unwrap();
            assert_eq!(element(body, "Code"), "InvalidRequest");
            assert!(body.contains("secure connection"), "{body}");
        }
    }
    // Without a key there is nothing to protect.
    let plain = alice(Method::PUT, "/named/a").sign_header("value");
    let mut plain = request(Method::PUT, &plain)
        .header("content-length", 5)
        .body(Body::from("value"))
        .unwrap();
    plain.extensions_mut().remove::<Transport>();
    let answer = world.router.clone().oneshot(plain).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_unsigned_amz_header_or_body_hash_is_refused() {
    let world = world();
    let mut signed = alice(Method::PUT, "/named/a").sign_header("value");
    signed.headers.push(("x-amz-meta-a", "b".into()));
    let sent = request(Method::PUT, &signed).header("content-length", 5);
    let answer = world.raw(sent.body("value".into()).unwrap()).await;
    answer.is(403, "AccessDenied");
    let signed = alice(Method::PUT, "/named/a").sign_header("value");
    let sent = request(Method::PUT, &signed).header("content-length", 5);
    let answer = world.raw(sent.body("other".into()).unwrap()).await;
    answer.is(400, "XAmzContentSHA256Mismatch");
    let gone = world.ask(alice(Method::HEAD, "/named/a"), "").await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn what_would_change_the_meaning_and_is_not_built_is_501() {
    let world = world();
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=alice"),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-write-offset-bytes", "3"),
        ("x-amz-nonsense", "x"),
    ] {
        let put = alice(Method::PUT, "/named/a").header(name, value);
        world.ask(put, "v").await.is(501, "NotImplemented");
    }
    for (method, path) in [
        (Method::PUT, "/named?acl"),
        (Method::PUT, "/named?versioning"),
        (Method::PUT, "/named?policy"),
        (Method::PUT, "/named?lifecycle"),
        (Method::PUT, "/named/a?tagging"),
        (Method::PUT, "/named/a?acl"),
        (Method::PUT, "/named/a?partNumber=1"),
        (Method::POST, "/named/a?select&select-type=2"),
        (Method::POST, "/named/a?restore"),
        (Method::GET, "/named/a?torrent"),
        (Method::GET, "/named/a?nonsense"),
        (Method::GET, "/named?list-type=2&nonsense=1"),
        (Method::GET, "/named?acl&cors"),
        (Method::GET, "/named?session"),
        (Method::PUT, "/named/a?x-amz-acl=public-read"),
    ] {
        let answer = world.ask(alice(method.clone(), path), "").await;
        assert_eq!(answer.status, 501, "{method} {path}: {}", answer.text());
    }
    let other = alice(Method::GET, "/named/a?versionId=3HL4kqtJlcpXroDTDmJ");
    world.ask(other, "").await.is(400, "InvalidArgument");
}
