//! `strongroom health`: whether a vault runs and can serve, for probes and for people. It needs
//! no key.

use super::connect::{ClientSettings, ConnectArgs, Surroundings, dev_vault, read_public};
use super::exit::{self, Failure};
use super::output::{Output, printable};
use clap::Args;
use serde_json::json;
use std::net::SocketAddr;
use std::process::ExitCode;
use strongroom_client::Probe;

/// Ask a vault whether it runs (`/health`) and can serve (`/ready`)
///
/// The vault is the one of --url, else of `client.url`, else the one whose configuration this is:
/// that is asked at the address that it listens on, under the name of its `api.public_url`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Health {
    /// Ask only whether it runs: for probes that restart what does not
    #[arg(long)]
    live: bool,
}

const HELP: &str = "\
Exit codes:
  0  it runs, and unless --live was given it can serve
  1  something else answers, or the certificates of --ca cannot be used
  2  wrong usage
  5  it does not answer, or cannot serve now
  7  the configuration has faults";

/// The vault of the configuration, as it is reached on its own machine.
pub(crate) struct LocalVault {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) public_url: Option<String>,
}

impl Health {
    /// `local` is what the configuration says of its own vault.
    pub(crate) async fn run(
        self,
        args: &ConnectArgs,
        settings: Option<ClientSettings>,
        local: Option<LocalVault>,
        around: &Surroundings,
    ) -> ExitCode {
        let output = Output::new(args.json, args.quiet);
        let probe = match find(args, settings, local, around, output) {
            Ok(probe) => probe,
            Err(error) => return exit::report(&error, output),
        };
        let live = probe.live().await;
        let ready = match (&live, self.live) {
            (Ok(()), false) => Some(probe.ready().await),
            _ => None,
        };
        let (is_live, is_ready) = (live.is_ok(), ready.as_ref().map(Result::is_ok));
        let fault = live
            .and(ready.unwrap_or(Ok(())))
            .err()
            .map(anyhow::Error::new);
        let said = json!({
            "url": probe.url(),
            "live": is_live,
            "ready": is_ready,
            "fault": fault.as_ref().map(|fault| printable(&format!("{fault:#}"))),
        });
        let state = if self.live {
            "it runs"
        } else {
            "it runs and can serve"
        };
        let text = match fault {
            None => format!("{}: {state}", printable(probe.url())),
            Some(_) => String::new(),
        };
        // Whoever closed the pipe looks at the exit code.
        let _ = output.result(&said.to_string(), &text);
        fault.map_or(ExitCode::SUCCESS, |fault| exit::tell(&fault, output))
    }
}

fn find(
    args: &ConnectArgs,
    settings: Option<ClientSettings>,
    local: Option<LocalVault>,
    around: &Surroundings,
    output: Output,
) -> anyhow::Result<Probe> {
    let settings = match settings {
        None if args.url.is_none() => dev_vault(around, output)?,
        settings => settings,
    };
    let ca = settings.as_ref().and_then(|found| found.ca_file.clone());
    let ca = args.ca.clone().or(ca);
    let ca = ca.as_deref().map(read_public).transpose()?;
    let probe = match (&args.url, local, settings) {
        (Some(url), _, _) => Probe::new(url, ca.as_deref())?,
        (None, Some(vault), _) => {
            let name = vault.public_url.as_deref();
            Probe::at(vault.listen, vault.tls, name, ca.as_deref())?
        }
        (None, None, Some(found)) => Probe::new(&found.url, ca.as_deref())?,
        (None, None, None) => return Err(Failure::usage("no vault: give --url URL")),
    };
    Ok(probe)
}
