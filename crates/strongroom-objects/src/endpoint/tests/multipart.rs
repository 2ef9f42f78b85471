//! Multipart uploads.

use super::*;
use strongroom_s3::checksum::{Algorithm, Hasher};

const PART: usize = 5 << 20;

fn part(fill: char, len: usize) -> String {
    fill.to_string().repeat(len)
}

async fn begin(world: &World, forge: Forge) -> String {
    let begun = world.ask(forge, "").await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    element(begun.text(), "UploadId").to_owned()
}

fn upload(id: &str, number: u32) -> Forge {
    alice(
        Method::PUT,
        &format!("/named/a?partNumber={number}&uploadId={id}"),
    )
}

fn finish(id: &str) -> Forge {
    alice(Method::POST, &format!("/named/a?uploadId={id}"))
}

fn parts_xml(parts: &[(u32, &str, &str)]) -> String {
    let mut xml = "<CompleteMultipartUpload>".to_owned();
    for (number, etag, further) in parts {
        let etag = etag.replace('"', "&quot;");
        let number = number.to_string();
        for text in ["<Part><PartNumber>", &number, "</PartNumber><ETag>", &etag] {
            xml.push_str(text);
        }
        for text in ["</ETag>", further, "</Part>"] {
            xml.push_str(text);
        }
    }
    xml + "</CompleteMultipartUpload>"
}

fn checksum(algorithm: Algorithm, text: &str) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(text.as_bytes());
    hasher.finish().text()
}

/// A finished object of two parts under the customer key 1, and its upload's id and tags.
async fn uploaded(world: &World, one: &str, two: &str) -> (String, [String; 2]) {
    let create = alice(Method::POST, "/named/a?uploads")
        .sse_c(1)
        .header("x-amz-meta-a", "b")
        .header("content-type", "text/x");
    let begun = world.ask(create, "").await;
    assert_eq!(begun.header(SSE_C_ALGORITHM), "AES256");
    let id = element(begun.text(), "UploadId").to_owned();
    let second = world.ask(upload(&id, 2).sse_c(1), two).await;
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(second.header(SSE_C_ALGORITHM), "AES256");
    let first = world.ask(upload(&id, 1).sse_c(1), one).await;
    let etags = [first, second].map(|answer| answer.header("etag").to_owned());
    (id, etags)
}

