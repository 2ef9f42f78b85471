//! Starts the servers under test as processes of their own and ends them.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{clock, proc};

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_mins(2);
/// How long a server may take to end once it was asked to.
const STOP_MAX: Duration = Duration::from_mins(1);

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// The server's own process, also when it runs under a tracer.
    pub(crate) pid: u32,
    ready: String,
}

/// How a server is started.
pub(crate) struct Start {
    /// Program, arguments and environment, without `--ready-file`.
    pub(crate) command: Command,
    /// Holds the ready file and the server's output.
    pub(crate) directory: PathBuf,
    /// Names both files.
    pub(crate) name: &'static str,
}

impl Start {
    /// Starts the server and waits until it listens.
    pub(crate) fn run(self) -> anyhow::Result<Server> {
        self.run_with(Some)
    }

    /// The same for a command that runs the server as its child.
    pub(crate) fn run_traced(self) -> anyhow::Result<Server> {
        self.run_with(proc::child_of)
    }

    fn run_with(mut self, server_of: fn(u32) -> Option<u32>) -> anyhow::Result<Server> {
        let ready_file = self.directory.join(format!("{}.ready", self.name));
        let log_file = self.directory.join(format!("{}.log", self.name));
        fs::remove_file(&ready_file).ok();
        let log = File::create(&log_file).context("cannot create the server's log")?;
        self.command
            .arg("--ready-file")
            .arg(&ready_file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let program = self.command.get_program().to_owned();
        let child = self
            .command
            .spawn()
            .with_context(|| format!("cannot start {}", Path::new(&program).display()))?;
        let pid = child.id();
        let mut server = Server {
            child,
            pid,
            ready: String::new(),
        };
        server.ready = server.wait_ready(&ready_file, &log_file)?;
        server.pid = server_of(pid).context("the tracer has no child")?;
        Ok(server)
    }
}

impl Server {
    fn wait_ready(&mut self, ready_file: &Path, log_file: &Path) -> anyhow::Result<String> {
        let start = clock::now();
        while start.elapsed() < START_MAX {
            if let Ok(text) = fs::read_to_string(ready_file)
                && address_in(&text, "api").is_some()
            {
                return Ok(text);
            }
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(log_file).unwrap_or_default();
                bail!("the server ended with {status}; it wrote:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server does not listen after {START_MAX:?}")
    }

    /// The address that the ready file gives for `name`.
    pub(crate) fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        address_in(&self.ready, name)
            .with_context(|| format!("the ready file has no address of {name}"))
    }

    /// Asks the server to end and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM);
        let start = clock::now();
        while start.elapsed() < STOP_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not end within {STOP_MAX:?}")
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            self.child.wait().ok();
        }
    }
}

/// The member `name` of the ready file, which is one JSON object.
fn address_in(text: &str, name: &str) -> Option<SocketAddr> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    json[name].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_members_of_the_ready_file() {
        let text = r#"{"api":"127.0.0.1:80","s3":"127.0.0.1:81","pid":7}"#;
        assert_eq!(address_in(text, "s3"), "127.0.0.1:81".parse().ok());
        assert_eq!(address_in(text, "pid"), None);
        assert_eq!(address_in("", "api"), None);
    }
}
