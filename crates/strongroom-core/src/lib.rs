//! The pure core: tokens, key schedule, record envelope, sealed runs and the grant rule.
//!
//! Nothing in here does I/O, reads a clock or the environment, or is `async`; only the wait of
//! [`crowd`] blocks. Time and randomness are arguments. `docs/crypto.md` states every format byte by byte, and
//! `docs/vectors/` holds the vectors that these modules are tested against.

pub mod aead;
pub mod caller;
pub mod crowd;
pub mod derive;
pub mod envelope;
pub mod grant;
pub mod ids;
pub mod reader;
pub mod secret;
pub mod stream;
pub mod time;
pub mod token;

pub use caller::{Caller, Session, SessionKind, Subject};
pub use ids::{ObjectId, RecordId, SessionRef, TokenRef, VaultId};
pub use time::UnixMillis;
pub use token::Token;

/// Why bytes were refused. Failures of decryption and authentication carry no cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Authentication failed, or the bytes are not what was sealed.
    #[error("authentication failed")]
    Sealed,
    /// The first byte names a format version this program does not know.
    #[error("unknown format version")]
    UnknownVersion,
    /// The bytes are too short, too long, or hold an impossible value.
    #[error("malformed bytes")]
    Malformed,
    /// The bytes name a key (KEK or root generation) that the keyring does not hold.
    #[error("the keyring does not hold the key that these bytes name")]
    UnknownKey,
}

/// The format version that every structure of this program starts with.
pub const VERSION: u8 = 0x01;
