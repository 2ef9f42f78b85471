//! The object store's side: what a URL is good for, and what it is not.

use serde_json::json;
use std::io::Write;
use std::net::Shutdown;
use strongroom_tests::http::connect;
use strongroom_tests::{Answer, Setup, Signed, Vault, eventually};

const KEY: &str = "x-amz-server-side-encryption-customer-key";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";

#[track_caller]
fn assert_s3_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(
        answer.text().contains(&format!("<Code>{code}</Code>")),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert_guarded(answer);
}

/// A value must never run as a page, nor stay in a cache.
#[track_caller]
fn assert_guarded(answer: &Answer) {
    assert!(answer.whole);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment"),
        ("content-security-policy", "sandbox; default-src 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    for name in ["set-cookie", "access-control-allow-origin"] {
        assert_eq!(answer.header(name), None);
    }
}

/// A vault with one value of 200 KiB, its upload and its download.
fn with_a_value() -> (Vault, Vec<u8>, Signed, Signed) {
    let vault = Vault::start();
    let jwt = vault.application();
    let mut value = vault.value();
    value.extend((0..200 * 1024_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]));
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    let stored = vault.put(&upload, &value);
    assert_eq!((stored.status, stored.body.as_slice()), (200, &b""[..]));
    assert_guarded(&stored);
    assert_eq!(stored.header(ALGORITHM), Some("AES256"));
    let download = vault.detokenize(&jwt, &token);
    (vault, value, upload, download)
}

#[test]
fn a_download_is_the_value_with_the_headers_that_keep_it_safe() {
    let (vault, value, _, download) = with_a_value();
    let answer = vault.get(&download);
    assert_eq!(answer.status, 200);
    assert_guarded(&answer);
    assert!(answer.body == value);
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert_eq!(answer.header(KEY), None);
    // Ports share cookies: another service's cookie must change nothing.
    let answer = download
        .request("GET")
        .header("cookie", "access_token=x")
        .send(vault.s3());
    assert!(answer.status == 200 && answer.body == value);
}

#[test]
fn an_upload_is_written_once() {
    let (vault, value, upload, download) = with_a_value();
    assert_s3_refused(&vault.put(&upload, b"another"), 412, "PreconditionFailed");
    assert_s3_refused(&vault.put(&upload, &value), 412, "PreconditionFailed");
    let unconditional = vault.put(&upload.without("if-none-match"), b"another");
    assert_eq!(unconditional.status, 403);
    assert_eq!(
        vault
            .put(&upload.with("if-none-match", "\"x\""), b"another")
            .status,
        403
    );
    assert!(vault.get(&download).body == value);
}

#[test]
fn of_two_uploads_at_once_one_is_stored() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    let values: Vec<_> = (0..6).map(|_| vault.value()).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let (vault, upload) = (&vault, &upload);
        let running: Vec<_> = values
            .iter()
            .map(|value| scope.spawn(move || vault.put(upload, value).status))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let stored: Vec<_> = (0..6).filter(|at| statuses[*at] == 200).collect();
    assert_eq!(stored.len(), 1, "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|status| [200, 409, 412].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(vault.fetch(&jwt, &token), values[stored[0]]);
}

#[test]
fn a_url_is_good_for_its_own_method_path_and_query_alone() {
    let (vault, value, upload, download) = with_a_value();
    for method in ["PUT", "HEAD", "DELETE", "POST"] {
        assert_eq!(
            download.request(method).send(vault.s3()).status,
            403,
            "{method}"
        );
    }
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        assert_eq!(
            upload.request(method).send(vault.s3()).status,
            403,
            "{method}"
        );
    }
    let target = &download.target;
    let (path, query) = target.split_once('?').unwrap();
    let signature = target.split("X-Amz-Signature=").nth(1).unwrap();
    let flipped = if signature.starts_with('0') { "1" } else { "0" };
    let other = |target: String| Signed {
        target,
        headers: download.headers.clone(),
    };
    for (why, changed) in [
        (
            "signature",
            target.replace(signature, &format!("{flipped}{}", &signature[1..])),
        ),
        (
            "no signature",
            target.replace(&format!("&X-Amz-Signature={signature}"), ""),
        ),
        (
            "longer life",
            target.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        ),
        (
            "further parameter",
            format!("{target}&response-content-type=text%2Fhtml"),
        ),
        ("caching", target.replace("=no-store", "=public")),
        (
            "another object",
            format!("/strongroom/{}?{query}", "0".repeat(64)),
        ),
        (
            "another bucket",
            target.replacen("/strongroom/", "/other/", 1),
        ),
        ("no query", path.to_owned()),
        ("the bucket", format!("/strongroom?{query}")),
    ] {
        let answer = vault.get(&other(changed));
        assert!(
            [400, 403].contains(&answer.status),
            "{why}: {}",
            answer.status
        );
        assert_guarded(&answer);
    }
    assert_s3_refused(
        &vault.get(&other(target.replace(signature, &"0".repeat(64)))),
        403,
        "SignatureDoesNotMatch",
    );
    assert!(vault.get(&download).body == value);
}

