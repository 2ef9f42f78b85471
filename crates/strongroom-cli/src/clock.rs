//! `strongroom clock accept`: after the system clock was set back on purpose.

use crate::{config, stores, system_now};
use anyhow::bail;
use clap::Subcommand;
use std::io::Write;
use std::path::PathBuf;
use strongroom_audit::{Decision, Entry, Rule};
use strongroom_core::time::Clock;

/// The vault's time, after the system clock was set back
#[derive(Subcommand)]
pub(crate) enum ClockCommand {
    /// Take the system clock as it is, and write that into the audit log
    ///
    /// The vault must be stopped. Grants, URLs and JWTs that expired by the old clock live again
    /// until the new one reaches their end.
    Accept,
}

impl ClockCommand {
    pub(crate) async fn run(
        self,
        find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
        overrides: &[(String, String)],
    ) -> anyhow::Result<()> {
        let config = config::load(&config::find_required(find)?, overrides)?;
        let _lock = stores::lock(&config)?;
        let (audit, clock) = stores::open_audit(&config, system_now)?;
        let behind_ms = clock.behind_ms();
        if behind_ms == 0 {
            bail!("the system clock is not behind the vault's time; nothing was changed");
        }
        let entry = Entry {
            at: system_now(),
            request: None,
            subject: None,
            session: None,
            action: "clock_accept",
            token: None,
            target: None,
            decision: Decision::Allow,
            rule: Rule::Clock,
            row: None,
        };
        audit.append(&entry)?.durable().await?;
        audit.close();
        writeln!(
            std::io::stdout(),
            "The vault's time was set back by {behind_ms} ms."
        )?;
        Ok(())
    }
}
