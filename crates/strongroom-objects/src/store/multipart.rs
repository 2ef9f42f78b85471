//! Multipart uploads: begun, filled in any order, completed in one transaction or ended.
//!
//! An upload and its parts are sealed rows; a part that was swapped or altered is refused when
//! the upload is completed. Parts are files, each one run.

use super::writing::{NewPart, Writing, part_key};
use super::{
    Keying, NamedPart, PartInfo, PartList, Store, StoreError, Written, check_names, entity_tag,
    random, rng, too_long,
};
use crate::index::{
    Abort, BodyPlace, Bucket, Complete, Condition, CreateUpload, Index, ObjectRow, PARTS_MAX,
    PartRow, RunFile, UploadRow,
};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::kept::{Draft, Part, UploadKeys};
use strongroom_core::stream::manifest::{HeadKeys, Manifest, Run};

/// Fewest bytes of every part but the last (AWS).
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
/// Hex digits of an upload's id.
const ID_DIGITS: usize = 64;

/// A Complete whose parts were found and authenticated; nothing is changed before `finish`.
pub(crate) struct Assembly {
    /// Algorithm and type, as given to `create_upload`.
    pub(crate) checksum: Option<(String, String)>,
    /// As named, with their checksums.
    pub(crate) parts: Vec<PartInfo>,
    /// Plaintext bytes of all parts.
    pub(crate) size: u64,
    bucket_name: String,
    upload: UploadRow,
    keys: UploadKeys,
    headers: Vec<(String, String)>,
    runs: Vec<Run>,
    files: Vec<RunFile>,
    index: Arc<Index>,
    sealed_key: Option<Vec<u8>>,
    store: Closing,
}

/// What the end of an assembly needs of the store.
struct Closing {
    files: Arc<super::files::Files>,
    clock: Arc<dyn strongroom_core::time::Clock>,
}

impl Store {
    /// Begins a multipart upload and returns its id: 64 hex digits. `checksum` is algorithm and
    /// type.
    pub(crate) async fn create_upload(
        &self,
        bucket: &Bucket,
        key: &str,
        keying: Keying,
        headers: Vec<(String, String)>,
        checksum: Option<(String, String)>,
    ) -> Result<String, StoreError> {
        check_names(key)?;
        let row = self.new_upload(bucket, key, keying, &Draft { headers, checksum })?;
        let id = row.id.clone();
        let created = self
            .index
            .create_upload(row, self.limits.uploads_max)
            .await?;
        match created {
            CreateUpload::Created => Ok(id),
            CreateUpload::TooMany => Err(StoreError::TooManyUploads),
            CreateUpload::NoBucket => Err(StoreError::NoSuchBucket),
        }
    }

    fn new_upload(
        &self,
        bucket: &Bucket,
        key: &str,
        keying: Keying,
        draft: &Draft,
    ) -> Result<UploadRow, StoreError> {
        let id = hex::encode(random::<{ ID_DIGITS / 2 }>());
        let keys = match keying {
            Keying::Customer(customer) => UploadKeys {
                head: HeadKeys::new(&random(), &customer),
                data_key: None,
            },
            Keying::Server => {
                let data_key = DataKey::generate(&mut rng());
                UploadKeys {
                    head: HeadKeys::new(&random(), &data_key),
                    data_key: Some(data_key),
                }
            }
        };
        let kept = self
            .keys
            .seal_upload(&id, &bucket.name, key, &keys, &mut rng());
        let draft = draft.seal(&id, &keys.head, &mut rng());
        Ok(UploadRow {
            id,
            bucket: bucket.id,
            key: key.to_owned(),
            created_at: self.clock.now(),
            server_keyed: keys.data_key.is_some(),
            kept: kept.map_err(too_long)?,
            draft: draft.map_err(too_long)?,
        })
    }

    /// Begins a part; finish it with [`Condition::None`]. A second one of the number replaces
    /// the first.
    pub(crate) async fn part(
        &self,
        bucket: &Bucket,
        key: &str,
        upload_id: &str,
        number: u32,
        customer: Option<DataKey>,
        length: Option<u64>,
    ) -> Result<Writing, StoreError> {
        if number == 0 || number > PARTS_MAX {
            return Err(StoreError::PartNumber);
        }
        let (_, keys, draft) = self.upload(bucket, key, upload_id).await?;
        let data_key = part_key(&keys, customer)?;
        let part = NewPart {
            upload_id: upload_id.to_owned(),
            number,
            keys,
            checksum: draft.checksum,
        };
        self.write_part(bucket, key, data_key, part, length).await
    }

