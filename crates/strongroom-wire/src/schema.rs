//! What the wire types look like as JSON Schema 2020-12, for the OpenAPI document.
//!
//! The types describe themselves; here stand only the texts among their members that are more
//! than a string, and the rules that a parser of ours has and a derived schema cannot know.

use crate::answer::{Done, Download, GrantValidity, MetadataAnswer, Upload};
use crate::envelope::Failure;
use crate::request::{
    DetokenizeRequest, GrantSetRequest, GrantVerifyRequest, MetadataGetRequest, MetadataSetRequest,
    TokenizeRequest,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Where an OpenAPI document keeps its schemas, and so how they refer to each other.
const PLACE: &str = "/components/schemas";

/// Longest `sessionId` in bytes; the service checks it.
const SESSION_ID_BYTES_MAX: u32 = 256;

/// Most bytes of one upload, and so the highest `contentLength` of any configuration.
const CONTENT_LENGTH_MAX: u64 = 5 << 30;

/// The schema of every type of the wire by its name, requests as the server reads them and
/// answers as it writes them.
pub fn all() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = None;
    settings.definitions_path = Cow::Borrowed(PLACE);
    let mut generator = SchemaGenerator::new(settings);
    generator.subschema_for::<TokenizeRequest>();
    generator.subschema_for::<DetokenizeRequest>();
    generator.subschema_for::<GrantSetRequest>();
    generator.subschema_for::<GrantVerifyRequest>();
    generator.subschema_for::<MetadataGetRequest>();
    generator.subschema_for::<MetadataSetRequest>();
    generator.subschema_for::<Upload>();
    generator.subschema_for::<Download>();
    generator.subschema_for::<GrantValidity>();
    generator.subschema_for::<MetadataAnswer>();
    generator.subschema_for::<Done>();
    generator.subschema_for::<Failure<'_>>();
    generator.take_definitions(true)
}

/// A token's text.
pub(crate) struct TokenText;

impl JsonSchema for TokenText {
    fn schema_name() -> Cow<'static, str> {
        "Token".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^lunasec-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
            "description": "Stands for one value. The vault writes it in lower case around a \
                random UUID of version 4; it reads hexadecimal digits of either case and any \
                version. It means nothing by itself, but treat it as confidential: whoever \
                holds it holds half of what opens the value.",
        })
    }
}

/// A user session's id, as far as a schema can tell.
pub(crate) struct SessionIdText;

impl JsonSchema for SessionIdText {
    fn schema_name() -> Cow<'static, str> {
        "SessionId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": SESSION_ID_BYTES_MAX,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
        })
    }
}

/// A duration in Go's notation that is not below zero, or nothing.
pub(crate) struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(\\+?(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)?$",
        })
    }
}

/// The length of a value.
pub(crate) struct ContentLength;

impl JsonSchema for ContentLength {
    fn schema_name() -> Cow<'static, str> {
        "ContentLength".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": CONTENT_LENGTH_MAX })
    }
}

/// The token may come under the other spelling, and only under one of them.
pub(crate) fn either_spelling(schema: &mut Schema) {
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != "tokenId");
        if required.is_empty() {
            schema.remove("required");
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let other = json!({
            "$ref": format!("#{PLACE}/Token"),
            "deprecated": true,
            "description": "The other spelling of `tokenId`, as LunaSec's command line sends it.",
        });
        properties.insert("tokenID".into(), other);
    }
    demand(
        schema,
        &json!([{ "required": ["tokenId"] }, { "required": ["tokenID"] }]),
    );
}

/// A user's session by its id, or the caller's own, never both.
pub(crate) fn one_session(schema: &mut Schema) {
    demand(
        schema,
        &json!([
            {
                "required": ["sessionId"],
                "properties": {
                    "sessionId": { "type": "string" },
                    "self": { "enum": [false, null] },
                },
            },
            {
                "required": ["self"],
                "properties": { "self": { "const": true }, "sessionId": { "type": "null" } },
            },
        ]),
    );
}

/// Exactly one of the alternatives, besides what is demanded already.
fn demand(schema: &mut Schema, one_of: &Value) {
    let all = schema
        .ensure_object()
        .entry("allOf")
        .or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.push(json!({ "oneOf": one_of }));
    }
}

#[cfg(test)]
mod tests;
