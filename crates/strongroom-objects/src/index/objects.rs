//! Objects: their statements. Conditions are judged under the write transaction that acts on
//! them, which nobody else can enter.

use super::writer::Batch;
use super::{
    BodyPlace, BucketId, Condition, Delete, Freed, ObjectRow, Put, Stat, buckets, files, millis,
    signed,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};
use strongroom_core::UnixMillis;

/// What stands under a key.
pub(super) struct Standing {
    etag: String,
    body: i64,
}

/// What a condition makes of what stands there.
pub(super) enum Judgement {
    /// The write may go ahead.
    Holds,
    /// `If-None-Match: *`, and an object stands there.
    Exists,
    /// `If-Match`, and no object stands there.
    Missing,
    /// `If-Match`, and another object stands there.
    Differs,
}

impl Condition {
    /// Judges it by what stands there.
    pub(super) fn judge(&self, standing: Option<&Standing>) -> Judgement {
        match (self, standing) {
            (Self::None, _) | (Self::IfNoneMatch, None) => Judgement::Holds,
            (Self::IfNoneMatch, Some(_)) => Judgement::Exists,
            (Self::IfMatch(_), None) => Judgement::Missing,
            (Self::IfMatch(wanted), Some(found)) => {
                let same = !found.etag.is_empty() && *wanted == found.etag;
                if same || wanted == "*" {
                    Judgement::Holds
                } else {
                    Judgement::Differs
                }
            }
        }
    }
}

/// `Index::put`.
pub(super) fn put(
    batch: &mut Batch<'_>,
    bucket: BucketId,
    key: &str,
    row: &ObjectRow,
    condition: &Condition,
) -> rusqlite::Result<Put> {
    let conn = batch.conn;
    if !buckets::exists(conn, bucket)? {
        return Ok(Put::NoBucket);
    }
    let standing = standing(conn, bucket, key)?;
    match condition.judge(standing.as_ref()) {
        Judgement::Holds => {}
        Judgement::Exists => return Ok(Put::Exists),
        Judgement::Missing => return Ok(Put::Missing),
        Judgement::Differs => return Ok(Put::Differs),
    }
    batch.erased |= standing.is_some();
    if let BodyPlace::Files(of_row) = &row.place {
        for file in of_row {
            files::add(conn, file.name)?;
        }
    }
    Ok(Put::Stored(store(conn, bucket, key, row, standing)?))
}

/// Stores an object in place of what stands there; its files are alive already.
pub(super) fn store(
    conn: &Connection,
    bucket: BucketId,
    key: &str,
    row: &ObjectRow,
    standing: Option<Standing>,
) -> rusqlite::Result<Freed> {
    let freed = match standing {
        Some(standing) => drop_body(conn, standing.body)?,
        None => Freed::new(),
    };
    let (of_row, inline) = match &row.place {
        BodyPlace::Inline(bytes) => (Vec::new(), Some(bytes.as_ref())),
        BodyPlace::Files(of_row) => (files::encode(of_row), None),
    };
    conn.prepare_cached(
        "INSERT INTO bodies (head, sealed_key, files, inline) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![row.head, row.sealed_key, of_row, inline])?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO objects (bucket, key, size, stored_at, etag, parts, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        bucket.0,
        key.as_bytes(),
        signed(row.size),
        millis(row.stored_at),
        row.etag,
        row.parts,
        conn.last_insert_rowid()
    ])?;
    Ok(freed)
}

/// `Index::delete`.
pub(super) fn delete(
    batch: &mut Batch<'_>,
    bucket: BucketId,
    key: &str,
    condition: &Condition,
) -> rusqlite::Result<Delete> {
    let conn = batch.conn;
    let Some(standing) = standing(conn, bucket, key)? else {
        return Ok(Delete::Missing);
    };
    match condition.judge(Some(&standing)) {
        Judgement::Holds => {}
        Judgement::Exists | Judgement::Missing | Judgement::Differs => return Ok(Delete::Differs),
    }
    batch.erased = true;
    conn.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
        .execute(params![bucket.0, key.as_bytes()])?;
    Ok(Delete::Deleted(drop_body(conn, standing.body)?))
}

/// What stands under a key.
pub(super) fn standing(
    conn: &Connection,
    bucket: BucketId,
    key: &str,
) -> rusqlite::Result<Option<Standing>> {
    conn.prepare_cached("SELECT etag, body FROM objects WHERE bucket = ?1 AND key = ?2")?
        .query_row(params![bucket.0, key.as_bytes()], |row| {
            Ok(Standing {
                etag: row.get(0)?,
                body: row.get(1)?,
            })
        })
        .optional()
}

/// Whether the bucket holds any object.
pub(super) fn any(conn: &Connection, bucket: BucketId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM objects WHERE bucket = ?1 LIMIT 1")?
        .exists([bucket.0])
}

fn drop_body(conn: &Connection, body: i64) -> rusqlite::Result<Freed> {
    let freed = conn
        .prepare_cached("DELETE FROM bodies WHERE id = ?1 RETURNING files")?
        .query_row([body], |row| files::at(row, 0))?;
    let freed: Freed = freed.into_iter().map(|file| file.name).collect();
    files::free(conn, &freed)?;
    Ok(freed)
}

/// `Index::object`, in one statement, so of one snapshot.
pub(super) fn read(
    conn: &Connection,
    bucket: BucketId,
    key: &str,
) -> rusqlite::Result<Option<ObjectRow>> {
    // An outer join: an object whose body is lost is damage, not absence.
    let mut statement = conn.prepare_cached(
        "SELECT size, stored_at, etag, parts, head, sealed_key, files, inline
         FROM objects LEFT JOIN bodies ON bodies.id = body
         WHERE bucket = ?1 AND key = ?2",
    )?;
    statement
        .query_row(params![bucket.0, key.as_bytes()], |row| {
            let stat = stat_at(row, 0)?;
            let place = match row.get::<_, Option<Vec<u8>>>(7)? {
                Some(inline) => BodyPlace::Inline(Bytes::from(inline)),
                None => BodyPlace::Files(files::at(row, 6)?),
            };
            Ok(ObjectRow {
                size: stat.size,
                stored_at: stat.stored_at,
                etag: stat.etag,
                parts: row.get(3)?,
                head: row.get(4)?,
                sealed_key: row.get(5)?,
                place,
            })
        })
        .optional()
}

/// `Index::stat`.
pub(super) fn stat(
    conn: &Connection,
    bucket: BucketId,
    key: &str,
) -> rusqlite::Result<Option<Stat>> {
    conn.prepare_cached("SELECT size, stored_at, etag FROM objects WHERE bucket = ?1 AND key = ?2")?
        .query_row(params![bucket.0, key.as_bytes()], |row| stat_at(row, 0))
        .optional()
}

/// Size, time and `ETag` from three columns.
pub(super) fn stat_at(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<Stat> {
    Ok(Stat {
        size: row.get::<_, i64>(first)?.cast_unsigned(),
        stored_at: UnixMillis(row.get::<_, i64>(first + 1)?.cast_unsigned()),
        etag: row.get(first + 2)?,
    })
}
