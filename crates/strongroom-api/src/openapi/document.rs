//! The parts of an OpenAPI 3.1 document that ours has, written in a fixed order.
//!
//! Schemas are JSON Schema 2020-12 and stay JSON values. Must not know what our API is.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A JSON object that keeps the order in which it was filled.
pub(crate) struct Ordered<T>(pub(crate) Vec<(String, T)>);

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// OpenAPI Object (OpenAPI 3.1 §4.8.1).
#[derive(serde::Serialize)]
pub(crate) struct Document {
    pub(crate) openapi: &'static str,
    pub(crate) info: Info,
    pub(crate) servers: [Value; 1],
    pub(crate) tags: Vec<Tag>,
    pub(crate) paths: Ordered<PathItem>,
    pub(crate) components: Components,
}

/// Info Object (§4.8.2).
#[derive(serde::Serialize)]
pub(crate) struct Info {
    pub(crate) title: &'static str,
    pub(crate) version: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: String,
    pub(crate) license: Value,
}

/// Tag Object (§4.8.22).
#[derive(serde::Serialize)]
pub(crate) struct Tag {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

/// Path Item Object (§4.8.9): ours have one method each.
pub(crate) struct PathItem {
    /// In lower case, as the document spells it.
    pub(crate) method: &'static str,
    pub(crate) operation: Operation,
}

impl Serialize for PathItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.method, &self.operation)])
    }
}

/// Operation Object (§4.8.10).
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    #[serde(rename = "operationId")]
    pub(crate) id: &'static str,
    pub(crate) tags: [&'static str; 1],
    pub(crate) summary: &'static str,
    pub(crate) description: String,
    pub(crate) security: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parameters: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_body: Option<RequestBody>,
    pub(crate) responses: Ordered<Answer>,
}

/// Request Body Object (§4.8.13).
#[derive(serde::Serialize)]
pub(crate) struct RequestBody {
    pub(crate) required: bool,
    pub(crate) content: Ordered<MediaType>,
}

/// What stands under a status: a response, or a reference to one that several operations share.
pub(crate) enum Answer {
    Here(Response),
    /// Its key among the components.
    Shared(String),
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Here(response) => response.serialize(serializer),
            Self::Shared(key) => {
                serializer.collect_map([("$ref", format!("#/components/responses/{key}"))])
            }
        }
    }
}

/// Response Object (§4.8.17).
#[derive(serde::Serialize)]
pub(crate) struct Response {
    pub(crate) description: String,
    pub(crate) headers: Ordered<Value>,
    pub(crate) content: Ordered<MediaType>,
}

/// Media Type Object (§4.8.14).
#[derive(serde::Serialize)]
pub(crate) struct MediaType {
    pub(crate) schema: Value,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub(crate) examples: Vec<Example>,
}

/// Example Object (§4.8.19).
pub(crate) struct Example {
    /// Its key; unique among its neighbours.
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) value: Value,
}

impl Serialize for Example {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let summary = Value::String(self.summary.clone());
        serializer.collect_map([("summary", &summary), ("value", &self.value)])
    }
}

#[expect(clippy::ptr_arg, reason = "the signature that serde calls")]
fn as_map<S: Serializer>(examples: &Vec<Example>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(examples.iter().map(|example| (&example.name, example)))
}

/// Components Object (§4.8.7).
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Components {
    pub(crate) schemas: Map<String, Value>,
    pub(crate) responses: Ordered<Response>,
    pub(crate) parameters: Ordered<Value>,
    pub(crate) headers: Ordered<Value>,
    pub(crate) security_schemes: Ordered<Value>,
}
