//! The embedded object store: its configuration, and the store trait over its directory.
//!
//! Values reach it through its own S3 endpoint alone, by URLs that it signs itself.

use crate::blocking::{runtime, wait};
use crate::credential::S3Credential;
use crate::disk::Disk;
use crate::disk::format::Layout;
use crate::index::{Bucket, Condition, CreateBucket};
use crate::presign::{Presigned, Presigner};
use crate::store::{Limits, Store, StoreError};
use crate::{Error, ObjectStore, endpoint};
use async_trait::async_trait;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;
use strongroom_core::secret::{DataKey, StoreKey};
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_core::time::Clock;
use strongroom_core::{ObjectId, UnixMillis};
use strongroom_s3::sigv4::SigningSecret;

/// Owner of the vault's bucket: a name that no credential can have.
const VAULT_OWNER: &str = "(vault)";
/// Most bytes of an object that is uploaded in parts: 5 TiB (AWS).
const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// Most bytes of an object that may be kept in the index.
const INLINE_BYTES_MAX: u32 = 1 << 20;
/// How often deleted rows are taken out of the index's log: well within the minute in which they
/// must be gone.
const ERASE: Duration = Duration::from_secs(25);
/// After how many of these old uploads and left-over files are looked for.
const ERASES_PER_SWEEP: u32 = 5;

/// Configuration of the embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Where files are kept; made with mode 0700 if absent.
    pub dir: PathBuf,
    /// The vault's own bucket, 3 to 63 of `a-z 0-9 - .`
    pub bucket: String,
    /// The region that URLs are signed for.
    pub region: String,
    /// Scheme, host and port as clients reach the endpoint; no path.
    pub public_url: String,
    /// Largest object in bytes, at most 5 TiB; a single PUT or part has at most 5 GiB of it.
    pub object_bytes_max: u64,
    /// Objects up to this size are kept in the index, without a file of their own; at most 1 MiB.
    pub inline_bytes_max: u32,
    /// Multipart uploads that may be open at a time; more are answered 503 `SlowDown`.
    pub uploads_max: u32,
    /// Seconds after which an open multipart upload is ended.
    pub upload_life_s: u64,
    /// Free bytes of the file system that uploads must leave.
    pub disk_reserve_bytes: u64,
    /// Names the vault's own credential; not secret.
    pub access_key_id: String,
    /// Origins whose pages may PUT and GET; none turns CORS off.
    pub cors_origins: Vec<String>,
    /// Uploads and downloads at a time; more are answered 503 `SlowDown`.
    pub transfers_max: usize,
    /// Downloads of one object of the vault's bucket at a time; more are answered 503 `SlowDown`.
    pub object_downloads_max: u32,
    /// Seconds an upload may send nothing before it is ended.
    pub body_idle_s: u32,
    /// Least bytes a second of an upload or download, on average over `body_idle_s`; slower ones
    /// are ended. 0 takes any rate.
    pub body_bytes_per_s_min: u32,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            dir: "objects".into(),
            bucket: "strongroom".into(),
            region: "us-east-1".into(),
            public_url: "http://localhost:4566".into(),
            object_bytes_max: RUN_BYTES_MAX,
            inline_bytes_max: 64 << 10,
            uploads_max: 1000,
            upload_life_s: 7 * 24 * 3600,
            disk_reserve_bytes: 1 << 30,
            access_key_id: "STRONGROOM".into(),
            cors_origins: Vec::new(),
            transfers_max: 256,
            object_downloads_max: 16,
            body_idle_s: 60,
            body_bytes_per_s_min: 1 << 10,
        }
    }
}

/// The embedded store.
pub struct Embedded {
    pub(crate) config: EmbeddedConfig,
    pub(crate) presigner: Presigner,
    pub(crate) store: Arc<Store>,
    /// The vault's own bucket.
    pub(crate) vault_bucket: Arc<Bucket>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gates: endpoint::Gates,
    _sweeper: Sweeper,
}

impl Embedded {
    /// Opens the directory, which must not be open elsewhere, and finishes what a crash left.
    /// Blocks.
    ///
    /// `secret` is that of the vault's own URLs, `store_key` that of what the store keeps sealed,
    /// `credentials` those of applications. Buckets that they name are made.
    pub fn open(
        config: EmbeddedConfig,
        secret: SigningSecret,
        store_key: &StoreKey,
        credentials: Vec<S3Credential>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        check(&config)?;
        let presigner = Presigner::new(
            &config.public_url,
            config.bucket.clone(),
            config.region.clone(),
            config.access_key_id.clone(),
            secret,
        )?;
        let gates = endpoint::Gates::new(&config, presigner.credential(), credentials)?;
        let layout = Layout {
            dir: &config.dir,
            bucket: &config.bucket,
            owner: VAULT_OWNER,
            now: clock.now(),
        };
        let disk = Disk::open(&layout, config.disk_reserve_bytes)?;
        let limits = Limits {
            object_bytes_max: config.object_bytes_max,
            inline_bytes_max: config.inline_bytes_max.into(),
            uploads_max: config.uploads_max,
            upload_life_ms: config.upload_life_s.saturating_mul(1000),
        };
        let store = Store::start(disk, store_key, Arc::clone(&clock), limits);
        let store = store.map_err(opening)?;
        let buckets = make_buckets(&store, &config.bucket, &gates);
        let vault_bucket = wait(buckets).map_err(Error::storage("making buckets"))??;
        Ok(Arc::new(Self {
            config,
            presigner,
            vault_bucket,
            clock,
            gates,
            _sweeper: Sweeper::start(&store).map_err(Error::storage("starting a thread"))?,
            store,
        }))
    }

