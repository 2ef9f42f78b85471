//! Holds every answer that a test gets from the API against the published contract.

use crate::http::Answer;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// What the contract says of one status of one operation.
struct Promise {
    /// Headers that such an answer always has.
    headers: Vec<String>,
    content_type: String,
    body: Validator,
}

/// By path, method in lower case, and status.
type Promises = HashMap<(String, String, String), Promise>;

static PROMISES: LazyLock<Promises> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(DOCUMENT).expect("the document is JSON");
    let mut promises = Promises::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            for (status, response) in members(&operation["responses"]) {
                let promise = promise(&document, resolved(&document, response));
                promises.insert((path.clone(), method.clone(), status.clone()), promise);
            }
        }
    }
    promises
});

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let place = value["$ref"]
        .as_str()
        .and_then(|text| text.strip_prefix('#'));
    place.map_or(value, |place| {
        document
            .pointer(place)
            .expect("a reference leads somewhere")
    })
}

fn promise(document: &Value, response: &Value) -> Promise {
    let headers = members(&response["headers"]);
    let headers = headers.filter(|(_, header)| resolved(document, header)["required"] == true);
    let (content_type, content) = members(&response["content"]).next().expect("a body");
    let schema = json!({ "allOf": [content["schema"]], "components": document["components"] });
    Promise {
        headers: headers.map(|(name, _)| name.clone()).collect(),
        content_type: content_type.clone(),
        body: jsonschema::draft202012::new(&schema).expect("a schema"),
    }
}

/// Panics if an answer to one of the contract's paths is none that the contract has. Other paths,
/// methods and answers that were cut off are no business of this.
pub(crate) fn assert_kept(method: &str, target: &str, answer: &Answer) {
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let bodiless = method == "HEAD";
    let method = if bodiless {
        "get"
    } else {
        &method.to_lowercase()
    };
    let key = |status: u16| (path.clone(), method.to_owned(), status.to_string());
    if !answer.whole || !PROMISES.contains_key(&key(200)) {
        return;
    }
    // A vault without the Simple Tokenizer or the documentation has not these paths.
    if answer.status == 404 && !bodiless && answer.json()["error"]["name"] == "NoSuchRoute" {
        return;
    }
    let status = answer.status;
    let promise = PROMISES.get(&key(status));
    let promise = promise.unwrap_or_else(|| panic!("{method} {path}: {status} is in no contract"));
    for name in &promise.headers {
        assert!(
            answer.header(name).is_some(),
            "{path}: {status} without `{name}`"
        );
    }
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some(promise.content_type.as_str()), "{path}");
    let plain = answer.header("content-encoding").is_none();
    if promise.content_type == "application/json" && plain && !bodiless {
        let json = answer.json();
        let faults = promise.body.iter_errors(&json);
        let faults: Vec<_> = faults
            .map(|fault| fault.instance_path().to_string())
            .collect();
        assert!(
            faults.is_empty(),
            "{path}: {status}: not as promised at {faults:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Answer {
            status,
            headers: vec![
                header("content-type", "application/json"),
                header("x-request-id", "0"),
            ],
            body: body.into(),
            whole: true,
        }
    }

    #[test]
    fn an_answer_of_the_contract_passes() {
        assert_kept(
            "GET",
            "/health",
            &answer(200, r#"{"success":true,"error":{}}"#),
        );
        assert_kept(
            "GET",
            "/health?x",
            &answer(200, r#"{"success":true,"error":{}}"#),
        );
        assert_kept("GET", "/elsewhere", &answer(200, "no JSON"));
    }

    #[test]
    #[should_panic(expected = "not as promised at [\"/success\"]")]
    fn another_body_does_not() {
        assert_kept(
            "GET",
            "/health",
            &answer(200, r#"{"success":false,"error":{}}"#),
        );
    }

    #[test]
    #[should_panic(expected = "418 is in no contract")]
    fn another_status_does_not() {
        assert_kept("POST", "/tokenize", &answer(418, "{}"));
    }
}
