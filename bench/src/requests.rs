//! Detokenize and tokenize against the echo server, round by round.

use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, bail};

use crate::load::{self, Lane, Target};
use crate::out;
use crate::report::Requests;
use crate::server::{Server, Start};
use crate::session::Sessions;
use crate::settings::{Durability, Settings};
use crate::vault::{self, Vault, Workspace};

/// A token that nobody issued, for the echo server.
const SOME_TOKEN: &str = "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8";

/// Detokenize of tokens that the calling sessions made themselves.
pub(crate) async fn detokenize(
    settings: &Settings,
    durability: Durability,
) -> anyhow::Result<Requests> {
    let goal = match durability {
        Durability::Buffered => 2.75,
        Durability::Durable => 3.5,
    };
    let word = durability.as_str();
    out::note(&format!("detokenize, audit {word}"));
    let workspace = Workspace::create(settings, &format!("detokenize-{word}"))?;
    let vault = Vault::init(settings, workspace.path.join("vault"), Some(durability))?;
    let server = vault.start(&workspace.path)?;
    let sessions = vault.sessions(settings.sessions)?;
    let address = server.address("api")?;
    let mut target = Target {
        pid: server.pid,
        address,
        lanes: vault::tokenize_lanes(&sessions, address, settings.connections),
    };
    let made = load::exactly(&target, settings.tokens, Some("tokenId")).await?;
    if made.collected.iter().any(Vec::is_empty) {
        bail!("more connections than tokens: a connection has nothing to detokenize");
    }
    target.lanes = vault::token_lanes("/detokenize", &sessions, address, &made.collected);
    let echo = Echo::start(settings, &workspace)?;
    let baseline =
        echo.target(|address| vault::token_lanes("/echo", &sessions, address, &made.collected))?;
    let requests = Requests {
        name: format!("detokenize, audit {word}"),
        goal,
        setting: format!("{} tokens, {}", settings.tokens, parties(settings)),
        rounds: Vec::new(),
        void_rounds: 0,
    };
    let requests = interleave(settings, requests, &baseline, &target).await?;
    echo.0.stop()?;
    server.stop()?;
    Ok(requests)
}

/// Tokenize with many records stored already.
pub(crate) async fn tokenize(settings: &Settings) -> anyhow::Result<Requests> {
    let workspace = Workspace::create(settings, "tokenize")?;
    let vault = match &settings.data {
        Some(directory) => Vault::at(settings, directory.clone(), None),
        None => Vault::init(settings, workspace.path.join("vault"), None)?,
    };
    let server = vault.start(&workspace.path)?;
    if settings.data.is_none() {
        vault.fill(&server, settings, settings.records).await?;
    }
    let sessions = vault.sessions(settings.sessions)?;
    let address = server.address("api")?;
    let target = Target {
        pid: server.pid,
        address,
        lanes: vault::tokenize_lanes(&sessions, address, settings.connections),
    };
    let echo = Echo::start(settings, &workspace)?;
    let baseline = echo.target(|address| echo_lanes(&sessions, address, settings.connections))?;
    let stored = match &settings.data {
        Some(directory) => format!("the records of {}", directory.display()),
        None => format!("{} records", settings.records),
    };
    let requests = Requests {
        name: "tokenize".to_owned(),
        goal: 6.0,
        setting: format!("{stored} stored before, {}", parties(settings)),
        rounds: Vec::new(),
        void_rounds: 0,
    };
    let requests = interleave(settings, requests, &baseline, &target).await?;
    echo.0.stop()?;
    server.stop()?;
    Ok(requests)
}

fn parties(settings: &Settings) -> String {
    format!(
        "{} sessions, {} connections",
        settings.sessions, settings.connections
    )
}

/// The echo server.
struct Echo(Server);

impl Echo {
    fn start(settings: &Settings, workspace: &Workspace) -> anyhow::Result<Self> {
        let mut command = Command::new(&settings.baseline);
        command.arg("echo").env_clear();
        let start = Start {
            command,
            directory: workspace.path.clone(),
            name: "baseline",
        };
        Ok(Self(start.run()?))
    }

    fn target(
        &self,
        lanes: impl FnOnce(std::net::SocketAddr) -> Vec<Lane>,
    ) -> anyhow::Result<Target> {
        let address = self.0.address("api")?;
        Ok(Target {
            pid: self.0.pid,
            address,
            lanes: lanes(address),
        })
    }
}

fn echo_lanes(sessions: &Sessions, address: std::net::SocketAddr, connections: usize) -> Vec<Lane> {
    let body = format!(r#"{{"tokenId":"{SOME_TOKEN}"}}"#);
    let jwts = sessions.jwts.iter().cycle().take(connections);
    jwts.map(|jwt| Rc::new(vec![vault::post("/echo", address, jwt, &body)]))
        .collect()
}

/// Baseline, vault, baseline, vault, ... until enough pairs are free of failures.
pub(crate) async fn interleave(
    settings: &Settings,
    mut requests: Requests,
    baseline: &Target,
    vault: &Target,
) -> anyhow::Result<Requests> {
    let tries_max = settings.rounds * 2;
    for _ in 0..tries_max {
        let bare = load::round(baseline, settings.warm_up, settings.measured).await?;
        let ours = load::round(vault, settings.warm_up, settings.measured).await?;
        let said = bare.first_not_ok.as_ref().or(ours.first_not_ok.as_ref());
        if let Some(said) = said {
            out::note(&format!("void round: {said}"));
            if settings.smoke {
                bail!("an answer was not 200: {said}");
            }
            requests.void_rounds += 1;
            continue;
        }
        requests.rounds.push((bare, ours));
        if requests.rounds.len() == usize::try_from(settings.rounds).context("rounds")? {
            return Ok(requests);
        }
    }
    bail!("{} of {tries_max} rounds were void", requests.void_rounds)
}
