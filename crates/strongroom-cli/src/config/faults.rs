//! What is wrong with a configuration: all of it, each with its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;

/// Most faults that are told; whoever has more begins with these.
const FAULTS_MAX: usize = 100;

/// Where something was said. The file comes first, in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Bytes before it.
    File(usize),
    /// Name of the variable.
    Environment(String),
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) origin: Option<Origin>,
    /// The key, or nothing for a fault of the syntax.
    pub(super) path: String,
    pub(super) message: String,
}

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    faults: RefCell<Vec<Fault>>,
    /// Paths whose values are not what was meant, so that nothing is concluded from them.
    spoilt: RefCell<Vec<String>>,
    known: RefCell<Known>,
}

/// Keys of each table by its path, in the order of their declaration.
pub(super) type Known = BTreeMap<String, &'static [&'static str]>;

impl Findings {
    pub(super) fn record(&self, fault: Fault) {
        if !self.is_full() {
            self.faults.borrow_mut().push(fault);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.faults.borrow().len() > FAULTS_MAX
    }

    pub(super) fn know(&self, path: &str, keys: &'static [&'static str]) {
        self.known.borrow_mut().insert(path.to_owned(), keys);
    }

    pub(super) fn known(self) -> Known {
        self.known.into_inner()
    }

    pub(super) fn spoil(&self, path: String) {
        self.spoilt.borrow_mut().push(path);
    }

    /// Whether the value at the path, or one that it is part of or made of, is not what was meant.
    pub(super) fn is_spoilt(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ']))
        };
        let spoilt = self.spoilt.borrow();
        spoilt.iter().any(|at| within(at, path) || within(path, at))
    }

    /// All of them, in order, or None.
    pub(super) fn told(self, file: &Path, text: &str) -> Option<Faults> {
        let mut faults = self.faults.into_inner();
        if faults.is_empty() {
            return None;
        }
        faults.sort_by_key(|fault| (fault.origin.is_none(), fault.origin.clone()));
        let more = faults.len() > FAULTS_MAX;
        faults.truncate(FAULTS_MAX);
        let lines = faults.iter().map(|fault| fault.line(file, text)).collect();
        Some(Faults { lines, more })
    }
}

impl Fault {
    fn line(&self, file: &Path, text: &str) -> String {
        let mut line = self.origin.as_ref().map_or_else(
            || file.display().to_string(),
            |origin| origin.place(file, text),
        );
        if !self.path.is_empty() {
            // Keys are whatever stands in the file.
            let _ = write!(line, ": {}", self.path.escape_debug());
        }
        line + ": " + &self.message
    }
}

impl Origin {
    /// `file:line:column`, or the variable.
    pub(super) fn place(&self, file: &Path, text: &str) -> String {
        match self {
            Self::File(offset) => {
                let (line, column) = position(text, *offset);
                format!("{}:{line}:{column}", file.display())
            }
            Self::Environment(name) => format!("environment: {}", name.escape_debug()),
        }
    }
}

/// Line and column, both from 1; a column is a character.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    lines: Vec<String>,
    more: bool,
}

impl Faults {
    /// One line for each, with its place and its key.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// How many.
    pub(crate) fn count(&self) -> String {
        match (self.lines.len(), self.more) {
            (most, true) => format!("more than {most} faults in the configuration"),
            (1, false) => "1 fault in the configuration".into(),
            (count, false) => format!("{count} faults in the configuration"),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        f.write_str(&self.count())
    }
}

impl std::error::Error for Faults {}

/// Collects what types alone cannot say.
#[derive(Default)]
pub(crate) struct Checks {
    broken: Vec<Broken>,
}

struct Broken {
    keys: Vec<String>,
    message: String,
}

impl Checks {
    /// Notes a fault unless the condition holds. The first key is the one that the message is
    /// about; the others are those that it was compared with. A table of a list is named by its
    /// number: `key_source 2 name`.
    pub(crate) fn require(&mut self, holds: bool, keys: &[&str], message: impl Into<String>) {
        if !holds {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            let message = message.into();
            self.broken.push(Broken { keys, message });
        }
    }

    /// Key and message of each.
    pub(crate) fn told(&self) -> Vec<String> {
        let line = |broken: &Broken| format!("{}: {}", broken.keys.join(", "), broken.message);
        self.broken.iter().map(line).collect()
    }

    /// Gives each its place. What compares with a value that is not what was meant is left out,
    /// and so is every comparison when the file could not be read whole.
    pub(super) fn place(self, root: &super::document::Node, findings: &Findings, whole: bool) {
        for broken in self.broken {
            let found: Vec<_> = broken.keys.iter().map(|key| root.find(key)).collect();
            let spoilt = found.iter().any(|(_, path)| findings.is_spoilt(path));
            if spoilt || (!whole && found.len() > 1) {
                continue;
            }
            // A default that conflicts with what was written is told where that stands.
            let origin = found
                .iter()
                .find_map(|(node, _)| Some(node.as_ref()?.origin.clone()));
            let path = found
                .into_iter()
                .next()
                .map_or_else(String::new, |(_, path)| path);
            let message = broken.message;
            findings.record(Fault {
                origin,
                path,
                message,
            });
        }
    }
}
