//! Commands in a clean environment, and the files that they leave.

use crate::wait::eventually;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

/// Where the system's programs are; the tests' own environment is not handed on.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All plain files below a directory, sorted.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A command with `PATH`, `HOME` and `LANG` alone in its environment.
pub fn clean(mut command: Command, home: &Path) -> Command {
    command.env_clear().current_dir(home);
    command
        .env("PATH", PATH)
        .env("HOME", home)
        .env("LANG", "C.UTF-8");
    command
}

/// Runs a command to its end with this on its standard input.
pub fn run(mut command: Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(move || {
            // A command that does not read its input may close it.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("the command ends")
    })
}

/// Waits for a child that must end by itself; kills it and panics when it does not.
pub fn wait(child: &mut Child) -> ExitStatus {
    eventually("the process ends", || {
        child.try_wait().expect("a child's state")
    })
}
