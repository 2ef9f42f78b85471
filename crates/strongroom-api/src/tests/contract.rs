//! The router serves what the document names, and nothing else.

use super::house::House;
use crate::openapi;
use http::{Method, Request};

#[tokio::test]
async fn every_path_takes_the_documented_methods_and_no_other() {
    let house = House::new().await;
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
            let answer = house.send(request, "").await;
            if taken.contains(&method) {
                let expected = if item.method == "post" { 401 } else { 200 };
                assert_eq!(answer.status, expected, "{method} {path}");
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
                let names: Vec<_> = taken.iter().map(Method::as_str).collect();
                assert_eq!(answer.header("allow"), names.join(", "), "{path}");
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
    let page = house.get("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    for answer in [document, page] {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn a_large_document_is_compressed_for_whoever_asks() {
    let house = House::new().await;
    let request = Request::get("/openapi.json").header("accept-encoding", "br");
    let answer = house.send(request, "").await;
    assert_eq!(answer.header("content-encoding"), "br");
    assert!(answer.header("vary").contains("accept-encoding"));
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
