//! Objects of applications: reads, writes, deletions, checksums, attributes.

use super::*;
use strongroom_s3::checksum::{Algorithm, Hasher};

fn checksum(algorithm: Algorithm, text: &str) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(text.as_bytes());
    hasher.finish().text()
}

#[tokio::test]
async fn a_server_keyed_object_goes_in_and_out_and_says_so() {
    let world = world();
    for value in ["value", ""] {
        let put = world.ask(alice(Method::PUT, "/named/a"), value).await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
        for method in [Method::GET, Method::HEAD] {
            let answer = world.ask(alice(method.clone(), "/named/a"), "").await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("x-amz-server-side-encryption"), "AES256");
            assert_eq!(answer.header("etag"), put.header("etag"));
            assert_eq!(answer.header("content-length"), value.len().to_string());
            let shown = if method == Method::GET { value } else { "" };
            assert_eq!(answer.text(), shown);
        }
        let keyed = alice(Method::GET, "/named/a").sse_c(1);
        world.ask(keyed, "").await.is(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn customer_keys_are_checked_and_an_object_can_be_replaced() {
    let world = world();
    let put = world
        .ask(alice(Method::PUT, "/named/a").sse_c(1), "one")
        .await;
    assert_eq!(put.header("x-amz-server-side-encryption"), "");
    world
        .ask(alice(Method::GET, "/named/a"), "")
        .await
        .is(400, "InvalidRequest");
    let wrong = alice(Method::GET, "/named/a").sse_c(2);
    world.ask(wrong, "").await.is(403, "AccessDenied");
    let right = world.ask(alice(Method::GET, "/named/a").sse_c(1), "").await;
    assert_eq!(right.text(), "one");
    let put = world
        .ask(alice(Method::PUT, "/named/a").sse_c(2), "two")
        .await;
    assert_eq!(put.status, 200);
    let right = world.ask(alice(Method::GET, "/named/a").sse_c(2), "").await;
    assert_eq!(right.text(), "two");
}

#[tokio::test]
async fn what_an_object_is_described_by_comes_back() {
    let world = world();
    let put = alice(Method::PUT, "/named/a")
        .header("x-amz-meta-colour", "blue")
        .header("cache-control", "max-age=7")
        .header("content-disposition", "inline")
        .header("content-encoding", "aws-chunked,gzip")
        .header("content-type", "text/plain")
        .header("expires", "Fri, 15 Jan 2027 08:00:00 GMT");
    assert_eq!(world.ask(put, "value").await.status, 200);
    let got = world.ask(alice(Method::GET, "/named/a"), "").await;
    for (name, value) in [
        ("x-amz-meta-colour", "blue"),
        ("cache-control", "max-age=7"),
        ("content-disposition", "inline"),
        ("content-encoding", "gzip"),
        ("content-type", "text/plain"),
        ("expires", "Fri, 15 Jan 2027 08:00:00 GMT"),
    ] {
        assert_eq!(got.header(name), value);
    }
}

#[tokio::test]
async fn conditional_writes_and_deletions() {
    let world = world();
    let put = |name: &'static str, value: &str| alice(Method::PUT, "/named/a").header(name, value);
    world
        .ask(put("if-match", "\"x\""), "0")
        .await
        .is(404, "NoSuchKey");
    let first = world.ask(put("if-none-match", "*"), "1").await;
    let etag = first.header("etag").to_owned();
    let again = world.ask(put("if-none-match", "*"), "2").await;
    again.is(412, "PreconditionFailed");
    let other = world.ask(put("if-match", "\"x\""), "2").await;
    other.is(412, "PreconditionFailed");
    let second = world.ask(put("if-match", &etag), "2").await;
    assert_eq!(second.status, 200, "{}", second.text());
    let delete = |etag: &str| alice(Method::DELETE, "/named/a").header("if-match", etag);
    let stale = world.ask(delete(&etag), "").await;
    stale.is(412, "PreconditionFailed");
    let gone = world.ask(delete(second.header("etag")), "").await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.ask(delete(&etag), "").await.status, 204);
    world
        .ask(put("if-none-match", "\"x\""), "")
        .await
        .is(501, "NotImplemented");
}

#[tokio::test]
async fn reads_heed_dates() {
    let world = world();
    world.ask(alice(Method::PUT, "/named/a"), "value").await;
    let (before, at) = (
        "Fri, 15 Jan 2027 07:59:59 GMT",
        "Fri, 15 Jan 2027 08:00:00 GMT",
    );
    for (name, value, status) in [
        ("if-modified-since", before, 200),
        ("if-modified-since", at, 304),
        ("if-unmodified-since", at, 200),
        ("if-unmodified-since", before, 412),
    ] {
        let get = alice(Method::GET, "/named/a").header(name, value);
        assert_eq!(world.ask(get, "").await.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn every_checksum_is_verified_kept_and_shown() {
    let world = world();
    for algorithm in Algorithm::ALL {
        let good = checksum(algorithm, "value");
        let put = alice(Method::PUT, "/named/a").header(algorithm.header(), &good);
        let put = world.ask(put, "value").await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(put.header(algorithm.header()), good);
        assert_eq!(put.header("x-amz-checksum-type"), "FULL_OBJECT");
        let get = || alice(Method::GET, "/named/a");
        let shown = world
            .ask(get().header("x-amz-checksum-mode", "ENABLED"), "")
            .await;
        assert_eq!(shown.header(algorithm.header()), good);
        assert_eq!(world.ask(get(), "").await.header(algorithm.header()), "");
        let bad = checksum(algorithm, "other");
        let put = alice(Method::PUT, "/named/b").header(algorithm.header(), &bad);
        world.ask(put, "value").await.is(400, "BadDigest");
        world
            .ask(alice(Method::GET, "/named/b"), "")
            .await
            .is(404, "NoSuchKey");
    }
}

/// As the SDKs send it by default: chunks without signatures, the checksum behind them.
#[tokio::test]
async fn a_chunked_body_with_a_trailer_is_decoded_and_checked() {
    let world = world();
    let send = async |text: &str, checksum: &str| {
        let body = format!(
            "{:x}\r\n{text}\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n",
            text.len()
        );
        let put = alice(Method::PUT, "/named/a")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", &text.len().to_string())
            .header("x-amz-sdk-checksum-algorithm", "CRC32")
            .header("x-amz-trailer", "x-amz-checksum-crc32");
        world.ask(put, &body).await
    };
    let good = checksum(Algorithm::Crc32, "value");
    send("other", &good).await.is(400, "BadDigest");
    let put = send("value", &good).await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(put.header("x-amz-checksum-crc32"), good);
    let got = world.ask(alice(Method::GET, "/named/a"), "").await;
    assert_eq!((got.text(), got.header("content-encoding")), ("value", ""));
}

#[tokio::test]
async fn attributes_need_the_key_and_show_what_is_asked() {
    let world = world();
    let crc = checksum(Algorithm::Crc32c, "value");
    let put = alice(Method::PUT, "/named/a")
        .sse_c(1)
        .header("x-amz-checksum-crc32c", &crc);
    let put = world.ask(put, "value").await;
    let get = |fill: u8, asked: &str| {
        alice(Method::GET, "/named/a?attributes")
            .sse_c(fill)
            .header("x-amz-object-attributes", asked)
    };
    world.ask(get(2, "ETag"), "").await.is(403, "AccessDenied");
    world
        .ask(get(1, "Colour"), "")
        .await
        .is(400, "InvalidArgument");
    let keyless =
        alice(Method::GET, "/named/a?attributes").header("x-amz-object-attributes", "ETag");
    world.ask(keyless, "").await.is(400, "InvalidRequest");
    world
        .ask(alice(Method::GET, "/named/a?attributes").sse_c(1), "")
        .await
        .is(400, "InvalidRequest");
    let all = world
        .ask(
            get(1, "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"),
            "",
        )
        .await;
    let text = all.text();
    assert_eq!(element(text, "ETag"), put.header("etag").trim_matches('"'));
    assert_eq!(element(text, "ObjectSize"), "5");
    assert_eq!(element(text, "ChecksumCRC32C"), crc);
    assert_eq!(element(text, "ChecksumType"), "FULL_OBJECT");
    assert_eq!(element(text, "StorageClass"), "STANDARD");
    assert!(elements(text, "ObjectParts").is_empty());
    assert_eq!(all.header("last-modified"), "Fri, 15 Jan 2027 08:00:00 GMT");
    let size = world.ask(get(1, "ObjectSize"), "").await;
    assert!(elements(size.text(), "ETag").is_empty());
}

#[tokio::test]
async fn acl_and_tags_of_an_object_are_the_same_for_all() {
    let world = world();
    world
        .ask(alice(Method::GET, "/named/a?acl"), "")
        .await
        .is(404, "NoSuchKey");
    world.ask(alice(Method::PUT, "/named/a"), "value").await;
    let acl = world.ask(alice(Method::GET, "/named/a?acl"), "").await;
    assert_eq!(element(acl.text(), "Permission"), "FULL_CONTROL");
    let tags = world.ask(alice(Method::GET, "/named/a?tagging"), "").await;
    assert!(tags.text().contains("<TagSet></TagSet>"));
    let got = world
        .ask(alice(Method::GET, "/named/a?versionId=null"), "")
        .await;
    assert_eq!(got.text(), "value");
}

async fn delete_many(world: &World, body: &str) -> Answer {
    let md5 = BASE64_STANDARD.encode(Md5::digest(body));
    let post = alice(Method::POST, "/named?delete").header("content-md5", &md5);
    world.ask(post, body).await
}

#[tokio::test]
async fn many_are_deleted_at_once_each_with_its_outcome() {
    let world = world();
    let mut etag = String::new();
    for key in ["a", "b", "c", "d"] {
        let put = world
            .ask(alice(Method::PUT, &format!("/named/{key}")), "v")
            .await;
        etag = put.header("etag").replace('"', "&quot;");
    }
    let body = format!(
        "<Delete><Object><Key>a</Key></Object>\
         <Object><Key>b</Key><ETag>&quot;other&quot;</ETag></Object>\
         <Object><Key>c</Key><VersionId>x</VersionId></Object>\
         <Object><Key>d</Key><ETag>{etag}</ETag><VersionId>null</VersionId></Object>\
         <Object><Key>never</Key></Object></Delete>"
    );
    let bare = world.ask(alice(Method::POST, "/named?delete"), &body).await;
    bare.is(400, "InvalidRequest");
    let done = delete_many(&world, &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let text = done.text();
    let deleted: Vec<_> = elements(text, "Deleted")
        .iter()
        .map(|one| element(one, "Key"))
        .collect();
    assert_eq!(deleted, ["a", "d", "never"]);
    let failed = elements(text, "Error");
    let failed: Vec<_> = failed
        .iter()
        .map(|one| (element(one, "Key"), element(one, "Code")))
        .collect();
    assert_eq!(
        failed,
        [("b", "PreconditionFailed"), ("c", "NoSuchVersion")]
    );
    let left = world
        .ask(alice(Method::GET, "/named?list-type=2"), "")
        .await;
    assert_eq!(elements(left.text(), "Key"), ["b", "c"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    let quiet = delete_many(&world, quiet).await;
    assert!(elements(quiet.text(), "Deleted").is_empty());
    delete_many(&world, "<Delete></Delete>")
        .await
        .is(400, "MalformedXML");
    let keys = "<Object><Key>k</Key></Object>".repeat(1001);
    let many = delete_many(&world, &format!("<Delete>{keys}</Delete>")).await;
    many.is(400, "MalformedXML");
}

#[tokio::test]
async fn deleting_twice_is_204_and_the_object_is_gone() {
    let world = world();
    world
        .ask(alice(Method::PUT, "/named/a"), &"x".repeat(100_000))
        .await;
    assert_eq!(world.files().len(), 1);
    for _ in 0..2 {
        let gone = world.ask(alice(Method::DELETE, "/named/a"), "").await;
        assert_eq!(gone.status, 204);
    }
    world
        .ask(alice(Method::GET, "/named/a"), "")
        .await
        .is(404, "NoSuchKey");
    // There is no retention that this could bypass.
    let bypass = alice(Method::DELETE, "/named/a");
    let bypass = bypass.header("x-amz-bypass-governance-retention", "true");
    assert_eq!(world.ask(bypass, "").await.status, 204);
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn one_object_of_the_vault_cannot_take_every_transfer() {
    let world = world_with(|config| config.object_downloads_max = 1);
    world.put(vec![7; 100_000]).await;
    let get = || {
        let get = request(Method::GET, &world.presign_get(1));
        world
            .router
            .clone()
            .oneshot(get.body(Body::empty()).unwrap())
    };
    let running = get().await.unwrap();
    assert_eq!(running.status(), 200);
    world.get().await.is(503, "SlowDown");
    drop(running);
    assert_eq!(world.get().await.body.len(), 100_000);
}
