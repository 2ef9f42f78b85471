//! `strongroom config`: what is wrong with the configuration, and what is in effect.

mod files;

use crate::config::{self, Checks, Config, Faults};
use clap::{Args, Subcommand};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// The configuration
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell all that is wrong with the configuration and with the files that it names
    ///
    /// Nothing is changed, and a running vault is not disturbed. Run it as the vault's user, who
    /// alone may read the secrets. Exit code 0 if a vault would start with it, 7 if not.
    Check(Check),
    /// Print the configuration in effect: every key, and where its value comes from
    ///
    /// What is printed is a configuration again. Secrets are in files, of which it shows the
    /// paths alone.
    Show,
}

#[derive(Args)]
pub(crate) struct Check {
    /// As for `serve`: plain HTTP may be spoken beyond loopback
    #[arg(long)]
    behind_proxy: bool,
}

impl ConfigCommand {
    pub(crate) fn run(
        self,
        find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
        overrides: &[(String, String)],
        json: bool,
    ) -> anyhow::Result<()> {
        let file = config::find_required(find)?;
        let mut out = std::io::stdout();
        let Self::Check(check) = self else {
            write!(out, "{}", config::show(&file, overrides)?)?;
            return Ok(());
        };
        let all = |config: &Config, checks: &mut Checks| {
            config.check_listeners(check.behind_proxy, checks);
            files::check(config, checks);
        };
        let result = config::load_checked(&file, overrides, all);
        let faults = result
            .as_ref()
            .err()
            .map(|error| error.downcast_ref::<Faults>());
        let shown = file.display().to_string();
        match faults {
            None if !json => writeln!(out, "{shown}: ok")?,
            None => writeln!(out, "{}", json!({ "file": shown, "faults": [] }))?,
            Some(Some(faults)) if json => {
                writeln!(
                    out,
                    "{}",
                    json!({ "file": shown, "faults": faults.lines() })
                )?;
            }
            // They are told where every failure is.
            Some(_) => {}
        }
        result.map(drop)
    }
}
