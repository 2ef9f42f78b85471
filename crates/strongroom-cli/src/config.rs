//! The configuration: one TOML file, overridable by `STRONGROOM__SECTION__KEY`.
//!
//! It is read once and never changed afterwards. Unknown keys are refused. Secrets come by
//! `*_file` alone. Relative paths are relative to the file's own directory.

mod admin;
mod credentials;
mod s3;
mod sections;
mod units;

pub(crate) use credentials::CredentialSection;
pub(crate) use sections::{Config, Durability, LogFormat, SessionSection, TlsSection};

pub(crate) use units::Span;

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

const CANDIDATES: [&str; 3] = [
    "strongroom.toml",
    "strongroom/strongroom.toml",
    "/etc/strongroom/strongroom.toml",
];
const ENV_PREFIX: &str = "STRONGROOM__";

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

/// Reads and checks the file, with the environment's overrides on top.
pub(crate) fn load(path: &Path, overrides: &[(String, String)]) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let dir = std::path::absolute(dir).with_context(|| dir.display().to_string())?;
    parse(&text, dir, overrides).with_context(|| path.display().to_string())
}

fn parse(text: &str, dir: PathBuf, overrides: &[(String, String)]) -> anyhow::Result<Config> {
    // Once as it stands, so that a fault of the file is told with its line.
    toml::from_str::<Config>(text)?;
    let mut table: toml::Table = toml::from_str(text)?;
    for (name, value) in overrides {
        if let Some(key) = name.strip_prefix(ENV_PREFIX) {
            set(&mut table, key, value).with_context(|| format!("environment: {name}"))?;
        }
    }
    let mut config: Config = table
        .try_into()
        .context("with the overrides of the environment")?;
    config.dir = dir;
    config.check()?;
    Ok(config)
}

/// Sets `SECTION__KEY` to what the text is in TOML, or to the text itself.
fn set(table: &mut toml::Table, key: &str, text: &str) -> anyhow::Result<()> {
    let mut parts: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = table;
    for part in parts {
        let next = at
            .entry(part)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = next
            .as_table_mut()
            .context("names something that is no section")?;
    }
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut one| one.remove("value"));
    at.insert(
        last,
        value.unwrap_or_else(|| toml::Value::String(text.to_owned())),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_with(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Config> {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        parse(text, PathBuf::from("/etc/strongroom"), &overrides)
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = parse_with("", &[]).unwrap();
        assert_eq!(config.api.listen.to_string(), "127.0.0.1:37766");
        assert_eq!(config.s3.listen.to_string(), "127.0.0.1:37767");
    }

    #[test]
    fn the_example_file_loads_and_states_the_defaults() {
        let example = include_str!("../../../strongroom.example.toml");
        let config = parse_with(example, &[]).unwrap();
        let mut defaults = parse_with("", &[]).unwrap();
        defaults.key_source.clone_from(&config.key_source);
        defaults.client.clone_from(&config.client);
        assert_eq!(config, defaults);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text = "[api]\nlisten = \"127.0.0.1:1\"\n[audit]\ndurability = \"durable\"\n";
        let config = parse_with(
            text,
            &[
                ("STRONGROOM__API__LISTEN", "127.0.0.1:0"),
                ("STRONGROOM__AUDIT__DURABILITY", "buffered"),
                ("STRONGROOM__SHUTDOWN_S", "3"),
                ("STRONGROOM__SESSION__ALLOW_UNBOUNDED", "true"),
                ("STRONGROOM_CONFIG", "ignored"),
            ],
        )
        .unwrap();
        assert_eq!(config.api.listen.port(), 0);
        assert_eq!(config.audit.durability, Durability::Buffered);
        assert_eq!(config.shutdown_s, 3);
        assert!(config.session.allow_unbounded);
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let error = format!(
            "{:#}",
            parse_with("shutdown_s = 1\ntypo = 2\n", &[]).unwrap_err()
        );
        assert!(
            error.contains("typo") && error.contains("line 2"),
            "{error}"
        );
        assert!(parse_with("[api]\nlissen = 1\n", &[]).is_err());
        assert!(parse_with("", &[("STRONGROOM__API__LISSEN", "x")]).is_err());
    }

    #[test]
    fn impossible_values_are_refused() {
        for text in [
            "[grants]\ndefault = \"2h\"\nmax = \"1h\"",
            "[urls]\ndownload = \"61s\"",
            "[urls]\nupload = \"8d\"",
            "[urls]\nupload = \"0s\"",
            "[s3]\nobject_bytes_max = \"5121GiB\"",
            "[api]\npublic_url = \"vault.example.org\"",
            "[tokens]\nmetadata_bytes_max = \"1MiB\"",
            "[s3]\ninline_bytes_max = \"2MiB\"",
            "[s3]\nuploads_max = 0",
            "[s3]\nupload_life = \"0\"",
            "[s3]\nobject_downloads_max = 0",
            "[s3]\nbody_rate_min = \"2GiB\"",
            "[api.tls]\ncertificate_file = \"cert.pem\"",
            "[s3]\npublic_url = \"http://objects.example.org\"\n\
             [s3.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"",
        ] {
            assert!(parse_with(text, &[]).is_err(), "{text}");
        }
    }

    const TLS: &str = "[api.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n\
                       [s3.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n";

    #[test]
    fn plain_http_leaves_loopback_behind_a_proxy_only() {
        let open = "[api]\nlisten = \"192.0.2.1:1\"\n[s3]\nlisten = \"192.0.2.1:2\"\n";
        let config = parse_with(open, &[]).unwrap();
        let said = config.check_listeners(false).unwrap_err().to_string();
        assert!(
            said.contains("api.listen") && said.contains("api.tls"),
            "{said}"
        );
        config.check_listeners(true).unwrap();
        let config = parse_with(&format!("{open}{TLS}"), &[]).unwrap();
        config.check_listeners(false).unwrap();
        parse_with("", &[]).unwrap().check_listeners(false).unwrap();
    }

    #[test]
    fn a_listener_on_every_address_needs_a_name() {
        let every = "[api]\nlisten = \"0.0.0.0:1\"\npublic_url = \"https://vault.example.org\"\n\
                     [s3]\nlisten = \"[::]:2\"\n";
        let config = parse_with(&format!("{every}{TLS}"), &[]).unwrap();
        for behind_proxy in [false, true] {
            let said = config
                .check_listeners(behind_proxy)
                .unwrap_err()
                .to_string();
            assert!(said.contains("s3.public_url"), "{said}");
        }
    }
}