#[test]
fn a_key_or_md5_that_is_missing_wrong_or_malformed_opens_nothing() {
    let (vault, value, upload, download) = with_a_value();
    let (zeros, md5_of_zeros) = (
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "cLxLiqQ4hSwbA0SdmWoiVg==",
    );
    for signed in [&upload, &download] {
        let send = |signed: &Signed, method| signed.request(method).body("").send(vault.s3());
        let method = if std::ptr::eq(signed, &raw const upload) {
            "PUT"
        } else {
            "GET"
        };
        for changed in [
            signed.without(KEY),
            signed.without(KEY_MD5),
            signed.without(ALGORITHM),
            signed.with(KEY, zeros),
            signed.with(KEY, zeros).with(KEY_MD5, md5_of_zeros),
            signed.with(KEY, "AAAA"),
            signed.with(KEY, "!"),
            signed.with(KEY_MD5, "AAAA"),
            signed.with(KEY_MD5, md5_of_zeros),
            signed.with(ALGORITHM, "AES128"),
        ] {
            let answer = send(&changed, method);
            assert!(
                [400, 403].contains(&answer.status),
                "{method}: {}",
                answer.status
            );
            assert_guarded(&answer);
        }
        for name in ["x-amz-acl", "x-amz-copy-source", "x-amz-meta-note"] {
            let answer = signed
                .request(method)
                .header(name, "private")
                .send(vault.s3());
            assert_eq!(answer.status, 403, "{method}: unsigned {name}");
        }
    }
    assert!(vault.get(&download).body == value);
}

#[test]
fn ranges_are_served_and_what_is_no_range_is_ignored() {
    let (vault, value, _, download) = with_a_value();
    let size = value.len();
    let get = |range: &str| {
        download
            .request("GET")
            .header("range", range)
            .send(vault.s3())
    };
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=0-4", 0..5),
        ("bytes=65530-65545", 65_530..65_546),
        ("bytes=131072-", 131_072..size),
        ("bytes=-5", size - 5..size),
        ("bytes=-99999999", 0..size),
        ("bytes=100-99999999", 100..size),
    ] {
        let answer = get(range);
        assert_eq!(answer.status, 206, "{range}");
        assert_guarded(&answer);
        let text = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(
            answer.header("content-range"),
            Some(text.as_str()),
            "{range}"
        );
        assert!(answer.body == value[expected], "{range}");
    }
    for ignored in [
        "bytes=5-4",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=",
        "bytes=a-b",
        "0-1",
    ] {
        let answer = get(ignored);
        assert_eq!((answer.status, answer.body.len()), (200, size), "{ignored}");
    }
    for beyond in [format!("bytes={size}-"), "bytes=-0".into()] {
        assert_s3_refused(&get(&beyond), 416, "InvalidRange");
    }
}

#[test]
fn a_token_whose_value_never_came_leads_to_404() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, _) = vault.tokenize(&jwt, &json!({}));
    let answer = vault.get(&vault.detokenize(&jwt, &token));
    assert_s3_refused(&answer, 404, "NoSuchKey");
}

#[test]
fn values_of_every_awkward_size_come_back() {
    let vault = Vault::start();
    let jwt = vault.application();
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000] {
        let value: Vec<u8> = (0..size).map(|at: u32| at.to_le_bytes()[1]).collect();
        let token = vault.store(&jwt, &value);
        assert!(vault.fetch(&jwt, &token) == value, "{size}");
    }
}

