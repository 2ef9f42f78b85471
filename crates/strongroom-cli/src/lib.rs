//! The strongroom command: the one binary, server and client. It is a library so that its
//! configuration can be fuzzed; nothing else is meant for others.
//!
//! This is the only place that reads the environment and the system clock; everything below
//! gets both as arguments.

mod admin;
mod backup;
mod client;
mod clock;
mod config;
mod config_command;
mod dev;
mod generate;
mod init;
mod listener;
mod log_file;
mod notify;
mod process;
mod restore;
mod s3;
mod serve;
mod stores;
mod tls;
mod transport;

use clap::{Parser, Subcommand};
use client::{
    ClientCommand, ClientSettings, ConnectArgs, Health, LocalVault, Output, Surroundings,
};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use strongroom_core::UnixMillis;

/// glibc's keeps the memory of ten thousand connections for good, and each later crowd adds to it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A self-hosted tokenization vault: give it a value, keep a token.
#[derive(Parser)]
#[command(
    name = "strongroom",
    version,
    long_version = LONG_VERSION,
    max_term_width = 100,
    after_help = EXIT_CODES
)]
struct Cli {
    /// Configuration file [default: the first of ./strongroom.toml, ./strongroom/strongroom.toml,
    /// /etc/strongroom/strongroom.toml]
    #[arg(long, global = true, env = "STRONGROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: Command,
}

/// What `--version` tells; `-V` tells the first word alone.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit ",
    env!("STRONGROOM_BUILD_COMMIT"),
    "\nbuilt by ",
    env!("STRONGROOM_BUILD_RUSTC"),
    "\nbuilt for ",
    env!("STRONGROOM_BUILD_TARGET"),
);

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed otherwise; 2 wrong usage; 3 no such token, or no grant for it; \
4 not authenticated or not allowed; 5 the vault is unavailable, retry later; \
6 `grant verify` found no live grant; 7 the configuration has faults.";

#[derive(Subcommand)]
enum Command {
    /// Make a vault: keyring, master key, application key pair, configuration
    Init(init::Init),
    /// Run the vault
    Serve(serve::Serve),
    /// The vault's time, after the system clock was set back
    #[command(subcommand)]
    Clock(clock::ClockCommand),
    /// Credentials of the S3 endpoint
    #[command(subcommand)]
    S3(s3::S3Command),
    /// Back up the data directory, also while the vault serves
    Backup(backup::Backup),
    /// Make a new data directory from a backup; the vault must not run
    Restore(restore::Restore),
    /// The configuration
    #[command(subcommand)]
    Config(config_command::ConfigCommand),
    Health(Health),
    Completions(generate::Completions),
    Man(generate::Man),
    #[command(flatten)]
    Client(ClientCommand),
}

/// The environment as text; a variable that is none cannot be a key of ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads the system clock. Everything else gets the time as an argument.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system clock"
)]
fn system_now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is as wrong as one at 1970.
    UnixMillis(since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn surroundings() -> Surroundings {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    Surroundings {
        runtime_dir: runtime_dir.map(PathBuf::from),
        temp_dir: std::env::temp_dir(),
        notify_socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()),
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // Before anything secret is in memory.
    process::forbid_core_dumps();
    process::allow_many_files();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return process::fail(&anyhow::Error::new(error)),
    };
    let code = runtime.block_on(run(cli));
    // Blocking work that outlived the drain (a read of standard input, say) is not waited for.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli) -> ExitCode {
    let overrides = environment();
    let find = || config::find(cli.config.as_deref());
    let output = Output::new(cli.connect.json, cli.connect.quiet);
    let result = match cli.command {
        Command::Init(command) => command.run(),
        Command::Serve(command) => command.run(find, &overrides, &surroundings()).await,
        Command::Clock(command) => command.run(find, &overrides).await,
        Command::S3(command) => command.run(find, &overrides),
        Command::Backup(command) => {
            return reported(command.run(find, &overrides, output).await, output);
        }
        Command::Restore(command) => {
            return reported(command.run(find, &overrides, output).await, output);
        }
        Command::Config(command) => command.run(find, &overrides, cli.connect.json),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Health(command) => {
            let (settings, local) = match client_settings(find, &overrides) {
                Ok(settings) => settings.unzip(),
                Err(error) => return process::fail(&error),
            };
            let local = local.flatten();
            return command
                .run(&cli.connect, settings, local, &surroundings())
                .await;
        }
        Command::Client(command) => {
            let settings = match client_settings(find, &overrides) {
                Ok(settings) => settings.map(|(settings, _)| settings),
                Err(error) => return process::fail(&error),
            };
            let now = Arc::new(system_now);
            return client::run(command, &cli.connect, settings, &surroundings(), now).await;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => process::fail(&error),
    }
}

/// Exit code of a command that prints results, its failure printed likewise.
fn reported(result: anyhow::Result<()>, output: Output) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<config::Faults>() => process::fail(&error),
        Err(error) => client::report(&error, output),
    }
}

/// What the configuration says about the client, if there is one, and about the vault that it
/// starts, unless the client's is another.
fn client_settings(
    find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
    overrides: &[(String, String)],
) -> anyhow::Result<Option<(ClientSettings, Option<LocalVault>)>> {
    let Some(path) = find()? else { return Ok(None) };
    let config = config::load(&path, overrides)?;
    let (client, api) = (&config.client, &config.api);
    let scheme = api.tls.as_ref().map_or("http", |_| "https");
    let listening = || format!("{scheme}://{}", api.listen);
    let url = client.url.clone().or_else(|| api.public_url.clone());
    let local = client.url.is_none().then(|| LocalVault {
        listen: api.listen,
        tls: api.tls.is_some(),
        public_url: api.public_url.clone(),
    });
    let settings = ClientSettings {
        url: url.unwrap_or_else(listening),
        signing_key_file: config.path(&client.signing_key_file),
        issuer: client.issuer.clone(),
        ca_file: client.ca_file.as_deref().map(|file| config.path(file)),
    };
    Ok(Some((settings, local)))
}

/// The configuration in effect for a text and these overrides, as `strongroom config show` prints
/// it, or its faults. It reads no file and no environment, for whoever throws random texts at it.
#[doc(hidden)]
pub fn show_configuration(text: &str, overrides: &[(String, String)]) -> Result<String, String> {
    config::show_text(text, overrides).map_err(|error| error.to_string())
}
