//! One write, applied inside the writer's transaction: SQL, and what memory must follow.
//!
//! Every condition is checked by the statement that acts on it, or under the same write
//! transaction, which nobody else can enter.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use strongroom_core::{RecordId, SessionRef, UnixMillis};

use super::memory::Effect;
use crate::{GrantRow, RevocationRow, Row};

/// A write, as the trait's methods state it.
pub(super) enum Op {
    /// `RecordStore::insert`.
    Insert { id: RecordId, row: Arc<Row> },
    /// `RecordStore::replace`.
    Replace {
        id: RecordId,
        expected: u64,
        row: Arc<Row>,
    },
    /// `RecordStore::put_grant`.
    PutGrant {
        id: RecordId,
        session: SessionRef,
        expected: Option<u64>,
        grant: GrantRow,
    },
    /// `RecordStore::charge`.
    Charge {
        id: RecordId,
        expected: u64,
        row: Arc<Row>,
        session: SessionRef,
        expected_grant: u64,
        grant: GrantRow,
    },
    /// `RecordStore::put_revocation`.
    PutRevocation {
        session: SessionRef,
        row: RevocationRow,
    },
    /// `RecordStore::delete`.
    Delete { id: RecordId, expected: u64 },
    /// `RecordStore::sweep`.
    Sweep { now: UnixMillis, limit: usize },
    /// `RecordStore::swap_mark`.
    SwapMark {
        name: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    },
    /// `RecordStore::raise_kek_floor`.
    RaiseKekFloor { floor: u32 },
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Its condition held; done.
    Applied,
    /// Its condition did not hold; nothing changed.
    Refused,
    /// The row's KEK is below the floor; nothing changed.
    KekRetired,
    /// So many rows were dropped.
    Dropped(u64),
}

/// What a transaction leaves behind once it is durable.
pub(super) struct Batch {
    /// For memory, in order.
    pub(super) effects: Vec<Effect>,
    /// The floor for KEKs, as the transaction sees it.
    pub(super) kek_floor: u32,
    /// Bytes were deleted that must leave the log of the database too.
    pub(super) erased: bool,
}

impl Batch {
    /// Nothing done yet.
    pub(super) fn new(kek_floor: u32) -> Self {
        Self {
            effects: Vec::new(),
            kek_floor,
            erased: false,
        }
    }

    /// Applies one write.
    pub(super) fn apply(&mut self, conn: &Connection, op: &Op) -> rusqlite::Result<Outcome> {
        match op {
            Op::Insert { row, .. } | Op::Replace { row, .. } | Op::Charge { row, .. }
                if row.kek < self.kek_floor =>
            {
                Ok(Outcome::KekRetired)
            }
            Op::Insert { id, row } => self.insert(conn, *id, row),
            Op::Replace { id, expected, row } => self.replace(conn, *id, *expected, row),
            Op::PutGrant {
                id,
                session,
                expected,
                grant,
            } => self.put_grant(conn, *id, *session, *expected, grant),
            Op::Charge {
                id,
                expected,
                row,
                session,
                expected_grant,
                grant,
            } => {
                if !stands(conn, *id, *expected, *session, *expected_grant)? {
                    return Ok(Outcome::Refused);
                }
                self.replace(conn, *id, *expected, row)?;
                self.put_grant(conn, *id, *session, Some(*expected_grant), grant)
            }
            Op::PutRevocation { session, row } => self.put_revocation(conn, *session, row),
            Op::Delete { id, expected } => self.delete(conn, *id, *expected),
            Op::Sweep { now, limit } => self.sweep(conn, *now, *limit),
            Op::SwapMark {
                name,
                expected,
                value,
            } => swap_mark(conn, name, expected.as_deref(), value),
            Op::RaiseKekFloor { floor } => self.raise_kek_floor(conn, *floor),
        }
    }

