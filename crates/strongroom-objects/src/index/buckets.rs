//! Buckets: their statements, and the memory that answers for them.

use super::writer::Batch;
use super::{
    BUCKETS_MAX, Bucket, BucketId, CreateBucket, DeleteBucket, Freed, locked, millis, objects,
    uploads,
};
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use strongroom_core::UnixMillis;

/// All buckets by name, or nothing while their state is in doubt. Only the writer changes it.
#[derive(Default)]
pub(super) struct Buckets(Mutex<Option<BTreeMap<String, Arc<Bucket>>>>);

/// What a transaction changed.
pub(super) enum Change {
    /// The bucket is now this.
    Put(Arc<Bucket>),
    /// The bucket of this name is gone.
    Removed(String),
}

impl Buckets {
    /// Answers from memory, or `None` if it is empty for the moment.
    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&BTreeMap<String, Arc<Bucket>>) -> T,
    ) -> Option<T> {
        locked(&self.0).as_ref().map(ask)
    }

    /// Takes what the file says.
    pub(super) fn fill(&self, conn: &Connection) -> rusqlite::Result<()> {
        let all = all(conn)?;
        *locked(&self.0) = Some(all);
        Ok(())
    }

    /// Until the writer fills it again, nothing is certain.
    pub(super) fn forget(&self) {
        *locked(&self.0) = None;
    }

    /// What is durable now.
    pub(super) fn follow(&self, changes: Vec<Change>) {
        let mut memory = locked(&self.0);
        let Some(buckets) = memory.as_mut() else {
            return;
        };
        for change in changes {
            match change {
                Change::Put(bucket) => drop(buckets.insert(bucket.name.clone(), bucket)),
                Change::Removed(name) => drop(buckets.remove(&name)),
            }
        }
    }
}

/// Every bucket of the file.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<BTreeMap<String, Arc<Bucket>>> {
    let mut statement =
        conn.prepare_cached("SELECT id, name, owner, created_at, cors FROM buckets")?;
    let buckets = statement.query_map([], |row| {
        let bucket = bucket_at(row)?;
        Ok((bucket.name.clone(), Arc::new(bucket)))
    })?;
    buckets.collect()
}

/// `Index::create_bucket`.
pub(super) fn create(
    batch: &mut Batch<'_>,
    name: &str,
    owner: &str,
    created_at: UnixMillis,
) -> rusqlite::Result<CreateBucket> {
    let found = batch
        .conn
        .prepare_cached("SELECT id, name, owner, created_at, cors FROM buckets WHERE name = ?1")?
        .query_row([name], bucket_at)
        .optional()?;
    if let Some(bucket) = found {
        return Ok(CreateBucket::Exists(bucket));
    }
    let count: u32 = batch
        .conn
        .prepare_cached("SELECT count(*) FROM buckets")?
        .query_row([], |row| row.get(0))?;
    if count >= BUCKETS_MAX {
        return Ok(CreateBucket::TooMany);
    }
    let bucket = batch
        .conn
        .prepare_cached(
            "INSERT INTO buckets (name, owner, created_at) VALUES (?1, ?2, ?3)
             RETURNING id, name, owner, created_at, cors",
        )?
        .query_row(params![name, owner, millis(created_at)], bucket_at)?;
    batch.changes.push(Change::Put(Arc::new(bucket.clone())));
    Ok(CreateBucket::Created(bucket))
}

/// `Index::delete_bucket`.
pub(super) fn delete(batch: &mut Batch<'_>, bucket: BucketId) -> rusqlite::Result<DeleteBucket> {
    if objects::any(batch.conn, bucket)? {
        return Ok(DeleteBucket::NotEmpty);
    }
    let name: Option<String> = batch
        .conn
        .prepare_cached("DELETE FROM buckets WHERE id = ?1 RETURNING name")?
        .query_row([bucket.0], |row| row.get(0))
        .optional()?;
    let Some(name) = name else {
        return Ok(DeleteBucket::NoBucket);
    };
    batch.erased = true;
    let freed: Freed = uploads::drop_all(batch.conn, bucket)?;
    batch.changes.push(Change::Removed(name));
    Ok(DeleteBucket::Deleted(freed))
}

/// `Index::set_cors`.
pub(super) fn set_cors(
    batch: &mut Batch<'_>,
    bucket: BucketId,
    cors: Option<&str>,
) -> rusqlite::Result<bool> {
    let changed = batch
        .conn
        .prepare_cached(
            "UPDATE buckets SET cors = ?2 WHERE id = ?1
             RETURNING id, name, owner, created_at, cors",
        )?
        .query_row(params![bucket.0, cors], bucket_at)
        .optional()?;
    let found = changed.is_some();
    batch
        .changes
        .extend(changed.map(|bucket| Change::Put(Arc::new(bucket))));
    Ok(found)
}

/// Whether the bucket is there, as the transaction sees it.
pub(super) fn exists(conn: &Connection, bucket: BucketId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM buckets WHERE id = ?1")?
        .exists([bucket.0])
}

fn bucket_at(row: &SqlRow<'_>) -> rusqlite::Result<Bucket> {
    Ok(Bucket {
        id: BucketId(row.get(0)?),
        name: row.get(1)?,
        owner: row.get(2)?,
        created_at: UnixMillis(row.get::<_, i64>(3)?.cast_unsigned()),
        cors: row.get(4)?,
    })
}
