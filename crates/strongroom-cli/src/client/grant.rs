//! `strongroom grant`: who may detokenize a token, and for how long.

use super::connect::Connection;
use super::exit::{self, Failure};
use super::token_arg::TokenArg;
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;
use strongroom_client::GrantHolder;
use strongroom_wire::duration;

/// Subcommands of `grant`.
#[derive(Subcommand)]
pub(crate) enum GrantCommand {
    /// Give access; setting it again replaces the time that is left
    Set(GrantSet),
    /// Ask whether there is access now; exit code 6 if not
    Verify(GrantVerify),
}

/// Arguments of `grant set`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct GrantSet {
    #[command(flatten)]
    token: TokenArg,
    #[command(flatten)]
    holder: HolderArgs,
    /// How long, such as `15m` or `1h30m`; the vault's default without it
    #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true)]
    ttl: Option<String>,
}

/// Arguments of `grant verify`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct GrantVerify {
    #[command(flatten)]
    token: TokenArg,
    #[command(flatten)]
    holder: HolderArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct HolderArgs {
    /// Session of a user of the application
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// The application itself
    #[arg(long = "self")]
    application: bool,
}

impl HolderArgs {
    fn holder(self) -> GrantHolder {
        self.session.map_or(GrantHolder::Application, |id| {
            GrantHolder::Session(id.into())
        })
    }
}

impl GrantCommand {
    /// Sets the grant, or prints whether there is one.
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<ExitCode> {
        match self {
            Self::Set(set) => {
                if let Some(ttl) = &set.ttl {
                    positive_nanos(ttl)?;
                }
                let token = set.token.read()?;
                let client = connection.application()?;
                client
                    .grant_set(&token, &set.holder.holder(), set.ttl)
                    .await?;
                connection.output.result("{\"granted\":true}", "")?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Verify(verify) => {
                let token = verify.token.read()?;
                let client = connection.application()?;
                let valid = client.grant_verify(&token, &verify.holder.holder()).await?;
                let line = if valid { "valid" } else { "not valid" };
                connection
                    .output
                    .result(&json!({ "valid": valid }).to_string(), line)?;
                Ok(if valid {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(exit::NOT_VALID)
                })
            }
        }
    }
}

/// A duration above nothing, in nanoseconds.
pub(crate) fn positive_nanos(text: &str) -> anyhow::Result<u64> {
    let nanos = duration::parse_nanos(text).map_err(|error| Failure::usage(error.to_string()))?;
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Ok(nanos),
        _ => Err(Failure::usage("a duration must be more than nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_duration_above_nothing_is_taken() {
        assert_eq!(positive_nanos("1m").unwrap(), 60_000_000_000);
        for text in ["", "0", "-1m", "15", "1d", "0.1ns"] {
            assert!(positive_nanos(text).is_err(), "{text}");
        }
    }
}
