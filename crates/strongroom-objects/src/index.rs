//! What the embedded store holds, in `SQLite`: buckets, objects, multipart uploads, and the names
//! of files, living and dead. It knows no key, no HTTP and no file but its own.
//!
//! Writes queue for one thread that commits them in groups; what it answers is durable. A write
//! whose caller is gone before the answer is done all the same. Reads are one statement or one
//! read transaction on a reading connection. Buckets are answered from memory.
//!
//! Files: `path`, and beside it `SQLite`'s `-wal` and `-shm`, all of mode 0600. They must be held
//! exclusively: the caller guarantees that no other process opens them. Dropping the index without
//! closing it finishes what is queued and blocks until that is done.

mod buckets;
mod error;
mod files;
mod list;
mod objects;
mod readers;
mod rows;
mod schema;
mod snapshot;
mod uploads;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use self::error::IndexError;
pub(crate) use self::rows::*;
pub(crate) use self::snapshot::IndexSnapshot;

use self::buckets::Buckets;
use self::readers::Readers;
use self::writer::{Batch, Message, Writer};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use strongroom_core::UnixMillis;
use tokio::sync::oneshot;

/// Most writes that wait for the writer; one more is answered [`IndexError::Busy`].
const QUEUE_MAX: usize = 1024;

type Result<T> = std::result::Result<T, IndexError>;

/// Where the index is and what it may use.
#[derive(Debug, Clone)]
pub(crate) struct IndexConfig {
    /// The database file; made if it does not exist, its directory is not.
    pub(crate) path: PathBuf,
    /// Most bytes of database pages that each of the four reading connections keeps, beside
    /// what the system keeps of the file. Default 16 MiB.
    pub(crate) page_cache_bytes: usize,
    /// Largest size of the database file; a write beyond it is answered
    /// [`IndexError::Full`]. Default: what the disk has.
    pub(crate) file_bytes_max: Option<u64>,
}

impl IndexConfig {
    /// The defaults for a file.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            page_cache_bytes: 16 << 20,
            file_bytes_max: None,
        }
    }
}

/// The opened index.
pub(crate) struct Index {
    buckets: Arc<Buckets>,
    readers: Readers,
    /// `None` only while it is being dropped.
    queue: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    #[cfg(test)]
    fault: Arc<Mutex<Option<tests::Fault>>>,
}

impl Index {
    /// Opens the index, after making the file. Blocks; meant for start-up. Only the file's header
    /// and schema are checked here: damage elsewhere is [`IndexError::Corrupt`] when it is met.
    pub(crate) fn open(config: IndexConfig) -> Result<Self> {
        schema::prepare(&config.path)?;
        let buckets = Arc::new(Buckets::default());
        let writer = Writer::open(config.clone(), Arc::clone(&buckets))?;
        #[cfg(test)]
        let fault = Arc::clone(&writer.fault);
        let (queue, queued) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("index-writer".to_owned())
            .spawn(move || writer.run(&queued))
            .map_err(IndexError::io)?;
        Ok(Self {
            buckets,
            readers: Readers::new(config),
            queue: Some(queue),
            writer: Some(thread),
            #[cfg(test)]
            fault,
        })
    }

    /// Makes a bucket.
    pub(crate) async fn create_bucket(
        &self,
        name: &str,
        owner: &str,
        created_at: UnixMillis,
    ) -> Result<CreateBucket> {
        within("the bucket's name", name.len() <= NAME_BYTES_MAX)?;
        within("the bucket's owner", owner.len() <= NAME_BYTES_MAX)?;
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.write(move |batch| buckets::create(batch, &name, &owner, created_at))
            .await
    }

    /// The bucket of this name.
    pub(crate) async fn bucket(&self, name: &str) -> Result<Option<Arc<Bucket>>> {
        if let Some(answer) = self.buckets.with(|all| all.get(name).cloned()) {
            return Ok(answer);
        }
        let all = self.readers.read(buckets::all).await?;
        Ok(all.get(name).cloned())
    }

