//! A body on its way into an object or a part.

use super::files::Files;
use super::{
    Keying, Store, StoreError, Written, check_names, copy_of, new_etag, random, rng, too_long,
};
use crate::index::{
    BodyPlace, Bucket, BucketId, Condition, Index, ObjectRow, PartRow, Put, PutPart, RunFile,
    RunName,
};
use crate::runs::writer::{Body, Finished, Room, RunWriter};
use std::io;
use std::sync::Arc;
use strongroom_core::UnixMillis;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::kept::{Part, UploadKeys};
use strongroom_core::stream::manifest::{HeadKeys, Manifest, Run};
use strongroom_core::stream::{Context, SegmentSealer};
use strongroom_core::time::Clock;

/// A body on its way in. Dropped unfinished, it leaves nothing.
pub(crate) struct Writing {
    run: RunWriter,
    goal: Goal,
    desk: Desk,
}

/// What the end of a write needs of the store.
struct Desk {
    index: Arc<Index>,
    files: Arc<Files>,
    clock: Arc<dyn Clock>,
}

/// What the body becomes.
enum Goal {
    Object(Box<NewObject>),
    Part(Box<NewPart>),
}

struct NewObject {
    bucket: BucketId,
    bucket_name: String,
    key: String,
    headers: Vec<(String, String)>,
    head: HeadKeys,
    sealed_key: Option<Vec<u8>>,
}

/// A part of an open upload, before its body.
pub(super) struct NewPart {
    pub(super) upload_id: String,
    pub(super) number: u32,
    pub(super) keys: UploadKeys,
    pub(super) checksum: Option<(String, String)>,
}

impl Store {
    /// Begins an object. `headers` are those that a download repeats; `length` is the body's if
    /// it is known.
    pub(crate) async fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        keying: Keying,
        headers: Vec<(String, String)>,
        length: Option<u64>,
    ) -> Result<Writing, StoreError> {
        check_names(key)?;
        let (data_key, sealed_key) = match keying {
            Keying::Customer(key) => (key, None),
            Keying::Server => {
                let data_key = DataKey::generate(&mut rng());
                let sealed = self
                    .keys
                    .seal_object_key(&bucket.name, key, &data_key, &mut rng());
                (data_key, Some(sealed.map_err(too_long)?))
            }
        };
        let goal = NewObject {
            bucket: bucket.id,
            bucket_name: bucket.name.clone(),
            key: key.to_owned(),
            headers,
            head: HeadKeys::new(&random(), &data_key),
            sealed_key,
        };
        goal.check_headers()?;
        let context = Context::Stored {
            bucket: &bucket.name,
            object_key: key,
            part_number: 1,
        };
        let inline_max = Some(self.limits.inline_bytes_max);
        let run = self.begin(&data_key, &context, length, inline_max);
        let run = run?.await?;
        Ok(self.writing(run, Goal::Object(Box::new(goal))))
    }

    /// Begins a part of an upload whose keys are known.
    pub(super) async fn write_part(
        &self,
        bucket: &Bucket,
        key: &str,
        data_key: DataKey,
        part: NewPart,
        length: Option<u64>,
    ) -> Result<Writing, StoreError> {
        let context = Context::Stored {
            bucket: &bucket.name,
            object_key: key,
            part_number: part.number,
        };
        let run = self.begin(&data_key, &context, length, None);
        drop(data_key);
        let run = run?.await?;
        Ok(self.writing(run, Goal::Part(Box::new(part))))
    }

    /// Starts a run under a fresh salt; no key crosses the wait for its file.
    fn begin(
        &self,
        data_key: &DataKey,
        context: &Context<'_>,
        announced: Option<u64>,
        inline_max: Option<u64>,
    ) -> Result<impl Future<Output = Result<RunWriter, StoreError>> + Send + use<'_>, StoreError>
    {
        let max = self.run_bytes_max();
        if let Some(proposed) = announced.filter(|length| *length > max) {
            return Err(StoreError::TooLarge { proposed, max });
        }
        let most = announced.or(inline_max).unwrap_or(0);
        if inline_max.is_some_and(|max| most <= max) {
            self.channel.disk.take_room(most, self.clock.now())?;
        }
        let salt = random();
        let sealer = SegmentSealer::new(&salt, data_key, context).map_err(too_long)?;
        let room = Room {
            announced,
            max,
            inline_max,
        };
        Ok(RunWriter::start(&self.channel, sealer, salt, room))
    }

    fn writing(&self, run: RunWriter, goal: Goal) -> Writing {
        Writing {
            run,
            goal,
            desk: Desk {
                index: Arc::clone(&self.index),
                files: Arc::clone(&self.files),
                clock: Arc::clone(&self.clock),
            },
        }
    }
}

impl Writing {
    /// Of a part: algorithm and type of the upload's checksum.
    pub(crate) fn checksum(&self) -> Option<&(String, String)> {
        match &self.goal {
            Goal::Object(_) => None,
            Goal::Part(part) => part.checksum.as_ref(),
        }
    }

