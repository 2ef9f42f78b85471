//! Listings of objects.

use super::*;

async fn filled(keys: &[&str]) -> World {
    let world = world();
    for key in keys {
        let put = alice(Method::PUT, &format!("/named/{key}"));
        assert_eq!(world.ask(put, key).await.status, 200);
    }
    world
}

async fn list(world: &World, query: &str) -> String {
    let answer = world
        .ask(alice(Method::GET, &format!("/named?{query}")), "")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

const KEYS: [&str; 6] = ["a", "b/1", "b/2", "c", "d/x/1", "e"];

#[tokio::test]
async fn v2_pages_with_tokens_and_groups_by_delimiter() {
    let world = filled(&KEYS).await;
    let all = list(&world, "list-type=2").await;
    assert_eq!(elements(&all, "Key"), KEYS);
    assert_eq!(element(&all, "KeyCount"), "6");
    assert_eq!(element(&all, "IsTruncated"), "false");
    assert_eq!(element(&all, "MaxKeys"), "1000");
    assert_eq!(elements(&all, "Size"), ["1", "3", "3", "1", "5", "1"]);
    assert!(elements(&all, "Owner").is_empty());
    let mut token = String::new();
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let query = format!("list-type=2&delimiter=/&max-keys=2&continuation-token={token}");
        let query = if token.is_empty() {
            "list-type=2&delimiter=/&max-keys=2"
        } else {
            &query
        };
        let page = list(&world, query).await;
        keys.extend(elements(&page, "Key").iter().map(ToString::to_string));
        for common in elements(&page, "CommonPrefixes") {
            prefixes.push(element(common, "Prefix").to_owned());
        }
        if element(&page, "IsTruncated") == "false" {
            break;
        }
        token = element(&page, "NextContinuationToken").to_owned();
    }
    assert_eq!(keys, ["a", "c", "e"]);
    assert_eq!(prefixes, ["b/", "d/"]);
    let after = list(
        &world,
        "list-type=2&start-after=b/1&prefix=b/&fetch-owner=true",
    )
    .await;
    assert_eq!(elements(&after, "Key"), ["b/2"]);
    assert_eq!(element(&after, "ID"), "alice");
    let none = list(&world, "list-type=2&max-keys=0").await;
    assert_eq!(
        (element(&none, "KeyCount"), element(&none, "IsTruncated")),
        ("0", "false")
    );
}

#[tokio::test]
async fn v1_pages_with_markers_and_shows_owners() {
    let world = filled(&KEYS).await;
    let page = list(&world, "max-keys=3").await;
    assert_eq!(elements(&page, "Key"), ["a", "b/1", "b/2"]);
    assert_eq!(element(&page, "IsTruncated"), "true");
    assert!(elements(&page, "NextMarker").is_empty());
    assert_eq!(elements(&page, "DisplayName"), ["alice"; 3]);
    let rest = list(&world, "marker=b/2").await;
    assert_eq!(elements(&rest, "Key"), ["c", "d/x/1", "e"]);
    let grouped = list(&world, "delimiter=/&max-keys=2").await;
    assert_eq!(element(&grouped, "NextMarker"), "b/");
    let rest = list(&world, "delimiter=/&marker=b/").await;
    assert_eq!(elements(&rest, "Key"), ["c", "e"]);
}

#[tokio::test]
async fn versions_are_null_and_latest() {
    let world = filled(&KEYS).await;
    let page = list(&world, "versions&max-keys=2").await;
    assert_eq!(elements(&page, "Key"), ["a", "b/1"]);
    assert_eq!(elements(&page, "VersionId"), ["null"; 2]);
    assert_eq!(elements(&page, "IsLatest"), ["true"; 2]);
    assert_eq!(element(&page, "NextKeyMarker"), "b/1");
    let rest = list(&world, "versions&key-marker=b/1&version-id-marker=null").await;
    assert_eq!(elements(&rest, "Key"), ["b/2", "c", "d/x/1", "e"]);
    let lone = alice(Method::GET, "/named?versions&version-id-marker=null");
    world.ask(lone, "").await.is(400, "InvalidArgument");
}

