//! Texts that must not reach a log: tokens, session ids, signed URLs, keys, metadata.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// A text that is wiped on drop and says nothing in `Debug`.
#[derive(Clone, Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text. Every call is a place to review: it must not reach a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty, which is no secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The text is not one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("metadata must be a JSON object")]
pub struct NotAnObject;

/// What the application says about a value: a JSON object, kept exactly as it was written.
#[derive(Clone)]
pub struct Metadata(Box<RawValue>);

impl Metadata {
    /// Checks that the text is one JSON object; surrounding white space is dropped.
    pub fn parse(text: &str) -> Result<Self, NotAnObject> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| NotAnObject)?;
        Self::from_raw(raw)
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, NotAnObject> {
        if raw.get().starts_with('{') {
            Ok(Self(raw.to_owned()))
        } else {
            Err(NotAnObject)
        }
    }

    /// The object's text. Every call is a place to review: it must not reach a log.
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// How many objects and lists are in one another, this one counted.
    pub(crate) fn depth(&self) -> usize {
        let (mut depth, mut deepest) = (0, 0);
        let (mut in_text, mut escaped) = (false, false);
        // INVARIANT: the text is JSON, so every end has its beginning.
        for byte in self.json().bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' if !in_text => depth -= 1,
                _ => {}
            }
        }
        deepest
    }

    /// Whether the object has no members; such metadata is the same as none.
    pub fn is_empty(&self) -> bool {
        self.json()[1..].trim_start() == "}"
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metadata([REDACTED])")
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_raw(&raw).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Metadata {
    fn schema_name() -> Cow<'static, str> {
        "Metadata".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "What the application says about a value. Kept as it was written, \
                byte for byte, and not looked into.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_keeps_the_text_of_the_object() {
        let text = r#"{"n": 12345678901234567890.10, "n":1, "s":"\u00e9"}"#;
        assert_eq!(Metadata::parse(&format!(" {text}\n")).unwrap().json(), text);
    }

    #[test]
    fn only_an_object_is_metadata() {
        for text in ["", "null", "[]", "\"{}\"", "1", "{", "{}{}", "{\"a\":}"] {
            assert!(Metadata::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_object_without_members_is_empty() {
        assert!(Metadata::parse("{}").unwrap().is_empty());
        assert!(Metadata::parse("{ \t\r\n}").unwrap().is_empty());
        assert!(!Metadata::parse("{\"\":{}}").unwrap().is_empty());
    }

    #[test]
    fn debug_says_nothing() {
        let text = SecretText::from("4111111111111111");
        let metadata = Metadata::parse("{\"a\":4111}").unwrap();
        let debug = format!("{text:?} {metadata:?}");
        assert_eq!(debug, "[REDACTED] Metadata([REDACTED])");
    }
}
