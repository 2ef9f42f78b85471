//! Broken uploads, altered files, full disks.

use super::*;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::io;

fn frames(count: usize) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    stream::iter((0..count).map(|_| Ok(Bytes::from(vec![7; 100_000]))))
}

#[tokio::test]
async fn a_body_shorter_or_longer_than_declared_is_400_and_nothing_is_stored() {
    let world = world();
    for length in [6, 4] {
        let request = request(Method::PUT, &world.presign_put(1)).header("content-length", length);
        let answer = world.raw(request.body("value".into()).unwrap()).await;
        answer.is(400, "IncompleteBody");
        assert!(world.is_empty().await);
    }
    assert_eq!(
        world.put("value").await.status,
        200,
        "the name is still free"
    );
}

#[tokio::test]
async fn an_upload_cut_off_stores_nothing() {
    let world = world();
    let cut = frames(9).chain(stream::once(async { Err(io::Error::other("reset")) }));
    let request = request(Method::PUT, &world.presign_put(1)).header("content-length", 1_000_000);
    let answer = world
        .raw(request.body(Body::from_stream(cut)).unwrap())
        .await;
    answer.is(400, "IncompleteBody");
    assert!(world.is_empty().await);
}

#[tokio::test]
async fn an_upload_whose_client_goes_away_leaves_no_file() {
    let world = world();
    let never_ends = frames(9).chain(stream::pending());
    let request = request(Method::PUT, &world.presign_put(1)).header("content-length", 1_000_000);
    let request = request.body(Body::from_stream(never_ends)).unwrap();
    let upload = tokio::spawn(world.router.clone().oneshot(request));
    while world.unfinished() == 0 {
        tokio::task::yield_now().await;
    }
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    while world.unfinished() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!world.is_stored().await);
}

#[tokio::test]
async fn an_idle_upload_is_ended() {
    let world = world_with(|config| config.body_idle_s = 0);
    let idle = frames(1).chain(stream::pending());
    let request = request(Method::PUT, &world.presign_put(1)).header("content-length", 1_000_000);
    let answer = world
        .raw(request.body(Body::from_stream(idle)).unwrap())
        .await;
    answer.is(400, "RequestTimeout");
    assert!(world.is_empty().await);
}

#[tokio::test]
async fn the_disk_reserve_is_503_and_nothing_is_stored() {
    let world = world_with(|config| config.disk_reserve_bytes = u64::MAX);
    world.put("value").await.is(503, "ServiceUnavailable");
    assert!(world.is_empty().await);
}

#[tokio::test]
async fn below_the_reserve_nothing_is_written_but_deletions_go_on() {
    let world = world();
    world.make_bucket("named").await;
    world.ask(alice(Method::PUT, "/named/kept"), "value").await;
    let begun = world.ask(alice(Method::POST, "/named/a?uploads"), "").await;
    let id = element(begun.text(), "UploadId").to_owned();
    let part = format!("/named/a?partNumber=1&uploadId={id}");
    let stored = world.ask(alice(Method::PUT, &part), "part").await;
    let etag = stored.headers["etag"]
        .to_str()
        .unwrap()
        .replace('"', "&quot;");
    let World {
        dir, store, router, ..
    } = world;
    drop(router);
    store.close().await.unwrap();
    drop(store);

    let world = world_in(dir, |config| config.disk_reserve_bytes = u64::MAX);
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let rules = "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod>\
                 <AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>";
    for (method, path, body) in [
        (Method::PUT, "/another".to_owned(), ""),
        (Method::PUT, "/named?cors".to_owned(), rules),
        (Method::POST, "/named/b?uploads".to_owned(), ""),
        (Method::PUT, part, "part"),
        (
            Method::POST,
            format!("/named/a?uploadId={id}"),
            complete.as_str(),
        ),
    ] {
        let md5 = BASE64_STANDARD.encode(Md5::digest(body));
        let request = alice(method, &path).header("content-md5", &md5);
        let answer = world.ask(request, body).await;
        answer.is(503, "ServiceUnavailable");
    }
    let read = world.ask(alice(Method::GET, "/named/kept"), "").await;
    assert_eq!(read.text(), "value");
    for path in ["/named/kept".to_owned(), format!("/named/a?uploadId={id}")] {
        let deleted = world.ask(alice(Method::DELETE, &path), "").await;
        assert_eq!(deleted.status, 204, "{}", deleted.text());
    }
}

