//! The keyring: every long-lived secret of a vault in one file, wrapped by a master key.
//!
//! The master key stands in a file of its own and wraps nothing else. `docs/crypto.md`,
//! *Keyring*, states both files byte by byte. This crate must not know records, tokens or
//! sessions: it hands out keys that are ready for use, by number.

pub mod file;
mod keyring;
mod list;
mod master;
mod sealed;

pub use keyring::{Keyring, Part};

use std::io;
use std::path::PathBuf;

/// Why a keyring or a secret file was refused, by what an operator can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Authentication failed. One error for every cause.
    #[error("the keyring does not open: it was altered, or this is not its master key")]
    Sealed,
    /// The bytes cannot be a keyring, or hold an impossible value.
    #[error("malformed keyring")]
    Malformed,
    /// The first byte names a format this program does not know.
    #[error("the keyring has format version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// A slot is for a provider of master keys that this program does not know.
    #[error("the keyring is wrapped by provider {0}, which this program does not know")]
    UnknownProvider(u8),
    /// An old copy of the keyring lies where a newer one was.
    #[error("the keyring is version {version}, but version {at_least} was already in use here")]
    RolledBack {
        /// Version of the keyring that was offered.
        version: u64,
        /// Highest version that the node has seen.
        at_least: u64,
    },
    /// Someone else wrote the file first: read it again and repeat the change.
    #[error("the keyring file is at version {found}, not at {expected}; nothing was written")]
    Conflict {
        /// Version that the file had to be at; 0 if it had to be absent.
        expected: u64,
        /// Version that the file is at; 0 if it is absent.
        found: u64,
    },
    /// A list of the keyring is full, or its numbers are used up.
    #[error("the keyring holds no more keys of this kind")]
    Full,
    /// A master key is never written over another.
    #[error("{0} exists already; a master key is never overwritten")]
    Exists(PathBuf),
    /// The file does not hold a master key.
    #[error("{0} does not hold a master key (one line, `strongroom-master-v1:` and base64)")]
    NotAMasterKey(PathBuf),
    /// Group or others may use the secret file.
    #[error("{path} is open to others (mode {mode:04o}); run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A secret file must be a plain file of sensible size.
    #[error("{0} is not a plain file, or is too large")]
    NotASecretFile(PathBuf),
    /// The operating system refused.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<strongroom_core::Error> for Error {
    fn from(error: strongroom_core::Error) -> Self {
        match error {
            strongroom_core::Error::Sealed => Self::Sealed,
            _ => Self::Malformed,
        }
    }
}
