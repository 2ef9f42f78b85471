//! One large value up and down: CPU per byte against bare streams, and anonymous memory.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::report::{Bulk, Transfer};
use crate::server::{Server, Start};
use crate::settings::Settings;
use crate::stats::float;
use crate::vault::{self, Vault, Workspace};
use crate::{answer, clock, out, proc};

/// Bytes that the client hands over at a time.
const PART_BYTES: usize = 1024 * 1024;
/// How often anonymous memory is looked at.
const SAMPLE: Duration = Duration::from_millis(100);
/// Largest CPU ratio that is good.
const GOAL: f64 = 1.5;

/// Uploads and downloads in interleaved rounds.
pub(crate) fn bulk(settings: &Settings) -> anyhow::Result<[Bulk; 2]> {
    let workspace = Workspace::create(settings, "bulk")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    let server = vault.start(&workspace.path)?;
    let bare = bare_streams(settings, &workspace)?;
    let bytes = settings.bulk_bytes;
    let before = proc::anonymous_kib(server.pid)?;
    let memory = Memory::watch(server.pid);
    let mut rounds = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        out::note(&format!("bulk, round {round} of {}", settings.rounds));
        let session = vault.sessions(1)?.jwts.remove(0);
        let bare_up = measured(&bare, bytes, || {
            put(&bare_request(&bare, "PUT", "/sink")?, bytes)
        })?;
        let made = call(
            &server,
            "/tokenize",
            &session,
            r#"{"metadata":{"dataType":"file"}}"#,
        )?;
        let upload = presigned("PUT", &made, "uploadUrl")?;
        let our_up = measured(&server, bytes, || put(&upload, bytes))?;
        rounds.0.push((bare_up, our_up));
        let source = bare_request(&bare, "GET", &format!("/source/{bytes}"))?;
        let bare_down = measured(&bare, bytes, || get(&source, bytes, Content::Zeros))?;
        let token = made["data"]["tokenId"].as_str().context("no tokenId")?;
        let body = format!(r#"{{"tokenId":"{token}"}}"#);
        let found = call(&server, "/detokenize", &session, &body)?;
        let download = presigned("GET", &found, "downloadUrl")?;
        let our_down = measured(&server, bytes, || get(&download, bytes, Content::Pattern))?;
        rounds.1.push((bare_down, our_down));
    }
    let most = memory.end(before)?;
    bare.stop()?;
    server.stop()?;
    let bulk = |direction, rounds| Bulk {
        direction,
        goal: GOAL,
        bytes,
        rounds,
        anonymous_kib_before: before,
        anonymous_kib_max: most,
    };
    Ok([bulk("upload", rounds.0), bulk("download", rounds.1)])
}

fn bare_streams(settings: &Settings, workspace: &Workspace) -> anyhow::Result<Server> {
    let mut command = Command::new(&settings.baseline);
    command.arg("bulk").env_clear();
    let start = Start {
        command,
        directory: workspace.path.clone(),
        name: "baseline",
    };
    start.run()
}

fn measured(
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

/// Where to send, and the head without `content-length` and the closing empty line.
struct Request {
    address: SocketAddr,
    head: String,
}

fn bare_request(server: &Server, method: &str, path: &str) -> anyhow::Result<Request> {
    let address = server.address("api")?;
    Ok(Request {
        address,
        head: format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n"),
    })
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
    let mut stream = connect(address)?;
    stream.write_all(&vault::post(path, address, jwt, body))?;
    let mut reader = AnswerReader::open(stream)?;
    let mut text = Vec::new();
    reader.read_body(|part| {
        text.extend_from_slice(part);
        true
    })?;
    reader.check(&text)?;
    serde_json::from_slice(&text).context("the answer is not JSON")
}

/// What a download must hold.
#[derive(Clone, Copy)]
enum Content {
    Zeros,
    Pattern,
}

/// One part of the value; the value is this, repeated.
fn pattern() -> Vec<u8> {
    let words = (0..PART_BYTES as u64 / 8).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).collect()
}