#[tokio::test]
async fn transfers_over_the_limit_are_503() {
    let world = world_with(|config| config.transfers_max = 1);
    world.put("value").await;
    let request = request(Method::GET, &world.presign_get(1))
        .body(Body::empty())
        .unwrap();
    let running = world.router.clone().oneshot(request).await.unwrap();
    world.get().await.is(503, "SlowDown");
    // Their bodies wait in memory.
    let complete = alice(Method::POST, "/named/a?uploadId=x");
    world.ask(complete, "").await.is(503, "SlowDown");
    let many = alice(Method::POST, "/named?delete").header("x-amz-checksum-crc32", "AAAAAA==");
    world.ask(many, "").await.is(503, "SlowDown");
    drop(running);
    assert_eq!(world.get().await.text(), "value");
}

#[tokio::test]
async fn applications_cannot_take_the_transfers_that_are_kept_for_the_vault() {
    let world = world_with(|config| config.transfers_max = 4);
    world.put("value").await;
    let stored = world.ask(alice(Method::PUT, "/named/a"), "big").await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let mut running = Vec::new();
    for _ in 0..3 {
        let get = alice(Method::GET, "/named/a").sign_header("");
        let get = request(Method::GET, &get).body(Body::empty()).unwrap();
        running.push(world.router.clone().oneshot(get).await.unwrap());
        assert_eq!(running.last().unwrap().status(), 200);
    }
    let refused = world.ask(alice(Method::GET, "/named/a"), "").await;
    refused.is(503, "SlowDown");
    let refused = world.ask(alice(Method::PUT, "/named/b"), "more").await;
    refused.is(503, "SlowDown");
    let xml = "<CompleteMultipartUpload/>";
    let complete = alice(Method::POST, "/named/a?uploadId=x");
    world.ask(complete, xml).await.is(503, "SlowDown");
    assert_eq!(world.get().await.text(), "value");
    drop(running);
    let again = world.ask(alice(Method::GET, "/named/a"), "").await;
    assert_eq!(again.text(), "big");
}

#[tokio::test]
async fn a_listing_is_a_transfer_until_it_is_taken() {
    let world = world_with(|config| config.transfers_max = 1);
    for number in 0..100 {
        let path = format!("/named/{number:03}{}", "k".repeat(1000));
        let put = world.ask(alice(Method::PUT, &path), "x").await;
        assert_eq!(put.status, 200, "{}", put.text());
    }
    let list = alice(Method::GET, "/named?list-type=2").sign_header("");
    let list = request(Method::GET, &list).body(Body::empty()).unwrap();
    let running = world.router.clone().oneshot(list).await.unwrap();
    assert_eq!(running.status(), 200);
    world.get().await.is(503, "SlowDown");
    let length = running.headers()["content-length"].clone();
    let body = running.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() > 100_000 && length == body.len().to_string());
    let text = std::str::from_utf8(&body).unwrap();
    assert_eq!(elements(text, "Key").len(), 100);
    world.put("value").await;
    assert_eq!(world.get().await.text(), "value");
}

#[tokio::test]
async fn a_read_under_way_survives_a_delete() {
    let world = world();
    world.put(vec![7; 5_000_000]).await;
    let request = request(Method::GET, &world.presign_get(1))
        .body(Body::empty())
        .unwrap();
    let running = world.router.clone().oneshot(request).await.unwrap();
    world.store.delete(&OBJECT).await.unwrap();
    let body = running.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, vec![7; 5_000_000]);
}

