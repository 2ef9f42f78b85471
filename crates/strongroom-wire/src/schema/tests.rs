//! Schemas and parsers say the same.

use super::*;
use crate::BadBody;
use jsonschema::Validator;
use proptest::prelude::*;

const TOKEN: &str = "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8";

/// The schema of one type, with those that it refers to.
fn validator(name: &str) -> Validator {
    let schema = json!({
        "$ref": format!("#{PLACE}/{name}"),
        "components": { "schemas": all() },
    });
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Values that members get: right ones, wrong ones, and those between.
fn member() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(1.5)),
        Just(json!("")),
        Just(json!("15m")),
        Just(json!(TOKEN)),
        Just(json!({})),
        Just(json!({ "a": [1] })),
        Just(json!([])),
    ]
}

/// Objects of members that requests know in one spelling, the other spelling of the token, and
/// a member that none of them knows.
fn body() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        3 => Just("tokenId"),
        1 => Just("tokenID"),
        2 => Just("sessionId"),
        2 => Just("self"),
        2 => Just("metadata"),
        1 => Just("contentLength"),
        1 => Just("customDuration"),
        1 => Just("other"),
    ];
    proptest::collection::hash_map(key, member(), 0..6).prop_map(|members| {
        let members = members.into_iter();
        Value::Object(
            members
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    })
}

/// What the parser leaves to the server is checked here as the server does.
fn is_token(text: &crate::SecretText) -> bool {
    text.expose() == TOKEN
}

fn is_session(text: Option<&crate::SecretText>) -> bool {
    text.is_none_or(|text| !text.is_empty())
}

fn accepts(name: &str, body: &[u8]) -> Result<bool, BadBody> {
    Ok(match name {
        "TokenizeRequest" => TokenizeRequest::parse(body)?
            .content_length
            .is_none_or(|length| length <= CONTENT_LENGTH_MAX),
        "DetokenizeRequest" => is_token(&DetokenizeRequest::parse(body)?.token_id),
        "GrantSetRequest" => {
            let asked = GrantSetRequest::parse(body)?;
            let duration = asked.custom_duration.as_deref();
            is_token(&asked.token_id)
                && is_session(asked.session_id.as_ref())
                && duration.is_none_or(|text| crate::duration::parse_nanos(text).is_ok())
        }
        "GrantVerifyRequest" => {
            let asked = GrantVerifyRequest::parse(body)?;
            is_token(&asked.token_id) && is_session(asked.session_id.as_ref())
        }
        "MetadataGetRequest" => is_token(&MetadataGetRequest::parse(body)?.token_id),
        _ => is_token(&MetadataSetRequest::parse(body)?.token_id),
    })
}

const REQUESTS: [&str; 6] = [
    "TokenizeRequest",
    "DetokenizeRequest",
    "GrantSetRequest",
    "GrantVerifyRequest",
    "MetadataGetRequest",
    "MetadataSetRequest",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn a_schema_takes_what_the_server_takes_and_nothing_else(body in body()) {
        for (name, validator) in REQUESTS.iter().zip(validators()) {
            let bytes = serde_json::to_vec(&body).unwrap();
            let taken = accepts(name, &bytes).unwrap_or(false);
            prop_assert_eq!(validator.is_valid(&body), taken, "{}: {}", name, body);
        }
    }

    #[test]
    fn a_duration_of_the_schema_is_one_of_the_parser(text in r"\+?[0-9.]{0,4}[a-z\u{b5}]{0,3}[0-9.]{0,3}[hms]{0,2}") {
        let body = json!({ "tokenId": TOKEN, "sessionId": "s", "customDuration": text });
        let parsed = text.is_empty() || text.trim_start_matches('+') == "0"
            || crate::duration::parse_nanos(&text).is_ok();
        let zero = text.trim_start_matches('+') == "0";
        prop_assert_eq!(validators()[2].is_valid(&body), parsed && !zero, "{}", text);
    }
}

/// Compiled once: a run of the properties asks thousands of times.
fn validators() -> &'static [Validator] {
    static ALL: std::sync::OnceLock<Vec<Validator>> = std::sync::OnceLock::new();
    ALL.get_or_init(|| REQUESTS.iter().map(|name| validator(name)).collect())
}

#[test]
fn what_the_client_writes_is_what_the_schema_takes() {
    let requests = [
        serde_json::to_value(TokenizeRequest::default()).unwrap(),
        serde_json::to_value(DetokenizeRequest {
            token_id: TOKEN.into(),
        })
        .unwrap(),
        serde_json::to_value(GrantSetRequest {
            session_id: Some("s".into()),
            self_: false,
            token_id: TOKEN.into(),
            custom_duration: Some("1h30m".into()),
        })
        .unwrap(),
        serde_json::to_value(GrantVerifyRequest {
            session_id: None,
            self_: true,
            token_id: TOKEN.into(),
        })
        .unwrap(),
    ];
    for (validator, request) in validators().iter().zip(requests) {
        assert!(validator.is_valid(&request), "{request}");
    }
}

#[test]
fn what_the_server_writes_is_what_the_schema_promises() {
    let id = "0123456789abcdef0123456789abcdef";
    let failure = crate::envelope::failure(crate::ErrorName::OnHold, "held", id);
    let failure: Value = serde_json::from_slice(&failure).unwrap();
    assert!(validator("Failure").is_valid(&failure));
    let headers = [("host".to_owned(), "h".into())].into();
    let upload = Upload {
        token_id: TOKEN.into(),
        upload_url: "http://h/".into(),
        headers,
    };
    assert!(validator("Upload").is_valid(&serde_json::to_value(upload).unwrap()));
    assert!(validator("Done").is_valid(&json!({})));
}

#[test]
fn both_spellings_of_the_token_are_taken_and_never_both_at_once() {
    let schema = validator("DetokenizeRequest");
    assert!(schema.is_valid(&json!({ "tokenID": TOKEN })));
    assert!(!schema.is_valid(&json!({ "tokenId": TOKEN, "tokenID": TOKEN })));
}

#[test]
fn every_schema_stands_alone_with_its_name_and_no_dialect() {
    let all = all();
    let names: Vec<_> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "DetokenizeRequest",
            "Done",
            "Download",
            "ErrorName",
            "Failure",
            "GrantSetRequest",
            "GrantValidity",
            "GrantVerifyRequest",
            "Metadata",
            "MetadataAnswer",
            "MetadataGetRequest",
            "MetadataSetRequest",
            "Token",
            "TokenizeRequest",
            "Upload"
        ]
    );
    assert!(all.values().all(|schema| schema.get("$schema").is_none()));
}