#[test]
fn a_chunked_upload_is_taken() {
    let vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    let mut body = format!("{:x}\r\n", value.len()).into_bytes();
    body.extend_from_slice(&value);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    let request = upload
        .request("PUT")
        .header("transfer-encoding", "chunked")
        .body(body);
    assert_eq!(request.send(vault.s3()).status, 200);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn an_upload_that_is_cut_off_leaves_nothing_and_can_be_repeated() {
    let vault = Vault::start();
    let jwt = vault.application();
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    let incoming = vault.data().join("objects/incoming");
    let unfinished = || std::fs::read_dir(&incoming).unwrap().count();

    let head = upload
        .request("PUT")
        .header("content-length", "1048576")
        .head(vault.s3());
    let mut stream = connect(vault.s3()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; 600 * 1024]).unwrap();
    eventually("the upload has begun", || (unfinished() == 1).then_some(()));
    stream.shutdown(Shutdown::Both).unwrap();
    eventually("the unfinished file is gone", || {
        (unfinished() == 0).then_some(())
    });
    assert!(vault.objects().is_empty());

    let missing = vault.get(&vault.detokenize(&jwt, &token));
    assert_eq!(missing.status, 404);
    let value = vault.value();
    assert_eq!(vault.put(&upload, &value).status, 200);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn an_upload_beyond_the_limit_leaves_nothing() {
    let vault = Setup::new().set("S3__OBJECT_BYTES_MAX", "100KiB").start();
    let jwt = vault.application();
    let limit = 100 * 1024;
    let (_, upload) = vault.tokenize(&jwt, &json!({}));
    let answer = vault.put(&upload, &vec![1; limit + 1]);
    assert_s3_refused(&answer, 400, "EntityTooLarge");
    let mut chunked = format!("{:x}\r\n", limit + 1).into_bytes();
    chunked.extend(vec![1; limit + 1]);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let request = upload
        .request("PUT")
        .header("transfer-encoding", "chunked")
        .body(chunked);
    assert_s3_refused(&request.send(vault.s3()), 400, "EntityTooLarge");
    assert!(vault.objects().is_empty());
    assert_eq!(
        std::fs::read_dir(vault.data().join("objects/incoming"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(vault.put(&upload, &vec![1; limit]).status, 200);
}

#[test]
fn an_announced_length_is_signed() {
    let vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let (token, upload) = vault.tokenize(&jwt, &json!({ "contentLength": value.len() }));
    assert!(
        upload
            .headers
            .iter()
            .all(|(name, _)| name != "content-length")
    );
    assert_s3_refused(
        &vault.put(&upload, b"shorter"),
        403,
        "SignatureDoesNotMatch",
    );
    assert_eq!(vault.put(&upload, &value).status, 200);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn an_upload_that_falls_silent_is_ended_and_leaves_nothing() {
    let vault = Setup::new().set("S3__BODY_IDLE", "1s").start();
    let (_, upload) = vault.tokenize(&vault.application(), &json!({}));
    let head = upload
        .request("PUT")
        .header("content-length", "1000000")
        .head(vault.s3());
    let mut stream = connect(vault.s3()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b'x'; 1000]).unwrap();
    let answer = Answer::read(&mut stream, false).unwrap();
    assert_s3_refused(&answer, 400, "RequestTimeout");
    let incoming = vault.data().join("objects/incoming");
    eventually("the unfinished file is gone", || {
        (std::fs::read_dir(&incoming).unwrap().count() == 0).then_some(())
    });
}

#[test]
fn urls_are_signed_for_the_public_name() {
    let vault = Setup::new()
        .set("S3__PUBLIC_URL", "https://objects.example.org")
        .start();
    let jwt = vault.application();
    let data = vault.ok("/tokenize", &jwt, &json!({}));
    let url = data["uploadUrl"].as_str().unwrap();
    assert!(
        url.starts_with("https://objects.example.org/strongroom/"),
        "{url}"
    );
    let value = vault.value();
    let (token, upload) = vault.tokenize(&jwt, &json!({}));
    assert!(
        upload
            .headers
            .contains(&("host".into(), "objects.example.org".into()))
    );
    // One of the endpoint's names, and not the signed one; then a foreign one.
    for (host, status) in [("localhost", 403), ("other.example.org", 421)] {
        let answer = vault.put(&upload.with("host", host), &value);
        assert_eq!(answer.status, status);
    }
    assert_eq!(vault.put(&upload, &value).status, 200);
    assert_eq!(vault.fetch(&jwt, &token), value);
}