#[tokio::test]
async fn objects_are_there_after_a_restart() {
    let World {
        dir,
        clock,
        store,
        router,
    } = world();
    let config = store.config.clone();
    let world = World {
        dir,
        clock,
        store,
        router,
    };
    world.put("value").await;
    let World {
        dir,
        clock,
        store,
        router,
    } = world;
    drop((store, router));
    let store = open(config, &clock);
    let router = store.router();
    let world = World {
        dir,
        clock,
        store,
        router,
    };
    assert_eq!(world.get().await.text(), "value");
    world.put("other").await.is(412, "PreconditionFailed");
}

/// Every object in a file of its own, however small.
fn world_of_files() -> World {
    world_with(|config| config.inline_bytes_max = 0)
}

#[tokio::test]
async fn two_files_exchanged_are_refused_under_the_same_key() {
    let world = world_of_files();
    world.put("value").await;
    let first = world.file();
    let other = ObjectId([0xac; 32]);
    let put = world.store.presign_put(&other, &key(1), START, 900, None);
    let put = request(Method::PUT, &put).header("content-length", 5);
    assert_eq!(
        world.raw(put.body("other".into()).unwrap()).await.status,
        200
    );
    let second = world.files().into_iter().find(|file| *file != first);
    let second = second.unwrap();
    let aside = world.dir.path().join("aside");
    std::fs::rename(&first, &aside).unwrap();
    std::fs::rename(&second, &first).unwrap();
    std::fs::rename(&aside, &second).unwrap();
    for object in [OBJECT, other] {
        let signed = world.store.presign_get(&object, &key(1), START, 60);
        let answer = world.send(Method::GET, &signed, "").await;
        answer.is(500, "InternalError");
    }
}

#[tokio::test]
async fn a_bad_segment_late_in_an_object_breaks_the_transfer() {
    let world = world();
    world.put(vec![7; 5_000_000]).await;
    let path = world.file();
    let mut file = std::fs::read(&path).unwrap();
    let at = file.len() - 100;
    file[at] ^= 1;
    std::fs::write(&path, file).unwrap();
    let request = request(Method::GET, &world.presign_get(1))
        .body(Body::empty())
        .unwrap();
    let answer = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "5000000");
    assert!(answer.into_body().collect().await.is_err());
}

/// What a GET of an altered file gives: its bytes, or nothing if it was refused.
async fn read_altered(world: &World, file: &[u8]) -> Option<Bytes> {
    std::fs::write(world.file(), file).unwrap();
    let request = request(Method::GET, &world.presign_get(1))
        .body(Body::empty())
        .unwrap();
    let answer = world.router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    assert!(status == 200 || status == 403 || status == 500, "{status}");
    (status == 200).then_some(body)
}

#[tokio::test]
async fn every_flipped_byte_and_every_cut_of_a_small_file_is_refused() {
    let world = world_of_files();
    world.put("a small value").await;
    let file = std::fs::read(world.file()).unwrap();
    assert_eq!(read_altered(&world, &file).await.unwrap(), "a small value");
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert_eq!(read_altered(&world, &flipped).await, None, "flip at {at}");
        assert_eq!(read_altered(&world, &file[..at]).await, None, "cut at {at}");
    }
    assert_eq!(
        read_altered(&world, &[&file[..], b"x"].concat()).await,
        None
    );
}

#[test]
fn any_altered_large_file_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = world_of_files();
    let any_index = any::<prop::sample::Index>;
    let altered = (0usize..700_000, any_index(), any_index(), 0u8..8);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(128));
    let outcome = runner.run(&altered, |(len, one, two, bit)| {
        let value: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        runtime.block_on(async {
            world.put(value).await;
            let file = std::fs::read(world.file()).unwrap();
            let (one, two) = (one.index(file.len()), two.index(file.len()));
            let mut flipped = file.clone();
            flipped[one] ^= 1 << bit;
            assert_eq!(read_altered(&world, &flipped).await, None);
            assert_eq!(read_altered(&world, &file[..one]).await, None);
            let mut swapped = file.clone();
            swapped.swap(one, two);
            if swapped != file {
                assert_eq!(read_altered(&world, &swapped).await, None);
            }
            world.store.delete(&OBJECT).await.unwrap();
        });
        Ok(())
    });
    outcome.unwrap();
}
