//! Presigned PUT and GET, range, limits, metadata.

use super::*;
use futures_util::stream;
use std::io;

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn put_signed_and_get_signed_are_200_with_echo() {
    let world = world();
    for len in [0, 1, 65_535, 65_536, 65_537, 600_000, 1_966_080, 5_000_000] {
        let put = world.put(bytes(len)).await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert!(put.body.is_empty());
        assert_eq!(put.header(SSE_C_ALGORITHM), "AES256");
        assert_eq!(put.header(SSE_C_KEY_MD5), sse_c(1)[2].1);
        let get = world.get().await;
        assert_eq!(get.status, 200, "{}", get.text());
        assert_eq!(get.body, bytes(len));
        assert_eq!(get.header("content-length"), len.to_string());
        assert_eq!(get.header(SSE_C_ALGORITHM), "AES256");
        assert_eq!(get.header(SSE_C_KEY_MD5), sse_c(1)[2].1);
        assert!(!get.headers.contains_key(SSE_C_KEY));
        assert_eq!(get.header("etag"), put.header("etag"));
        assert_eq!(
            (get.header("etag").len(), get.header("accept-ranges")),
            (38, "bytes")
        );
        assert_eq!(get.header("last-modified"), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(get.header("content-type"), "binary/octet-stream");
        assert_eq!(get.header("cache-control"), "no-store");
        assert_eq!(get.header("content-disposition"), "attachment");
        assert_eq!(
            world.store.presence(&OBJECT).await.unwrap(),
            Some(len as u64)
        );
        world.store.delete(&OBJECT).await.unwrap();
    }
    assert_eq!(world.unfinished(), 0);
}

#[tokio::test]
async fn etags_are_random_and_no_plaintext_is_on_disk() {
    let world = world();
    let mut etags = Vec::new();
    for _ in 0..2 {
        let put = world.put("the same, very secret value").await;
        etags.push(put.header("etag").to_owned());
        for file in world.all_files() {
            let file = std::fs::read(file).unwrap();
            assert!(!file.windows(11).any(|part| part == b"very secret"));
        }
        world.store.delete(&OBJECT).await.unwrap();
    }
    assert_ne!(etags[0], etags[1]);
    let md5 = hex::encode(Md5::digest("the same, very secret value"));
    assert!(!etags.contains(&format!("\"{md5}\"")));
}

#[tokio::test]
async fn head_ok_has_the_headers_of_get() {
    let world = world();
    world.put("value").await;
    let head = world
        .send(Method::HEAD, &forge(Method::HEAD).sse_c(1).sign(), "")
        .await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "5")
    );
    assert!(head.body.is_empty());
    let other = world.send(Method::HEAD, &world.presign_get(1), "").await;
    assert_eq!(other.status, 403, "a URL for GET is not one for HEAD");
}

#[tokio::test]
async fn a_deleted_object_is_gone_and_deleting_again_is_no_error() {
    let world = world();
    world.put("value").await;
    world.store.delete(&OBJECT).await.unwrap();
    world.store.delete(&OBJECT).await.unwrap();
    world.get().await.is(404, "NoSuchKey");
    assert_eq!(world.store.presence(&OBJECT).await.unwrap(), None);
}

#[tokio::test]
async fn get_nosuch_is_404() {
    world().get().await.is(404, "NoSuchKey");
}

