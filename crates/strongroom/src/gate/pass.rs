//! The pass: proof that the gate decided, wrote it down, and said yes.

use super::{Allowed, Gate, system_rng};
use crate::Error;
use strongroom_audit::Entry;
use strongroom_core::envelope::{self, State};
use strongroom_core::secret::DataKey;
use strongroom_core::{ObjectId, RecordId, Token, UnixMillis};
use strongroom_records::Row;

/// Made by the gate alone, for one request and one token.
pub struct Pass<'a> {
    gate: &'a Gate,
    token: &'a Token,
    id: RecordId,
    entry: Entry,
    allowed: Box<Allowed>,
}

impl<'a> Pass<'a> {
    // INVARIANT: called in `Gate::admit_for` only, after the entry is durable.
    pub(super) fn new(
        gate: &'a Gate,
        token: &'a Token,
        id: RecordId,
        entry: Entry,
        allowed: Box<Allowed>,
    ) -> Self {
        Self {
            gate,
            token,
            id,
            entry,
            allowed,
        }
    }

    /// Unwraps the token's data key with token and keyring.
    pub fn data_key(&self) -> Result<DataKey, Error> {
        let record = &self.allowed.record;
        let generation = record.inner.generation().map_err(Error::Refused)?;
        let root = self.gate.keyring.root(generation).ok_or(UNKNOWN_KEY)?;
        record
            .inner
            .unwrap(root, self.token, &self.id, &record.birth)
            .map_err(Error::Refused)
    }

    /// The token's metadata as JSON text, if it was asked for. The gate opened it before it
    /// decided, so that a forged one is a denial.
    pub fn metadata(&self) -> Option<&[u8]> {
        self.allowed.metadata.as_deref().map(Vec::as_slice)
    }

    /// The row that replaces this one with other metadata, and the version it replaces.
    pub(crate) fn with_metadata(&self, json: &[u8]) -> Result<(u64, Row), Error> {
        let mut record = self.allowed.record.clone();
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
        let old = &self.allowed.row;
        let row = self.gate.next_row(&self.id, old, &record, old.due)?;
        Ok((
            old.version,
            Row {
                meta: Some(meta),
                ..row
            },
        ))
    }

    /// Notes that the allowed act failed, and passes the error on.
    pub(crate) fn failed(&self, error: impl Into<Error>) -> Error {
        self.gate.outcome_failed(&self.entry, error.into())
    }

    /// Name of the ciphertext.
    pub fn object_id(&self) -> ObjectId {
        self.allowed.record.birth.object_id
    }

    /// Primary key of the record.
    pub(crate) fn record_id(&self) -> &RecordId {
        &self.id
    }

    /// What changes while the token lives.
    pub(crate) fn state(&self) -> &State {
        &self.allowed.record.state
    }

    /// The instant of the decision.
    pub fn now(&self) -> UnixMillis {
        self.entry.at
    }

    /// When the caller's grant ends, if it has a live one.
    pub fn grant_ends_at(&self) -> Option<UnixMillis> {
        self.allowed.grant_ends_at
    }

    /// When the token itself ends, if it does.
    pub fn token_ends_at(&self) -> Option<UnixMillis> {
        let end = self.allowed.record.birth.expires_at;
        (end != UnixMillis::NEVER).then_some(end)
    }
}

const UNKNOWN_KEY: Error = Error::Refused(strongroom_core::Error::UnknownKey);