    /// The S3 endpoint. It answers every path, so it wants a listener or a fallback of its own.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        endpoint::router(Arc::clone(self))
    }

    /// Finishes what is queued and closes the index. Later calls fail.
    pub async fn close(&self) -> Result<(), Error> {
        self.store
            .close()
            .await
            .map_err(failed("closing the index"))
    }
}

fn check(config: &EmbeddedConfig) -> Result<(), Error> {
    let bad = |text: &str| Err(Error::Config(text.into()));
    if config.object_bytes_max > OBJECT_BYTES_MAX {
        return bad("object_bytes_max is over 5 TiB");
    }
    if config.inline_bytes_max > INLINE_BYTES_MAX {
        return bad("inline_bytes_max is over 1 MiB");
    }
    Ok(())
}

/// The vault's own bucket; it and those that credentials name are made if they are not there.
async fn make_buckets(
    store: &Store,
    vault_bucket: &str,
    gates: &endpoint::Gates,
) -> Result<Arc<Bucket>, Error> {
    let vault_bucket = make_bucket(store, vault_bucket, VAULT_OWNER).await?;
    for (name, owner) in gates.access.named_buckets() {
        make_bucket(store, &name, &owner).await?;
    }
    Ok(vault_bucket)
}

async fn make_bucket(store: &Store, name: &str, owner: &str) -> Result<Arc<Bucket>, Error> {
    let made = store.create_bucket(name, owner).await;
    match made.map_err(failed("making a bucket"))? {
        CreateBucket::Created(bucket) => Ok(Arc::new(bucket)),
        CreateBucket::Exists(bucket) if bucket.owner == owner => Ok(Arc::new(bucket)),
        CreateBucket::Exists(_) => Err(Error::Config(format!(
            "bucket `{name}` belongs to another credential"
        ))),
        CreateBucket::TooMany => Err(Error::Config("there are too many buckets".into())),
    }
}

/// For `map_err`: what was being done when the store failed.
pub(crate) fn failed(doing: &'static str) -> impl FnOnce(StoreError) -> Error {
    move |error| match error {
        StoreError::Io(cause) => Error::Storage { doing, cause },
        other => Error::storage(doing)(io::Error::other(other)),
    }
}

/// Newer and foreign indices are told apart from failures.
fn opening(error: StoreError) -> Error {
    use crate::index::IndexError;
    match error {
        StoreError::Index(IndexError::Newer { found, known }) => {
            Error::NewerFormat { found, known }
        }
        StoreError::Index(IndexError::Foreign) => Error::UnknownFormat,
        other => failed("opening the index")(other),
    }
}

/// A thread that sweeps the store now and then, until this is dropped.
struct Sweeper {
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sweeper {
    fn start(store: &Arc<Store>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let store = Arc::downgrade(store);
        let runtime = runtime()?;
        let thread = thread::Builder::new()
            .name("objects-sweep".into())
            .spawn(move || sweep(&store, &runtime, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

fn sweep(store: &Weak<Store>, runtime: &tokio::runtime::Runtime, stopped: &Receiver<()>) {
    let mut erases = 0;
    while stopped.recv_timeout(ERASE) == Err(RecvTimeoutError::Timeout) {
        let Some(store) = store.upgrade() else { return };
        // Before the sweep, which may take long.
        store.erase_log();
        erases += 1;
        if erases % ERASES_PER_SWEEP != 0 {
            continue;
        }
        if let Err(error) = runtime.block_on(store.sweep()) {
            tracing::warn!(%error, "sweeping the object store failed");
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It holds the directory while it works.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl ObjectStore for Embedded {
    fn presign_put(
        &self,
        object: &ObjectId,
        key: &DataKey,
        now: UnixMillis,
        life_s: u32,
        content_length: Option<u64>,
    ) -> Presigned {
        self.presigner.put(object, key, now, life_s, content_length)
    }

    fn presign_get(
        &self,
        object: &ObjectId,
        key: &DataKey,
        now: UnixMillis,
        life_s: u32,
    ) -> Presigned {
        self.presigner.get(object, key, now, life_s)
    }

    async fn presence(&self, object: &ObjectId) -> Result<Option<u64>, Error> {
        let key = object.to_string();
        let stat = self.store.stat(&self.vault_bucket, &key).await;
        let stat = stat.map_err(failed("looking for an object"))?;
        Ok(stat.map(|stat| stat.size))
    }

    async fn delete(&self, object: &ObjectId) -> Result<(), Error> {
        let key = object.to_string();
        self.store
            .delete(&self.vault_bucket, &key, Condition::None)
            .await
            .map_err(failed("deleting an object"))
    }
}