#[tokio::test]
async fn mp_part_nokey_and_wrongkey_are_400() {
    let world = world();
    let id = begin(&world, alice(Method::POST, "/named/a?uploads").sse_c(1)).await;
    let keyless = world.ask(upload(&id, 1), "x").await;
    keyless.is(400, "InvalidRequest");
    let wrong = world.ask(upload(&id, 1).sse_c(2), "x").await;
    wrong.is(400, "InvalidRequest");
    for number in ["0", "10001", "x"] {
        let path = format!("/named/a?partNumber={number}&uploadId={id}");
        let bad = world.ask(alice(Method::PUT, &path).sse_c(1), "x").await;
        bad.is(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn mp_list_and_mp_complete_badetag_and_order() {
    let world = world();
    let (one, two) = (part('1', PART), part('2', 1000));
    let (id, [first, second]) = uploaded(&world, &one, &two).await;
    let list = |query: &str| alice(Method::GET, &format!("/named/a?uploadId={id}{query}"));
    let listed = world.ask(list(""), "").await;
    assert_eq!(elements(listed.text(), "PartNumber"), ["1", "2"]);
    assert_eq!(
        elements(listed.text(), "Size"),
        [PART.to_string(), "1000".into()]
    );
    let page = world.ask(list("&max-parts=1"), "").await;
    assert_eq!(element(page.text(), "NextPartNumberMarker"), "1");
    let rest = world.ask(list("&part-number-marker=1"), "").await;
    assert_eq!(elements(rest.text(), "PartNumber"), ["2"]);
    let uploads = world.ask(alice(Method::GET, "/named?uploads"), "").await;
    assert_eq!(element(uploads.text(), "UploadId"), id);
    assert_eq!(element(uploads.text(), "Key"), "a");
    let bad = world
        .ask(finish(&id), &parts_xml(&[(1, "\"x\"", "")]))
        .await;
    bad.is(400, "InvalidPart");
    let unordered = parts_xml(&[(2, &second, ""), (1, &first, "")]);
    let unordered = world.ask(finish(&id), &unordered).await;
    unordered.is(400, "InvalidPartOrder");
}

#[tokio::test]
async fn mp_complete_get_range_and_partnumber() {
    let world = world();
    let (one, two) = (part('1', PART), part('2', 1000));
    let (id, [first, second]) = uploaded(&world, &one, &two).await;
    let done = parts_xml(&[(1, &first, ""), (2, &second, "")]);
    let done = world.ask(finish(&id), &done).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let text = done.text();
    assert_eq!(
        element(text, "Location"),
        "http://objects.test:9000/named/a"
    );
    let etag = element(text, "ETag").replace("&quot;", "\"");
    assert!(etag.ends_with("-2\"") && etag.len() == 36, "{etag}");
    let get = || alice(Method::GET, "/named/a").sse_c(1);
    let got = world.ask(get(), "").await;
    assert!(got.body == format!("{one}{two}"));
    assert_eq!(got.header("etag"), etag);
    assert_eq!(
        (got.header("x-amz-meta-a"), got.header("content-type")),
        ("b", "text/x")
    );
    let across = get().header("range", &format!("bytes={}-{}", PART - 2, PART + 1));
    assert_eq!(world.ask(across, "").await.text(), "1122");
    let part = world.ask(get().query("partNumber", "2"), "").await;
    assert_eq!((part.status.as_u16(), part.text()), (206, two.as_str()));
    assert_eq!(part.header("x-amz-mp-parts-count"), "2");
    let total = PART + 1000;
    let range = format!("bytes {PART}-{}/{total}", total - 1);
    assert_eq!(part.header("content-range"), range);
    let third = world.ask(get().query("partNumber", "3"), "").await;
    third.is(416, "InvalidPartNumber");
    let again = world.ask(upload(&id, 3).sse_c(1), "x").await;
    again.is(404, "NoSuchUpload");
    let again = parts_xml(&[(1, &first, "")]);
    world.ask(finish(&id), &again).await.is(404, "NoSuchUpload");
}

#[tokio::test]
async fn part_numbers_of_reads_are_checked_and_counted() {
    let world = world();
    let (one, two) = (part('1', PART), part('2', 1000));
    let (id, [first, second]) = uploaded(&world, &one, &two).await;
    let done = parts_xml(&[(1, &first, ""), (2, &second, "")]);
    assert_eq!(world.ask(finish(&id), &done).await.status, 200);
    let get = || alice(Method::GET, "/named/a").sse_c(1);
    for number in ["0", "10001", "x"] {
        let bad = world.ask(get().query("partNumber", number), "").await;
        bad.is(400, "InvalidArgument");
    }
    let both = get().query("partNumber", "1").header("range", "bytes=0-1");
    world.ask(both, "").await.is(400, "InvalidRequest");
    let attributes = alice(Method::GET, "/named/a?attributes")
        .sse_c(1)
        .header("x-amz-object-attributes", "ObjectParts");
    let attributes = world.ask(attributes, "").await;
    assert_eq!(element(attributes.text(), "PartsCount"), "2");
}

#[tokio::test]
async fn mp_toosmall_is_400_and_mp_abort_ends_the_upload() {
    let world = world();
    let id = begin(&world, alice(Method::POST, "/named/a?uploads")).await;
    let mut etags = Vec::new();
    for number in [1, 2] {
        let put = world.ask(upload(&id, number), "small").await;
        assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
        etags.push(put.header("etag").to_owned());
    }
    let both = parts_xml(&[(1, &etags[0], ""), (2, &etags[1], "")]);
    let small = world.ask(finish(&id), &both).await;
    small.is(400, "EntityTooSmall");
    assert_eq!(element(small.text(), "PartNumber"), "1");
    let abort = || alice(Method::DELETE, &format!("/named/a?uploadId={id}"));
    assert_eq!(world.ask(abort(), "").await.status, 204);
    world.ask(abort(), "").await.is(404, "NoSuchUpload");
    world.ask(upload(&id, 1), "x").await.is(404, "NoSuchUpload");
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn a_complete_heeds_its_conditions_and_size() {
    let world = world();
    world.ask(alice(Method::PUT, "/named/a"), "there").await;
    let id = begin(&world, alice(Method::POST, "/named/a?uploads")).await;
    let put = world.ask(upload(&id, 1), "value").await;
    let body = parts_xml(&[(1, put.header("etag"), "")]);
    let none = finish(&id).header("if-none-match", "*");
    world.ask(none, &body).await.is(412, "PreconditionFailed");
    let size = finish(&id).header("x-amz-mp-object-size", "6");
    world.ask(size, &body).await.is(400, "InvalidRequest");
    let good = finish(&id).header("x-amz-mp-object-size", "5");
    assert_eq!(world.ask(good, &body).await.status, 200);
    let got = world.ask(alice(Method::GET, "/named/a"), "").await;
    assert_eq!(got.text(), "value");
}

#[tokio::test]
async fn checksums_of_parts_become_the_objects() {
    let world = world();
    let (one, two) = (part('1', PART), "2".to_owned());
    for (algorithm, kind) in [
        (Algorithm::Crc32, "COMPOSITE"),
        (Algorithm::Sha256, "COMPOSITE"),
        (Algorithm::Crc32, "FULL_OBJECT"),
        (Algorithm::Crc64Nvme, "FULL_OBJECT"),
    ] {
        let create = alice(Method::POST, "/named/a?uploads")
            .header("x-amz-checksum-algorithm", algorithm.name())
            .header("x-amz-checksum-type", kind);
        let id = begin(&world, create).await;
        let sum = checksum(algorithm, &one);
        let first = world
            .ask(upload(&id, 1).header(algorithm.header(), &sum), &one)
            .await;
        assert_eq!(first.header(algorithm.header()), sum, "{}", first.text());
        // Not sent along, and still computed.
        let second = world.ask(upload(&id, 2), &two).await;
        assert_eq!(second.header(algorithm.header()), checksum(algorithm, &two));
        let other = if algorithm == Algorithm::Sha1 {
            Algorithm::Crc32c
        } else {
            Algorithm::Sha1
        };
        let other = upload(&id, 3).header(other.header(), &checksum(other, "x"));
        world.ask(other, "x").await.is(400, "InvalidRequest");
        let element_of = |text: &str| format!("<{0}>{text}</{0}>", algorithm.element());
        let sums = [element_of(&sum), element_of(&checksum(algorithm, &two))];
        let wrong = parts_xml(&[(1, first.header("etag"), &sums[1])]);
        world.ask(finish(&id), &wrong).await.is(400, "InvalidPart");
        let body = parts_xml(&[
            (1, first.header("etag"), &sums[0]),
            (2, second.header("etag"), &sums[1]),
        ]);
        let whole = checksum(algorithm, &format!("{one}{two}"));
        if kind == "FULL_OBJECT" {
            let bad = finish(&id).header(algorithm.header(), &sum);
            world.ask(bad, &body).await.is(400, "BadDigest");
            let good = finish(&id).header(algorithm.header(), &whole);
            let done = world.ask(good, &body).await;
            assert_eq!(element(done.text(), algorithm.element()), whole);
        } else {
            let done = world.ask(finish(&id), &body).await;
            assert!(element(done.text(), algorithm.element()).ends_with("-2"));
            assert_eq!(element(done.text(), "ChecksumType"), "COMPOSITE");
        }
        let got = alice(Method::HEAD, "/named/a").header("x-amz-checksum-mode", "ENABLED");
        let got = world.ask(got, "").await;
        assert_eq!(got.header("x-amz-checksum-type"), kind);
        assert!(!got.header(algorithm.header()).is_empty());
    }
}

#[tokio::test]
async fn complete_shows_no_checksum_to_who_has_not_the_key() {
    let sum = checksum(Algorithm::Crc32, "4111");
    for (fill, shown) in [(None, false), (Some(1), true)] {
        let world = world();
        let create = alice(Method::POST, "/named/a?uploads")
            .sse_c(1)
            .header("x-amz-checksum-algorithm", "CRC32")
            .header("x-amz-checksum-type", "FULL_OBJECT");
        let id = begin(&world, create).await;
        let one = world.ask(upload(&id, 1).sse_c(1), "4111").await;
        let xml = parts_xml(&[(1, one.header("etag"), "")]);
        let wrong = world.ask(finish(&id).sse_c(2), &xml).await;
        wrong.is(400, "InvalidRequest");
        assert!(!wrong.text().contains(&sum));
        let finish = match fill {
            Some(fill) => finish(&id).sse_c(fill),
            None => finish(&id),
        };
        let done = world.ask(finish, &xml).await;
        assert_eq!(done.status, 200, "{}", done.text());
        assert_eq!(done.text().contains(&sum), shown);
    }
}
