//! The configuration: one TOML file, overridable by `STRONGROOM__SECTION__KEY`.
//!
//! It is read once and never changed afterwards. Unknown keys are refused. Secrets come by
//! `*_file` alone. Relative paths are relative to the file's own directory.

mod admin;
mod credentials;
mod document;
mod faults;
mod http;
mod jwks;
mod log_level;
mod reader;
mod s3;
mod sections;
mod show;
mod units;

pub(crate) use credentials::CredentialSection;
pub(crate) use faults::{Checks, Faults};
pub(crate) use http::proxies;
pub(crate) use jwks::JwksSection;
pub(crate) use sections::{Config, Durability, KeySource, LogFormat, SessionSection, TlsSection};
pub(crate) use units::Span;

use anyhow::{Context, bail};
use document::Node;
use faults::{Fault, Findings, Origin};
use std::io::Read;
use std::path::{Path, PathBuf};

const CANDIDATES: [&str; 3] = [
    "strongroom.toml",
    "strongroom/strongroom.toml",
    "/etc/strongroom/strongroom.toml",
];
/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The given file, or the first of the usual places that exists.
pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = given {
        if !path.is_file() {
            bail!("{} does not exist", path.display());
        }
        return Ok(Some(path.to_owned()));
    }
    Ok(CANDIDATES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file()))
}

/// The same, or an error that says how to get a vault.
pub(crate) fn find_required(
    find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
) -> anyhow::Result<PathBuf> {
    find()?.with_context(|| {
        format!(
            "no configuration found (looked for {}); run `strongroom init`, name one with \
             --config, or try `strongroom serve --dev`",
            CANDIDATES.join(", ")
        )
    })
}

/// Reads and checks the file, with the environment's overrides on top. What is wrong with its
/// keys comes back as [`Faults`], all at once.
pub(crate) fn load(path: &Path, overrides: &[(String, String)]) -> anyhow::Result<Config> {
    Source::read(path, overrides)?.parse(|_, _| ())
}

/// The same, with what a listener needs before it may serve anybody.
pub(crate) fn load_to_serve(
    path: &Path,
    overrides: &[(String, String)],
    behind_proxy: bool,
) -> anyhow::Result<Config> {
    let listeners = |config: &Config, checks: &mut Checks| {
        config.check_listeners(behind_proxy, checks);
    };
    load_checked(path, overrides, listeners)
}

/// The same, with whatever else is to hold.
pub(crate) fn load_checked(
    path: &Path,
    overrides: &[(String, String)],
    more: impl FnOnce(&Config, &mut Checks),
) -> anyhow::Result<Config> {
    Source::read(path, overrides)?.parse(more)
}

/// The configuration in effect, as TOML with each value's origin.
pub(crate) fn show(path: &Path, overrides: &[(String, String)]) -> anyhow::Result<String> {
    Source::read(path, overrides)?.show()
}

/// What a configuration is made from.
struct Source<'a> {
    /// As messages name it.
    file: PathBuf,
    /// What relative paths are relative to.
    dir: PathBuf,
    text: String,
    /// The environment.
    overrides: &'a [(String, String)],
}

impl<'a> Source<'a> {
    fn read(path: &Path, overrides: &'a [(String, String)]) -> anyhow::Result<Self> {
        let shown = || path.display().to_string();
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(shown)?;
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        if read.with_context(shown)? as u64 > FILE_BYTES_MAX {
            bail!("{} is longer than {FILE_BYTES_MAX} bytes", shown());
        }
        let dir = path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let dir = std::path::absolute(dir).with_context(|| dir.display().to_string())?;
        Ok(Self {
            file: path.to_owned(),
            dir,
            text,
            overrides,
        })
    }

    fn parse(&self, more: impl FnOnce(&Config, &mut Checks)) -> anyhow::Result<Config> {
        Ok(self.parse_whole(more)?.0)
    }

    /// The configuration, and the document that it was read from.
    fn parse_whole(
        &self,
        more: impl FnOnce(&Config, &mut Checks),
    ) -> Result<(Config, Node), Faults> {
        let findings = Findings::default();
        let (root, whole) = self.document(&findings);
        let config = reader::read::<Config>(&root, &findings).map(|mut config| {
            config.dir.clone_from(&self.dir);
            let mut checks = Checks::default();
            config.check(&mut checks);
            more(&config, &mut checks);
            checks.place(&root, &findings, whole);
            config
        });
        match (findings.told(&self.file, &self.text), config) {
            (None, Some(config)) => Ok((config, root)),
            (faults, _) => Err(faults.unwrap_or_default()),
        }
    }

    fn show(&self) -> anyhow::Result<String> {
        let (config, root) = self.parse_whole(|_, _| ())?;
        show::show(self, &config, &root)
    }

    /// The file with the environment on top, and whether all of it is TOML; what is not is noted
    /// and left out.
    fn document(&self, findings: &Findings) -> (Node, bool) {
        let (mut root, faults) = Node::parse(&self.text);
        let lines: Vec<_> = faults.iter().filter_map(|fault| self.line(fault)).collect();
        root.drop_lines(&lines, &self.text, findings);
        for (name, value) in self.overrides {
            if let Err(fault) = root.set(name, value) {
                findings.record(fault);
            }
        }
        let whole = faults.is_empty();
        for fault in faults {
            findings.record(fault);
        }
        (root, whole)
    }

    fn line(&self, fault: &Fault) -> Option<usize> {
        match &fault.origin {
            Some(Origin::File(offset)) => Some(faults::position(&self.text, *offset).0),
            _ => None,
        }
    }
}

/// What [`show`] prints of a text; it reads no file.
pub(crate) fn show_text(text: &str, overrides: &[(String, String)]) -> anyhow::Result<String> {
    let source = Source {
        file: "strongroom.toml".into(),
        dir: PathBuf::from("/"),
        text: text.to_owned(),
        overrides,
    };
    source.show()
}

#[cfg(test)]
mod tests;
