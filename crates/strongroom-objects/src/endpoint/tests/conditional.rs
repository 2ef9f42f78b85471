//! Conditional reads, write-once uploads, CORS.

use super::*;

async fn get_if(world: &World, name: &str, value: &str, fill: u8) -> Answer {
    let request = request(Method::GET, &world.presign_get(fill)).header(name, value);
    world.raw(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn cond_inm_is_304_and_cond_im_is_412() {
    let world = world();
    let etag = world.put("value").await.header("etag").to_owned();
    let same = get_if(&world, "if-none-match", &etag, 1).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), etag);
    assert_eq!(
        get_if(&world, "if-none-match", "\"other\"", 1).await.text(),
        "value"
    );
    assert_eq!(get_if(&world, "if-match", &etag, 1).await.text(), "value");
    get_if(&world, "if-match", "\"other\"", 1)
        .await
        .is(412, "PreconditionFailed");
}

#[tokio::test]
async fn cond_inm_wrongkey_is_403() {
    let world = world();
    let etag = world.put("value").await.header("etag").to_owned();
    get_if(&world, "if-none-match", &etag, 2)
        .await
        .is(403, "AccessDenied");
}

#[tokio::test]
async fn if_range_with_another_etag_sends_the_whole() {
    let world = world();
    let etag = world.put("value").await.header("etag").to_owned();
    for (condition, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let request = request(Method::GET, &world.presign_get(1))
            .header("range", "bytes=0-1")
            .header("if-range", condition);
        assert_eq!(
            world.raw(request.body(Body::empty()).unwrap()).await.status,
            status
        );
    }
}

#[tokio::test]
async fn cond_put_inm_is_412_on_an_existing_key() {
    let world = world();
    assert_eq!(world.put("first").await.status, 200);
    world.put("second").await.is(412, "PreconditionFailed");
    assert_eq!(world.get().await.text(), "first");
    assert_eq!(world.unfinished(), 0);
}

#[tokio::test]
async fn a_put_that_is_not_write_once_is_403_on_new_and_existing_keys() {
    let world = world();
    for round in 0..2 {
        for signed in [
            forge(Method::PUT).sse_c(1),
            forge(Method::PUT).sse_c(1).header("if-match", "*"),
        ] {
            let request = request(Method::PUT, &signed.sign()).header("content-length", 5);
            // Unsigned, the condition does not count.
            let request = request.header("if-none-match", "*");
            world
                .raw(request.body("other".into()).unwrap())
                .await
                .is(403, "AccessDenied");
        }
        assert_eq!(world.is_stored().await, round == 1);
        world.put("first").await;
    }
    assert_eq!(world.get().await.text(), "first");
    let other = Forge::put()
        .sse_c(1)
        .header("if-none-match", "\"etag\"")
        .sign();
    let request = request(Method::PUT, &other).header("content-length", 0);
    world
        .raw(request.body(Body::empty()).unwrap())
        .await
        .is(501, "NotImplemented");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_uploads_of_one_name_exactly_one_wins() {
    let world = Arc::new(world());
    let uploads: Vec<_> = (0..16_u8)
        .map(|fill| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { (fill, world.put(vec![fill; 100_000]).await.status) })
        })
        .collect();
    let mut won = Vec::new();
    for upload in uploads {
        match upload.await.unwrap() {
            (fill, StatusCode::OK) => won.push(fill),
            (_, status) => assert!(status == 409 || status == 412, "{status}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(world.get().await.body, vec![won[0]; 100_000]);
    assert_eq!(world.unfinished(), 0);
}

fn preflight(origin: Option<&str>, method: Option<&str>, headers: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method("OPTIONS")
        .uri("/vault/key?X-Amz-Signature=x");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    if let Some(method) = method {
        request = request.header("access-control-request-method", method);
    }
    request
        .header("access-control-request-headers", headers)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn cors_ok_and_cors_presigned_are_200() {
    let world = world();
    let headers = format!("content-type, If-None-Match,{SSE_C_KEY},{SSE_C_KEY_MD5}");
    for method in ["GET", "PUT"] {
        let answer = world
            .raw(preflight(
                Some("https://frame.test"),
                Some(method),
                &headers,
            ))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://frame.test"
        );
        assert_eq!(answer.header("access-control-allow-methods"), "PUT, GET");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            format!("content-type, if-none-match, {SSE_C_KEY}, {SSE_C_KEY_MD5}")
        );
        assert!(answer.header("vary").starts_with("Origin"));
    }
}

#[tokio::test]
async fn cors_origin_method_header_and_nomethod_are_403() {
    let world = world();
    let good = Some("https://frame.test");
    for (origin, method, headers) in [
        (Some("https://app.test"), Some("GET"), ""),
        (Some("null"), Some("GET"), ""),
        (good, Some("DELETE"), ""),
        (good, Some("HEAD"), ""),
        (good, Some("GET"), "x-foo"),
        (good, None, ""),
    ] {
        let answer = world.raw(preflight(origin, method, headers)).await;
        answer.is(403, "AccessForbidden");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    world
        .raw(preflight(None, Some("GET"), ""))
        .await
        .is(400, "BadRequest");
}

#[tokio::test]
async fn cors_none_is_403() {
    let world = world_with(|config| config.cors_origins.clear());
    let answer = world
        .raw(preflight(Some("https://frame.test"), Some("GET"), ""))
        .await;
    assert!(
        answer
            .is(403, "AccessForbidden")
            .text()
            .contains("CORS is not enabled")
    );
}

#[tokio::test]
async fn cors_actual_answers_and_errors_name_the_allowed_origin_alone() {
    let world = world();
    for (origin, expected) in [
        ("https://frame.test", "https://frame.test"),
        ("https://x.test", ""),
    ] {
        // First an error, then a value.
        for _ in 0..2 {
            let answer = get_if(&world, "origin", origin, 1).await;
            assert_eq!(answer.header("access-control-allow-origin"), expected);
            world.put("value").await;
        }
        assert_eq!(get_if(&world, "origin", origin, 1).await.text(), "value");
        world.store.delete(&OBJECT).await.unwrap();
    }
}
