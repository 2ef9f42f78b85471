//! The embedded object store: its configuration, and the store trait over its directory.
//!
//! Values reach it through its own S3 endpoint alone, by URLs that it signs itself.

use crate::buffers::Pool;
use crate::disk::{Disk, FileName};
use crate::presign::{Presigned, Presigner};
use crate::{Error, ObjectStore, download, endpoint, upload};
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_core::time::Clock;
use strongroom_core::{ObjectId, UnixMillis};
use strongroom_s3::sigv4::SigningSecret;

/// Configuration of the embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Where files are kept; made with mode 0700 if absent.
    pub dir: PathBuf,
    /// The one bucket, 3 to 63 of `a-z 0-9 - .`
    pub bucket: String,
    /// The region that URLs are signed for.
    pub region: String,
    /// Scheme, host and port as clients reach the endpoint; no path.
    pub public_url: String,
    /// Largest object in bytes, at most 5 GiB.
    pub object_bytes_max: u64,
    /// Free bytes of the file system that uploads must leave.
    pub disk_reserve_bytes: u64,
    /// Names the one credential; not secret.
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
    pub(crate) disk: Arc<Disk>,
    pub(crate) pool: Pool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<crate::store::Store>,
    pub(crate) gates: endpoint::Gates,
}

impl Embedded {
    /// Opens the directory, which must not be open elsewhere, and removes unfinished uploads.
    pub fn open(
        config: EmbeddedConfig,
        secret: SigningSecret,
        credentials: Vec<crate::S3Credential>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        if config.object_bytes_max > RUN_BYTES_MAX {
            return Err(Error::Config("object_bytes_max is over 5 GiB".into()));
        }
        let presigner = Presigner::new(
            &config.public_url,
            config.bucket.clone(),
            config.region.clone(),
            config.access_key_id.clone(),
            secret,
        )?;
        let disk = Arc::new(Disk::open(&config.dir, config.disk_reserve_bytes)?);
        let gates = endpoint::Gates::new(&config, Arc::clone(presigner.credential()), credentials)?;
        let pool = Pool::new(upload::BUFFER_BYTES);
        Ok(Arc::new(Self {
            config,
            presigner,
            disk,
            pool,
            clock,
            store: Arc::new(crate::store::Store {}),
            gates,
        }))
    }

    /// The S3 endpoint. It answers every path, so it wants a listener or a fallback of its own.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        endpoint::router(Arc::clone(self))
    }

    /// Runs `act` with the directory on a thread that may block.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Disk) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let disk = Arc::clone(&self.disk);
        let done = tokio::task::spawn_blocking(move || act(&disk)).await;
        done.map_err(std::io::Error::other)
            .flatten()
            .map_err(Error::storage(doing))
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
        let name = FileName::new(&object.to_string());
        self.on_disk("looking for an object", move |disk| {
            disk.read(&name)?
                .map(|file| download::unkeyed_size(&file))
                .transpose()
        })
        .await
    }

    async fn delete(&self, object: &ObjectId) -> Result<(), Error> {
        let name = FileName::new(&object.to_string());
        self.on_disk("deleting an object", move |disk| disk.remove(&name))
            .await
    }
}
