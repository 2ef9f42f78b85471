//! Listing: a walk over keys in the order of their bytes that seeks past each common prefix
//! instead of reading its keys.

use super::{
    BucketId, Entry, ListQuery, Listing, PAGE_MAX, UploadEntry, UploadListing, UploadQuery, objects,
};
use rusqlite::types::Type;
use rusqlite::{Connection, Row as SqlRow, Statement, params};
use strongroom_core::UnixMillis;

/// Above every string of UTF-8, which has no byte like this.
const ABOVE_ALL: u8 = 0xff;

/// `Index::list`.
pub(super) fn objects(
    conn: &Connection,
    bucket: BucketId,
    query: &ListQuery,
) -> rusqlite::Result<Listing> {
    let cut = Cut::new(&query.prefix, query.delimiter.as_deref());
    let passed = query.after.as_deref().map(|after| cut.passed(after));
    let started = query.start_after.as_deref().map(behind);
    let walk = Walk {
        bucket,
        from: passed.max(started),
        cut,
        max: query.max.min(PAGE_MAX),
    };
    // Of one instant, though it may take several statements.
    let snapshot = conn.unchecked_transaction()?;
    let mut statement = snapshot.prepare_cached(
        "SELECT key, size, stored_at, etag FROM objects
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
    )?;
    let page = walk.run(&mut statement, |key, row| {
        let stat = objects::stat_at(row, 1)?;
        Ok(Some(Entry { key, stat }))
    })?;
    let last_key = page.entries.last().map(|entry| &entry.key);
    let next = if page.more {
        last_key.max(page.prefixes.last()).cloned()
    } else {
        None
    };
    Ok(Listing {
        entries: page.entries,
        prefixes: page.prefixes,
        next,
    })
}

/// `Index::uploads`.
pub(super) fn uploads(
    conn: &Connection,
    bucket: BucketId,
    query: &UploadQuery,
) -> rusqlite::Result<UploadListing> {
    let cut = Cut::new(&query.prefix, query.delimiter.as_deref());
    let marker = query.key_marker.as_deref();
    // Of the marker's own key, only uploads behind the upload marker.
    let own = marker.filter(|key| cut.common_prefix(key).is_none());
    let own = own.zip(query.upload_marker.as_deref());
    let from = match own {
        Some((key, _)) => Some(key.as_bytes().to_vec()),
        None => marker.map(|key| cut.passed(key)),
    };
    let walk = Walk {
        bucket,
        from,
        cut,
        max: query.max.min(PAGE_MAX),
    };
    let snapshot = conn.unchecked_transaction()?;
    let mut statement = snapshot.prepare_cached(
        "SELECT key, id, created_at FROM uploads
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key, id",
    )?;
    let page = walk.run(&mut statement, |key, row| {
        let id: String = row.get(1)?;
        let passed = own.is_some_and(|(own_key, behind)| key == own_key && id.as_str() <= behind);
        let created_at = UnixMillis(row.get::<_, i64>(2)?.cast_unsigned());
        Ok((!passed).then_some(UploadEntry {
            key,
            id,
            created_at,
        }))
    })?;
    let last = page.entries.last();
    let last = last.map(|entry| (entry.key.clone(), Some(entry.id.clone())));
    let last_prefix = page.prefixes.last().map(|prefix| (prefix.clone(), None));
    let next = if page.more {
        last.max(last_prefix)
    } else {
        None
    };
    Ok(UploadListing {
        entries: page.entries,
        prefixes: page.prefixes,
        next,
    })
}

/// A key in a column.
pub(super) fn key_at(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes: Vec<u8> = row.get(column)?;
    String::from_utf8(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
    })
}

/// Where keys are cut to a common prefix.
struct Cut<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
}

impl<'a> Cut<'a> {
    fn new(prefix: &'a str, delimiter: Option<&'a str>) -> Self {
        Self {
            prefix,
            delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()),
        }
    }

    /// The common prefix that a key or marker lies in.
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let at = key.strip_prefix(self.prefix)?.find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }

    /// The first bytes behind a marker, and behind the common prefix that it lies in.
    fn passed(&self, marker: &str) -> Vec<u8> {
        match self.common_prefix(marker) {
            Some(common) => beyond(common),
            None => behind(marker),
        }
    }
}

/// The first bytes behind a key.
fn behind(key: &str) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The first bytes behind every key that begins so.
fn beyond(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        // Never 0xff, so this does not overflow.
        Some(last) => *last += 1,
        None => bytes.push(ABOVE_ALL),
    }
    bytes
}

/// What a walk found.
struct Page<T> {
    entries: Vec<T>,
    prefixes: Vec<String>,
    /// There is more behind it.
    more: bool,
}

/// A walk over the keys of a bucket.
struct Walk<'a> {
    bucket: BucketId,
    /// The first bytes to look at, if not the prefix.
    from: Option<Vec<u8>>,
    cut: Cut<'a>,
    max: usize,
}

impl Walk<'_> {
    /// Walks. `statement` takes the bucket and the first and last bytes, and gives a key in its
    /// first column; `read` makes an entry of a key and its row, or passes it over.
    fn run<T>(
        self,
        statement: &mut Statement<'_>,
        read: impl Fn(String, &SqlRow<'_>) -> rusqlite::Result<Option<T>>,
    ) -> rusqlite::Result<Page<T>> {
        let mut page = Page {
            entries: Vec::new(),
            prefixes: Vec::new(),
            more: false,
        };
        let first = self.cut.prefix.as_bytes().to_vec();
        let upper = beyond(self.cut.prefix);
        let mut from = Some(self.from.map_or(first.clone(), |from| from.max(first)));
        while let Some(lower) = from.take()
            && self.max > 0
        {
            let mut rows = statement.query(params![self.bucket.0, lower, upper])?;
            while let Some(row) = rows.next()? {
                let key = key_at(row, 0)?;
                let common = self.cut.common_prefix(&key).map(str::to_owned);
                let Some(entry) = read(key, row)? else {
                    continue;
                };
                if page.entries.len() + page.prefixes.len() == self.max {
                    page.more = true;
                    break;
                }
                if let Some(common) = common {
                    from = Some(beyond(&common));
                    page.prefixes.push(common);
                    break;
                }
                page.entries.push(entry);
            }
        }
        Ok(page)
    }
}