    /// An owner's buckets, by name.
    pub(crate) async fn buckets(&self, owner: &str) -> Result<Vec<Arc<Bucket>>> {
        let all = match self.buckets.with(Clone::clone) {
            Some(all) => all,
            None => self.readers.read(buckets::all).await?,
        };
        let of_owner = all.into_values().filter(|bucket| bucket.owner == owner);
        Ok(of_owner.collect())
    }

    /// Removes a bucket that holds no object, with its open uploads.
    pub(crate) async fn delete_bucket(&self, bucket: BucketId) -> Result<DeleteBucket> {
        self.write(move |batch| buckets::delete(batch, bucket))
            .await
    }

    /// Keeps a bucket's CORS rules, or takes them away; `false` if there is no such bucket.
    pub(crate) async fn set_cors(&self, bucket: BucketId, cors: Option<String>) -> Result<bool> {
        let bytes = cors.as_ref().map_or(0, String::len);
        within("the CORS configuration", bytes <= FIELD_BYTES_MAX)?;
        self.write(move |batch| buckets::set_cors(batch, bucket, cors.as_deref()))
            .await
    }

    /// Stores an object; the last writer wins unless the condition says otherwise. Files that the
    /// row names are of it once the answer is [`Put::Stored`].
    pub(crate) async fn put(
        &self,
        bucket: BucketId,
        key: &str,
        row: ObjectRow,
        condition: Condition,
    ) -> Result<Put> {
        check_key(key)?;
        row.check()?;
        let key = key.to_owned();
        self.write(move |batch| objects::put(batch, bucket, &key, &row, &condition))
            .await
    }

    /// The object under a key.
    pub(crate) async fn object(&self, bucket: BucketId, key: &str) -> Result<Option<ObjectRow>> {
        let key = key.to_owned();
        self.readers
            .read(move |conn| objects::read(conn, bucket, &key))
            .await
    }

    /// What can be said of an object without its key; cheaper than [`Index::object`].
    pub(crate) async fn stat(&self, bucket: BucketId, key: &str) -> Result<Option<Stat>> {
        let key = key.to_owned();
        self.readers
            .read(move |conn| objects::stat(conn, bucket, &key))
            .await
    }

    /// Removes an object. No such object is no error.
    pub(crate) async fn delete(
        &self,
        bucket: BucketId,
        key: &str,
        condition: Condition,
    ) -> Result<Delete> {
        let key = key.to_owned();
        self.write(move |batch| objects::delete(batch, bucket, &key, &condition))
            .await
    }

    /// Removes up to [`PAGE_MAX`] objects in one transaction; answers in the order of the keys.
    pub(crate) async fn delete_many(
        &self,
        bucket: BucketId,
        keys: Vec<(String, Condition)>,
    ) -> Result<Vec<Delete>> {
        within("the number of keys", keys.len() <= PAGE_MAX)?;
        self.write(move |batch| {
            let each = keys.iter();
            each.map(|(key, condition)| objects::delete(batch, bucket, key, condition))
                .collect()
        })
        .await
    }

    /// A page of a bucket's objects, of one instant.
    pub(crate) async fn list(&self, bucket: BucketId, query: &ListQuery) -> Result<Listing> {
        let query = query.clone();
        self.readers
            .read(move |conn| list::objects(conn, bucket, &query))
            .await
    }

    /// Opens an upload, unless `open_max` are open in all buckets.
    pub(crate) async fn create_upload(
        &self,
        row: UploadRow,
        open_max: u32,
    ) -> Result<CreateUpload> {
        row.check()?;
        self.write(move |batch| uploads::create(batch, &row, open_max))
            .await
    }

    /// An open upload. The caller compares its bucket and key with those of the request.
    pub(crate) async fn upload(&self, id: &str) -> Result<Option<UploadRow>> {
        let id = id.to_owned();
        self.readers
            .read(move |conn| uploads::read(conn, &id))
            .await
    }

    /// Stores a part, in place of an earlier one of its number.
    pub(crate) async fn put_part(&self, upload: &str, row: PartRow) -> Result<PutPart> {
        row.check()?;
        let upload = upload.to_owned();
        self.write(move |batch| uploads::put_part(batch, &upload, &row))
            .await
    }

