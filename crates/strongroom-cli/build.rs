//! Finds out which commit the program is built from, for `strongroom --version`.
//!
//! `STRONGROOM_COMMIT` says it where there is no repository, as in a package; a source archive
//! without either builds as `unknown`. Nothing here fails a build.

use std::io::Write;
use std::process::Command;

/// What the program is made of; a change elsewhere does not make it another one.
const SOURCES: [&str; 3] = ["../../crates", "../../Cargo.toml", "../../Cargo.lock"];
const DIGITS: &str = "--short=12";

fn main() {
    let mut lines = vec!["rerun-if-env-changed=STRONGROOM_COMMIT".to_owned()];
    let watched = SOURCES.into_iter().chain(["build.rs"]);
    lines.extend(watched.map(|path| format!("rerun-if-changed={path}")));
    // The log of HEAD grows with every commit and every checkout; HEAD itself, and the branch,
    // are for a repository that keeps no logs.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        // One that does not exist would be taken for a change, each time.
        let path = path.filter(|path| std::path::Path::new(path).exists());
        lines.extend(path.map(|path| format!("rerun-if-changed={path}")));
    }
    let commit = given("STRONGROOM_COMMIT").or_else(commit);
    let facts = [
        ("COMMIT", commit),
        (
            "RUSTC",
            given("RUSTC").and_then(|rustc| said(&rustc, &["--version"])),
        ),
        ("TARGET", given("TARGET")),
    ];
    for (name, fact) in facts {
        let fact = fact.unwrap_or_else(|| "unknown".into());
        lines.push(format!("rustc-env=STRONGROOM_BUILD_{name}={fact}"));
    }
    let mut out = std::io::stdout();
    for line in lines {
        writeln!(out, "cargo:{line}").expect("cargo reads what the build script says");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]
fn given(name: &str) -> Option<String> {
    let text = std::env::var(name).ok()?;
    // One line, as what is printed here is read by lines.
    let text = text.trim().to_owned();
    (!text.is_empty() && !text.contains('\n')).then_some(text)
}

/// The commit of the repository that this file is part of; `-dirty` if the sources differ.
fn commit() -> Option<String> {
    // An archive that was unpacked in somebody's repository is not part of it.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    let commit = git(&["rev-parse", DIGITS, "HEAD"])?;
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(SOURCES);
    let changed = git(&status).is_some();
    Some(if changed { commit + "-dirty" } else { commit })
}

/// What git says, if it says anything; it must not write, not even its index.
fn git(arguments: &[&str]) -> Option<String> {
    let all: Vec<_> = ["--no-optional-locks"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    said("git", &all)
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
