//! What the vault takes by being there: time to start, memory at rest and after a crowd has gone,
//! size of the program.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::{Advice, fadvise};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::figure::Figure;
use crate::load::{self, Target};
use crate::settings::Settings;
use crate::stats::float;
use crate::vault::{self, Vault, Workspace};
use crate::{clock, out, proc};

/// The goals: milliseconds, MiB, MiB.
const START_MS_GOAL: f64 = 200.0;
const IDLE_MIB_GOAL: f64 = 40.0;
const SIZE_MIB_GOAL: f64 = 40.0;
const STARTS_EACH: u32 = 3;
/// Between two questions to a vault that does not listen yet.
const PAUSE: Duration = Duration::from_micros(200);
const START_MAX: Duration = Duration::from_mins(1);
/// Idle connections of the crowd, within what the API takes by default.
const CROWD: usize = 9_500;
/// Descriptors of this program beside the crowd's.
const SPARE_FILES: u64 = 200;
/// After it, what is free has been given back to the system.
const GONE: Duration = Duration::from_secs(15);
const SETTLED: Duration = Duration::from_secs(1);

/// Time from starting the process until it answers 200, with everything in the page cache and with
/// nothing of it there.
pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    out::note("start");
    let workspace = Workspace::create(settings, "start")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    let server = vault.start(&workspace.path)?;
    vault.fill(&server, settings, settings.tokens).await?;
    server.stop()?;
    let mut figures = Vec::new();
    for cold in [false, true] {
        let (mut health, mut ready) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds * STARTS_EACH {
            if cold {
                forget(&settings.vault)?;
                forget_below(vault.directory())?;
            }
            let (at_health, at_ready) = one_start(&vault, &workspace.path)?;
            health.push(at_health);
            ready.push(at_ready);
        }
        let cache = if cold { "cold" } else { "warm" };
        for (route, rounds) in [("/health", health), ("/ready", ready)] {
            figures.push(Figure {
                name: format!("start until 200 on {route}, {cache}"),
                unit: "ms".to_owned(),
                goal: Some(START_MS_GOAL),
                rounds,
            });
        }
    }
    Ok(figures)
}

/// Milliseconds to the first 200 on each route.
fn one_start(vault: &Vault, logs: &Path) -> anyhow::Result<(f64, f64)> {
    // Nobody else asks the system for a port between this and the vault's own request.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let log = File::create(logs.join("start.log"))?;
    let mut command = vault.command(address);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let started = clock::now();
    let mut process = Process(command.spawn().context("the vault does not start")?);
    let mut answered = |path: &str| {
        while !answers(address, path) {
            if let Some(status) = process.0.try_wait()? {
                bail!("the vault ended with {status}");
            }
            if started.elapsed() > START_MAX {
                bail!("{path} does not answer 200");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    Ok((answered("/health")?, answered("/ready")?))
}

/// Ended when dropped: a start that is over has nothing to say any more.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok::<_, std::io::Error>(&status == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Has the system forget the file's pages, so that they are read from the disk again.
fn forget(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    // Pages that are not on the disk yet stay.
    file.sync_all().ok();
    fadvise(&file, 0, None, Advice::DontNeed).context("posix_fadvise")
}

fn forget_below(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            forget_below(&entry.path())?;
        } else if kind.is_file() {
            forget(&entry.path())?;
        }
    }
    Ok(())
}

/// Memory after the start, with a crowd of idle connections, and when that has gone.
pub(crate) async fn idle(settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    out::note("idle");
    let crowd = if settings.smoke { 100 } else { CROWD };
    let crowd = allow_files(crowd);
    let workspace = Workspace::create(settings, "idle")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    let server = vault.start(&workspace.path)?;
    let (address, pid) = (server.address("api")?, server.pid);
    let settled = if settings.smoke { PAUSE } else { SETTLED };
    let gone = if settings.smoke { PAUSE } else { GONE };
    std::thread::sleep(settled);
    let at_start = proc::resident_kib(pid)?;
    let mut connections = Vec::with_capacity(crowd);
    for _ in 0..crowd {
        let mut stream = TcpStream::connect(address).context("the crowd cannot connect")?;
        write!(stream, "GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        if &status != b"HTTP/1.1 200" {
            bail!("the crowd is not answered 200");
        }
        connections.push(stream);
    }
    let with_crowd = proc::resident_kib(pid)?;
    drop(connections);
    std::thread::sleep(gone);
    let after = proc::resident_kib(pid)?;
    let sessions = vault.sessions(settings.sessions)?;
    let lanes = vault::tokenize_lanes(&sessions, address, settings.connections);
    let target = Target {
        pid,
        address,
        lanes,
    };
    load::exactly(&target, settings.tokens, None).await?;
    std::thread::sleep(gone);
    let after_work = proc::resident_kib(pid)?;
    server.stop()?;
    let tokens = settings.tokens;
    Ok(vec![
        mib("memory after the start", Some(IDLE_MIB_GOAL), at_start),
        mib(
            &format!("memory with {crowd} idle connections"),
            None,
            with_crowd,
        ),
        mib(
            &format!("memory when {crowd} connections have gone"),
            Some(IDLE_MIB_GOAL),
            after,
        ),
        mib(
            &format!("memory after {tokens} tokenizes, caches filled"),
            None,
            after_work,
        ),
    ])
}

fn mib(name: &str, goal: Option<f64>, kib: u64) -> Figure {
    Figure {
        name: name.to_owned(),
        unit: "MiB".to_owned(),
        goal,
        rounds: vec![float(kib) / 1024.0],
    }
}

/// As many connections as this process may hold, at most so many.
fn allow_files(wanted: usize) -> usize {
    let hard = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, limit).ok();
    let most = hard.map_or(usize::MAX, |hard| {
        usize::try_from(hard.saturating_sub(SPARE_FILES)).unwrap_or(usize::MAX)
    });
    wanted.min(most)
}

/// The program as a file, without symbols: those of the `dist` profile are stripped already.
pub(crate) fn size(settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    out::note("size");
    let bytes = match stripped(settings) {
        Ok(bytes) => bytes,
        Err(error) => {
            out::note(&format!("size: not stripped here ({error:#})"));
            fs::metadata(&settings.vault)?.len()
        }
    };
    Ok(vec![mib(
        "size of the program",
        Some(SIZE_MIB_GOAL),
        bytes / 1024,
    )])
}

fn stripped(settings: &Settings) -> anyhow::Result<u64> {
    let workspace = Workspace::create(settings, "size")?;
    let copy = workspace.path.join("strongroom");
    let mut strip = Command::new("strip");
    let status = strip.arg("-o").arg(&copy).arg(&settings.vault).status();
    if !status.context("there is no strip")?.success() {
        bail!("strip failed");
    }
    Ok(fs::metadata(&copy)?.len())
}
