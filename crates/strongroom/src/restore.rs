//! Restoring from a backup: what must not come back with the records.
//!
//! The reasons are in `docs/decisions/0014-backup-and-restore.md`.

use crate::{Error, Vault};
use std::sync::Arc;
use strongroom_audit::Gone;
use strongroom_core::RecordId;
use strongroom_records::{Row, Swap};
use tokio::task::JoinSet;

/// Rows per page of the walk; those of a page are written together.
const PAGE: usize = 500;

/// What a restore did with the records of a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Kept, without a live grant.
    pub kept: u64,
    /// Removed with their values, because the log shows them gone.
    pub removed: u64,
    /// Rows that do not open and stay as they are: no token opens them either.
    pub broken: u64,
}

enum Fate {
    Kept,
    Removed,
    Broken,
}

impl Vault {
    /// Ends every grant, the creators' included, and removes what is gone. Nobody must be served
    /// before it returned; it may be run again after an error.
    pub async fn restore(self: &Arc<Self>, gone: &Arc<Gone>) -> Result<Restored, Error> {
        let mut restored = Restored::default();
        let mut after: Option<RecordId> = None;
        loop {
            let page = self.records.scan(after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(restored);
            };
            after = Some(*last);
            let mut rows = JoinSet::new();
            for (id, row) in page {
                let (vault, gone) = (Arc::clone(self), Arc::clone(gone));
                rows.spawn(async move { vault.restore_row(id, &row, &gone).await });
            }
            while let Some(done) = rows.join_next().await {
                // A task ends early only by a panic, which has been reported.
                match done.map_err(|_| Error::Contended)?? {
                    Fate::Kept => restored.kept += 1,
                    Fate::Removed => restored.removed += 1,
                    Fate::Broken => restored.broken += 1,
                }
            }
        }
    }

    async fn restore_row(&self, id: RecordId, row: &Row, gone: &Gone) -> Result<Fate, Error> {
        let record = match self.gate.open_row(&id, row) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, "a record of the backup does not open");
                return Ok(Fate::Broken);
            }
        };
        let mut refs = self.gate.token_refs(&id);
        let is_gone = refs.any(|token| {
            let expired = gone.expired.contains(&token) && !record.state.hold;
            gone.removed.contains(&token) || expired
        });
        let (fate, swap) = if is_gone {
            self.objects.delete(&record.birth.object_id).await?;
            (Fate::Removed, self.records.delete(id, row.version).await?)
        } else {
            let next = self.gate.restored_row(&id, row, record)?;
            let replaced = self.records.replace(id, row.version, next).await?;
            (Fate::Kept, replaced)
        };
        match swap {
            Swap::Swapped => Ok(fate),
            Swap::Lost => Err(Error::Contended),
        }
    }
}
