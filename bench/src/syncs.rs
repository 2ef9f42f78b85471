//! How often each file is synced for each tokenize, from strace's record of the calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::load::{self, Target};
use crate::out;
use crate::report::Syncs;
use crate::settings::Settings;
use crate::vault::{self, Vault, Workspace};

/// Tokenizes that are counted with many clients.
const TOKENIZES: u64 = 20_000;
/// The same with one client, where each costs its syncs.
const TOKENIZES_ALONE: u64 = 1_000;
/// Tokenizes that are counted in a smoke run.
const TOKENIZES_SMOKE: u64 = 200;
/// The goals with many clients and with one.
const GOALS: (f64, f64) = (0.1, 1.0);

/// Counts syncs at all connections and at one; nothing where there is no strace.
pub(crate) async fn syncs(settings: &Settings) -> anyhow::Result<Vec<Syncs>> {
    if !has_strace() {
        out::note("syncs: skipped, strace is not installed or does not know --seccomp-bpf");
        return Ok(Vec::new());
    }
    let workspace = Workspace::create(settings, "syncs")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    let trace = workspace.path.join("strace");
    let server = vault.start_traced(&workspace.path, &trace)?;
    let sessions = vault.sessions(settings.sessions)?;
    let address = server.address("api")?;
    let mut counted = Vec::new();
    for (clients, total, goal) in plan(settings) {
        out::note(&format!("syncs, {clients} clients"));
        let target = Target {
            pid: server.pid,
            address,
            lanes: vault::tokenize_lanes(&sessions, address, clients),
        };
        load::exactly(&target, total.div_ceil(10), None).await?;
        let before = settled(&trace)?;
        let outcome = load::exactly(&target, total, None).await?;
        let after = settled(&trace)?;
        counted.push(Syncs {
            what: "tokenize",
            clients,
            goal,
            answers: outcome.ok,
            by_file: by_file(&after[before.len()..], &workspace.path),
        });
    }
    server.stop()?;
    Ok(counted)
}

fn plan(settings: &Settings) -> [(usize, u64, f64); 2] {
    let (many, one) = if settings.smoke {
        (TOKENIZES_SMOKE, TOKENIZES_SMOKE)
    } else {
        (TOKENIZES, TOKENIZES_ALONE)
    };
    [(settings.connections, many, GOALS.0), (1, one, GOALS.1)]
}

/// Whether syncs can be counted.
pub(crate) fn has_strace() -> bool {
    Command::new("strace")
        .args([
            "-f",
            "--seccomp-bpf",
            "-e",
            "trace=none",
            "-o",
            "/dev/null",
            "true",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The trace once strace has written what happened until now.
pub(crate) fn settled(trace: &Path) -> anyhow::Result<String> {
    std::thread::sleep(Duration::from_millis(300));
    fs::read_to_string(trace).context("cannot read strace's output")
}

/// Calls by file, most first. A call that was interrupted in the record counts once.
pub(crate) fn by_file(trace: &str, directory: &Path) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    for line in trace.lines() {
        if let Some(file) = synced_file(line) {
            let name = file
                .strip_prefix(&directory.display().to_string())
                .unwrap_or(file);
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted
}

/// The path in `123 fdatasync(9</path>) = 0`.
fn synced_file(line: &str) -> Option<&str> {
    let (_, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    if !["fsync", "fdatasync", "sync_file_range", "msync"].contains(&name) {
        return None;
    }
    let (_, path) = arguments.split_once('<')?;
    path.split_once('>').map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_file_and_resumed_ones_once() {
        let trace = "7 fdatasync(9</d/a-wal>) = 0\n\
            8 fdatasync(9</d/a-wal> <unfinished ...>\n\
            7  fsync(4</d/log>) = 0\n\
            8 <... fdatasync resumed>) = 0\n\
            8 +++ exited with 0 +++\n";
        let expected = vec![("/a-wal".to_owned(), 2), ("/log".to_owned(), 1)];
        assert_eq!(by_file(trace, Path::new("/d")), expected);
    }
}