async fn ranged(world: &World, range: &str) -> Answer {
    let request = request(Method::GET, &world.presign_get(1)).header("range", range);
    world.raw(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn values_that_end_near_a_block_of_the_file_come_back_whole() {
    let world = world();
    let block = crate::runs::BLOCK_BYTES;
    for len in (block - 2000..=block + 1000).step_by(333) {
        assert_eq!(world.put(bytes(len)).await.status, 200);
        assert_eq!(world.get().await.body, bytes(len), "{len}");
        world.store.delete(&OBJECT).await.unwrap();
    }
}

#[tokio::test]
async fn ranges_of_a_value_of_many_blocks_are_exact() {
    let world = world();
    let value = bytes(9_000_000);
    world.put(value.clone()).await;
    for (from, to) in [
        (0, 1),
        (1, 4_000_001),
        (1_966_079, 1_966_081),
        (4_095, 3_932_161),
        (8_999_999, 9_000_000),
        (7_000_000, 9_000_000),
    ] {
        let part = ranged(&world, &format!("bytes={from}-{}", to - 1)).await;
        assert_eq!(part.status, 206);
        assert!(part.body == value.slice(from..to), "{from} to {to}");
    }
}

#[tokio::test]
async fn range_mid_suffix_open_and_presigned_are_206() {
    let world = world();
    let value = bytes(700_000);
    world.put(value.clone()).await;
    for (range, from, to) in [
        ("bytes=17-4115", 17, 4116),
        ("bytes=-100", 699_900, 700_000),
        ("bytes=699000-", 699_000, 700_000),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=524287-524288", 524_287, 524_289),
        ("bytes=0-699999", 0, 700_000),
        ("bytes=65536-131071", 65_536, 131_072),
    ] {
        let part = ranged(&world, range).await;
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.body, value.slice(from..to), "{range}");
        assert_eq!(
            part.header("content-range"),
            format!("bytes {from}-{}/700000", to - 1)
        );
        assert_eq!(part.header("content-length"), (to - from).to_string());
    }
}

#[tokio::test]
async fn range_416_and_ignored_ranges() {
    let world = world();
    world.put("0123456789").await;
    ranged(&world, "bytes=10-").await.is(416, "InvalidRange");
    for ignored in ["bytes=10-5", "bytes=0-1,5-6", "junk"] {
        let whole = ranged(&world, ignored).await;
        assert_eq!(
            (whole.status.as_u16(), whole.text()),
            (200, "0123456789"),
            "{ignored}"
        );
    }
}

#[tokio::test]
async fn range_wrongkey_is_403() {
    let world = world();
    world.put("0123456789").await;
    let request = request(Method::GET, &world.presign_get(2)).header("range", "bytes=0-1");
    world
        .raw(request.body(Body::empty()).unwrap())
        .await
        .is(403, "AccessDenied");
}

#[tokio::test]
async fn a_chunked_body_is_stored_and_cut_off_at_the_limit() {
    let world = world();
    let chunked = |count: u64| {
        let request = request(Method::PUT, &world.presign_put(1));
        let chunk = || Ok::<_, io::Error>(Bytes::from(vec![7; 1 << 16]));
        let body = stream::iter((0..count).map(move |_| chunk()));
        request
            .header("transfer-encoding", "chunked")
            .body(Body::from_stream(body))
            .unwrap()
    };
    world.raw(chunked(161)).await.is(400, "EntityTooLarge");
    assert!(world.is_empty().await);
    assert_eq!(world.raw(chunked(160)).await.status, 200);
    assert_eq!(world.get().await.body.len() as u64, LIMIT);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread() {
    let world = world();
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let body = stream::repeat_with(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok::<_, io::Error>(Bytes::from_static(b"x"))
    });
    let request = request(Method::PUT, &world.presign_put(1)).header("content-length", LIMIT + 1);
    let request = request
        .header("expect", "100-continue")
        .body(Body::from_stream(body))
        .unwrap();
    world.raw(request).await.is(400, "EntityTooLarge");
    assert_eq!(read.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn put_without_a_length_is_411() {
    let world = world();
    let answer = world
        .send(Method::PUT, &world.presign_put(1), "value")
        .await;
    answer.is(411, "MissingContentLength");
}

#[tokio::test]
async fn put_contentmd5_and_checksum_are_verified() {
    let world = world();
    let with = |name: &'static str, value: String| {
        let signed = Forge::put().sse_c(1).header(name, &value).sign();
        request(Method::PUT, &signed).header("content-length", 5)
    };
    let md5 = |text: &str| BASE64_STANDARD.encode(Md5::digest(text));
    let sha256 = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        BASE64_STANDARD.encode(digest)
    };
    for (name, value, code) in [
        ("content-md5", md5("other"), "BadDigest"),
        ("content-md5", "AAAA".into(), "InvalidDigest"),
        ("x-amz-checksum-sha256", sha256("other"), "BadDigest"),
        ("x-amz-checksum-sha256", "AAAA".into(), "InvalidRequest"),
    ] {
        let request = with(name, value).body("value".into()).unwrap();
        world.raw(request).await.is(400, code);
        assert!(world.is_empty().await);
    }
    for (name, value) in [
        ("content-md5", md5("value")),
        ("x-amz-checksum-sha256", sha256("value")),
    ] {
        let put = world
            .raw(with(name, value.clone()).body("value".into()).unwrap())
            .await;
        assert_eq!(put.status, 200, "{name}");
        let get = forge(Method::GET)
            .sse_c(1)
            .header("x-amz-checksum-mode", "ENABLED")
            .sign();
        let get = world.send(Method::GET, &get, "").await;
        let shown = if name == "content-md5" {
            ""
        } else {
            value.as_str()
        };
        assert_eq!(get.header("x-amz-checksum-sha256"), shown);
        assert_eq!(world.get().await.header("x-amz-checksum-sha256"), "");
        world.store.delete(&OBJECT).await.unwrap();
    }
}

#[tokio::test]
async fn type_and_metadata_come_back_and_unsigned_type_is_fine() {
    let world = world();
    let signed = Forge::put()
        .sse_c(1)
        .header("x-amz-meta-colour", "blue green")
        .sign();
    let request = request(Method::PUT, &signed)
        .header("content-type", "text/html")
        .header("content-encoding", "gzip")
        .header("content-length", 5);
    assert_eq!(
        world
            .raw(request.body("value".into()).unwrap())
            .await
            .status,
        200
    );
    let get = world.get().await;
    assert_eq!(get.header("content-type"), "text/html");
    assert_eq!(get.header("content-encoding"), "gzip");
    assert_eq!(get.header("x-amz-meta-colour"), "blue green");
    assert_eq!(get.header("content-disposition"), "attachment");
}

#[tokio::test]
async fn too_much_metadata_is_refused() {
    let world = world();
    let signed = Forge::put()
        .sse_c(1)
        .header("x-amz-meta-long", &"x".repeat(2048))
        .sign();
    let request = request(Method::PUT, &signed).header("content-length", 0);
    world
        .raw(request.body(Body::empty()).unwrap())
        .await
        .is(400, "MetadataTooLarge");
}

#[tokio::test]
async fn get_response_override_is_200() {
    let world = world();
    world.put("value").await;
    let get = forge(Method::GET)
        .sse_c(1)
        .query("response-content-type", "text/plain")
        .query(
            "response-content-disposition",
            "attachment; filename=\"a b\"",
        )
        .sign();
    let get = world.send(Method::GET, &get, "").await;
    assert_eq!(
        (get.status.as_u16(), get.header("content-type")),
        (200, "text/plain")
    );
    assert_eq!(
        get.header("content-disposition"),
        "attachment; filename=\"a b\""
    );
    let bad = forge(Method::GET)
        .sse_c(1)
        .query("response-content-type", "a\nb")
        .sign();
    world
        .send(Method::GET, &bad, "")
        .await
        .is(400, "InvalidArgument");
}

#[tokio::test]
async fn what_is_not_built_is_501_and_so_are_unknown_methods() {
    let world = world();
    let cases = [
        forge(Method::DELETE),
        forge(Method::POST).query("uploads", ""),
        forge(Method::GET).path("/"),
        forge(Method::GET).path("/vault").query("list-type", "2"),
        forge(Method::GET).sse_c(1).query("acl", ""),
        forge(Method::GET).sse_c(1).query("partNumber", "2"),
        Forge::put()
            .sse_c(1)
            .query("partNumber", "1")
            .query("uploadId", "u"),
        Forge::put()
            .sse_c(1)
            .header("x-amz-copy-source", "/vault/other"),
        Forge::put().sse_c(1).header("x-amz-acl", "public-read"),
        Forge::put()
            .sse_c(1)
            .header("x-amz-checksum-crc32", "AAAAAA=="),
        Forge::put()
            .sse_c(1)
            .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        Forge::put()
            .sse_c(1)
            .header("content-encoding", "gzip,aws-chunked"),
    ];
    for case in cases {
        let method = case.method.clone();
        world
            .send(method, &case.sign(), "")
            .await
            .is(501, "NotImplemented");
    }
    for method in ["PATCH", "TRACE", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        world
            .send(method, &world.presign_get(1), "")
            .await
            .is(501, "NotImplemented");
    }
    world.put("value").await;
    let first_part = forge(Method::GET).sse_c(1).query("partNumber", "1").sign();
    assert_eq!(
        world.send(Method::GET, &first_part, "").await.text(),
        "value"
    );
}

#[tokio::test]
async fn a_request_by_a_foreign_name_is_refused_before_all_else() {
    let world = world();
    world.put("value").await;
    let signed = world.presign_get(1);
    for method in ["GET", "OPTIONS", "PATCH"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = request(method, &signed).extension(crate::ForeignHost);
        let request = request.body(Body::empty()).unwrap();
        world.raw(request).await.is(421, "WrongHost");
    }
}

#[tokio::test]
async fn another_bucket_is_404() {
    let world = world();
    let signed = forge(Method::GET).sse_c(1).path("/other/key").sign();
    world
        .send(Method::GET, &signed, "")
        .await
        .is(404, "NoSuchBucket");
}

#[tokio::test]
async fn any_key_can_be_an_object() {
    let world = world();
    let path = "/vault/a%20b/..%2B/%C3%BC";
    let put = request(Method::PUT, &Forge::put().sse_c(1).path(path).sign());
    let put = world
        .raw(
            put.header("content-length", 5)
                .body("value".into())
                .unwrap(),
        )
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    let get = forge(Method::GET).sse_c(1).path(path).sign();
    assert_eq!(world.send(Method::GET, &get, "").await.text(), "value");
}
