//! Copies of objects and of parts.

use super::*;

fn copy(to: &str, from: &str) -> Forge {
    alice(Method::PUT, to).header("x-amz-copy-source", from)
}

async fn world_with_source() -> World {
    let world = world();
    let put = alice(Method::PUT, "/named/a")
        .sse_c(1)
        .header("x-amz-meta-colour", "blue")
        .header("content-type", "text/x");
    assert_eq!(world.ask(put, "value").await.status, 200);
    world
}

#[tokio::test]
async fn copy_nokey_wrongkey_rekey_and_toplain() {
    let world = world_with_source().await;
    world
        .ask(copy("/named/b", "/named/a"), "")
        .await
        .is(400, "InvalidRequest");
    let wrong = copy("/named/b", "/named/a").sse_c_source(2).sse_c(3);
    world.ask(wrong, "").await.is(403, "AccessDenied");
    let rekey = copy("/named/b", "/named/a").sse_c_source(1).sse_c(3);
    let rekeyed = world.ask(rekey, "").await;
    assert_eq!(rekeyed.status, 200, "{}", rekeyed.text());
    assert_eq!(rekeyed.header(SSE_C_KEY_MD5), sse_c(3)[2].1);
    assert_eq!(
        element(rekeyed.text(), "LastModified"),
        "2027-01-15T08:00:00.000Z"
    );
    let got = world.ask(alice(Method::GET, "/named/b").sse_c(3), "").await;
    assert_eq!(
        (got.text(), got.header("x-amz-meta-colour")),
        ("value", "blue")
    );
    assert_eq!(
        got.header("etag"),
        element(rekeyed.text(), "ETag").replace("&quot;", "\"")
    );
    let plain = copy("/named/c", "named/a?versionId=null").sse_c_source(1);
    let plain = world.ask(plain, "").await;
    assert_eq!(plain.header("x-amz-server-side-encryption"), "AES256");
    let got = world.ask(alice(Method::GET, "/named/c"), "").await;
    assert_eq!(
        (got.text(), got.header("content-type")),
        ("value", "text/x")
    );
}

#[tokio::test]
async fn copy_onto_itself_must_change_something() {
    let world = world();
    world
        .ask(
            alice(Method::PUT, "/named/a").header("x-amz-meta-a", "1"),
            "value",
        )
        .await;
    world
        .ask(copy("/named/a", "/named/a"), "")
        .await
        .is(400, "InvalidRequest");
    let replaced = copy("/named/a", "/named/a")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-a", "2");
    assert_eq!(world.ask(replaced, "").await.status, 200);
    let got = world.ask(alice(Method::GET, "/named/a"), "").await;
    assert_eq!((got.text(), got.header("x-amz-meta-a")), ("value", "2"));
    let rekeyed = world.ask(copy("/named/a", "/named/a").sse_c(1), "").await;
    assert_eq!(rekeyed.status, 200);
    let got = world.ask(alice(Method::GET, "/named/a").sse_c(1), "").await;
    assert_eq!(got.text(), "value");
}

#[tokio::test]
async fn copy_heeds_the_sources_conditions_and_its_own() {
    let world = world();
    let put = world.ask(alice(Method::PUT, "/named/a"), "value").await;
    let etag = put.header("etag").to_owned();
    for (name, value, status) in [
        ("x-amz-copy-source-if-match", "\"x\"", 412),
        ("x-amz-copy-source-if-match", etag.as_str(), 200),
        ("x-amz-copy-source-if-none-match", &etag, 412),
        (
            "x-amz-copy-source-if-modified-since",
            "Fri, 15 Jan 2027 08:00:00 GMT",
            412,
        ),
        (
            "x-amz-copy-source-if-unmodified-since",
            "Fri, 15 Jan 2027 07:00:00 GMT",
            412,
        ),
        ("if-none-match", "*", 412),
    ] {
        let answer = world
            .ask(copy("/named/b", "/named/a").header(name, value), "")
            .await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    world
        .ask(copy("/named/b", "/named/never"), "")
        .await
        .is(404, "NoSuchKey");
    world
        .ask(copy("/named/b", "/nowhere/a"), "")
        .await
        .is(404, "NoSuchBucket");
    let odd = copy("/named/b", "/named/a").header("x-amz-metadata-directive", "MOVE");
    world.ask(odd, "").await.is(400, "InvalidArgument");
}

#[tokio::test]
async fn copy_part_takes_a_range_and_both_keys() {
    let world = world_with_source().await;
    let begun = alice(Method::POST, "/named/big?uploads").sse_c(2);
    let begun = world.ask(begun, "").await;
    let id = element(begun.text(), "UploadId").to_owned();
    let part = |range: &str| {
        copy(
            &format!("/named/big?partNumber=1&uploadId={id}"),
            "/named/a",
        )
        .sse_c_source(1)
        .sse_c(2)
        .header("x-amz-copy-source-range", range)
    };
    for bad in ["bytes=0-5", "bytes=1-", "1-2", "bytes=3-2"] {
        world.ask(part(bad), "").await.is(400, "InvalidArgument");
    }
    let copied = world.ask(part("bytes=1-3"), "").await;
    assert_eq!(copied.status, 200, "{}", copied.text());
    let etag = element(copied.text(), "ETag");
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let done = alice(Method::POST, &format!("/named/big?uploadId={id}"));
    assert_eq!(world.ask(done, &body).await.status, 200);
    let got = world
        .ask(alice(Method::GET, "/named/big").sse_c(2), "")
        .await;
    assert_eq!(got.text(), "alu");
}

#[tokio::test]
async fn a_copy_keeps_or_makes_a_checksum() {
    let world = world();
    let put = alice(Method::PUT, "/named/a").header("x-amz-checksum-crc32", "HXdYNA==");
    let put = world.ask(put, "value").await;
    assert_eq!(put.status, 200, "{}", put.text());
    let kept = world.ask(copy("/named/b", "/named/a"), "").await;
    assert_eq!(element(kept.text(), "ChecksumCRC32"), "HXdYNA==");
    let made = copy("/named/c", "/named/a").header("x-amz-checksum-algorithm", "SHA1");
    let made = world.ask(made, "").await;
    assert_eq!(
        element(made.text(), "ChecksumSHA1"),
        "8ytnx+JjQq9C76vGdNRB3KCigcU="
    );
}
