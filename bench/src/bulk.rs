//! One large value up and down: CPU per byte against bare streams, and anonymous memory.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::memory::Memory;
use crate::report::{Bulk, BulkRound, Transfer};
use crate::server::{Server, Start};
use crate::settings::Settings;
use crate::stats::float;
use crate::stream::{Content, Request};
use crate::vault::{Vault, Workspace};
use crate::{clock, out, proc};

/// Largest CPU ratio that is good.
pub(crate) const GOAL: f64 = 1.5;

/// Uploads and downloads in interleaved rounds.
pub(crate) fn bulk(settings: &Settings) -> anyhow::Result<[Bulk; 2]> {
    let workspace = Workspace::create(settings, "bulk")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    let server = vault.start(&workspace.path)?;
    let bare = BareStreams::start(settings, &workspace)?;
    let bytes = settings.bulk_bytes;
    let before = proc::anonymous_kib(server.pid)?;
    let memory = Memory::watch(server.pid);
    let mut rounds = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        out::note(&format!("bulk, round {round} of {}", settings.rounds));
        let session = vault.sessions(1)?.jwts.remove(0);
        let baseline = bare.sink(bytes)?;
        let floor = Some(bare.floor(bytes)?);
        let made = call(
            &server,
            "/tokenize",
            &session,
            r#"{"metadata":{"dataType":"file"}}"#,
        )?;
        let upload = presigned("PUT", &made, "uploadUrl")?;
        let vault = measured(&server, bytes, || upload.put(bytes).map(drop))?;
        rounds.0.push(BulkRound {
            baseline,
            floor,
            vault,
        });
        let baseline = bare.source(bytes)?;
        let token = made["data"]["tokenId"].as_str().context("no tokenId")?;
        let body = format!(r#"{{"tokenId":"{token}"}}"#);
        let found = call(&server, "/detokenize", &session, &body)?;
        let download = presigned("GET", &found, "downloadUrl")?;
        let vault = measured(&server, bytes, || download.get(bytes, Content::Pattern))?;
        rounds.1.push(BulkRound {
            baseline,
            floor: None,
            vault,
        });
    }
    let most = memory.end(before)?;
    bare.stop()?;
    server.stop()?;
    let bulk = |direction: &str, rounds| Bulk {
        direction: direction.to_owned(),
        goal: GOAL,
        bytes,
        rounds,
        anonymous_kib_before: before,
        anonymous_kib_max: most,
    };
    Ok([bulk("upload", rounds.0), bulk("download", rounds.1)])
}

/// CPU and speed of one transfer.
pub(crate) fn measured(
    server: &Server,
    bytes: u64,
    transfer: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Transfer> {
    let (start, cpu_us) = (clock::now(), proc::cpu_us(server.pid)?);
    transfer()?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_us = proc::cpu_us(server.pid)? - cpu_us;
    let gb = float(bytes) / 1e9;
    Ok(Transfer {
        cpu_s_per_gb: float(cpu_us) / 1e6 / gb,
        gb_per_s: gb / seconds,
    })
}

/// The bare server that takes and gives streams.
pub(crate) struct BareStreams {
    server: Server,
    /// What it stored.
    floor: PathBuf,
}

impl BareStreams {
    pub(crate) fn start(settings: &Settings, workspace: &Workspace) -> anyhow::Result<Self> {
        let floor = workspace.path.join("floor");
        let mut command = Command::new(&settings.baseline);
        command.arg("bulk").arg("--floor").arg(&floor).env_clear();
        let start = Start {
            command,
            directory: workspace.path.clone(),
            name: "baseline",
        };
        let server = start.run()?;
        Ok(Self { server, floor })
    }

    /// An upload that is sealed and forgotten.
    pub(crate) fn sink(&self, bytes: u64) -> anyhow::Result<Transfer> {
        let sink = self.request("PUT", "/sink")?;
        measured(&self.server, bytes, || sink.put(bytes).map(drop))
    }

    /// An upload that is sealed and stored.
    pub(crate) fn floor(&self, bytes: u64) -> anyhow::Result<Transfer> {
        let floor = self.request("PUT", "/floor")?;
        let stored = measured(&self.server, bytes, || floor.put(bytes).map(drop))?;
        let length = fs::metadata(&self.floor)
            .context("nothing was stored")?
            .len();
        ensure!(length >= bytes, "{length} of {bytes} bytes were stored");
        fs::remove_file(&self.floor).context("cannot remove what was stored")?;
        Ok(stored)
    }

    /// A download.
    pub(crate) fn source(&self, bytes: u64) -> anyhow::Result<Transfer> {
        let source = self.request("GET", &format!("/source/{bytes}"))?;
        measured(&self.server, bytes, || source.get(bytes, Content::Zeros))
    }

    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.server.stop()
    }

    fn request(&self, method: &str, path: &str) -> anyhow::Result<Request> {
        let address = self.server.address("api")?;
        Ok(Request {
            address,
            head: format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n"),
        })
    }
}

/// The request that an answer's URL and headers ask for.
fn presigned(method: &str, answer: &Value, member: &str) -> anyhow::Result<Request> {
    let data = &answer["data"];
    let url = data[member]
        .as_str()
        .with_context(|| format!("no {member}"))?;
    let rest = url.strip_prefix("http://").context("the URL is not http")?;
    let (authority, path) = rest.split_once('/').context("the URL has no path")?;
    let mut head = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\n");
    let headers = data["headers"].as_object().context("no headers")?;
    if !headers.contains_key("host") {
        write!(head, "host: {authority}\r\n")?;
    }
    for (name, value) in headers {
        let value = value.as_str().context("a header is no text")?;
        write!(head, "{name}: {value}\r\n")?;
    }
    let address = authority.parse().context("the URL names no address")?;
    Ok(Request { address, head })
}

/// A small JSON call to the vault's API.
fn call(server: &Server, path: &str, jwt: &str, body: &str) -> anyhow::Result<Value> {
    let address = server.address("api")?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let head = format!("{head}authorization: {jwt}\r\ncontent-type: application/json\r\n");
    let said = Request { address, head }.send(body.as_bytes())?;
    serde_json::from_slice(&said.body).context("the answer is not JSON")
}
