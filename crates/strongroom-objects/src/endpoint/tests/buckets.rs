//! Operations on buckets.

use super::*;

#[tokio::test]
async fn buckets_are_made_found_listed_and_removed() {
    let world = world();
    let made = world.ask(alice(Method::PUT, "/photos"), "").await;
    assert_eq!(
        (made.status.as_u16(), made.header("location")),
        (200, "/photos")
    );
    let head = world.ask(alice(Method::HEAD, "/photos"), "").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    let listed = world.ask(alice(Method::GET, "/"), "").await;
    assert_eq!(elements(listed.text(), "Name"), ["named", "photos"]);
    assert_eq!(element(listed.text(), "ID"), "alice");
    let one = world.ask(alice(Method::GET, "/?max-buckets=1"), "").await;
    assert_eq!(elements(one.text(), "Name"), ["named"]);
    assert_eq!(element(one.text(), "ContinuationToken"), "named");
    let rest = alice(Method::GET, "/?max-buckets=1&continuation-token=named");
    let rest = world.ask(rest, "").await;
    assert_eq!(elements(rest.text(), "Name"), ["photos"]);
    let prefix = world.ask(alice(Method::GET, "/?prefix=ph"), "").await;
    assert_eq!(elements(prefix.text(), "Name"), ["photos"]);
    let none = world.ask(bob(Method::GET, "/"), "").await;
    assert!(elements(none.text(), "Name").is_empty());
    let location = world.ask(alice(Method::GET, "/photos?location"), "").await;
    assert!(
        location
            .text()
            .ends_with("doc/2006-03-01/\"></LocationConstraint>")
    );
    let gone = world.ask(alice(Method::DELETE, "/photos"), "").await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    for method in [Method::DELETE, Method::GET] {
        let answer = world.ask(alice(method, "/photos"), "").await;
        answer.is(404, "NoSuchBucket");
    }
    assert_eq!(
        world.ask(alice(Method::HEAD, "/photos"), "").await.status,
        404
    );
}

#[tokio::test]
async fn a_bucket_that_is_not_empty_stays() {
    let world = world();
    world.make_bucket("photos").await;
    world.ask(alice(Method::PUT, "/photos/a"), "value").await;
    let answer = world.ask(alice(Method::DELETE, "/photos"), "").await;
    answer.is(409, "BucketNotEmpty");
    world.ask(alice(Method::DELETE, "/photos/a"), "").await;
    assert_eq!(
        world.ask(alice(Method::DELETE, "/photos"), "").await.status,
        204
    );
}

#[tokio::test]
async fn open_uploads_go_with_their_bucket() {
    let world = world();
    world.make_bucket("photos").await;
    let begun = world
        .ask(alice(Method::POST, "/photos/a?uploads"), "")
        .await;
    let id = element(begun.text(), "UploadId");
    let part = format!("/photos/a?partNumber=1&uploadId={id}");
    let sent = world.ask(alice(Method::PUT, &part), "value").await;
    assert_eq!((sent.status.as_u16(), world.files().len()), (200, 1));
    let gone = world.ask(alice(Method::DELETE, "/photos"), "").await;
    assert_eq!((gone.status.as_u16(), world.files().len()), (204, 0));
    world.make_bucket("photos").await;
    let sent = world.ask(alice(Method::PUT, &part), "value").await;
    sent.is(404, "NoSuchUpload");
}

#[tokio::test]
async fn making_a_bucket_again_is_as_on_aws_in_each_region() {
    let world = world();
    world.make_bucket("photos").await;
    world.make_bucket("photos").await;
    let mut world = world_with(|config| config.region = "eu-west-1".into());
    let world = &mut world;
    let again = || {
        let mut forge = alice(Method::PUT, "/photos").query(
            "X-Amz-Credential",
            "AKIDALICE/20270115/eu-west-1/s3/aws4_request",
        );
        forge.region = "eu-west-1";
        forge
    };
    assert_eq!(world.ask(again(), "").await.status, 200);
    world
        .ask(again(), "")
        .await
        .is(409, "BucketAlreadyOwnedByYou");
}