    /// Whether the server keeps the key.
    pub(crate) fn server_keyed(&self) -> bool {
        match &self.goal {
            Goal::Object(object) => object.sealed_key.is_some(),
            Goal::Part(part) => part.keys.data_key.is_some(),
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) async fn push(&mut self, data: &[u8]) -> Result<(), StoreError> {
        self.run.push(data).await
    }

    /// Seals the end and makes the object or part durable. `checksums` are algorithm and value;
    /// a part has no condition.
    pub(crate) async fn finish(
        self,
        checksums: Vec<(String, String)>,
        condition: Condition,
    ) -> Result<Written, StoreError> {
        // A caller that goes away must not leave a row without its file, or the reverse.
        tokio::spawn(async move {
            let run = self.run.finish().await?;
            match self.goal {
                Goal::Object(object) => {
                    self.desk
                        .store_object(*object, run, checksums, condition)
                        .await
                }
                Goal::Part(part) => self.desk.store_part(*part, run, checksums).await,
            }
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Ends a refused body; on return nothing of it is left.
    pub(crate) async fn abandon(self) {
        self.run.abandon().await;
    }
}

impl NewObject {
    /// Refuses headers that a head has no room for before any byte is taken.
    fn check_headers(&self) -> Result<(), StoreError> {
        let manifest = self.manifest(Vec::new(), UnixMillis(0), Vec::new());
        let sealed = self
            .head
            .seal(&self.bucket_name, &self.key, &manifest, &mut rng());
        sealed.map(|_| ()).map_err(too_long)
    }

    fn manifest(
        &self,
        runs: Vec<Run>,
        stored_at: UnixMillis,
        checksums: Vec<(String, String)>,
    ) -> Manifest {
        Manifest {
            size: runs.iter().map(|run| run.length).sum(),
            stored_at,
            etag: new_etag(),
            runs,
            checksums,
            headers: self.headers.clone(),
        }
    }
}

impl Desk {
    async fn store_object(
        &self,
        object: NewObject,
        run: Finished,
        checksums: Vec<(String, String)>,
        condition: Condition,
    ) -> Result<Written, StoreError> {
        let only = Run {
            part_number: 1,
            length: run.length,
            salt: run.salt,
        };
        let manifest = object.manifest(vec![only], self.clock.now(), checksums);
        let (bucket, key) = (&object.bucket_name, &object.key);
        let head = object.head.seal(bucket, key, &manifest, &mut rng());
        let (place, file) = placed(run.body);
        let row = ObjectRow {
            size: manifest.size,
            stored_at: manifest.stored_at,
            etag: manifest.etag.clone(),
            parts: 0,
            head: head.map_err(too_long)?,
            sealed_key: object.sealed_key,
            place,
        };
        let put = self.index.put(object.bucket, key, row, condition).await;
        let refused = match self.known(put, file)? {
            Put::Stored(freed) => {
                self.stored(file, freed).await;
                return Ok(Written {
                    etag: manifest.etag,
                    stored_at: manifest.stored_at,
                    size: manifest.size,
                });
            }
            Put::Exists | Put::Differs => StoreError::PreconditionFailed,
            Put::Missing => StoreError::NoSuchKey,
            Put::NoBucket => StoreError::NoSuchBucket,
        };
        self.files.remove(file.into_iter().collect()).await;
        Err(refused)
    }

    async fn store_part(
        &self,
        part: NewPart,
        run: Finished,
        checksums: Vec<(String, String)>,
    ) -> Result<Written, StoreError> {
        let (_, file) = placed(run.body);
        let file = file.ok_or(StoreError::Broken("a part without a file"))?;
        let sealed = Part {
            length: run.length,
            stored_at: self.clock.now(),
            salt: run.salt,
            file,
            etag: new_etag(),
            checksums,
        };
        let bytes = sealed.seal(&part.upload_id, part.number, &part.keys.head, &mut rng());
        let row = PartRow {
            number: part.number,
            size: sealed.length,
            stored_at: sealed.stored_at,
            sealed: bytes.map_err(too_long)?,
            file,
        };
        let put = self.index.put_part(&part.upload_id, row).await;
        match self.known(put, Some(file))? {
            PutPart::Stored(freed) => {
                self.stored(Some(file), freed).await;
                Ok(Written {
                    etag: sealed.etag,
                    stored_at: sealed.stored_at,
                    size: sealed.length,
                })
            }
            PutPart::NoUpload => {
                self.files.remove(vec![file]).await;
                Err(StoreError::NoSuchUpload)
            }
        }
    }

    /// The index's answer. After an error the file stays until the index can tell.
    fn known<T>(
        &self,
        answer: Result<T, crate::index::IndexError>,
        file: Option<RunName>,
    ) -> Result<T, StoreError> {
        answer.map_err(|error| {
            if let Some(name) = file {
                self.files.unknown(name);
            }
            error.into()
        })
    }

    async fn stored(&self, file: Option<RunName>, freed: Vec<RunName>) {
        if let Some(name) = file {
            self.files.settle(name).await;
        }
        self.files.remove(freed).await;
    }
}

/// Where a finished run lies, and its file. From here on the file is the index's.
fn placed(body: Body) -> (BodyPlace, Option<RunName>) {
    match body {
        Body::Memory(bytes) => (BodyPlace::Inline(bytes), None),
        Body::File(incoming) => {
            let name = incoming.name();
            incoming.keep();
            let run = RunFile { name, run_at: 0 };
            (BodyPlace::Files(vec![run]), Some(name))
        }
    }
}

/// The data key of a part: the upload's own, or the customer's if it is the upload's.
pub(super) fn part_key(
    keys: &UploadKeys,
    customer: Option<DataKey>,
) -> Result<DataKey, StoreError> {
    match (&keys.data_key, customer) {
        (Some(own), None) => Ok(copy_of(own)),
        (None, None) => Err(StoreError::UploadWantsKey),
        (None, Some(given)) if keys.head.are_of(&given) => Ok(given),
        (_, Some(_)) => Err(StoreError::UploadKeyDiffers),
    }
}
