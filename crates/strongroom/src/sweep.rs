//! The sweeper: notes which uploads arrived, and removes what expired or never came.
//!
//! It has the keyring and no token, so it can name records and objects and open no value.

use crate::tokenize::round_up_to_hour;
use crate::{Error, Vault};
use strongroom_core::{RecordId, UnixMillis};
use strongroom_records::{Row, Swap};

/// Rows per page of the walk, and rows per deletion of dead grants.
const PAGE: usize = 500;

/// What one walk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were noted as stored.
    pub claimed: u64,
    /// Records removed because their upload never came.
    pub unclaimed: u64,
    /// Records removed because their time was over.
    pub expired: u64,
    /// Grants and revocations dropped after their time.
    pub grants: u64,
    /// Rows that could not be opened or changed; each is in the log.
    pub failed: u64,
}

impl Vault {
    /// Walks all records once. Safe to stop anywhere and to run again.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut after: Option<RecordId> = None;
        loop {
            let page = self.records.scan(after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let _removing = self.removals.lock().await;
            for (id, row) in &page {
                let now = self.clock.now();
                if row.due == UnixMillis::NEVER || row.due > now {
                    continue;
                }
                if let Err(error) = self.sweep_row(id, row, now, &mut swept).await {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "the sweeper could not settle a record");
                    swept.failed += 1;
                }
            }
        }
        loop {
            let dropped = self.records.sweep(self.clock.now(), PAGE).await?;
            swept.grants += dropped;
            if dropped < PAGE as u64 {
                return Ok(swept);
            }
        }
    }

    async fn sweep_row(
        &self,
        id: &RecordId,
        row: &Row,
        now: UnixMillis,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        let record = self.gate.open_row(id, row)?;
        let object = record.birth.object_id;
        if record.state.hold {
            return Ok(());
        }
        if record.birth.is_expired(now) {
            self.remove(id, row).await?;
            self.objects.delete(&object).await?;
            swept.expired += 1;
        } else if record.state.stored || now < self.claim_at(record.birth.created_at) {
            // The column is a hint; only the sealed time may end an upload.
            return Ok(());
        } else if self.objects.presence(&object).await?.is_some() {
            let mut record = record;
            record.state.stored = true;
            let due = match record.birth.expires_at {
                UnixMillis::NEVER => UnixMillis::NEVER,
                end => round_up_to_hour(end),
            };
            let next = self.gate.next_row(id, row, &record, due)?;
            if self.records.replace(*id, row.version, next).await? == Swap::Swapped {
                swept.claimed += 1;
            }
        } else {
            self.remove(id, row).await?;
            // What arrived since it was looked for.
            self.objects.delete(&object).await?;
            swept.unclaimed += 1;
        }
        Ok(())
    }

    /// The entry first, then the row: a record never goes without a trace.
    async fn remove(&self, id: &RecordId, row: &Row) -> Result<(), Error> {
        let entry = self.gate.record_sweep(id, row.version).await?;
        let error = match self.records.delete(*id, row.version).await {
            Ok(Swap::Swapped) => return Ok(()),
            Ok(Swap::Lost) => Error::Contended,
            Err(error) => error.into(),
        };
        Err(self.gate.outcome_failed(&entry, error))
    }
}
