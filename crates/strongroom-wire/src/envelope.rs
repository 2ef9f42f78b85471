//! The envelope around every answer: written one way by the server, read tolerantly by the
//! client.

use crate::error_name::ErrorName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Media type of every envelope.
pub const CONTENT_TYPE: &str = "application/json";

/// Original clients know `error` as present and empty on success.
#[derive(Serialize)]
struct NoError {}

#[derive(Serialize)]
struct SuccessBody<'a, T> {
    success: bool,
    error: NoError,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
}

/// `{"success":true,"error":{},"data":…}`. Fails only if `data` cannot be written as JSON.
pub fn success<T: Serialize>(data: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&SuccessBody {
        success: true,
        error: NoError {},
        data: Some(data),
    })
}

/// The success that has nothing to say: no `data`.
pub const SUCCESS_WITHOUT_DATA: &str = r#"{"success":true,"error":{}}"#;

/// The body of every answer that is not 2xx.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Failure<'a> {
    #[schemars(extend("const" = false))]
    success: bool,
    error: FailureMembers<'a>,
}

/// Both spellings of name and message: original clients know either.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FailureMembers", inline)]
struct FailureMembers<'a> {
    /// What went wrong, for programs.
    #[schemars(with = "ErrorName")]
    name: &'a str,
    /// What went wrong, for people. Never carries what was sent or how the vault works inside.
    message: &'a str,
    /// The same as `name`.
    #[schemars(with = "ErrorName")]
    error_name: &'a str,
    /// The same as `message`.
    error_message: &'a str,
    /// The same as the header `x-request-id`; the vault's log and audit log know it.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    request_id: &'a str,
}

/// The body of every answer that is not 2xx. `message` must carry no internals and no secrets;
/// `request_id` must equal the `x-request-id` header.
pub fn failure(name: ErrorName, message: &str, request_id: &str) -> Vec<u8> {
    let name = name.as_str();
    let error = FailureMembers {
        name,
        message,
        error_name: name,
        error_message: message,
        request_id,
    };
    // Strings in a struct always serialize; an empty body is still a refusal.
    serde_json::to_vec(&Failure {
        success: false,
        error,
    })
    .unwrap_or_default()
}

/// The answer is not the contract's envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not what the vault's contract promises")]
pub struct BadAnswer;

/// Reads `data` out of a success; without `data` it is read from `{}`.
pub fn parse_success<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, BadAnswer> {
    #[derive(Deserialize)]
    struct Read<T> {
        success: bool,
        data: Option<T>,
    }
    let read: Read<T> = serde_json::from_slice(body).map_err(|_| BadAnswer)?;
    if !read.success {
        return Err(BadAnswer);
    }
    read.data
        .map_or_else(|| serde_json::from_str("{}").map_err(|_| BadAnswer), Ok)
}

/// What a failure's body says, as far as it says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureText {
    /// `None` for a name that is not in the contract's list.
    pub name: Option<ErrorName>,
    /// For people; may be empty.
    pub message: String,
    /// To be quoted to whoever runs the vault.
    pub request_id: Option<String>,
}