    /// A page of an upload's parts. Checksums are shown if `customer` is the upload's key, or if
    /// the upload is server-keyed.
    pub(crate) async fn parts(
        &self,
        bucket: &Bucket,
        key: &str,
        upload_id: &str,
        customer: Option<&DataKey>,
        after: u32,
        max: u32,
    ) -> Result<PartList, StoreError> {
        let (_, keys, draft) = self.upload(bucket, key, upload_id).await?;
        let shown = keys.data_key.is_some() || customer.is_some_and(|key| keys.head.are_of(key));
        let max = max.min(PARTS_MAX - 1);
        let mut rows = self.index.parts(upload_id, after, max + 1).await?;
        let more = rows.len() > max as usize;
        rows.truncate(max as usize);
        let next = rows.last().map(|row| row.number).filter(|_| more);
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            let part = open_part(upload_id, &keys, &row)?;
            let mut info = info(row.number, part);
            if !shown {
                info.checksums.clear();
            }
            parts.push(info);
        }
        Ok(PartList {
            parts,
            checksum: draft.checksum,
            next,
        })
    }

    /// Finds and authenticates the parts that Complete names. The caller then computes the
    /// object's checksums and finishes the assembly.
    pub(crate) async fn assemble(
        &self,
        bucket: &Bucket,
        key: &str,
        upload_id: &str,
        named: Vec<NamedPart>,
    ) -> Result<Assembly, StoreError> {
        let (upload, keys, draft) = self.upload(bucket, key, upload_id).await?;
        if named.windows(2).any(|two| two[0].number >= two[1].number) {
            return Err(StoreError::InvalidPartOrder);
        }
        let rows = self.index.parts(upload_id, 0, PARTS_MAX).await?;
        let rows: HashMap<u32, PartRow> = rows.into_iter().map(|row| (row.number, row)).collect();
        let mut parts = Vec::with_capacity(named.len());
        for named in &named {
            let row = rows.get(&named.number).ok_or(StoreError::InvalidPart)?;
            let part = open_part(upload_id, &keys, row)?;
            let stated = named
                .checksums
                .iter()
                .all(|pair| part.checksums.contains(pair));
            if part.etag != named.etag || !stated {
                return Err(StoreError::InvalidPart);
            }
            parts.push((named.number, part));
        }
        let size = self.check_sizes(&parts)?;
        let sealed_key = keys.data_key.as_ref().map(|data_key| {
            self.keys
                .seal_object_key(&bucket.name, key, data_key, &mut rng())
        });
        Ok(Assembly {
            checksum: draft.checksum,
            size,
            bucket_name: bucket.name.clone(),
            upload,
            sealed_key: sealed_key.transpose().map_err(too_long)?,
            keys,
            headers: draft.headers,
            runs: parts.iter().map(run).collect(),
            files: parts.iter().map(file).collect(),
            parts: parts.into_iter().map(|(n, part)| info(n, part)).collect(),
            index: Arc::clone(&self.index),
            store: Closing {
                files: Arc::clone(&self.files),
                clock: Arc::clone(&self.clock),
            },
        })
    }

    /// The sum, unless a part is too small or the object too large.
    fn check_sizes(&self, parts: &[(u32, Part)]) -> Result<u64, StoreError> {
        let (_, but_last) = parts.split_last().ok_or(StoreError::InvalidPart)?;
        if let Some((number, small)) = but_last.iter().find(|part| part.1.length < PART_BYTES_MIN) {
            return Err(StoreError::EntityTooSmall {
                number: *number,
                proposed: small.length,
                min: PART_BYTES_MIN,
                etag: small.etag.clone(),
            });
        }
        let proposed = parts
            .iter()
            .fold(0_u64, |sum, (_, part)| sum.saturating_add(part.length));
        let max = self.limits.object_bytes_max;
        if proposed > max {
            return Err(StoreError::TooLarge { proposed, max });
        }
        Ok(proposed)
    }

    /// Ends an upload and removes its parts.
    pub(crate) async fn abort(
        &self,
        bucket: &Bucket,
        key: &str,
        upload_id: &str,
    ) -> Result<(), StoreError> {
        self.upload_row(bucket, key, upload_id).await?;
        self.end_upload(upload_id).await
    }

    async fn end_upload(&self, upload_id: &str) -> Result<(), StoreError> {
        match self.index.abort(upload_id).await? {
            Abort::Aborted(freed) => {
                self.files.remove(freed).await;
                Ok(())
            }
            Abort::NoUpload => Err(StoreError::NoSuchUpload),
        }
    }

    /// Ends uploads that are older than `upload_life_ms`.
    pub(super) async fn sweep_stale(&self) -> Result<(), StoreError> {
        let now = self.clock.now().0;
        let before = now.saturating_sub(self.limits.upload_life_ms);
        loop {
            let stale = self
                .index
                .stale_uploads(strongroom_core::UnixMillis(before))
                .await?;
            if stale.is_empty() {
                return Ok(());
            }
            for id in stale {
                match self.end_upload(&id).await {
                    // Completed or aborted meanwhile.
                    Ok(()) | Err(StoreError::NoSuchUpload) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn upload_row(
        &self,
        bucket: &Bucket,
        key: &str,
        upload_id: &str,
    ) -> Result<UploadRow, StoreError> {
        if upload_id.len() != ID_DIGITS {
            return Err(StoreError::NoSuchUpload);
        }
        let row = self.index.upload(upload_id).await?;
        row.filter(|row| row.bucket == bucket.id && row.key == key)
            .ok_or(StoreError::NoSuchUpload)
    }

    /// An open upload, its keys, and what it was begun with.
    async fn upload(
        &self,
        bucket: &Bucket,
        key: &str,
        upload_id: &str,
    ) -> Result<(UploadRow, UploadKeys, Draft), StoreError> {
        let row = self.upload_row(bucket, key, upload_id).await?;
        let opened = self
            .keys
            .open_upload(upload_id, &bucket.name, key, &row.kept)
            .and_then(|keys| {
                let draft = Draft::open(upload_id, &keys.head, &row.draft)?;
                Ok((keys, draft))
            });
        let (keys, draft) = opened.map_err(|_| broken("an upload's row does not open"))?;
        if keys.data_key.is_some() != row.server_keyed {
            return Err(broken("an upload's row differs from its keys"));
        }
        Ok((row, keys, draft))
    }
}

impl Assembly {
    /// Whether the server keeps the key.
    pub(crate) fn server_keyed(&self) -> bool {
        self.sealed_key.is_some()
    }

    /// Whether it is the customer's key that the upload was begun with.
    pub(crate) fn is_of(&self, key: &DataKey) -> bool {
        self.keys.data_key.is_none() && self.keys.head.are_of(key)
    }

    /// Makes the object of the parts, in one transaction.
    pub(crate) async fn finish(
        self,
        checksums: Vec<(String, String)>,
        condition: Condition,
    ) -> Result<Written, StoreError> {
        let count = self.runs.len();
        let manifest = Manifest {
            size: self.size,
            stored_at: self.store.clock.now(),
            etag: entity_tag::of_parts(count),
            runs: self.runs,
            checksums,
            headers: self.headers,
        };
        let (bucket, key) = (&self.bucket_name, &self.upload.key);
        let head = self.keys.head.seal(bucket, key, &manifest, &mut rng());
        let row = ObjectRow {
            size: manifest.size,
            stored_at: manifest.stored_at,
            etag: manifest.etag.clone(),
            parts: u32::try_from(count).unwrap_or(PARTS_MAX),
            head: head.map_err(too_long)?,
            sealed_key: self.sealed_key,
            place: BodyPlace::Files(self.files),
        };
        match self.index.complete(&self.upload.id, row, condition).await? {
            Complete::Stored(freed) => {
                self.store.files.remove(freed).await;
                Ok(Written {
                    etag: manifest.etag,
                    stored_at: manifest.stored_at,
                    size: manifest.size,
                })
            }
            Complete::NoUpload => Err(StoreError::NoSuchUpload),
            Complete::PartsChanged => Err(StoreError::InvalidPart),
            Complete::Exists | Complete::Differs => Err(StoreError::PreconditionFailed),
            Complete::Missing => Err(StoreError::NoSuchKey),
        }
    }
}

/// Opens a part's sealed record and compares it with its row.
fn open_part(upload_id: &str, keys: &UploadKeys, row: &PartRow) -> Result<Part, StoreError> {
    let part = Part::open(upload_id, row.number, &keys.head, &row.sealed)
        .map_err(|_| broken("a part's row does not open"))?;
    if part.file != row.file || part.length != row.size || part.stored_at != row.stored_at {
        return Err(broken("a part's row differs from its record"));
    }
    Ok(part)
}

/// Damage or an attack, logged here.
fn broken(why: &'static str) -> StoreError {
    tracing::error!(
        why,
        "an upload in the object store's index is not what was stored"
    );
    StoreError::Broken(why)
}

fn info(number: u32, part: Part) -> PartInfo {
    PartInfo {
        number,
        size: part.length,
        etag: part.etag,
        stored_at: part.stored_at,
        checksums: part.checksums,
    }
}

fn run((number, part): &(u32, Part)) -> Run {
    Run {
        part_number: *number,
        length: part.length,
        salt: part.salt,
    }
}

fn file((_, part): &(u32, Part)) -> RunFile {
    RunFile {
        name: part.file,
        run_at: 0,
    }
}
