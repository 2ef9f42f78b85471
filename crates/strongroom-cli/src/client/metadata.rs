//! `strongroom metadata`: what the application keeps beside a value.

use super::connect::Connection;
use super::exit::{self, Failure};
use super::token_arg::TokenArg;
use clap::{Args, Subcommand};
use std::process::ExitCode;
use strongroom_wire::Metadata;

/// Subcommands of `metadata`.
#[derive(Subcommand)]
pub(crate) enum MetadataCommand {
    /// Print the metadata of a token
    Get(MetadataGet),
    /// Replace the metadata of a token; speaks as a developer, and the vault writes it down
    Set(MetadataSet),
}

/// Arguments of `metadata get`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct MetadataGet {
    #[command(flatten)]
    token: TokenArg,
}

/// Arguments of `metadata set`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct MetadataSet {
    #[command(flatten)]
    token: TokenArg,
    /// JSON object; `{}` leaves none
    #[arg(value_name = "JSON")]
    metadata: String,
}

impl MetadataCommand {
    /// Prints the metadata as it is kept, or replaces it.
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<ExitCode> {
        match self {
            Self::Get(get) => {
                let token = get.token.read()?;
                let metadata = connection.application()?.metadata_get(&token).await?;
                // Not through a JSON library, which would change numbers.
                let json = format!("{{\"metadata\":{}}}", metadata.json());
                connection.output.result(&json, metadata.json())?;
            }
            Self::Set(set) => {
                let metadata = Metadata::parse(&set.metadata);
                let metadata = metadata.map_err(|error| Failure::usage(error.to_string()))?;
                let token = set.token.read()?;
                connection
                    .developer()?
                    .metadata_set(&token, metadata)
                    .await?;
                connection.output.result("{\"set\":true}", "")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
