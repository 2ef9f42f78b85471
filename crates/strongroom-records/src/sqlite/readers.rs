//! Reading connections, a few, lent to one read at a time on the blocking pool.

use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};
use strongroom_core::{RecordId, SessionRef, UnixMillis};
use tokio::sync::Semaphore;

use super::memory::locked;
use super::{SqliteConfig, schema};
use crate::{Admission, Error, GrantRow, RevocationRow, Row};

/// Connections that read at the same time.
const READERS_MAX: u32 = 4;

/// The pool.
pub(super) struct Readers {
    config: SqliteConfig,
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl Readers {
    /// No connection yet; they are opened as they are needed.
    pub(super) fn new(config: SqliteConfig) -> Self {
        let free = Arc::new(Semaphore::new(READERS_MAX as usize));
        Self {
            config,
            idle: Arc::default(),
            free,
        }
    }

    /// What the connections are opened with.
    pub(super) fn config(&self) -> &SqliteConfig {
        &self.config
    }

    /// Runs one read. A connection that failed is closed, not lent again.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let (idle, config) = (Arc::clone(&self.idle), self.config.clone());
        let work = move || {
            let lent = locked(&idle).pop();
            let conn = lent.map_or_else(|| schema::open_reader(&config), Ok)?;
            let answer = read(&conn)?;
            locked(&idle).push(conn);
            drop(permit);
            Ok(answer)
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::io)?
    }

    /// Waits for reads under way and closes every connection.
    pub(super) async fn close(&self) {
        // Refused only if it is closed already.
        let _all = self.free.acquire_many(READERS_MAX).await;
        self.free.close();
        locked(&self.idle).clear();
    }
}

/// Record, grant and revocation in one statement, so of one snapshot.
pub(super) fn admit(
    conn: &Connection,
    record: RecordId,
    session: SessionRef,
) -> Result<Admission, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT r.version, r.kek, r.root, r.due, r.outer_layer, r.meta,
                g.version, g.keep_until, g.body, v.keep_until, v.body
         FROM (SELECT ?1 AS record, ?2 AS session) AS asked
         LEFT JOIN records AS r ON r.id = asked.record
         LEFT JOIN grants AS g ON g.record = r.id AND g.session = asked.session
         LEFT JOIN revocations AS v ON v.session = asked.session",
    )?;
    Ok(
        statement.query_row(params![record.as_bytes(), session.as_bytes()], |row| {
            let record = match row.get::<_, Option<i64>>(0)? {
                Some(_) => Some(Arc::new(record_at(row, 0)?)),
                None => None,
            };
            let grant = match row.get::<_, Option<i64>>(6)? {
                Some(version) => Some(GrantRow {
                    version: version.cast_unsigned(),
                    keep_until: UnixMillis(row.get::<_, i64>(7)?.cast_unsigned()),
                    bytes: row.get(8)?,
                }),
                None => None,
            };
            let revocation = match row.get::<_, Option<i64>>(9)? {
                Some(keep_until) => Some(RevocationRow {
                    keep_until: UnixMillis(keep_until.cast_unsigned()),
                    bytes: row.get(10)?,
                }),
                None => None,
            };
            Ok(Admission {
                record,
                grant,
                revocation,
            })
        })?,
    )
}

/// The next page of records, by id.
pub(super) fn scan(
    conn: &Connection,
    after: Option<RecordId>,
    limit: usize,
) -> Result<Vec<(RecordId, Arc<Row>)>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT version, kek, root, due, outer_layer, meta, id FROM records
         WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, limit], |row| {
        Ok((RecordId(row.get(6)?), Arc::new(record_at(row, 0)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A mark's value.
pub(super) fn mark(conn: &Connection, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let mut statement = conn.prepare_cached("SELECT value FROM marks WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn record_at(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<Row> {
    Ok(Row {
        version: row.get::<_, i64>(first)?.cast_unsigned(),
        kek: row.get(first + 1)?,
        root: row.get(first + 2)?,
        due: UnixMillis(row.get::<_, i64>(first + 3)?.cast_unsigned()),
        outer: row.get(first + 4)?,
        meta: row.get(first + 5)?,
    })
}
