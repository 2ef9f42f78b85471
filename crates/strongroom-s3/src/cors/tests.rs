//! CORS rules read and written, and AWS's answers to preflights.

use super::*;
use proptest::prelude::*;

const CONFIGURATION: &str = "<CORSConfiguration>\
    <CORSRule><ID>one</ID><AllowedOrigin>https://a.test</AllowedOrigin>\
    <AllowedOrigin>https://*.b.test</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>\
    <AllowedMethod>GET</AllowedMethod><AllowedHeader>X-Amz-*</AllowedHeader>\
    <AllowedHeader>content-type</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>\
    </CORSConfiguration>";

fn rules() -> Rules {
    Rules::from_xml(CONFIGURATION.as_bytes()).unwrap()
}

fn asking(origin: &str, method: &str, headers: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in [
        (header::ORIGIN, origin),
        (header::ACCESS_CONTROL_REQUEST_METHOD, method),
        (header::ACCESS_CONTROL_REQUEST_HEADERS, headers),
    ] {
        if !value.is_empty() {
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    map
}

fn sorted(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let pairs = headers.iter();
    let mut pairs: Vec<_> = pairs
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    pairs.sort_unstable();
    pairs
}

const VARIES: (&str, &str) = (
    "vary",
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

#[test]
fn a_preflight_that_fits_is_answered_as_aws_does() {
    let request = asking("https://x.b.test", "PUT", "X-Amz-Meta-A,Content-Type");
    let answer = preflight(Some(&rules()), &request).unwrap();
    let expected = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "x-amz-meta-a, content-type"),
        ("access-control-allow-methods", "PUT, GET"),
        ("access-control-allow-origin", "https://x.b.test"),
        ("access-control-expose-headers", "ETag, x-amz-request-id"),
        ("access-control-max-age", "600"),
        VARIES,
    ];
    assert_eq!(sorted(&answer), expected);
    let answer = preflight(Some(&rules()), &asking("https://else.test", "GET", "")).unwrap();
    let expected = [
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-origin", "*"),
        VARIES,
    ];
    assert_eq!(sorted(&answer), expected);
}

#[test]
fn a_preflight_that_fits_no_rule_is_403() {
    let rules = rules();
    for (origin, method, headers) in [
        ("https://else.test", "PUT", ""),
        ("https://a.test", "DELETE", ""),
        ("https://a.test", "", ""),
        ("https://a.test", "PUT", "x-other"),
        ("https://A.test", "PUT", ""),
        ("http://x.b.test", "PUT", ""),
        ("https://.b.tes", "PUT", ""),
    ] {
        let error = preflight(Some(&rules), &asking(origin, method, headers)).unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (403, "AccessForbidden")
        );
    }
    let error = preflight(None, &asking("https://a.test", "GET", "")).unwrap_err();
    assert_eq!(
        error.message(),
        "CORSResponse: CORS is not enabled for this bucket."
    );
    let error = preflight(Some(&rules), &asking("", "GET", "")).unwrap_err();
    assert_eq!((error.status().as_u16(), error.code()), (400, "BadRequest"));
}

#[test]
fn answers_are_decorated_where_a_rule_fits() {
    let mut answer = HeaderMap::new();
    decorate(
        &rules(),
        &Method::PUT,
        &asking("https://a.test", "", ""),
        &mut answer,
    );
    let expected = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT, GET"),
        ("access-control-allow-origin", "https://a.test"),
        ("access-control-expose-headers", "ETag, x-amz-request-id"),
        VARIES,
    ];
    assert_eq!(sorted(&answer), expected);
    let mut answer = HeaderMap::new();
    decorate(
        &rules(),
        &Method::PUT,
        &asking("https://c.test", "", ""),
        &mut answer,
    );
    decorate(&rules(), &Method::PUT, &asking("", "", ""), &mut answer);
    assert!(answer.is_empty());
}

#[test]
fn rules_are_written_as_they_were_read() {
    let rules = rules();
    assert_eq!(rules.0.len(), 2);
    assert_eq!(rules.0[0].max_age_s, Some(600));
    assert_eq!(Rules::from_xml(rules.to_xml().as_bytes()).unwrap(), rules);
}

#[test]
fn configurations_that_aws_refuses_have_its_code() {
    let rule = |inner: &str| format!("<CORSRule>{inner}</CORSRule>");
    let good = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>";
    let with = |inner: &str| rule(&format!("{good}{inner}"));
    let long = format!("<ID>{}</ID>", "i".repeat(256));
    for (inner, code) in [
        (String::new(), "MalformedXML"),
        (rule(""), "MalformedXML"),
        (rule("<AllowedOrigin>*</AllowedOrigin>"), "MalformedXML"),
        (rule("<AllowedMethod>GET</AllowedMethod>"), "MalformedXML"),
        (with("<AllowedOrigin></AllowedOrigin>"), "MalformedXML"),
        (with("<AllowedOrigin>*.*</AllowedOrigin>"), "InvalidRequest"),
        (with("<AllowedHeader>*a*</AllowedHeader>"), "InvalidRequest"),
        (
            with("<AllowedMethod>PATCH</AllowedMethod>"),
            "InvalidRequest",
        ),
        (with("<AllowedMethod>get</AllowedMethod>"), "InvalidRequest"),
        (with("<ExposeHeader>*</ExposeHeader>"), "InvalidRequest"),
        (with("<AllowedOrigin>\u{1}</AllowedOrigin>"), "MalformedXML"),
        (with("<ExposeHeader>a b</ExposeHeader>"), "InvalidRequest"),
        (with("<MaxAgeSeconds>-1</MaxAgeSeconds>"), "MalformedXML"),
        (with("<Else>1</Else>"), "MalformedXML"),
        (with("<ID>a</ID><ID>b</ID>"), "MalformedXML"),
        (with(&long), "MalformedXML"),
        ("<Else/>".into(), "MalformedXML"),
        (with("").repeat(101), "InvalidRequest"),
    ] {
        let xml = format!("<CORSConfiguration>{inner}</CORSConfiguration>");
        let error = Rules::from_xml(xml.as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{inner}");
    }
    let most = format!(
        "<CORSConfiguration>{}</CORSConfiguration>",
        with("").repeat(100)
    );
    assert_eq!(Rules::from_xml(most.as_bytes()).unwrap().0.len(), 100);
    let large = format!("<CORSConfiguration>{}", " ".repeat(64 << 10));
    assert!(Rules::from_xml(large.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn hostile_origins_and_headers_never_panic(
        origin in "[ -~]{0,30}",
        method in "[ -~]{0,10}",
        headers in "[ -~]{0,40}",
    ) {
        let request = asking(&origin, &method, &headers);
        let _ = preflight(Some(&rules()), &request);
        decorate(&rules(), &Method::GET, &request, &mut HeaderMap::new());
    }
}