fn put(request: &Request, bytes: u64) -> anyhow::Result<()> {
    let part = pattern();
    let mut stream = connect(request.address)?;
    write!(stream, "{}content-length: {bytes}\r\n\r\n", request.head)?;
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).map_or(part.len(), |left| left.min(part.len()));
        if stream.write_all(&part[..now]).is_err() {
            // The answer says why the server stopped reading.
            break;
        }
        left -= now as u64;
    }
    let mut reader = AnswerReader::open(stream)?;
    let mut said = Vec::new();
    reader.read_body(|part| {
        said.extend_from_slice(part);
        true
    })?;
    reader.check(&said)?;
    if left > 0 {
        bail!("the server took {} of {bytes} bytes", bytes - left);
    }
    Ok(())
}

fn get(request: &Request, bytes: u64, content: Content) -> anyhow::Result<()> {
    let part = match content {
        Content::Zeros => vec![0; PART_BYTES],
        Content::Pattern => pattern(),
    };
    let mut stream = connect(request.address)?;
    write!(stream, "{}\r\n", request.head)?;
    let mut reader = AnswerReader::open(stream)?;
    if reader.head.status != 200 {
        let mut said = Vec::new();
        reader.read_body(|part| {
            said.extend_from_slice(part);
            true
        })?;
        reader.check(&said)?;
    }
    let mut at = 0;
    let same = reader.read_body(|mut got| {
        while !got.is_empty() {
            let now = got.len().min(PART_BYTES - at);
            if got[..now] != part[at..at + now] {
                return false;
            }
            at = (at + now) % PART_BYTES;
            got = &got[now..];
        }
        true
    })?;
    if !same || reader.head.body_bytes != bytes {
        bail!("the download is not the value");
    }
    Ok(())
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An answer whose head has been read.
struct AnswerReader {
    stream: TcpStream,
    head: answer::Head,
    buffer: Vec<u8>,
    filled: usize,
}

impl AnswerReader {
    fn open(mut stream: TcpStream) -> anyhow::Result<Self> {
        let mut buffer = vec![0; PART_BYTES];
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..])?;
            if read == 0 {
                bail!("the server closed the connection before it answered");
            }
            filled += read;
            if let Some(head) = answer::head(&buffer[..filled])? {
                buffer.copy_within(head.body_starts..filled, 0);
                filled -= head.body_starts;
                return Ok(Self {
                    stream,
                    head,
                    buffer,
                    filled,
                });
            }
        }
    }

    /// Hands the body over part by part; `false` when `each` did not like a part.
    fn read_body(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> anyhow::Result<bool> {
        let mut left = self.head.body_bytes;
        loop {
            if !each(&self.buffer[..self.filled]) {
                return Ok(false);
            }
            left = left
                .checked_sub(self.filled as u64)
                .context("the body is longer than was said")?;
            if left == 0 {
                return Ok(true);
            }
            self.filled = self.stream.read(&mut self.buffer)?;
            if self.filled == 0 {
                bail!("the answer ended {left} bytes early");
            }
        }
    }

    fn check(&self, body: &[u8]) -> anyhow::Result<()> {
        if self.head.status == 200 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&body[..body.len().min(300)]);
        bail!("an answer was not 200: {} {said}", self.head.status)
    }
}

/// Watches a process's anonymous memory from a thread of its own.
struct Memory {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Memory {
    fn watch(pid: u32) -> Self {
        let (most, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (shared_most, shared_stop) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !shared_stop.load(Ordering::Relaxed) {
                if let Ok(kib) = proc::anonymous_kib(pid) {
                    shared_most.fetch_max(kib, Ordering::Relaxed);
                }
                std::thread::sleep(SAMPLE);
            }
        });
        Self { most, stop, thread }
    }

    fn end(self, at_least: u64) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            bail!("the thread that watches memory failed");
        }
        Ok(self.most.load(Ordering::Relaxed).max(at_least))
    }
}
