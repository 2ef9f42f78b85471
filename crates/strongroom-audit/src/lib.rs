//! The decision log: what the gate decided, written before the act.
//!
//! One file of JSON lines, appended by group commit. It must not know tokens, keys, JWTs or
//! values: an entry names a token by its keyed reference only. The gate is its one writer.

mod entry;
mod history;
mod log;
mod open;
mod writer;

pub use entry::{Decision, Entry, RequestId, Rule};
pub use history::Gone;
pub use log::{Durability, Limits, Log, Receipt};

/// Why the log cannot be written or read. The gate refuses the request in every case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full; entries are accepted again once there is room.
    #[error("the audit log's disk is full")]
    Full,
    /// More entries wait than `queue_bytes_max` allows: the disk is too slow.
    #[error("the audit log's queue is full")]
    Slow,
    /// A write or sync failed. After a failed sync the log stays shut until a restart, because
    /// nobody can say which of the written pages reached the disk.
    #[error("the audit log cannot be written")]
    Broken,
    /// The log was closed for shutdown.
    #[error("the audit log is closed")]
    Closed,
    /// The file was made by a newer program.
    #[error("the audit log has format version {found}; this program knows up to {known}")]
    Newer {
        /// What the file says.
        found: u64,
        /// What this program can read.
        known: u64,
    },
    /// The file's first or last line is not what this program writes.
    #[error("the audit log at {path} is malformed: {what}")]
    Malformed {
        /// The file.
        path: String,
        /// Which part of it.
        what: &'static str,
    },
    /// The file system refused.
    #[error("the audit log's file system failed")]
    Io(#[from] std::io::Error),
}
