//! One vault of one test: its process and its files, and at the end of its life the search for
//! secrets in all that it left behind.

mod callers;
mod commands;
mod setup;

pub use callers::Signed;
pub use commands::{PATH, clean, files_below, run, wait};
pub use setup::Setup;

use crate::binary::strongroom;
use crate::clock::FakeClock;
use crate::jwt::Key;
use crate::marks::Marks;
use crate::tls::Authority;
use crate::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::{fmt, thread};
use tempfile::TempDir;

/// Lines of a vault's log that are shown when its test fails.
const LAST_LINES: usize = 20;

/// A running server.
struct Serving {
    child: Child,
    api: SocketAddr,
    s3: SocketAddr,
    api_url: String,
}

/// A vault; killed, searched for secrets and removed when it is dropped.
pub struct Vault {
    dir: TempDir,
    root: PathBuf,
    data: PathBuf,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    under: Vec<String>,
    clock: Option<FakeClock>,
    key: Key,
    /// Who issued the listeners' certificates, if they speak TLS.
    authority: Option<Arc<Authority>>,
    serving: Option<Serving>,
    marks: Mutex<Marks>,
    starts: usize,
}

impl Vault {
    /// With the configuration that `init` writes.
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Overrides a key of the configuration from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.environment
            .push((format!("STRONGROOM__{key}"), value.into()));
    }

    /// Speaks to it over TLS from now on, and believes this authority.
    pub fn believe(&mut self, authority: &Arc<Authority>) {
        self.authority = Some(Arc::clone(authority));
    }

    fn log_file(&self, name: &str) -> File {
        let logs = self.dir.path().join("logs");
        fs::create_dir_all(&logs).expect("a directory is made");
        let mut options = fs::OpenOptions::new();
        options
            .append(true)
            .create(true)
            .open(logs.join(name))
            .expect("a log file")
    }

    fn serve_command(&mut self, ready: &Path) -> Command {
        self.starts += 1;
        let mut words = self.under.iter().map(PathBuf::from).chain([strongroom()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
        command = clean(command, &self.dir.path().join("home"));
        command
            .args(["serve", "--config"])
            .arg(self.root.join("strongroom.toml"))
            .arg("--ready-file")
            .arg(ready)
            .args(&self.arguments)
            .env("STRONGROOM__API__LISTEN", "127.0.0.1:0")
            .env("STRONGROOM__S3__LISTEN", "127.0.0.1:0")
            .env("STRONGROOM__S3__DISK_RESERVE", "0B")
            .env("STRONGROOM__LOG__LEVEL", "trace")
            .envs(self.environment.iter().cloned())
            .envs(self.clock.iter().flat_map(FakeClock::environment))
            .stdin(Stdio::null())
            .stdout(self.log_file(&format!("serve-{}.out", self.starts)))
            .stderr(self.log_file(&format!("serve-{}.err", self.starts)));
        command
    }

    /// Starts it and waits until it serves.
    pub fn start_again(&mut self) {
        assert!(self.serving.is_none(), "it runs already");
        let ready = self.dir.path().join("ready");
        let _ = fs::remove_file(&ready);
        let mut child = self
            .serve_command(&ready)
            .spawn()
            .expect("the vault starts");
        let text = eventually("the vault serves", || {
            if let Some(status) = child.try_wait().expect("a child's state") {
                panic!("the vault ended at start, {status}: {}", self.log());
            }
            fs::read_to_string(&ready).ok()
        });
        let ready: Value = serde_json::from_str(&text).expect("the ready file is JSON");
        let address = |key: &str| ready[key].as_str().expect(key).parse().expect(key);
        assert_eq!(ready["pid"], child.id());
        self.serving = Some(Serving {
            api: address("api"),
            s3: address("s3"),
            api_url: ready["api_url"].as_str().expect("a URL").to_owned(),
            child,
        });
    }

    /// Starts it where it must refuse to; returns what it says.
    pub fn refuses_to_start(&mut self) -> String {
        let ready = self.dir.path().join("ready-not");
        let mut child = self
            .serve_command(&ready)
            .spawn()
            .expect("the vault starts");
        let status = wait(&mut child);
        assert!(!status.success() && !ready.exists(), "it served");
        let name = format!("logs/serve-{}.err", self.starts);
        fs::read_to_string(self.dir.path().join(name)).expect("a log")
    }

    fn serving(&self) -> &Serving {
        self.serving.as_ref().expect("the vault runs")
    }

    /// Whether it was started and neither stopped nor killed.
    pub fn runs(&self) -> bool {
        self.serving.is_some()
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.serving().child.id()
    }

    /// Asks it to stop, and does not wait.
    pub fn ask_to_stop(&self) {
        let pid = Pid::from_child(&self.serving().child);
        kill_process(pid, Signal::TERM).expect("the signal is sent");
    }

    /// Waits until it has stopped.
    pub fn wait(&mut self) -> ExitStatus {
        let mut serving = self.serving.take().expect("the vault runs");
        wait(&mut serving.child)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            let _ = serving.child.kill();
            let _ = serving.child.wait();
        }
    }

    /// Kills it while other threads speak to it; [`Vault::kill`] then waits for its end.
    pub fn kill_amid(&self) {
        let pid = Pid::from_child(&self.serving().child);
        kill_process(pid, Signal::KILL).expect("the signal is sent");
    }

    /// Address of the API.
    pub fn api(&self) -> SocketAddr {
        self.serving().api
    }

    /// Address of the object store.
    pub fn s3(&self) -> SocketAddr {
        self.serving().s3
    }

    /// URL of the API.
    pub fn api_url(&self) -> &str {
        &self.serving().api_url
    }

    /// The clock under it.
    pub fn clock(&self) -> &FakeClock {
        self.clock
            .as_ref()
            .expect("the vault was set up with a clock")
    }

    /// The directory that `init` made.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A directory of the test's own, removed at the end.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Everything that the server wrote to standard error.
    pub fn log(&self) -> String {
        let logs = files_below(&self.dir.path().join("logs"));
        let server = logs.iter().filter(|path| {
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            name.starts_with("serve-") && path.extension() == Some(OsStr::new("err"))
        });
        server
            .map(|path| fs::read_to_string(path).expect("a log in UTF-8"))
            .collect()
    }

    /// The entries of the decision log.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.data.join("audit/decisions.jsonl")).expect("a log");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    /// The files of values; those of small ones are in the index instead, unless
    /// [`Setup::files`] was asked for.
    pub fn objects(&self) -> Vec<PathBuf> {
        files_below(&self.data.join("objects/runs"))
    }

    /// Everything where a secret was found; empty when all is well.
    pub fn leaks(&self) -> Vec<String> {
        let marks = self.marks();
        let mut files = files_below(&self.dir.path().join("logs"));
        files.extend(files_below(&self.data));
        if let Some(serving) = &self.serving {
            files.push(format!("/proc/{}/cmdline", serving.child.id()).into());
        }
        let mut leaks = Vec::new();
        for path in files {
            // A file may go while the vault runs.
            let bytes = fs::read(&path).unwrap_or_default();
            let found = marks.found_in(&bytes).into_iter();
            leaks.extend(found.map(|what| format!("{what} in {}", path.display())));
        }
        leaks
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.root.display())
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        if thread::panicking() {
            self.kill();
            // Whoever looks for the cause has nothing else once the directory is gone.
            let log = self.log();
            let last: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
            for line in last.iter().rev() {
                let _ = writeln!(std::io::stderr(), "vault: {line}");
            }
            return;
        }
        let leaks = self.leaks();
        self.kill();
        let log = self.log();
        assert!(leaks.is_empty(), "secrets were written down: {leaks:#?}");
        assert!(!log.contains("panicked at"), "the vault panicked: {log}");
    }
}
