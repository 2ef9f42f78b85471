//! What the two sides of a backup say to each other: lines of JSON, and after a `file` its bytes.

use super::manifest::Head;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Longest line.
pub(crate) const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that are read and sent at a time.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// What is asked for; one line, and then the answer follows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// A backup.
    Backup,
}

/// A line of the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// What is to come.
    Plan { files: u64, bytes: u64 },
    /// A file; its bytes follow the line.
    File { path: String, bytes: u64 },
    /// The digest of the bytes that came before.
    Digest { sha256: String },
    /// That was all.
    Done { head: Head },
    /// There will be no backup.
    Error { message: String },
}

/// Writes one line.
pub(crate) fn send(mut to: impl Write, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}
