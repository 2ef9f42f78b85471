//! Reads a document into the sections' types and finds everything that does not fit.
//!
//! Serde stops at the first fault. So what is faulty is noted, left out, and the document read
//! again, until the rest of it fits: a few passes over something small. The known keys are those
//! that serde asks for; there is no second list of them.

use super::document::{Entry, Kind, Node, below};
use super::faults::{Fault, Findings};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected,
    IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt::Display;
use std::marker::PhantomData;

/// What fits of the document, good for further checks as long as there are no faults; None when
/// nothing fits, or there are more faults than are told.
pub(super) fn read<T: DeserializeOwned>(root: &Node, findings: &Findings) -> Option<T> {
    let at = At {
        node: root,
        findings,
    };
    // INVARIANT: every pass that fails leaves something more out, or adds a stand-in.
    while !findings.is_full() && root.is_live() {
        if let Ok(value) = at.read(PhantomData) {
            return Some(value);
        }
    }
    None
}

/// Of all the names, the one that was probably meant.
pub(super) fn closest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    let far = (wrong.chars().count() / 3).max(1);
    let distances = names
        .into_iter()
        .map(|name| (strsim::osa_distance(&wrong, name), name));
    let nearest = distances.min_by_key(|(distance, _)| *distance);
    nearest
        .filter(|(distance, _)| *distance <= far)
        .map(|(_, name)| name)
}

/// `; did you mean …?`, or nothing.
pub(super) fn hint(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// Why a pass ended.
#[derive(Debug)]
enum Stop {
    /// The value does not fit.
    Wrong(String),
    /// The table lacks a key.
    Missing(&'static str),
    /// Nothing stands in for what is missing.
    NoStandIn,
    /// It is noted already.
    Noted,
}

impl Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(message) => f.write_str(message),
            Self::Missing(key) => write!(f, "{key} is missing"),
            Self::NoStandIn | Self::Noted => f.write_str("noted"),
        }
    }
}

impl std::error::Error for Stop {}

