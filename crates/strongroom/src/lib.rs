//! The service: the gate, and the operations behind it. The crate to read first.
//!
//! One request goes one way: *wire → caller → gate → act → answer*. [`Vault::begin`] checks the
//! subject and gives a [`Request`], which every operation needs. The [`gate`] reads record,
//! grant and revocation in one snapshot, decides, writes the decision to the audit log, and only
//! then makes a [`gate::Pass`]; only a `Pass` opens a data key.
//!
//! Nothing in here knows HTTP, JSON envelopes, SQL or files.

pub mod clock;
mod detokenize;
mod error;
pub mod gate;
mod grants;
mod metadata;
mod request;
mod restore;
mod sweep;
mod tokenize;
mod vault;

pub use error::Error;
pub use gate::Action;
pub use grants::GrantTarget;
pub use request::Request;
pub use restore::Restored;
pub use strongroom_audit::RequestId;
pub use strongroom_objects::Presigned;
pub use sweep::Swept;
pub use tokenize::Upload;
pub use vault::{Health, Parts, Rules, Vault};
