//! What is read, what is refused, and that no refusal repeats what was sent.

use super::*;
use crate::METADATA_DEPTH_MAX;
use proptest::prelude::*;

const TOKEN: &str = "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8";

fn detokenize(body: &str) -> Result<String, BadBody> {
    DetokenizeRequest::parse(body.as_bytes()).map(|request| request.token_id.expose().into())
}

#[test]
fn keys_match_in_any_case() {
    for key in ["tokenId", "tokenID", "TOKENID", "tokenid"] {
        assert_eq!(detokenize(&format!("{{\"{key}\":\"x\"}}")), Ok("x".into()));
    }
}

#[test]
fn escaped_keys_and_values_are_read() {
    assert_eq!(detokenize(r#"{"token\u0049d":"\u0078"}"#), Ok("x".into()));
}

#[test]
fn unknown_members_are_ignored_even_twice() {
    assert_eq!(
        detokenize(r#"{"a":1,"a":[{}],"tokenId":"x","b":null}"#),
        Ok("x".into())
    );
}

#[test]
fn a_known_member_given_twice_is_refused_in_any_case() {
    let refused = Err(BadBody::Duplicate("tokenId"));
    assert_eq!(detokenize(r#"{"tokenId":"x","tokenID":"y"}"#), refused);
    assert_eq!(detokenize(r#"{"tokenId":null,"tokenId":"y"}"#), refused);
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in [
        "",
        " ",
        "null",
        "[]",
        "\"tokenId\"",
        "{",
        "{}x",
        "{\"tokenId\"}",
        "\u{feff}{}",
    ] {
        assert_eq!(detokenize(body), Err(BadBody::NotAnObject), "{body:?}");
    }
    let not_utf8 = b"{\"other\":\"\xff\"}";
    assert_eq!(
        DetokenizeRequest::parse(not_utf8).unwrap_err(),
        BadBody::NotAnObject
    );
}

#[test]
fn a_missing_or_wrong_token_is_refused_without_repeating_it() {
    assert_eq!(detokenize("{}"), Err(BadBody::Missing("tokenId")));
    assert_eq!(
        detokenize(r#"{"tokenId":null}"#),
        Err(BadBody::Missing("tokenId"))
    );
    for value in ["4111", "[\"4111\"]", "{\"4111\":1}", "true"] {
        let error = detokenize(&format!("{{\"tokenId\":{value}}}")).unwrap_err();
        assert_eq!(error.to_string(), "`tokenId` must be a string");
    }
}

#[test]
fn absent_null_and_empty_metadata_are_none() {
    for body in ["{}", r#"{"metadata":null}"#, r#"{"metadata":{ }}"#] {
        assert!(
            TokenizeRequest::parse(body.as_bytes())
                .unwrap()
                .metadata
                .is_none()
        );
    }
}

#[test]
fn metadata_must_be_an_object() {
    for value in ["[]", "1", "\"{}\"", "false"] {
        let body = format!("{{\"metadata\":{value}}}");
        let error = TokenizeRequest::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "`metadata` must be an object");
    }
}

#[test]
fn metadata_is_nested_to_a_limit() {
    let body = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"tokenId":"t","metadata":{{"brackets \"[[[[{{":{open}{close}}}}}"#)
    };
    let deepest = body(METADATA_DEPTH_MAX);
    assert!(TokenizeRequest::parse(deepest.as_bytes()).is_ok());
    assert!(MetadataSetRequest::parse(deepest.as_bytes()).is_ok());
    for deeper in [body(METADATA_DEPTH_MAX + 1), body(60_000)] {
        let error = TokenizeRequest::parse(deeper.as_bytes()).unwrap_err();
        assert_eq!(error, BadBody::TooDeep);
        let said = "`metadata` is nested deeper than 64 levels";
        assert_eq!(error.to_string(), said);
        assert!(MetadataSetRequest::parse(deeper.as_bytes()).is_err());
    }
    // Elsewhere nobody looks into it.
    let other = deepest
        .replace("metadata", "other")
        .replace('[', "[[")
        .replace(']', "]]");
    assert!(MetadataSetRequest::parse(other.as_bytes()).is_ok());
}

#[test]
fn metadata_is_kept_as_written() {
    let body = br#"{"Metadata": {"z" : 1.0, "a":{"b":[]}} }"#;
    let metadata = TokenizeRequest::parse(body).unwrap().metadata.unwrap();
    assert_eq!(metadata.json(), r#"{"z" : 1.0, "a":{"b":[]}}"#);
}

#[test]
fn content_length_is_a_whole_number() {
    let parse = |value: &str| {
        let body = format!("{{\"contentLength\":{value}}}");
        TokenizeRequest::parse(body.as_bytes()).map(|request| request.content_length)
    };
    assert_eq!(parse("0"), Ok(Some(0)));
    assert_eq!(parse("18446744073709551615"), Ok(Some(u64::MAX)));
    assert_eq!(parse("null"), Ok(None));
    for value in ["-1", "1.5", "1e3", "18446744073709551616", "\"5\"", "[]"] {
        assert!(
            matches!(parse(value), Err(BadBody::WrongType { .. })),
            "{value}"
        );
    }
}

#[test]
fn a_grant_names_exactly_one_session() {
    let parse = |members: &str| {
        GrantSetRequest::parse(format!("{{\"tokenId\":\"x\"{members}}}").as_bytes())
    };
    let user = parse(r#","sessionId":"s","customDuration":"5m""#).unwrap();
    assert_eq!(user.session_id.unwrap().expose(), "s");
    assert_eq!(user.custom_duration.as_deref(), Some("5m"));
    assert!(parse(r#","self":true"#).unwrap().self_);
    assert!(parse(r#","sessionId":"s","self":false,"customDuration":"""#).is_ok());
    for members in ["", r#","self":false"#, r#","self":true,"sessionId":"s""#] {
        assert_eq!(
            parse(members).unwrap_err(),
            BadBody::WhichSession,
            "{members}"
        );
    }
    assert!(matches!(
        parse(r#","self":"true""#),
        Err(BadBody::WrongType { .. })
    ));
}

#[test]
fn an_empty_duration_is_absent() {
    let body = br#"{"tokenId":"x","self":true,"customDuration":""}"#;
    assert!(
        GrantSetRequest::parse(body)
            .unwrap()
            .custom_duration
            .is_none()
    );
}

#[test]
fn what_the_client_writes_the_server_reads() {
    let request = GrantSetRequest {
        session_id: Some("s".into()),
        self_: false,
        token_id: TOKEN.into(),
        custom_duration: Some("1m".into()),
    };
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(
        text,
        format!(r#"{{"sessionId":"s","tokenId":"{TOKEN}","customDuration":"1m"}}"#)
    );
    assert!(GrantSetRequest::parse(text.as_bytes()).is_ok());
    let own = GrantVerifyRequest {
        session_id: None,
        self_: true,
        token_id: TOKEN.into(),
    };
    let text = serde_json::to_string(&own).unwrap();
    assert_eq!(text, format!(r#"{{"self":true,"tokenId":"{TOKEN}"}}"#));
}

#[test]
fn a_tokenize_body_is_written_as_original_clients_write_it() {
    let none = serde_json::to_string(&TokenizeRequest::default()).unwrap();
    assert_eq!(none, r#"{"metadata":null}"#);
    let metadata = Metadata::parse(r#"{"dataType":"string"}"#).ok();
    let request = TokenizeRequest {
        metadata,
        content_length: Some(3),
    };
    assert_eq!(
        serde_json::to_string(&request).unwrap(),
        r#"{"metadata":{"dataType":"string"},"contentLength":3}"#
    );
}

#[test]
fn debug_shows_neither_token_nor_session_nor_metadata() {
    let body = format!(
        r#"{{"tokenId":"{TOKEN}","sessionId":"secret-session","metadata":{{"a":"secret"}}}}"#
    );
    let set = MetadataSetRequest::parse(body.as_bytes()).unwrap();
    let grant = GrantSetRequest::parse(body.as_bytes()).unwrap();
    let debug = format!("{set:?} {grant:?}");
    assert!(
        !debug.contains("secret") && !debug.contains(TOKEN),
        "{debug}"
    );
}

proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused_without_panic(body in any::<Vec<u8>>()) {
        let _ = TokenizeRequest::parse(&body);
        let _ = GrantSetRequest::parse(&body);
        let _ = MetadataSetRequest::parse(&body);
    }

    #[test]
    fn any_json_like_text_parses_or_is_refused_without_panic(
        body in r#"[{}\[\]",:a-z\\0-9 ]{0,80}"#,
    ) {
        let _ = TokenizeRequest::parse(body.as_bytes());
    }

    #[test]
    fn every_token_text_survives_the_way_over_the_wire(text in ".*") {
        let request = DetokenizeRequest { token_id: text.as_str().into() };
        let body = serde_json::to_vec(&request).unwrap();
        let read = DetokenizeRequest::parse(&body).unwrap();
        prop_assert_eq!(read.token_id.expose(), text);
    }
}