impl serde::de::Error for Stop {
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        // What the standard library says of a host name does not help.
        Self::Wrong(match message.as_str() {
            "invalid socket address syntax" => {
                "an IP address and a port are wanted, as in \"127.0.0.1:37766\"".into()
            }
            _ => message,
        })
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Wrong(mismatch(found, expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Wrong(mismatch(found, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let meant = hint(closest(variant, expected.iter().copied()));
        Self::Wrong(format!("one of {} is wanted{meant}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// Texts are never repeated: somebody may have put a secret in the wrong place.
fn mismatch(found: Unexpected<'_>, expected: &dyn Expected) -> String {
    let found = match found {
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Float(_) => "a number with a point".into(),
        Unexpected::Bool(truth) => truth.to_string(),
        Unexpected::Str(_) => "a text".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        other => other.to_string(),
    };
    let expected = expected.to_string();
    let expected = match expected.as_str() {
        "u64" | "usize" => "a whole number, 0 or more,",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "a string" => "a text",
        "path string" => "a path",
        other => other,
    };
    format!("{found}, where {expected} is wanted")
}

/// One value of the document.
#[derive(Clone, Copy)]
struct At<'a> {
    node: &'a Node,
    findings: &'a Findings,
}

impl<'a> At<'a> {
    /// Reads it; a fault is noted here, at the innermost value that it is about.
    fn read<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self).map_err(|stop| self.note(stop))
    }

    fn note(self, stop: Stop) -> Stop {
        let (node, findings) = (self.node, self.findings);
        let fault = |path, message| Fault {
            origin: Some(node.origin.clone()),
            path,
            message,
        };
        match stop {
            Stop::Wrong(message) => {
                findings.record(fault(node.path.clone(), message));
                findings.spoil(node.path.clone());
                node.dropped.set(true);
            }
            Stop::Missing(key) => {
                let path = below(&node.path, key);
                if !findings.is_spoilt(&path) {
                    findings.record(fault(path.clone(), "wanted, and not there".into()));
                    findings.spoil(path);
                }
                node.stand_ins.borrow_mut().push(key);
            }
            Stop::NoStandIn => node.dropped.set(true),
            Stop::Noted => {}
        }
        Stop::Noted
    }

    fn text(self) -> Option<&'a str> {
        match (&self.node.kind, &self.node.raw) {
            (Kind::Text(text), _) | (_, Some(text)) => Some(text),
            _ => None,
        }
    }

    fn found(self) -> Unexpected<'a> {
        match &self.node.kind {
            Kind::Text(text) => Unexpected::Str(text),
            Kind::Whole(Some(number)) => Unexpected::Signed(*number),
            Kind::Whole(None) => Unexpected::Other("a number that is too large"),
            Kind::Fraction(number) => Unexpected::Float(*number),
            Kind::Truth(truth) => Unexpected::Bool(*truth),
            Kind::Moment => Unexpected::Other("a date or time"),
            Kind::List(_) => Unexpected::Seq,
            Kind::Table(_) => Unexpected::Map,
        }
    }

    /// What is known of the table's keys, with those that are not known noted.
    fn entries(self, entries: &'a [Entry], known: Option<&'static [&'static str]>) -> Entries<'a> {
        if let Some(known) = known {
            self.findings.know(&self.node.path, known);
            for entry in entries {
                let is_known = known.contains(&entry.key.as_str());
                if entry.value.is_live() && !is_known {
                    self.unknown(entry, known);
                }
            }
        }
        let live = entries.iter().filter(|entry| entry.value.is_live());
        Entries {
            live: live.collect::<Vec<_>>().into_iter(),
            stand_ins: self.node.stand_ins.borrow().clone().into_iter(),
            value: None,
            findings: self.findings,
        }
    }

    fn unknown(self, entry: &Entry, known: &'static [&'static str]) {
        entry.value.dropped.set(true);
        let meant = closest(&entry.key, known.iter().copied());
        if let Some(meant) = meant {
            self.findings.spoil(below(&self.node.path, meant));
        }
        self.findings.record(Fault {
            origin: Some(entry.key_origin.clone()),
            path: entry.value.path.clone(),
            message: format!("unknown key{}", hint(meant)),
        });
    }
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.kind {
            Kind::Text(text) => visitor.visit_str(text),
            Kind::Whole(Some(number)) => visitor.visit_i64(*number),
            Kind::Fraction(number) => visitor.visit_f64(*number),
            Kind::Truth(truth) => visitor.visit_bool(*truth),
            Kind::Whole(None) | Kind::Moment => Err(Stop::invalid_type(self.found(), &visitor)),
            Kind::List(nodes) => visitor.visit_seq(Elements {
                nodes: nodes.iter(),
                findings: self.findings,
            }),
            Kind::Table(entries) => visitor.visit_map(self.entries(entries, None)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.text() {
            Some(text) => visitor.visit_str(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if matches!(self.node.kind, Kind::Table(_)) {
            let path = &self.node.path;
            let wanted = format!("a list is wanted; a table of a list is written [[{path}]]");
            return Err(Stop::Wrong(wanted));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        match &self.node.kind {
            Kind::Table(entries) => visitor.visit_map(self.entries(entries, Some(fields))),
            _ => Err(Stop::invalid_type(self.found(), &"a table")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        match self.text() {
            Some(text) => visitor.visit_enum(variant(text)),
            None => Err(Stop::invalid_type(self.found(), &"a text")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct map identifier ignored_any
    }
}

fn variant<'de>(text: &str) -> impl EnumAccess<'de, Error = Stop> {
    let variant: StrDeserializer<'_, Stop> = text.into_deserializer();
    variant
}

/// The keys of a table that are not left out, then those that stand in for missing ones.
struct Entries<'a> {
    live: std::vec::IntoIter<&'a Entry>,
    stand_ins: std::vec::IntoIter<&'static str>,
    value: Option<&'a Node>,
    findings: &'a Findings,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        let entry = self.live.next();
        self.value = entry.map(|entry| &entry.value);
        let key = entry.map(|entry| entry.key.as_str());
        let Some(key) = key.or_else(|| self.stand_ins.next()) else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Stop> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let findings = self.findings;
        match self.value.take() {
            Some(node) => At { node, findings }.read(seed),
            None => seed.deserialize(StandIn).map_err(|_| Stop::NoStandIn),
        }
    }
}

/// The elements of a list that are not left out.
struct Elements<'a> {
    nodes: std::slice::Iter<'a, Node>,
    findings: &'a Findings,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        let findings = self.findings;
        let node = self.nodes.find(|node| node.is_live());
        node.map(|node| At { node, findings }.read(seed))
            .transpose()
    }
}

/// An empty text or list in the place of a missing key, so that the search goes on.
struct StandIn;

impl<'de> Deserializer<'de> for StandIn {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str("")
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_seq(Elements {
            nodes: [].iter(),
            findings: &Findings::default(),
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}