#[tokio::test]
async fn keys_are_shown_encoded_when_asked() {
    let world = world();
    let put = alice(Method::PUT, "/named/a%20b%2B%26%3C%0A%C3%BC");
    assert_eq!(world.ask(put, "").await.status, 200);
    let page = list(&world, "list-type=2&encoding-type=url").await;
    assert_eq!(element(&page, "Key"), "a%20b%2B%26%3C%0A%C3%BC");
    let page = list(&world, "list-type=2").await;
    assert_eq!(element(&page, "Key"), "a b+&amp;&lt;\n\u{fc}");
}

#[tokio::test]
async fn what_xml_cannot_hold_is_replaced_unless_keys_are_encoded() {
    let world = world();
    let put = alice(Method::PUT, "/named/a%00b%1F");
    assert_eq!(world.ask(put, "").await.status, 200);
    let page = list(&world, "list-type=2").await;
    assert_eq!(element(&page, "Key"), "a\u{fffd}b\u{fffd}");
    let page = list(&world, "list-type=2&encoding-type=url").await;
    assert_eq!(element(&page, "Key"), "a%00b%1F");
}

#[tokio::test]
async fn open_uploads_are_listed_in_pages_by_prefix_and_delimiter() {
    let world = world();
    let mut begun = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c"] {
        let create = alice(Method::POST, &format!("/named/{key}?uploads"));
        let answer = world.ask(create, "").await;
        begun.push((
            key.to_owned(),
            element(answer.text(), "UploadId").to_owned(),
        ));
    }
    begun.sort();
    let all = list(&world, "uploads").await;
    assert_eq!(uploads(&all), begun);
    assert_eq!(elements(&all, "ID"), ["alice"; 10]);
    assert_eq!(elements(&all, "NextKeyMarker"), [""; 0]);
    let mut found = Vec::new();
    let mut query = "uploads&max-uploads=1".to_owned();
    loop {
        let page = list(&world, &query).await;
        assert_eq!(elements(&page, "Upload").len(), 1);
        found.extend(uploads(&page));
        if element(&page, "IsTruncated") == "false" {
            break;
        }
        let [key, id] = ["NextKeyMarker", "NextUploadIdMarker"].map(|name| element(&page, name));
        query = format!("uploads&max-uploads=1&key-marker={key}&upload-id-marker={id}");
    }
    assert_eq!(found, begun);
    let grouped = list(&world, "uploads&delimiter=/").await;
    assert_eq!(elements(&grouped, "Key"), ["a", "a", "c"]);
    assert_eq!(element(element(&grouped, "CommonPrefixes"), "Prefix"), "b/");
    let within = list(&world, "uploads&prefix=b/&key-marker=b/1").await;
    assert_eq!(elements(&within, "Key"), ["b/2"]);
}

/// Key and id of each upload of a page.
fn uploads(page: &str) -> Vec<(String, String)> {
    let pair = |one: &&str| {
        let [key, id] = ["Key", "UploadId"].map(|name| element(one, name).to_owned());
        (key, id)
    };
    elements(page, "Upload").iter().map(pair).collect()
}

#[tokio::test]
async fn etags_and_dates_of_listings_are_those_of_the_objects() {
    let world = world();
    let put = world.ask(alice(Method::PUT, "/named/a"), "value").await;
    let page = list(&world, "list-type=2").await;
    let etag = element(&page, "ETag").replace("&quot;", "\"");
    assert_eq!(etag, put.header("etag"));
    assert_eq!(element(&page, "LastModified"), "2027-01-15T08:00:00.000Z");
}

#[tokio::test]
async fn bad_limits_and_tokens_are_400() {
    let world = world();
    for query in [
        "max-keys=-1",
        "max-keys=x",
        "list-type=2&continuation-token=!",
        "encoding-type=base64",
        "uploads&max-uploads=x",
    ] {
        let answer = world
            .ask(alice(Method::GET, &format!("/named?{query}")), "")
            .await;
        answer.is(400, "InvalidArgument");
    }
}
