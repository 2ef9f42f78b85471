//! Reads the members of a JSON object with keys in any case, which original clients rely on:
//! one of them sends `tokenID` where the others send `tokenId`.

use crate::text::{Metadata, SecretText};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Most objects and lists in one another that metadata may have, its own object counted: common
/// readers of JSON, ours among them, stop at 100 or 128, and answers add two.
pub const METADATA_DEPTH_MAX: usize = 64;

/// Why a body was refused. The message is for the caller and never repeats what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not JSON, not UTF-8, or JSON but no object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// A member that the request cannot do without.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member that the request knows stands there twice, in whatever case.
    #[error("`{0}` is given more than once")]
    Duplicate(&'static str),
    /// The member's value has the wrong type.
    #[error("`{key}` must be {expected}")]
    WrongType {
        /// The member, as the contract spells it.
        key: &'static str,
        /// What its value must be.
        expected: &'static str,
    },
    /// The metadata has objects and lists in one another beyond [`METADATA_DEPTH_MAX`].
    #[error("`metadata` is nested deeper than {METADATA_DEPTH_MAX} levels")]
    TooDeep,
    /// Both ways to name a session, or neither.
    #[error("give either `sessionId` or `\"self\": true`")]
    WhichSession,
}

/// The members of one JSON object in the order they came, values not looked into.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BadBody> {
        serde_json::from_slice(body).map_err(|_| BadBody::NotAnObject)
    }

    /// The member's value; absent and `null` are the same.
    fn find(&self, key: &'static str) -> Result<Option<&'a RawValue>, BadBody> {
        let mut found = self
            .0
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(key));
        let Some((_, value)) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(BadBody::Duplicate(key));
        }
        Ok((value.get() != "null").then_some(*value))
    }

    fn typed<T: Deserialize<'a>>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, BadBody> {
        let Some(value) = self.find(key)? else {
            return Ok(None);
        };
        let wrong = |_| BadBody::WrongType { key, expected };
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<Option<SecretText>, BadBody> {
        self.typed(key, "a string")
    }

    pub(crate) fn required_text(&self, key: &'static str) -> Result<SecretText, BadBody> {
        self.text(key)?.ok_or(BadBody::Missing(key))
    }

    pub(crate) fn flag(&self, key: &'static str) -> Result<bool, BadBody> {
        Ok(self.typed(key, "true or false")?.unwrap_or(false))
    }

    pub(crate) fn count(&self, key: &'static str) -> Result<Option<u64>, BadBody> {
        self.typed(key, "a whole number, not negative")
    }

    /// The object under `metadata`; an empty one is the same as none.
    pub(crate) fn metadata(&self) -> Result<Option<Metadata>, BadBody> {
        const KEY: &str = "metadata";
        let Some(value) = self.find(KEY)? else {
            return Ok(None);
        };
        let wrong = |_| BadBody::WrongType {
            key: KEY,
            expected: "an object",
        };
        let metadata = Metadata::from_raw(value).map_err(wrong)?;
        if metadata.depth() > METADATA_DEPTH_MAX {
            return Err(BadBody::TooDeep);
        }
        Ok((!metadata.is_empty()).then_some(metadata))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
