//! One authenticated request whose subject may do what it asks for.

use crate::gate::Action;
use std::sync::Arc;
use strongroom_audit::RequestId;
use strongroom_core::SessionRef;
use strongroom_session::Verified;

/// Made by [`crate::Vault::begin`] alone, so a forgotten subject check does not compile.
pub struct Request {
    pub(crate) id: RequestId,
    pub(crate) verified: Arc<Verified>,
    pub(crate) session: SessionRef,
    pub(crate) action: Action,
}

impl Request {
    pub(crate) fn subject(&self) -> strongroom_core::Subject {
        self.verified.caller.subject
    }

    /// Name of the request in answers, logs and entries.
    pub fn id(&self) -> RequestId {
        self.id
    }
}
