//! `strongroom detokenize`: a token becomes its value again, byte for byte.

use super::connect::Connection;
use super::exit::{self, Failure};
use super::save::Save;
use super::token_arg::TokenArg;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use strongroom_client::Download;
use tokio::io::AsyncWriteExt;

/// Life of the grant that the command gives itself.
const GRANT_TTL: Duration = Duration::from_mins(1);

/// Arguments of `detokenize`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Detokenize {
    #[command(flatten)]
    token: TokenArg,
    /// File to write, readable by you alone and replaced only by a complete value; standard
    /// output without it or with `-`
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Do not first give the application a grant of one minute; there must be one
    #[arg(long)]
    no_grant: bool,
}

impl Detokenize {
    /// Writes the value.
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let target = self.output.filter(|path| path.as_os_str() != "-");
        if connection.output.is_json() && target.is_none() {
            return Err(Failure::usage(
                "--json needs -o FILE, or the value would be in between",
            ));
        }
        let token = self.token.read()?;
        let client = connection.application()?;
        // Before anything is asked of the vault: a file that cannot be written costs no grant.
        let save = match &target {
            Some(path) => Some(Save::create(path).await?),
            None => None,
        };
        if !self.no_grant {
            client.self_grant(&token, GRANT_TTL).await?;
        }
        let mut download = client.detokenize(&token).await?;
        let bar = connection.output.progress(download.length_bytes());
        let written = match save {
            Some(save) => to_file(&mut download, save, &bar).await,
            None => to_stdout(&mut download, &bar).await,
        };
        bar.finish_and_clear();
        let bytes = written?;
        if target.is_some() {
            connection
                .output
                .result(&json!({ "bytes": bytes }).to_string(), "")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn to_file(
    download: &mut Download,
    mut save: Save,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<u64> {
    let mut bytes = 0;
    while let Some(piece) = download.chunk().await? {
        save.write(&piece).await?;
        bytes += piece.len() as u64;
        bar.set_position(bytes);
    }
    save.keep().await?;
    Ok(bytes)
}

async fn to_stdout(download: &mut Download, bar: &indicatif::ProgressBar) -> anyhow::Result<u64> {
    let mut out = tokio::io::stdout();
    let mut bytes = 0;
    while let Some(piece) = download.chunk().await? {
        out.write_all(&piece).await?;
        bytes += piece.len() as u64;
        bar.set_position(bytes);
    }
    out.flush().await?;
    Ok(bytes)
}
