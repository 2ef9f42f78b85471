//! Request bodies: read tolerantly by the server, written exactly by the client.
//!
//! Keys match in any case, unknown members are ignored, a known member that stands there twice
//! is refused. Whether a token, session or duration is a good one is for the server to say.

use crate::members::{BadBody, Members};
use crate::text::{Metadata, SecretText};
use serde::Serialize;

/// Body of `POST /tokenize`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenizeRequest {
    /// Kept with the token; `null`, `{}` and absence are all `None`.
    pub metadata: Option<Metadata>,
    /// Length of the value in bytes, signed into the upload URL when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_length: Option<u64>,
}

impl TokenizeRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        Ok(Self {
            metadata: members.metadata()?,
            content_length: members.count("contentLength")?,
        })
    }
}

/// Body of `POST /detokenize`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DetokenizeRequest {
    /// The token as it was sent, not checked.
    pub token_id: SecretText,
}

impl DetokenizeRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        Ok(Self {
            token_id: Members::parse(body)?.required_text(TOKEN_ID)?,
        })
    }
}

/// Body of `POST /grant/set`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantSetRequest {
    /// The user session that gets the grant; may be empty here, which the server refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SecretText>,
    /// The application's own session instead of a user's. INVARIANT: exactly when
    /// `session_id` is `None`.
    #[serde(rename = "self", skip_serializing_if = "is_false")]
    pub self_: bool,
    /// The token as it was sent, not checked.
    pub token_id: SecretText,
    /// Life of the grant in Go's notation, not checked; empty is the same as absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_duration: Option<String>,
}

impl GrantSetRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        let (session_id, self_) = session(&members)?;
        let duration = members.text("customDuration")?;
        let custom_duration = duration
            .filter(|text| !text.is_empty())
            .map(|text| text.expose().to_owned());
        Ok(Self {
            session_id,
            self_,
            token_id: members.required_text(TOKEN_ID)?,
            custom_duration,
        })
    }
}

/// Body of `POST /grant/verify`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantVerifyRequest {
    /// The user session that is asked about; may be empty here, which the server refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SecretText>,
    /// The application's own session instead of a user's. INVARIANT: exactly when
    /// `session_id` is `None`.
    #[serde(rename = "self", skip_serializing_if = "is_false")]
    pub self_: bool,
    /// The token as it was sent, not checked.
    pub token_id: SecretText,
}

impl GrantVerifyRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        let (session_id, self_) = session(&members)?;
        Ok(Self {
            session_id,
            self_,
            token_id: members.required_text(TOKEN_ID)?,
        })
    }
}

/// Body of `POST /metadata/get`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataGetRequest {
    /// The token as it was sent, not checked.
    pub token_id: SecretText,
}

impl MetadataGetRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        Ok(Self {
            token_id: Members::parse(body)?.required_text(TOKEN_ID)?,
        })
    }
}

/// Body of `POST /metadata/set`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataSetRequest {
    /// The token as it was sent, not checked.
    pub token_id: SecretText,
    /// Replaces what was kept; `null`, `{}` and absence are all `None` and leave nothing.
    pub metadata: Option<Metadata>,
}

impl MetadataSetRequest {
    /// Reads the body; the error's message is for the caller.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let members = Members::parse(body)?;
        Ok(Self {
            token_id: members.required_text(TOKEN_ID)?,
            metadata: members.metadata()?,
        })
    }
}

const TOKEN_ID: &str = "tokenId";

/// `sessionId` or `"self": true`, never both.
fn session(members: &Members<'_>) -> Result<(Option<SecretText>, bool), BadBody> {
    match (members.text("sessionId")?, members.flag("self")?) {
        (Some(id), false) => Ok((Some(id), false)),
        (None, true) => Ok((None, true)),
        _ => Err(BadBody::WhichSession),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