    fn insert(
        &mut self,
        conn: &Connection,
        id: RecordId,
        row: &Arc<Row>,
    ) -> rusqlite::Result<Outcome> {
        let changed = conn
            .prepare_cached(
                "INSERT INTO records (id, version, kek, root, due, outer_layer, meta)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                id.as_bytes(),
                signed(row.version),
                row.kek,
                row.root,
                signed(row.due.0),
                row.outer,
                row.meta
            ])?;
        if changed == 0 {
            return Ok(Outcome::Refused);
        }
        self.effects.push(Effect::Put(id, Arc::clone(row)));
        Ok(Outcome::Applied)
    }

    fn replace(
        &mut self,
        conn: &Connection,
        id: RecordId,
        expected: u64,
        row: &Arc<Row>,
    ) -> rusqlite::Result<Outcome> {
        let changed = conn
            .prepare_cached(
                "UPDATE records SET version = ?3, kek = ?4, root = ?5, due = ?6,
                        outer_layer = ?7, meta = ?8
                 WHERE id = ?1 AND version = ?2",
            )?
            .execute(params![
                id.as_bytes(),
                signed(expected),
                signed(row.version),
                row.kek,
                row.root,
                signed(row.due.0),
                row.outer,
                row.meta
            ])?;
        if changed == 0 {
            return Ok(Outcome::Refused);
        }
        self.effects.push(Effect::Put(id, Arc::clone(row)));
        Ok(Outcome::Applied)
    }

    fn put_grant(
        &mut self,
        conn: &Connection,
        id: RecordId,
        session: SessionRef,
        expected: Option<u64>,
        grant: &GrantRow,
    ) -> rusqlite::Result<Outcome> {
        let sql = match expected {
            None => {
                "INSERT INTO grants (record, session, version, keep_until, body)
                 SELECT :record, :session, :version, :keep_until, :body
                 WHERE :expected IS NULL AND EXISTS (SELECT 1 FROM records WHERE id = :record)
                 ON CONFLICT DO NOTHING"
            }
            Some(_) => {
                "UPDATE grants SET version = :version, keep_until = :keep_until, body = :body
                 WHERE record = :record AND session = :session AND version = :expected"
            }
        };
        let changed = conn.prepare_cached(sql)?.execute(named_params! {
            ":record": id.as_bytes(),
            ":session": session.as_bytes(),
            ":version": signed(grant.version),
            ":keep_until": signed(grant.keep_until.0),
            ":body": grant.bytes,
            ":expected": expected.map(signed),
        })?;
        if changed == 0 {
            return Ok(Outcome::Refused);
        }
        if expected.is_none() {
            self.effects.push(Effect::GrantAdded(id, session));
        }
        Ok(Outcome::Applied)
    }

    fn put_revocation(
        &mut self,
        conn: &Connection,
        session: SessionRef,
        row: &RevocationRow,
    ) -> rusqlite::Result<Outcome> {
        let values = params![session.as_bytes(), signed(row.keep_until.0), row.bytes];
        let added = conn
            .prepare_cached(
                "INSERT INTO revocations (session, keep_until, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(values)?;
        if added == 1 {
            self.effects.push(Effect::RevocationAdded(session));
            return Ok(Outcome::Applied);
        }
        conn.prepare_cached(
            "UPDATE revocations SET keep_until = ?2, body = ?3
             WHERE session = ?1 AND keep_until <> 0 AND (?2 = 0 OR ?2 > keep_until)",
        )?
        .execute(values)?;
        Ok(Outcome::Applied)
    }

    fn delete(
        &mut self,
        conn: &Connection,
        id: RecordId,
        expected: u64,
    ) -> rusqlite::Result<Outcome> {
        let changed = conn
            .prepare_cached("DELETE FROM records WHERE id = ?1 AND version = ?2")?
            .execute(params![id.as_bytes(), signed(expected)])?;
        if changed == 0 {
            return Ok(Outcome::Refused);
        }
        let mut statement =
            conn.prepare_cached("DELETE FROM grants WHERE record = ?1 RETURNING session")?;
        let sessions = statement
            .query_map([id.as_bytes()], |row| row.get::<_, [u8; 32]>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        self.erased = true;
        self.effects.push(Effect::Remove(id));
        let dropped = |session| Effect::GrantDropped(id, SessionRef(session));
        self.effects.extend(sessions.into_iter().map(dropped));
        Ok(Outcome::Applied)
    }

    fn sweep(
        &mut self,
        conn: &Connection,
        now: UnixMillis,
        limit: usize,
    ) -> rusqlite::Result<Outcome> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let grants = conn
            .prepare_cached(
                "DELETE FROM grants WHERE (record, session) IN
                   (SELECT record, session FROM grants
                    WHERE keep_until > 0 AND keep_until <= ?1 LIMIT ?2)
                 RETURNING record, session",
            )?
            .query_map(params![signed(now.0), limit], |row| {
                Ok(Effect::GrantDropped(
                    RecordId(row.get(0)?),
                    SessionRef(row.get(1)?),
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let rest = limit.saturating_sub(i64::try_from(grants.len()).unwrap_or(i64::MAX));
        let revocations = conn
            .prepare_cached(
                "DELETE FROM revocations WHERE session IN
                   (SELECT session FROM revocations
                    WHERE keep_until > 0 AND keep_until <= ?1 LIMIT ?2)
                 RETURNING session",
            )?
            .query_map(params![signed(now.0), rest], |row| {
                Ok(Effect::RevocationDropped(SessionRef(row.get(0)?)))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let dropped = grants.len() + revocations.len();
        self.erased |= dropped > 0;
        self.effects.extend(grants);
        self.effects.extend(revocations);
        Ok(Outcome::Dropped(dropped as u64))
    }

    fn raise_kek_floor(&mut self, conn: &Connection, floor: u32) -> rusqlite::Result<Outcome> {
        if floor > self.kek_floor {
            conn.prepare_cached("UPDATE kek_floor SET floor = ?1")?
                .execute([floor])?;
            self.kek_floor = floor;
        }
        Ok(Outcome::Applied)
    }
}

/// Whether record and grant both have the expected versions.
fn stands(
    conn: &Connection,
    id: RecordId,
    expected: u64,
    session: SessionRef,
    expected_grant: u64,
) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM records, grants
         WHERE id = ?1 AND records.version = ?2
           AND record = ?1 AND session = ?3 AND grants.version = ?4",
    )?
    .exists(params![
        id.as_bytes(),
        signed(expected),
        session.as_bytes(),
        signed(expected_grant)
    ])
}

fn swap_mark(
    conn: &Connection,
    name: &str,
    expected: Option<&[u8]>,
    value: &[u8],
) -> rusqlite::Result<Outcome> {
    let found: Option<Vec<u8>> = conn
        .prepare_cached("SELECT value FROM marks WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if found.as_deref() != expected {
        return Ok(Outcome::Refused);
    }
    conn.prepare_cached("INSERT OR REPLACE INTO marks (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(Outcome::Applied)
}

/// `SQLite`'s integers are signed; limits and clamping are the trait's.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
