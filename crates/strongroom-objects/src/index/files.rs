//! The names of files: alive, in `names`, from the transaction that names one to the one that
//! drops it; dead, in `garbage`, from then until the file is unlinked.

use super::{RunFile, RunName};
use rusqlite::types::Type;
use rusqlite::{Connection, Row as SqlRow, params};

/// A name and where the run begins.
const ENTRY_BYTES: usize = 16 + 4;

/// A file comes alive; a name that is alive already is an error.
pub(super) fn add(conn: &Connection, name: RunName) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO names (name) VALUES (?1)")?
        .execute([name])
        .map(drop)
}

/// Files die.
pub(super) fn free(conn: &Connection, names: &[RunName]) -> rusqlite::Result<()> {
    let mut remove = conn.prepare_cached("DELETE FROM names WHERE name = ?1")?;
    let mut discard = conn.prepare_cached("INSERT OR IGNORE INTO garbage (name) VALUES (?1)")?;
    for name in names {
        remove.execute([name])?;
        discard.execute([name])?;
    }
    Ok(())
}

/// `Index::garbage`.
pub(super) fn garbage(
    conn: &Connection,
    after: Option<RunName>,
    limit: usize,
) -> rusqlite::Result<Vec<RunName>> {
    let mut statement =
        conn.prepare_cached("SELECT name FROM garbage WHERE name > ?1 ORDER BY name LIMIT ?2")?;
    let after = after.as_ref().map_or(&[][..], |name| name);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement
        .query_map(params![after, limit], |row| row.get(0))?
        .collect()
}

/// `Index::garbage_done`.
pub(super) fn done(conn: &Connection, names: &[RunName]) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("DELETE FROM garbage WHERE name = ?1")?;
    for name in names {
        statement.execute([name])?;
    }
    Ok(())
}

/// `Index::names_in`.
pub(super) fn alive(conn: &Connection, names: &[RunName]) -> rusqlite::Result<Vec<RunName>> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM names WHERE name = ?1")?;
    let mut alive = Vec::new();
    for name in names {
        if statement.exists([name])? {
            alive.push(*name);
        }
    }
    Ok(alive)
}

/// A list of files as one value.
pub(super) fn encode(files: &[RunFile]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(files.len() * ENTRY_BYTES);
    for file in files {
        bytes.extend_from_slice(&file.name);
        bytes.extend_from_slice(&file.run_at.to_be_bytes());
    }
    bytes
}

/// The list of files in a column.
pub(super) fn at(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Vec<RunFile>> {
    let bytes: Vec<u8> = row.get(column)?;
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        let cause = "a list of files is cut short".into();
        return Err(rusqlite::Error::FromSqlConversionFailure(
            column,
            Type::Blob,
            cause,
        ));
    }
    Ok(entries.iter().map(decode).collect())
}

fn decode(entry: &[u8; ENTRY_BYTES]) -> RunFile {
    let [name @ .., a, b, c, d] = *entry;
    RunFile {
        name,
        run_at: u32::from_be_bytes([a, b, c, d]),
    }
}
