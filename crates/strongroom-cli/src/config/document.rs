//! The configuration as it was written: a tree in which every key and value knows where it came
//! from, the environment's overrides included. It must not know which keys there are.

use super::faults::{Fault, Findings, Origin, position};
use std::cell::{Cell, RefCell};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What an override's name begins with.
pub(super) const ENV_PREFIX: &str = "STRONGROOM__";
/// Deepest key that an override may name; ours have three parts.
const ENV_PARTS_MAX: usize = 8;

/// A value and where it stands.
pub(super) struct Node {
    /// As messages name it: `s3.listen`, `key_source 2 name`.
    pub(super) path: String,
    pub(super) origin: Origin,
    pub(super) kind: Kind,
    /// An override as it was given; where text is wanted it is taken as it stands.
    pub(super) raw: Option<String>,
    /// Found faulty, and left out since.
    pub(super) dropped: Cell<bool>,
    /// Keys that are wanted and absent: reading goes on as if they were there.
    pub(super) stand_ins: RefCell<Vec<&'static str>>,
}

pub(super) enum Kind {
    Text(String),
    /// None if it does not fit.
    Whole(Option<i64>),
    Fraction(f64),
    Truth(bool),
    Moment,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_origin: Origin,
    pub(super) value: Node,
}

/// The path of a key of the table at `parent`.
pub(super) fn below(parent: &str, key: &str) -> String {
    let last = parent.rsplit([' ', '.']).next().unwrap_or_default();
    match last {
        "" => key.to_owned(),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("{parent} {key}"),
        _ => format!("{parent}.{key}"),
    }
}

impl Node {
    fn new(path: String, origin: Origin, kind: Kind) -> Self {
        Self {
            path,
            origin,
            kind,
            raw: None,
            dropped: Cell::new(false),
            stand_ins: RefCell::default(),
        }
    }

    /// The file's text, as far as it is TOML, and what is wrong with its syntax.
    pub(super) fn parse(text: &str) -> (Self, Vec<Fault>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let faults = errors.iter().map(|error| Fault {
            origin: error.span().map(|span| Origin::File(span.start)),
            path: String::new(),
            message: error.message().to_owned(),
        });
        let place = |span: std::ops::Range<usize>| Origin::File(span.start);
        let table = table.into_inner();
        let root = Self::table(String::new(), Origin::File(0), table, &place);
        (root, faults.collect())
    }

    fn value(
        path: String,
        value: Spanned<DeValue<'_>>,
        place: &dyn Fn(std::ops::Range<usize>) -> Origin,
    ) -> Self {
        let origin = place(value.span());
        let kind = match value.into_inner() {
            DeValue::String(text) => Kind::Text(text.into_owned()),
            DeValue::Integer(number) => {
                Kind::Whole(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => Kind::Fraction(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(truth) => Kind::Truth(truth),
            DeValue::Datetime(_) => Kind::Moment,
            DeValue::Array(list) => {
                let nodes = list.into_iter().enumerate();
                let nodes = nodes.map(|(index, element)| {
                    Self::value(format!("{path} {}", index + 1), element, place)
                });
                Kind::List(nodes.collect())
            }
            DeValue::Table(table) => return Self::table(path, origin, table, place),
        };
        Self::new(path, origin, kind)
    }

    fn table(
        path: String,
        origin: Origin,
        table: DeTable<'_>,
        place: &dyn Fn(std::ops::Range<usize>) -> Origin,
    ) -> Self {
        let entries = table.into_iter().map(|(key, value)| Entry {
            key_origin: place(key.span()),
            value: Self::value(below(&path, key.get_ref()), value, place),
            key: key.into_inner().into_owned(),
        });
        let entries = entries.collect();
        Self::new(path, origin, Kind::Table(entries))
    }

    /// Puts one variable of the environment in its place, if it is one of ours.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), Fault> {
        let Some(key) = name.strip_prefix(ENV_PREFIX) else {
            return Ok(());
        };
        let origin = Origin::Environment(name.to_owned());
        let fault = |path: &str, message: &str| Fault {
            origin: Some(origin.clone()),
            path: path.to_owned(),
            message: message.to_owned(),
        };
        let parts: Vec<_> = key.split("__").map(str::to_ascii_lowercase).collect();
        if parts.len() > ENV_PARTS_MAX || parts.iter().any(String::is_empty) {
            return Err(fault("", "names no key"));
        }
        let mut at = self;
        for part in parts {
            let path = below(&at.path, &part);
            let Kind::Table(entries) = &mut at.kind else {
                return Err(fault(&path, &format!("{} is no section", at.path)));
            };
            let found = entries.iter().position(|entry| entry.key == part);
            let index = found.unwrap_or(entries.len());
            if found.is_none() {
                let value = Self::new(path, origin.clone(), Kind::Table(Vec::new()));
                entries.push(Entry {
                    key: part,
                    key_origin: origin.clone(),
                    value,
                });
            }
            at = &mut entries[index].value;
        }
        *at = Self::override_with(std::mem::take(&mut at.path), &origin, text);
        Ok(())
    }

    /// What the text is in TOML, or the text itself.
    fn override_with(path: String, origin: &Origin, text: &str) -> Self {
        let mut node = match DeValue::parse(text) {
            Ok(value) => Self::value(path, value, &|_| origin.clone()),
            Err(_) => Self::new(path, origin.clone(), Kind::Text(text.to_owned())),
        };
        node.raw = Some(text.to_owned());
        node
    }

    pub(super) fn is_live(&self) -> bool {
        !self.dropped.get()
    }

    /// The value at a path, among those that are not left out; and the path as the document
    /// counts, those that are left out included.
    pub(super) fn find(&self, path: &str) -> (Option<&Self>, String) {
        let mut node = Some(self);
        let mut shown = String::new();
        for part in path.split(['.', ' ']) {
            node = node.and_then(|node| node.child(part));
            shown = node.map_or_else(|| below(&shown, part), |node| node.path.clone());
        }
        (node, shown)
    }

    fn child(&self, part: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Table(entries) => {
                let found = entries.iter().find(|entry| entry.key == part)?;
                Some(&found.value).filter(|node| node.is_live())
            }
            Kind::List(nodes) => {
                let index: usize = part.parse().ok()?;
                let mut live = nodes.iter().filter(|node| node.is_live());
                live.nth(index.checked_sub(1)?)
            }
            _ => None,
        }
    }

    /// The nodes right below.
    pub(super) fn children(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Table(entries) => entries.iter().map(|entry| &entry.value).collect(),
            Kind::List(nodes) => nodes.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Leaves out what stands on these lines of the file, which are no TOML as a whole.
    pub(super) fn drop_lines(&self, lines: &[usize], text: &str, findings: &Findings) {
        let on_one = |origin: &Origin| match origin {
            Origin::File(offset) => lines.contains(&position(text, *offset).0),
            Origin::Environment(_) => false,
        };
        for node in self.children() {
            if on_one(&node.origin) {
                node.dropped.set(true);
                findings.spoil(node.path.clone());
            } else {
                node.drop_lines(lines, text, findings);
            }
        }
    }
}
