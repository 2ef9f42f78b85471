//! Finds the program under test.

use std::path::{Path, PathBuf};

/// The `strongroom` binary of this build.
///
/// Cargo names the path of a binary only to tests of the same package, so it is looked for where
/// the workspace's build puts it: one directory above the test executable.
pub fn strongroom() -> PathBuf {
    let test = std::env::current_exe().expect("the test executable has a path");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("target/<profile>/deps/<test>");
    let binary = target.join("strongroom");
    assert!(
        binary.is_file(),
        "{} is missing: build it first with \
         `cargo build --release --workspace --all-targets --locked`",
        binary.display()
    );
    binary
}