#[tokio::test]
async fn names_and_locations_are_checked() {
    let world = world();
    for name in ["ab", "Upper", "a..b", "192.168.5.4", "under_score"] {
        let answer = world.ask(alice(Method::PUT, &format!("/{name}")), "").await;
        answer.is(400, "InvalidBucketName");
    }
    let body = |region: &str| {
        format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    let ours = world
        .ask(alice(Method::PUT, "/photos"), &body("us-east-1"))
        .await;
    assert_eq!(ours.status, 200);
    let other = world
        .ask(alice(Method::PUT, "/photos2"), &body("eu-west-1"))
        .await;
    other.is(400, "IllegalLocationConstraintException");
    let junk = world.ask(alice(Method::PUT, "/photos2"), "<a>").await;
    junk.is(400, "MalformedXML");
}

#[tokio::test]
async fn settings_that_tools_ask_for_are_answered() {
    let world = world();
    for (name, inner) in [
        ("versioning", "></VersioningConfiguration>"),
        ("acl", "<Permission>FULL_CONTROL</Permission>"),
        ("logging", "></BucketLoggingStatus>"),
        ("requestPayment", "<Payer>BucketOwner</Payer>"),
        (
            "publicAccessBlock",
            "<BlockPublicPolicy>true</BlockPublicPolicy>",
        ),
        ("ownershipControls", "BucketOwnerEnforced"),
        ("accelerate", "></AccelerateConfiguration>"),
        ("notification", "></NotificationConfiguration>"),
    ] {
        let answer = world
            .ask(alice(Method::GET, &format!("/named?{name}")), "")
            .await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.text().contains(inner), "{}", answer.text());
    }
    for (name, code) in [
        ("policy", "NoSuchBucketPolicy"),
        ("policyStatus", "NoSuchBucketPolicy"),
        ("tagging", "NoSuchTagSet"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("cors", "NoSuchCORSConfiguration"),
        (
            "encryption",
            "ServerSideEncryptionConfigurationNotFoundError",
        ),
        ("website", "NoSuchWebsiteConfiguration"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("replication", "ReplicationConfigurationNotFoundError"),
    ] {
        let answer = world
            .ask(alice(Method::GET, &format!("/named?{name}")), "")
            .await;
        answer.is(404, code);
        let absent = alice(Method::GET, &format!("/nowhere?{name}"));
        world.ask(absent, "").await.is(404, "NoSuchBucket");
    }
}

const RULES: &str = "<CORSConfiguration><CORSRule>\
    <AllowedOrigin>https://*.app.test</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>DELETE</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader>\
    <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>7</MaxAgeSeconds></CORSRule>\
    </CORSConfiguration>";

fn preflight(origin: &str, method: &str) -> Request<Body> {
    Request::builder()
        .method("OPTIONS")
        .uri("/named/a")
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "x-amz-date")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_bucket_has_cors_rules_of_its_own() {
    let world = world();
    let origin = "https://a.app.test";
    world
        .raw(preflight(origin, "GET"))
        .await
        .is(403, "AccessForbidden");
    let md5 = BASE64_STANDARD.encode(Md5::digest(RULES));
    let put = || alice(Method::PUT, "/named?cors");
    world.ask(put(), RULES).await.is(400, "InvalidRequest");
    let put = put().header("content-md5", &md5);
    assert_eq!(world.ask(put, RULES).await.status, 200);
    let got = world.ask(alice(Method::GET, "/named?cors"), "").await;
    assert_eq!(element(got.text(), "AllowedOrigin"), "https://*.app.test");
    assert_eq!(elements(got.text(), "AllowedMethod"), ["GET", "DELETE"]);
    let good = world.raw(preflight(origin, "DELETE")).await;
    assert_eq!(good.status, 200);
    assert_eq!(good.header("access-control-allow-origin"), origin);
    assert_eq!(good.header("access-control-allow-methods"), "GET, DELETE");
    assert_eq!(good.header("access-control-max-age"), "7");
    world
        .raw(preflight("https://app.test", "GET"))
        .await
        .is(403, "AccessForbidden");
    world
        .raw(preflight(origin, "PUT"))
        .await
        .is(403, "AccessForbidden");
    // The vault's own origins do not count here, nor these there.
    world
        .raw(preflight("https://frame.test", "GET"))
        .await
        .is(403, "AccessForbidden");
    for (asked, expected) in [(origin, origin), ("https://frame.test", "")] {
        let signed = alice(Method::GET, "/named/a").sign_header("");
        let get = request(Method::GET, &signed).header("origin", asked);
        let answer = world.raw(get.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("access-control-allow-origin"), expected);
    }
    let gone = world.ask(alice(Method::DELETE, "/named?cors"), "").await;
    assert_eq!(gone.status, 204);
    world
        .raw(preflight(origin, "GET"))
        .await
        .is(403, "AccessForbidden");
}
