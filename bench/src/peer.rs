//! `RustyVault`, the nearest peer that a registry has (crates.io, `rusty_vault`): a secret is stored
//! and read by name over HTTP with a token. It seals what it keeps, as the vault does; it has no
//! record of who read what, and does not wait for the disk.
//!
//! It is not installed here: `--peer` names its program.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::load::{self, Lane, Target};
use crate::report::Requests;
use crate::requests::interleave;
use crate::settings::Settings;
use crate::stream::Request;
use crate::vault::{self, Vault, Workspace};
use crate::{clock, out};

/// As cheap as the peer at least.
const GOAL: f64 = 1.0;
/// Secrets that each connection reads in turn.
const SECRETS: u64 = 200;
const START_MAX: Duration = Duration::from_secs(30);
/// The body that is stored, of the length of what the vault is sent.
const SECRET: &str = r#"{"metadata":"dataType: string"}"#;

/// A running peer; ended when dropped.
struct Peer {
    process: Child,
    address: SocketAddr,
    token: String,
}

/// Detokenize against its read and tokenize against its write; nothing without the program.
pub(crate) async fn peer(settings: &Settings) -> anyhow::Result<Vec<Requests>> {
    let Some(program) = &settings.peer else {
        out::note("peer: skipped, --peer names no program");
        return Ok(Vec::new());
    };
    out::note("peer");
    let workspace = Workspace::create(settings, "peer")?;
    let peer = Peer::start(program, &workspace.path)?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    let server = vault.start(&workspace.path)?;
    let sessions = vault.sessions(settings.sessions)?;
    let address = server.address("api")?;
    let ours = |lanes| Target {
        pid: server.pid,
        address,
        lanes,
    };
    let tokenize = ours(vault::tokenize_lanes(
        &sessions,
        address,
        settings.connections,
    ));
    let secrets = SECRETS.min(settings.tokens);
    let made = load::exactly(&tokenize, settings.tokens, Some("tokenId")).await?;
    let detokenize = ours(vault::token_lanes(
        "/detokenize",
        &sessions,
        address,
        &made.collected,
    ));
    let writes = peer.target(settings.connections, |lane| {
        (0..secrets).map(|turn| peer.write(lane, turn)).collect()
    });
    load::each_once(&writes).await?;
    let reads = peer.target(settings.connections, |lane| {
        (0..secrets).map(|turn| peer.read(lane, turn)).collect()
    });
    let against = |name: &str| Requests {
        name: name.to_owned(),
        goal: GOAL,
        setting: format!("{} connections, audit durable", settings.connections),
        rounds: Vec::new(),
        void_rounds: 0,
    };
    let reading = against("detokenize against RustyVault's read");
    let writing = against("tokenize against RustyVault's write");
    let compared = vec![
        interleave(settings, reading, &reads, &detokenize).await?,
        interleave(settings, writing, &writes, &tokenize).await?,
    ];
    server.stop()?;
    Ok(compared)
}

impl Peer {
    fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = directory.join("peer");
        fs::create_dir(&data)?;
        let config = directory.join("peer.hcl");
        let (path, work) = (data.display(), directory.display());
        let text = format!(
            "storage \"file\" {{\n  path = \"{path}\"\n}}\n\
             listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = \"true\"\n}}\n\
             api_addr = \"http://{address}\"\nlog_level = \"error\"\nlog_format = \"{{date}}\"\n\
             pid_file = \"{work}/peer.pid\"\nwork_dir = \"{work}\"\ndaemon = false\n"
        );
        fs::write(&config, text)?;
        let log = File::create(directory.join("peer.log"))?;
        let mut command = Command::new(program);
        command
            .args(["server", "--config"])
            .arg(&config)
            .env_clear();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut peer = Self {
            process,
            address,
            token: String::new(),
        };
        peer.open()?;
        Ok(peer)
    }

    /// Makes its keys and opens it with them.
    fn open(&mut self) -> anyhow::Result<()> {
        let started = clock::now();
        while TcpStream::connect(self.address).is_err() {
            if started.elapsed() > START_MAX {
                bail!("the peer does not listen");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let made = self.put("init", r#"{"secret_shares":1,"secret_threshold":1}"#)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let key = text(&made["keys"][0]).context("the peer gave no key")?;
        self.token = text(&made["root_token"]).context("the peer gave no token")?;
        self.put("unseal", &format!("{{\"key\":\"{key}\"}}"))?;
        Ok(())
    }

    fn put(&self, what: &str, body: &str) -> anyhow::Result<Value> {
        let address = self.address;
        let head =
            format!("PUT /v1/sys/{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        let said = Request { address, head }.send(body.as_bytes())?;
        serde_json::from_slice(&said.body).context("the peer's answer is not JSON")
    }

    /// One lane for each connection.
    fn target(&self, connections: usize, lane: impl Fn(usize) -> Vec<Vec<u8>>) -> Target {
        let lanes: Vec<Lane> = (0..connections).map(|index| Rc::new(lane(index))).collect();
        Target {
            pid: self.process.id(),
            address: self.address,
            lanes,
        }
    }

    fn head(&self, method: &str, lane: usize, turn: u64) -> String {
        let (address, token) = (self.address, &self.token);
        format!(
            "{method} /v1/secret/{lane}-{turn} HTTP/1.1\r\nhost: {address}\r\n\
             x-vault-token: {token}\r\n"
        )
    }

    fn read(&self, lane: usize, turn: u64) -> Vec<u8> {
        (self.head("GET", lane, turn) + "\r\n").into_bytes()
    }

    fn write(&self, lane: usize, turn: u64) -> Vec<u8> {
        let (head, length) = (self.head("POST", lane, turn), SECRET.len());
        format!("{head}content-length: {length}\r\n\r\n{SECRET}").into_bytes()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
