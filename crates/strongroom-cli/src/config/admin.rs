//! `[admin]`: the socket through which an operator's commands reach the vault that runs.

use crate::admin::PATH_BYTES_MAX;
use anyhow::ensure;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminSection {
    pub(crate) socket: Option<PathBuf>,
}

impl AdminSection {
    /// What types alone cannot say; `dir` is what relative paths are relative to.
    pub(super) fn check(&self, dir: &Path) -> anyhow::Result<()> {
        let bytes = self.socket.as_deref().map(|socket| dir.join(socket));
        let bytes = bytes.map_or(0, |path| path.as_os_str().len());
        ensure!(
            bytes <= PATH_BYTES_MAX,
            "admin.socket: at most {PATH_BYTES_MAX} bytes, with the directory; it has {bytes}"
        );
        Ok(())
    }
}
