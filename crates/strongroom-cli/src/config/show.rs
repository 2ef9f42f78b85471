//! The configuration in effect as TOML that loads again: every key, with its value's origin.
//! There is nothing to hide in it: secrets are in files, of which it has the paths alone.

use super::document::{Node, below};
use super::faults::{Findings, Known, Origin, position};
use super::sections::Config;
use super::{Source, reader};
use anyhow::{Context, ensure};
use std::fmt::Write;
use toml::{Table, Value};

/// The text; `root` is what the configuration was read from.
pub(super) fn show(source: &Source<'_>, config: &Config, root: &Node) -> anyhow::Result<String> {
    let table = Table::try_from(config).context("the configuration cannot be written as TOML")?;
    let again = toml::to_string(&table).context("the configuration cannot be written as TOML")?;
    let shown = Shown {
        source,
        root,
        known: read(&again).1,
    };
    let mut text = format!(
        "# Configuration in effect, from {}. Relative paths are relative to its directory.\n",
        source.file.display().to_string().escape_debug()
    );
    shown.table(&mut text, "", "", &table)?;
    let same = read(&text).0.is_some_and(|mut read| {
        read.dir.clone_from(&config.dir);
        read == *config
    });
    ensure!(same, "the configuration does not read as it was written");
    Ok(text)
}

fn read(text: &str) -> (Option<Config>, Known) {
    let findings = Findings::default();
    let config = reader::read(&Node::parse(text).0, &findings);
    (config, findings.known())
}

struct Shown<'a> {
    source: &'a Source<'a>,
    root: &'a Node,
    known: Known,
}

impl Shown<'_> {
    /// A table without its header: first what is no table, as TOML demands.
    fn table(
        &self,
        text: &mut String,
        path: &str,
        header: &str,
        table: &Table,
    ) -> std::fmt::Result {
        let keys = self.known.get(path).copied().unwrap_or_default();
        for key in keys {
            let (at, value) = (below(path, key), table.get(*key));
            match value {
                None => writeln!(text, "# {key} is not set")?,
                Some(value) if tables(value).is_none() => {
                    writeln!(text, "{key} = {value}  # {}", self.origin(&at))?;
                }
                Some(_) => {}
            }
        }
        for key in keys {
            let Some(tables) = table.get(*key).and_then(tables) else {
                continue;
            };
            let (at, header) = (below(path, key), dotted(header, key));
            match tables {
                Tables::One(table) => {
                    writeln!(text, "\n[{header}]")?;
                    self.table(text, &at, &header, table)?;
                }
                Tables::List(list) => {
                    for (index, table) in list.into_iter().enumerate() {
                        writeln!(text, "\n[[{header}]]")?;
                        self.table(text, &format!("{at} {}", index + 1), &header, table)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn origin(&self, path: &str) -> String {
        let node = self.root.find(path).0;
        let origin = node.map_or_else(
            || "default".into(),
            |node| match &node.origin {
                Origin::File(offset) => {
                    let (line, _) = position(&self.source.text, *offset);
                    format!("{}:{line}", self.source.file.display())
                }
                Origin::Environment(name) => format!("environment: {name}"),
            },
        );
        origin.escape_debug().to_string()
    }
}

enum Tables<'a> {
    One(&'a Table),
    List(Vec<&'a Table>),
}

/// A table, or a list of tables that has any.
fn tables(value: &Value) -> Option<Tables<'_>> {
    match value {
        Value::Table(table) => Some(Tables::One(table)),
        Value::Array(list) if !list.is_empty() => {
            let list: Option<Vec<_>> = list.iter().map(Value::as_table).collect();
            list.map(Tables::List)
        }
        _ => None,
    }
}

fn dotted(header: &str, key: &str) -> String {
    if header.is_empty() {
        return key.to_owned();
    }
    let mut all = header.to_owned();
    let _ = write!(all, ".{key}");
    all
}