/// Reads a failure's body, whoever wrote it: both spellings of the keys, a bare string under
/// `error`, or something that is no envelope at all.
pub fn parse_failure(body: &[u8]) -> FailureText {
    #[derive(Deserialize)]
    struct Read {
        error: serde_json::Value,
    }
    let Ok(Read { error }) = serde_json::from_slice::<Read>(body) else {
        return FailureText::default();
    };
    if let Some(message) = error.as_str() {
        return FailureText {
            message: message.to_owned(),
            ..FailureText::default()
        };
    }
    let text = |key: &str| error.get(key).and_then(serde_json::Value::as_str);
    FailureText {
        name: text("name")
            .or_else(|| text("errorName"))
            .and_then(|name| name.parse().ok()),
        message: text("message")
            .or_else(|| text("errorMessage"))
            .unwrap_or_default()
            .to_owned(),
        request_id: text("requestId").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Done, Download, GrantValidity, MetadataAnswer, Upload};
    use proptest::prelude::*;

    #[test]
    fn a_success_is_written_as_the_original_writes_it() {
        let text = |body: Result<Vec<u8>, _>| String::from_utf8(body.unwrap()).unwrap();
        assert_eq!(
            text(success(&Done {})),
            r#"{"success":true,"error":{},"data":{}}"#
        );
        assert_eq!(
            text(success(&GrantValidity { valid: false })),
            r#"{"success":true,"error":{},"data":{"valid":false}}"#
        );
        let upload = Upload {
            token_id: "t".into(),
            upload_url: "https://h/p?q=1&r=2".into(),
            headers: [("if-none-match".to_owned(), "*".into())].into(),
        };
        assert_eq!(
            text(success(&upload)),
            r#"{"success":true,"error":{},"data":{"tokenId":"t","uploadUrl":"https://h/p?q=1&r=2","headers":{"if-none-match":"*"}}}"#
        );
    }

    #[test]
    fn a_failure_carries_both_spellings_and_the_request_id() {
        let body = failure(ErrorName::NoSuchToken, "no \"such\" token", "r1");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"success":false,"error":{"name":"NoSuchToken","message":"no \"such\" token","errorName":"NoSuchToken","errorMessage":"no \"such\" token","requestId":"r1"}}"#
        );
    }

    #[test]
    fn what_the_server_writes_the_client_reads() {
        let headers = [("host".to_owned(), "h".into())].into();
        let download = Download {
            download_url: "https://h/".into(),
            headers,
        };
        let read: Download = parse_success(&success(&download).unwrap()).unwrap();
        assert_eq!(read.download_url.expose(), "https://h/");
        assert_eq!(read.headers["host"].expose(), "h");
        let failed = parse_failure(&failure(ErrorName::OnHold, "held", "r2"));
        assert_eq!(failed.name, Some(ErrorName::OnHold));
        assert_eq!(
            (failed.message.as_str(), failed.request_id.as_deref()),
            ("held", Some("r2"))
        );
    }

    #[test]
    fn metadata_comes_back_exactly() {
        let body = br#"{"success":true,"error":{},"data":{"metadata":{"n": 1.00}},"more":1}"#;
        let read: MetadataAnswer = parse_success(body).unwrap();
        assert_eq!(read.metadata.json(), r#"{"n": 1.00}"#);
    }

    #[test]
    fn a_success_without_error_or_data_is_read() {
        assert_eq!(parse_success(SUCCESS_WITHOUT_DATA.as_bytes()), Ok(Done {}));
        assert_eq!(
            parse_success(br#"{"success":true,"data":null}"#),
            Ok(Done {})
        );
    }

    #[test]
    fn an_answer_that_lacks_what_it_promises_is_refused() {
        for body in [
            "",
            "<html>",
            r#"{"data":{"valid":true}}"#,
            r#"{"success":false,"data":{"valid":true}}"#,
            r#"{"success":true,"data":{}}"#,
            r#"{"success":true,"data":{"valid":"true"}}"#,
        ] {
            assert_eq!(
                parse_success::<GrantValidity>(body.as_bytes()),
                Err(BadAnswer),
                "{body}"
            );
        }
    }

    #[test]
    fn failures_of_other_servers_are_read_as_far_as_they_go() {
        let original = parse_failure(
            br#"{"success":false,"error":{"errorName":"TokenizerError","errorMessage":"bad"}}"#,
        );
        assert_eq!(
            original,
            FailureText {
                message: "bad".into(),
                ..FailureText::default()
            }
        );
        assert_eq!(
            parse_failure(br#"{"success":false,"error":"plain"}"#).message,
            "plain"
        );
        assert_eq!(parse_failure(b"502 Bad Gateway"), FailureText::default());
        assert_eq!(
            parse_failure(br#"{"error":{"name":5}}"#),
            FailureText::default()
        );
    }

    proptest! {
        #[test]
        fn every_message_survives_the_way_over_the_wire(message in ".*", id in ".*") {
            let read = parse_failure(&failure(ErrorName::Internal, &message, &id));
            prop_assert_eq!(read.message, message);
            prop_assert_eq!(read.request_id, Some(id));
        }
    }
}
