//! The router serves what the document names, and nothing else.

use super::house::House;
use crate::{Simple, openapi};
use http::{Method, Request};

#[tokio::test]
async fn every_path_takes_the_documented_methods_and_no_other() {
    let house = House::with(|config| config.simple = Simple::Served).await;
    let mut paths = 0;
    for (path, item) in openapi::document().paths.0 {
        let taken: &[Method] = match item.method {
            "post" => &[Method::POST],
            _ => &[Method::GET, Method::HEAD],
        };
        let all = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ];
        for method in all {
            let request = Request::builder().method(&method).uri(&path);
            let (status, headers, _) = house.raw(request).await;
            if taken.contains(&method) {
                let expected = if item.method == "post" { 401 } else { 200 };
                assert_eq!(status, expected, "{method} {path}");
            } else {
                assert_eq!(status, 405, "{method} {path}");
                let names: Vec<_> = taken.iter().map(Method::as_str).collect();
                assert_eq!(headers["allow"], names.join(", "), "{path}");
            }
        }
        paths += 1;
    }
    assert!(paths >= 10, "{paths}");
}

#[tokio::test]
async fn the_document_and_the_page_are_served_to_everybody() {
    let house = House::new().await;
    let document = house.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.json["openapi"], "3.1.1");
    let (status, page, html) = house.raw(Request::get("/docs")).await;
    assert_eq!(status, 200);
    assert_eq!(page["content-type"], "text/html; charset=utf-8");
    assert!(html.starts_with(b"<!doctype html>"));
    let policy = page["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    for headers in [document.headers, page] {
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn a_large_document_is_compressed_for_whoever_asks() {
    let house = House::new().await;
    let request = Request::get("/openapi.json").header("accept-encoding", "br");
    let (_, headers, body) = house.raw(request).await;
    assert_eq!(headers["content-encoding"], "br");
    assert!(
        headers["vary"]
            .to_str()
            .unwrap()
            .contains("accept-encoding")
    );
    assert!(body.len() < openapi::openapi().len() / 4, "{}", body.len());
}

#[tokio::test]
async fn a_vault_that_keeps_its_contract_to_itself_has_no_such_route() {
    let house = House::with(|config| config.docs = false).await;
    for path in ["/openapi.json", "/docs", "//docs"] {
        let answer = house.get(path).await;
        assert_eq!(
            (answer.status, answer.name()),
            (404, "NoSuchRoute"),
            "{path}"
        );
    }
    assert_eq!(house.get("/health").await.status, 200);
}
