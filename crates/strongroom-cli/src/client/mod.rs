//! The commands that talk to a vault: tokenize, detokenize, metadata, grant, auth.
//!
//! Nothing in here reads the clock or the environment: both come in as arguments. Values and
//! tokens go to standard output or a file, everything else to standard error.

mod auth;
mod connect;
mod detokenize;
mod exit;
mod grant;
mod health;
mod metadata;
mod output;
mod save;
mod token_arg;
mod tokenize;

pub(crate) use connect::{ClientSettings, ConnectArgs, Surroundings, check_signing_key};
pub(crate) use exit::report;
pub(crate) use health::{Health, LocalVault};
pub(crate) use output::Output;

use clap::Subcommand;
use connect::Connection;
use std::process::ExitCode;
use strongroom_client::Now;

/// The commands that talk to a vault.
#[derive(Subcommand)]
pub(crate) enum ClientCommand {
    /// Store a value in the vault and print its token
    Tokenize(tokenize::Tokenize),
    /// Get the value of a token
    Detokenize(detokenize::Detokenize),
    /// Read or replace what is kept beside a value
    #[command(subcommand)]
    Metadata(metadata::MetadataCommand),
    /// Give a session access to a token for a time, or ask whether it has
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// Make credentials
    #[command(subcommand)]
    Auth(auth::AuthCommand),
}

/// Runs one command to its end, prints what it says, and returns the exit code that
/// `--help` documents.
pub(crate) async fn run(
    command: ClientCommand,
    args: &ConnectArgs,
    settings: Option<ClientSettings>,
    around: &Surroundings,
    now: Now,
) -> ExitCode {
    let output = Output::new(args.json, args.quiet);
    let result = async {
        let connection = Connection::find(args, settings, around, now, output)?;
        tokio::select! {
            result = dispatch(command, &connection) => result,
            // Returning drops what is under way, and with it unfinished files.
            () = stopped() => Err(exit::Failure::Stopped.into()),
        }
    };
    match result.await {
        Ok(code) => code,
        Err(error) => exit::report(&error, output),
    }
}

async fn dispatch(command: ClientCommand, connection: &Connection) -> anyhow::Result<ExitCode> {
    match command {
        ClientCommand::Tokenize(command) => command.run(connection).await,
        ClientCommand::Detokenize(command) => command.run(connection).await,
        ClientCommand::Metadata(command) => command.run(connection).await,
        ClientCommand::Grant(command) => command.run(connection).await,
        ClientCommand::Auth(command) => command.run(connection),
    }
}

/// Returns at Ctrl-C or a polite request to end.
pub(crate) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}
