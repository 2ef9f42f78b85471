//! The pass: proof that the gate decided, wrote it down, and said yes.

use super::{Gate, system_rng};
use crate::Error;
use std::sync::Arc;
use strongroom_audit::Entry;
use strongroom_core::envelope::{self, Record, State};
use strongroom_core::secret::DataKey;
use strongroom_core::{ObjectId, RecordId, Token, UnixMillis};
use strongroom_records::Row;
use zeroize::Zeroizing;

/// Made by the gate alone, for one request and one token.
pub struct Pass<'a> {
    gate: &'a Gate,
    token: &'a Token,
    id: RecordId,
    entry: Entry,
    row: Arc<Row>,
    record: Record,
    grant_ends_at: Option<UnixMillis>,
}

impl<'a> Pass<'a> {
    // INVARIANT: called in `Gate::admit_for` only, after the entry is durable.
    pub(super) fn new(
        gate: &'a Gate,
        token: &'a Token,
        id: RecordId,
        entry: Entry,
        row: Arc<Row>,
        record: Record,
        grant_ends_at: Option<UnixMillis>,
    ) -> Self {
        Self {
            gate,
            token,
            id,
            entry,
            row,
            record,
            grant_ends_at,
        }
    }

    /// Unwraps the token's data key with token and keyring.
    pub fn data_key(&self) -> Result<DataKey, Error> {
        let generation = self.record.inner.generation().map_err(Error::Refused)?;
        let root = self.gate.keyring.root(generation).ok_or(UNKNOWN_KEY)?;
        self.record
            .inner
            .unwrap(root, self.token, &self.id, &self.record.birth)
            .map_err(Error::Refused)
    }

    /// The token's metadata as JSON text, if it has any.
    pub fn metadata(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(meta) = &self.row.meta else {
            return Ok(None);
        };
        let generation = envelope::generation_of(meta).map_err(Error::Refused)?;
        let root = self.gate.keyring.root(generation).ok_or(UNKNOWN_KEY)?;
        let (salt, version) = (
            &self.record.birth.metadata_salt,
            self.state().metadata_version,
        );
        let json = envelope::open_metadata(root, self.token, &self.id, salt, version, meta)
            .map_err(Error::Refused)?;
        Ok((json.as_slice() != b"{}").then_some(json))
    }

    /// The row that replaces this one with other metadata, and the version it replaces.
    pub(crate) fn with_metadata(&self, json: &[u8]) -> Result<(u64, Row), Error> {
        let mut record = self.record.clone();
        let version = record.state.metadata_version.checked_add(1);
        record.state.metadata_version =
            version.ok_or(Error::Refused(strongroom_core::Error::Malformed))?;
        let meta = envelope::seal_metadata(
            self.gate.keyring.current_root(),
            self.token,
            &self.id,
            &record.birth.metadata_salt,
            record.state.metadata_version,
            json,
            &mut system_rng(),
        );
        let row = self
            .gate
            .next_row(&self.id, &self.row, &record, self.row.due)?;
        Ok((
            self.row.version,
            Row {
                meta: Some(meta),
                ..row
            },
        ))
    }

    /// Notes that the allowed act failed, and passes the error on.
    pub(crate) fn failed(&self, error: impl Into<Error>) -> Error {
        self.gate.outcome_failed(&self.entry);
        error.into()
    }

    /// Name of the ciphertext.
    pub fn object_id(&self) -> ObjectId {
        self.record.birth.object_id
    }

    /// Primary key of the record.
    pub(crate) fn record_id(&self) -> &RecordId {
        &self.id
    }

    /// What changes while the token lives.
    pub(crate) fn state(&self) -> &State {
        &self.record.state
    }

    /// The instant of the decision.
    pub fn now(&self) -> UnixMillis {
        self.entry.at
    }

    /// When the caller's grant ends, if it has a live one.
    pub fn grant_ends_at(&self) -> Option<UnixMillis> {
        self.grant_ends_at
    }

    /// When the token itself ends, if it does.
    pub fn token_ends_at(&self) -> Option<UnixMillis> {
        let end = self.record.birth.expires_at;
        (end != UnixMillis::NEVER).then_some(end)
    }
}

const UNKNOWN_KEY: Error = Error::Refused(strongroom_core::Error::UnknownKey);
