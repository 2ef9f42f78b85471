//! Key errors on read and on write.

use super::*;

#[tokio::test]
async fn get_wrongkey_is_403() {
    let world = world();
    for value in ["value", ""] {
        world.put(value).await;
        let answer = world.send(Method::GET, &world.presign_get(2), "").await;
        let text = answer.is(403, "AccessDenied").text();
        assert!(
            text.contains("must provide the correct secret key."),
            "{text}"
        );
        world.store.delete(&OBJECT).await.unwrap();
    }
}

#[tokio::test]
async fn get_nokey_is_400() {
    let world = world();
    for value in ["value", ""] {
        world.put(value).await;
        let answer = world
            .send(Method::GET, &forge(Method::GET).sign(), "")
            .await;
        let text = answer.is(400, "InvalidRequest").text();
        assert!(
            text.contains("stored using a form of Server Side Encryption"),
            "{text}"
        );
        world.store.delete(&OBJECT).await.unwrap();
    }
}

#[tokio::test]
async fn head_wrongkey_is_403_and_head_nokey_400_without_body() {
    let world = world();
    world.put("value").await;
    for (signed, status) in [
        (forge(Method::HEAD).sse_c(2), 403),
        (forge(Method::HEAD), 400),
    ] {
        let answer = world.send(Method::HEAD, &signed.sign(), "").await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0));
    }
}

/// Each bad set of headers by the name of its row, with the code that AWS gives.
fn bad_sets() -> Vec<(&'static str, [Option<String>; 3], &'static str)> {
    let good = || {
        sse_c(1)
            .into_iter()
            .map(|(_, value)| Some(value))
            .collect::<Vec<_>>()
    };
    let with = |at: usize, value: Option<&str>| {
        let mut set: [Option<String>; 3] = good().try_into().unwrap();
        set[at] = value.map(str::to_owned);
        set
    };
    let short = BASE64_STANDARD.encode([1; 16]);
    vec![
        ("badmd5", with(2, Some(&sse_c(2)[2].1)), "InvalidArgument"),
        ("badmd5fmt", with(2, Some("AAAA")), "InvalidArgument"),
        ("nomd5", with(2, None), "InvalidArgument"),
        ("nokeyhdr", with(1, None), "InvalidArgument"),
        ("noalg", with(0, None), "InvalidArgument"),
        (
            "algonly",
            [Some("AES256".into()), None, None],
            "InvalidArgument",
        ),
        (
            "badalg",
            with(0, Some("AES128")),
            "InvalidEncryptionAlgorithmError",
        ),
        ("shortkey", with(1, Some(&short)), "InvalidArgument"),
        ("badb64", with(1, Some("not base64!")), "InvalidArgument"),
    ]
}

#[tokio::test]
async fn every_bad_set_of_headers_is_400_on_get_and_put() {
    let world = world();
    for (row, set, code) in bad_sets() {
        let names = [SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5];
        let fill = |forge: Forge| {
            names
                .into_iter()
                .zip(&set)
                .fold(forge, |forge, (name, value)| match value {
                    Some(value) => forge.header(name, value),
                    None => forge,
                })
        };
        let put = request(Method::PUT, &fill(Forge::put()).sign()).header("content-length", 5);
        let put = world.raw(put.body("value".into()).unwrap()).await;
        put.is(400, code);
        assert!(!world.is_stored().await, "put.{row}");
        world.put("value").await;
        let get = world
            .send(Method::GET, &fill(forge(Method::GET)).sign(), "")
            .await;
        let text = get.is(400, code).text();
        assert!(!text.contains(&sse_c(1)[1].1), "get.{row} shows the key");
        world.store.delete(&OBJECT).await.unwrap();
    }
}

#[tokio::test]
async fn put_ssec_and_sses3_is_400() {
    let world = world();
    let signed = Forge::put()
        .sse_c(1)
        .header("x-amz-server-side-encryption", "AES256")
        .sign();
    let request = request(Method::PUT, &signed).header("content-length", 0);
    world
        .raw(request.body(Body::empty()).unwrap())
        .await
        .is(400, "InvalidArgument");
}

#[tokio::test]
async fn put_without_a_key_is_403() {
    let world = world();
    let request = request(Method::PUT, &Forge::put().sign()).header("content-length", 0);
    world
        .raw(request.body(Body::empty()).unwrap())
        .await
        .is(403, "AccessDenied");
}