    /// An upload's parts with numbers over `after`, by number, at most `max`; none if there is no
    /// such upload. `max` may go up to [`PARTS_MAX`].
    pub(crate) async fn parts(&self, upload: &str, after: u32, max: u32) -> Result<Vec<PartRow>> {
        let upload = upload.to_owned();
        self.readers
            .read(move |conn| uploads::parts(conn, &upload, after, max))
            .await
    }

    /// Makes an upload the object under its key, in one transaction. The row's place names the
    /// chosen parts' files; all of them must still be parts of the upload.
    pub(crate) async fn complete(
        &self,
        upload: &str,
        row: ObjectRow,
        condition: Condition,
    ) -> Result<Complete> {
        row.check()?;
        let upload = upload.to_owned();
        self.write(move |batch| uploads::complete(batch, &upload, &row, &condition))
            .await
    }

    /// Ends an upload and drops its parts.
    pub(crate) async fn abort(&self, upload: &str) -> Result<Abort> {
        let upload = upload.to_owned();
        self.write(move |batch| uploads::abort(batch, &upload))
            .await
    }

    /// A page of a bucket's open uploads.
    pub(crate) async fn uploads(
        &self,
        bucket: BucketId,
        query: &UploadQuery,
    ) -> Result<UploadListing> {
        let query = query.clone();
        self.readers
            .read(move |conn| list::uploads(conn, bucket, &query))
            .await
    }

    /// Ids of uploads begun before this, the oldest first, at most [`PAGE_MAX`].
    pub(crate) async fn stale_uploads(&self, before: UnixMillis) -> Result<Vec<String>> {
        self.readers
            .read(move |conn| uploads::stale(conn, before))
            .await
    }

    /// Files to unlink, by name, behind `after`. Each stays listed until
    /// [`Index::garbage_done`].
    pub(crate) async fn garbage(
        &self,
        after: Option<RunName>,
        limit: usize,
    ) -> Result<Vec<RunName>> {
        self.readers
            .read(move |conn| files::garbage(conn, after, limit))
            .await
    }

    /// Forgets files that are unlinked, durably. Names that are no garbage are left alone.
    pub(crate) async fn garbage_done(&self, names: Vec<RunName>) -> Result<()> {
        self.write(move |batch| files::done(batch.conn, &names))
            .await
    }

    /// Those of these names that an object or a part has.
    pub(crate) async fn names_in(&self, names: Vec<RunName>) -> Result<Vec<RunName>> {
        self.readers
            .read(move |conn| files::alive(conn, &names))
            .await
    }

    /// The index as of now, for a backup. Blocks for a moment.
    pub(crate) fn snapshot(&self) -> Result<IndexSnapshot> {
        IndexSnapshot::take(self.readers.config())
    }

    /// Takes what was deleted out of the write-ahead log too, soon; not while so many writes are
    /// waiting that there is no room to ask.
    pub(crate) fn erase_log(&self) {
        if let Some(queue) = &self.queue {
            // A later call asks again.
            let _ = queue.try_send(Message::Tick);
        }
    }

    /// Finishes what is queued, empties the log and closes the file; later calls are answered
    /// [`IndexError::Closed`].
    pub(crate) async fn close(&self) -> Result<()> {
        self.readers.close().await;
        let Some(queue) = self.queue.clone() else {
            return Ok(());
        };
        let (reply, answer) = oneshot::channel();
        // Sending waits while the queue is full.
        let sent = tokio::task::spawn_blocking(move || queue.send(Message::Close(reply)));
        if sent.await.map_err(IndexError::io)?.is_err() {
            // The writer is gone: closed before.
            return Ok(());
        }
        let closed = answer.await.unwrap_or(Ok(()));
        self.buckets.forget();
        closed
    }

    async fn write<T: Send + 'static>(
        &self,
        act: impl Fn(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(IndexError::Closed)?;
        match queue.try_send(writer::write(act, reply)) {
            Ok(()) => answer.await.map_err(|_| IndexError::Closed)?,
            Err(TrySendError::Full(_)) => Err(IndexError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(IndexError::Closed),
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has been reported by the panic itself.
            let _ = writer.join();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `SQLite`'s integers are signed; the limits are checked before.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(time: UnixMillis) -> i64 {
    signed(time.0)
}
