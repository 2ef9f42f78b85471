//! Multipart uploads and their parts: their statements.

use super::objects::{self, Judgement};
use super::writer::Batch;
use super::{
    Abort, BodyPlace, BucketId, Complete, Condition, CreateUpload, Freed, ObjectRow, PAGE_MAX,
    PartRow, PutPart, RunName, UploadRow, buckets, files, list, millis, signed,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::HashSet;
use strongroom_core::UnixMillis;

/// `Index::create_upload`.
pub(super) fn create(
    batch: &mut Batch<'_>,
    row: &UploadRow,
    open_max: u32,
) -> rusqlite::Result<CreateUpload> {
    let conn = batch.conn;
    if !buckets::exists(conn, row.bucket)? {
        return Ok(CreateUpload::NoBucket);
    }
    let open: u32 = conn
        .prepare_cached("SELECT count(*) FROM uploads")?
        .query_row([], |row| row.get(0))?;
    if open >= open_max {
        return Ok(CreateUpload::TooMany);
    }
    conn.prepare_cached(
        "INSERT INTO uploads (id, bucket, key, created_at, server_keyed, kept, draft)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        row.id,
        row.bucket.0,
        row.key.as_bytes(),
        millis(row.created_at),
        row.server_keyed,
        row.kept,
        row.draft
    ])?;
    Ok(CreateUpload::Created)
}

/// `Index::upload`.
pub(super) fn read(conn: &Connection, id: &str) -> rusqlite::Result<Option<UploadRow>> {
    conn.prepare_cached(
        "SELECT id, bucket, key, created_at, server_keyed, kept, draft FROM uploads
         WHERE id = ?1",
    )?
    .query_row([id], |row| {
        Ok(UploadRow {
            id: row.get(0)?,
            bucket: BucketId(row.get(1)?),
            key: list::key_at(row, 2)?,
            created_at: UnixMillis(row.get::<_, i64>(3)?.cast_unsigned()),
            server_keyed: row.get(4)?,
            kept: row.get(5)?,
            draft: row.get(6)?,
        })
    })
    .optional()
}

/// `Index::put_part`.
pub(super) fn put_part(
    batch: &mut Batch<'_>,
    upload: &str,
    row: &PartRow,
) -> rusqlite::Result<PutPart> {
    let conn = batch.conn;
    let Some(open) = open(conn, upload)? else {
        return Ok(PutPart::NoUpload);
    };
    let replaced: Option<RunName> = conn
        .prepare_cached("DELETE FROM parts WHERE upload = ?1 AND number = ?2 RETURNING file")?
        .query_row(params![open.number, row.number], |row| row.get(0))
        .optional()?;
    batch.erased |= replaced.is_some();
    let freed: Freed = replaced.into_iter().collect();
    files::free(conn, &freed)?;
    files::add(conn, row.file)?;
    conn.prepare_cached(
        "INSERT INTO parts (upload, number, size, stored_at, file, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        open.number,
        row.number,
        signed(row.size),
        millis(row.stored_at),
        row.file,
        row.sealed
    ])?;
    Ok(PutPart::Stored(freed))
}

/// `Index::parts`.
pub(super) fn parts(
    conn: &Connection,
    upload: &str,
    after: u32,
    max: u32,
) -> rusqlite::Result<Vec<PartRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT number, size, stored_at, file, sealed FROM parts
         WHERE upload = (SELECT number FROM uploads WHERE id = ?1) AND number > ?2
         ORDER BY number LIMIT ?3",
    )?;
    let rows = statement.query_map(params![upload, after, max], |row| {
        Ok(PartRow {
            number: row.get(0)?,
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            stored_at: UnixMillis(row.get::<_, i64>(2)?.cast_unsigned()),
            file: row.get(3)?,
            sealed: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// `Index::complete`.
pub(super) fn complete(
    batch: &mut Batch<'_>,
    upload: &str,
    row: &ObjectRow,
    condition: &Condition,
) -> rusqlite::Result<Complete> {
    let conn = batch.conn;
    let Some(open) = open(conn, upload)? else {
        return Ok(Complete::NoUpload);
    };
    let mut unchosen: HashSet<RunName> = part_files(conn, open.number)?.into_iter().collect();
    if let BodyPlace::Files(chosen) = &row.place
        && !chosen.iter().all(|file| unchosen.remove(&file.name))
    {
        return Ok(Complete::PartsChanged);
    }
    let standing = objects::standing(conn, open.bucket, &open.key)?;
    match condition.judge(standing.as_ref()) {
        Judgement::Holds => {}
        Judgement::Exists => return Ok(Complete::Exists),
        Judgement::Missing => return Ok(Complete::Missing),
        Judgement::Differs => return Ok(Complete::Differs),
    }
    // The upload's kept keys, if nothing else.
    batch.erased = true;
    let mut freed = objects::store(conn, open.bucket, &open.key, row, standing)?;
    let unchosen: Freed = unchosen.into_iter().collect();
    files::free(conn, &unchosen)?;
    freed.extend(unchosen);
    close(conn, open.number)?;
    Ok(Complete::Stored(freed))
}

/// `Index::abort`.
pub(super) fn abort(batch: &mut Batch<'_>, upload: &str) -> rusqlite::Result<Abort> {
    match open(batch.conn, upload)? {
        Some(open) => {
            batch.erased = true;
            Ok(Abort::Aborted(abandon(batch.conn, open.number)?))
        }
        None => Ok(Abort::NoUpload),
    }
}

/// Ends every upload of a bucket.
pub(super) fn drop_all(conn: &Connection, bucket: BucketId) -> rusqlite::Result<Freed> {
    let numbers = conn
        .prepare_cached("SELECT number FROM uploads WHERE bucket = ?1")?
        .query_map([bucket.0], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut freed = Freed::new();
    for number in numbers {
        freed.extend(abandon(conn, number)?);
    }
    Ok(freed)
}

/// `Index::stale_uploads`.
pub(super) fn stale(conn: &Connection, before: UnixMillis) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM uploads WHERE created_at < ?1 ORDER BY created_at LIMIT ?2",
    )?;
    let page = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    statement
        .query_map(params![millis(before), page], |row| row.get(0))?
        .collect()
}

/// An open upload, as the transaction sees it.
struct Open {
    number: i64,
    bucket: BucketId,
    key: String,
}

fn open(conn: &Connection, id: &str) -> rusqlite::Result<Option<Open>> {
    conn.prepare_cached("SELECT number, bucket, key FROM uploads WHERE id = ?1")?
        .query_row([id], |row| {
            Ok(Open {
                number: row.get(0)?,
                bucket: BucketId(row.get(1)?),
                key: list::key_at(row, 2)?,
            })
        })
        .optional()
}

fn part_files(conn: &Connection, upload: i64) -> rusqlite::Result<Vec<RunName>> {
    conn.prepare_cached("SELECT file FROM parts WHERE upload = ?1")?
        .query_map([upload], |row| row.get(0))?
        .collect()
}

/// Ends an upload without an object.
fn abandon(conn: &Connection, upload: i64) -> rusqlite::Result<Freed> {
    let freed = part_files(conn, upload)?;
    files::free(conn, &freed)?;
    close(conn, upload)?;
    Ok(freed)
}

/// Removes the rows of an upload; its parts' files are someone's or freed.
fn close(conn: &Connection, upload: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM parts WHERE upload = ?1")?
        .execute([upload])?;
    conn.prepare_cached("DELETE FROM uploads WHERE number = ?1")?
        .execute([upload])?;
    Ok(())
}
