//! The vault under test: made and started by its own command, in its shipped configuration.
//!
//! Only addresses are overridden, and `audit.durability` where a scenario asks for it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, bail};

use crate::load::{self, Lane, Target};
use crate::server::{Server, Start};
use crate::session::Sessions;
use crate::settings::{Durability, Settings};
use crate::stats::float;
use crate::{clock, out, proc};

/// Requests that are sent with one set of JWTs while records are stored.
const SLICE: u64 = 50_000;
/// The body that the browser's client sends to `/tokenize`.
const TOKENIZE_BODY: &str = r#"{"metadata":{"dataType":"string"}}"#;

/// A directory for one scenario, removed when dropped unless it shall be kept.
pub(crate) struct Workspace {
    /// Holds the vault's directory and the servers' logs.
    pub(crate) path: PathBuf,
    keep: bool,
}

impl Workspace {
    /// Makes an empty directory.
    pub(crate) fn create(settings: &Settings, scenario: &str) -> anyhow::Result<Self> {
        let name = format!("strongroom-bench-{}-{scenario}", std::process::id());
        let path = settings.dir.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            path,
            keep: settings.keep,
        })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.keep {
            out::note(&format!("kept {}", self.path.display()));
        } else {
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// An initialised vault on disk.
pub(crate) struct Vault {
    program: PathBuf,
    directory: PathBuf,
    durability: Option<Durability>,
}

impl Vault {
    /// `strongroom init` in a new directory.
    pub(crate) fn init(
        settings: &Settings,
        directory: PathBuf,
        durability: Option<Durability>,
    ) -> anyhow::Result<Self> {
        let output = Command::new(&settings.vault)
            .arg("init")
            .arg(&directory)
            .env_clear()
            .output()
            .with_context(|| format!("cannot start {}", settings.vault.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("init ended with {}: {said}", output.status);
        }
        Ok(Self::at(settings, directory, durability))
    }

    /// A vault that exists.
    pub(crate) fn at(
        settings: &Settings,
        directory: PathBuf,
        durability: Option<Durability>,
    ) -> Self {
        Self {
            program: settings.vault.clone(),
            directory,
            durability,
        }
    }

    /// Where it lies.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Fresh JWTs of user sessions.
    pub(crate) fn sessions(&self, count: usize) -> anyhow::Result<Sessions> {
        self.sessions_at("user", count, clock::unix_s())
    }

    /// The same for any subject and a vault whose clock shows `now_s`.
    pub(crate) fn sessions_at(
        &self,
        subject: &str,
        count: usize,
        now_s: u64,
    ) -> anyhow::Result<Sessions> {
        let key = self.directory.join("application.key.pem");
        Sessions::mint(&key, subject, count, now_s)
    }

    /// Starts it; its log goes to `logs`.
    pub(crate) fn start(&self, logs: &Path) -> anyhow::Result<Server> {
        self.start_with(logs, &[])
    }

    /// The same with more variables in its environment.
    pub(crate) fn start_with(
        &self,
        logs: &Path,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Server> {
        let mut start = self.starting(Command::new(&self.program), logs);
        start.command.envs(environment.iter().copied());
        start.run()
    }

    /// Starts it under strace, which writes each sync call with its file to `trace`.
    pub(crate) fn start_traced(&self, logs: &Path, trace: &Path) -> anyhow::Result<Server> {
        let mut strace = Command::new("strace");
        // With seccomp-bpf the other system calls run at full speed.
        strace
            .args(["-f", "--seccomp-bpf", "-qq", "-y"])
            .args([
                "-e",
                "trace=fsync,fdatasync,sync_file_range,msync",
                "-e",
                "signal=none",
            ])
            .arg("-o")
            .arg(trace)
            .arg(&self.program);
        self.starting(strace, logs).run_traced()
    }

    /// What serves it, its API at this address.
    pub(crate) fn command(&self, api: SocketAddr) -> Command {
        self.serving(Command::new(&self.program), &api.to_string())
    }

    fn starting(&self, command: Command, logs: &Path) -> Start {
        Start {
            command: self.serving(command, "127.0.0.1:0"),
            directory: logs.to_owned(),
            name: "vault",
        }
    }

    fn serving(&self, mut command: Command, api: &str) -> Command {
        let path = ["PATH", "/usr/local/bin:/usr/bin:/bin"];
        command
            .arg("serve")
            .arg("--config")
            .arg(self.directory.join("strongroom.toml"))
            .env_clear()
            .env(path[0], path[1])
            .env("STRONGROOM__API__LISTEN", api)
            .env("STRONGROOM__S3__LISTEN", "127.0.0.1:0");
        if let Some(durability) = self.durability {
            command.env("STRONGROOM__AUDIT__DURABILITY", durability.as_str());
        }
        command
    }

    /// Has at least `records` tokenized by the sessions, and says how long it took.
    pub(crate) async fn fill(
        &self,
        server: &Server,
        settings: &Settings,
        records: u64,
    ) -> anyhow::Result<()> {
        let address = server.address("api")?;
        let mut sessions = self.sessions(settings.sessions)?;
        let (start, mut done) = (clock::now(), 0);
        while done < records {
            if sessions.is_old() {
                sessions = self.sessions(settings.sessions)?;
            }
            let target = Target {
                pid: server.pid,
                address,
                lanes: tokenize_lanes(&sessions, address, settings.connections),
            };
            let slice = SLICE.min(records - done);
            let outcome = load::exactly(&target, slice, None).await?;
            done += outcome.ok;
            out::note(&format!(
                "stored {done} of {records} records, {:.0}/s, {} MiB anonymous",
                float(outcome.ok) / outcome.seconds,
                proc::anonymous_kib(server.pid)? / 1024,
            ));
        }
        let seconds = start.elapsed().as_secs_f64();
        out::note(&format!("stored {records} records in {seconds:.1} s"));
        Ok(())
    }
}

/// One lane per connection, each with one session's tokenize request.
pub(crate) fn tokenize_lanes(
    sessions: &Sessions,
    address: SocketAddr,
    connections: usize,
) -> Vec<Lane> {
    let jwts = sessions.jwts.iter().cycle().take(connections);
    jwts.map(|jwt| Rc::new(vec![post("/tokenize", address, jwt, TOKENIZE_BODY)]))
        .collect()
}

/// One lane per connection, each with the requests for its session's tokens.
pub(crate) fn token_lanes(
    path: &str,
    sessions: &Sessions,
    address: SocketAddr,
    tokens: &[Vec<String>],
) -> Vec<Lane> {
    let jwts = sessions.jwts.iter().cycle();
    let lane = |(tokens, jwt): (&Vec<String>, &String)| {
        let request = |token: &String| {
            let body = format!(r#"{{"tokenId":"{token}"}}"#);
            post(path, address, jwt, &body)
        };
        Rc::new(tokens.iter().map(request).collect())
    };
    tokens.iter().zip(jwts).map(lane).collect()
}

/// A request as bytes.
pub(crate) fn post(path: &str, address: SocketAddr, jwt: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {jwt}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
