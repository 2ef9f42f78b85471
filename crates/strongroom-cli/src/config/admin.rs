//! `[admin]`: the socket through which an operator's commands reach the vault that runs.

use super::faults::Checks;
use crate::admin::PATH_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminSection {
    pub(crate) socket: Option<PathBuf>,
}

impl AdminSection {
    /// What types alone cannot say; `dir` is what relative paths are relative to.
    pub(super) fn check(&self, dir: &Path, checks: &mut Checks) {
        let bytes = self.socket.as_deref().map(|socket| dir.join(socket));
        let bytes = bytes.map_or(0, |path| path.as_os_str().len());
        checks.require(
            bytes <= PATH_BYTES_MAX,
            &["admin.socket"],
            format!("at most {PATH_BYTES_MAX} bytes, with the directory; it has {bytes}"),
        );
    }
}
