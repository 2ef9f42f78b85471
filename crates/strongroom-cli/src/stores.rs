//! Opens a data directory: lock, format, keyring, audit log, stores, in that order.

use crate::config::{Config, CredentialSection, Durability};
use anyhow::{Context, bail};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use strongroom::clock::VaultClock;
use strongroom::{Parts, Rules, Vault};
use strongroom_audit::Log;
use strongroom_core::time::Clock;
use strongroom_core::{UnixMillis, VaultId};
use strongroom_keyring::{Keyring, file as keyring_file};
use strongroom_objects::{Embedded, EmbeddedConfig, ObjectStore, S3Credential, SigningSecret};
use strongroom_records::{RecordStore, Sqlite, SqliteConfig};

/// Format of the data directory as a whole; each store has its own beside it.
pub(crate) const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const RECORDS: &str = "records.sqlite3";

/// Held as long as the process uses the directory.
pub(crate) struct DataLock(#[expect(dead_code, reason = "held for its lock")] File);

/// Everything that stands in the data directory, open.
pub(crate) struct Stores {
    pub(crate) keyring: Keyring,
    pub(crate) audit: Arc<Log>,
    pub(crate) clock: Arc<VaultClock>,
    pub(crate) records: Arc<Sqlite>,
    pub(crate) objects: Arc<Embedded>,
    pub(crate) lock: DataLock,
}

/// A vault, and the stores that it was opened from.
pub(crate) struct OpenVault {
    pub(crate) vault: Arc<Vault>,
    pub(crate) vault_id: VaultId,
    pub(crate) records: Arc<Sqlite>,
    pub(crate) objects: Arc<Embedded>,
    pub(crate) audit: Arc<Log>,
    pub(crate) clock: Arc<dyn Clock>,
    _lock: DataLock,
}

impl Stores {
    /// Gives the keyring to the vault.
    pub(crate) async fn open_vault(self, rules: Rules) -> anyhow::Result<OpenVault> {
        let vault_id = self.keyring.vault_id();
        let clock: Arc<dyn Clock> = self.clock;
        let vault = Vault::open(Parts {
            keyring: self.keyring,
            records: Arc::clone(&self.records) as Arc<dyn RecordStore>,
            objects: Arc::clone(&self.objects) as Arc<dyn ObjectStore>,
            audit: Arc::clone(&self.audit),
            clock: Arc::clone(&clock),
            rules,
        });
        Ok(OpenVault {
            vault: Arc::new(vault.await?),
            vault_id,
            records: self.records,
            objects: self.objects,
            audit: self.audit,
            clock,
            _lock: self.lock,
        })
    }
}

impl OpenVault {
    /// Finishes what is queued, and closes records and log.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let closed = self.records.close().await;
        self.audit.close();
        closed.context("the record store could not be closed")
    }
}

/// Locks the data directory against a second process and checks its format.
pub(crate) fn lock(config: &Config) -> anyhow::Result<DataLock> {
    let dir = config.path(&config.data_dir);
    check_private_dir(&dir)?;
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("{} is in use by another strongroom process", dir.display())
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| path.display().to_string());
        }
    }
    check_format(&dir)?;
    Ok(DataLock(file))
}

/// Whether the data directory could be opened, as far as can be told without a lock.
pub(crate) fn check_data_dir(config: &Config) -> anyhow::Result<()> {
    let dir = config.path(&config.data_dir);
    check_private_dir(&dir)?;
    check_format(&dir)
}

fn check_private_dir(dir: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(dir).with_context(|| {
        format!(
            "the data directory {} cannot be read; `strongroom init` makes one",
            dir.display()
        )
    })?;
    if metadata.mode() & 0o077 != 0 {
        bail!(
            "{0} is open to others (mode {1:o}); run `chmod 700 {0}`",
            dir.display(),
            metadata.mode() & 0o777
        );
    }
    Ok(())
}

/// Writes the format of a new data directory.
pub(crate) fn write_format(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(FORMAT_FILE);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    Ok(())
}

fn check_format(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(FORMAT_FILE);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let found: u32 = text
        .trim()
        .parse()
        .with_context(|| format!("{} does not hold a format number", path.display()))?;
    // Format 1 is the first, so there is nothing older to bring up to date yet.
    match found {
        FORMAT => Ok(()),
        newer if newer > FORMAT => bail!(
            "{} has format {newer}, this program knows up to {FORMAT}: run the newer program",
            dir.display()
        ),
        other => bail!("{} has format {other}, which never existed", dir.display()),
    }
}

/// Reads the keyring with the master key.
pub(crate) fn read_keyring(config: &Config) -> anyhow::Result<Keyring> {
    let master = keyring_file::read_master_key(&config.path(&config.master_key_file))?;
    let path = config.data("keyring");
    keyring_file::read(&path, &master, 0).with_context(|| path.display().to_string())
}

/// Opens the decision log and the clock that starts from its newest entry.
pub(crate) fn open_audit(
    config: &Config,
    system_now: fn() -> UnixMillis,
) -> anyhow::Result<(Arc<Log>, Arc<VaultClock>)> {
    let dir = config.data("audit");
    make_dir(&dir)?;
    let durability = match config.audit.durability {
        Durability::Durable => strongroom_audit::Durability::Durable,
        Durability::Buffered => strongroom_audit::Durability::Buffered,
    };
    let limits = strongroom_audit::Limits {
        queue_bytes_max: config.audit.queue_bytes_max.as_usize(),
    };
    let log = Log::open(&dir, durability, limits).with_context(|| dir.display().to_string())?;
    let clock = VaultClock::new(system_now, log.newest_at_open());
    Ok((Arc::new(log), Arc::new(clock)))
}

/// Opens everything; `s3_url` is where clients reach the object store.
pub(crate) fn open(
    config: &Config,
    s3_url: &str,
    system_now: fn() -> UnixMillis,
) -> anyhow::Result<Stores> {
    let lock = lock(config)?;
    let keyring = read_keyring(config)?;
    check_complete(config)?;
    let (audit, clock) = open_audit(config, system_now)?;
    if audit.newest_at_open() > UnixMillis(0) && !config.data(RECORDS).exists() {
        bail!(
            "{} is missing, though the audit log has entries: restore it from a backup",
            config.data(RECORDS).display()
        );
    }
    let records = open_records(config)?;
    let objects = open_objects(config, s3_url, &keyring, Arc::clone(&clock))?;
    Ok(Stores {
        keyring,
        audit,
        clock,
        records,
        objects,
        lock,
    })
}

/// A store that went missing is restored, not made anew: a vault that starts empty beside its
/// other half would call every token unknown, or forget its time.
fn check_complete(config: &Config) -> anyhow::Result<()> {
    // The log is made first, and durably, so records never stand without it.
    let (records, audit) = (config.data(RECORDS), config.data("audit/decisions.jsonl"));
    if records.exists() && !audit.exists() {
        bail!(
            "{} is missing, though records exist: restore it from a backup",
            audit.display()
        );
    }
    Ok(())
}

fn open_records(config: &Config) -> anyhow::Result<Arc<Sqlite>> {
    let path = config.data(RECORDS);
    let sqlite = SqliteConfig {
        cache_bytes: config.records.cache.as_usize(),
        page_cache_bytes: config.records.page_cache.as_usize(),
        ..SqliteConfig::new(&path)
    };
    let records = Sqlite::open(sqlite).with_context(|| path.display().to_string())?;
    Ok(Arc::new(records))
}

fn open_objects(
    config: &Config,
    s3_url: &str,
    keyring: &Keyring,
    clock: Arc<VaultClock>,
) -> anyhow::Result<Arc<Embedded>> {
    let dir = config.data("objects");
    let s3 = &config.s3;
    let embedded = EmbeddedConfig {
        dir: dir.clone(),
        bucket: s3.bucket.clone(),
        region: s3.region.clone(),
        public_url: s3_url.to_owned(),
        object_bytes_max: s3.object_bytes_max.0,
        disk_reserve_bytes: s3.disk_reserve.0,
        access_key_id: s3.access_key_id.clone(),
        cors_origins: s3.cors_origins.clone(),
        transfers_max: s3.transfers_max,
        object_downloads_max: s3.object_downloads_max,
        body_idle_s: u32::try_from(s3.body_idle.0.as_secs()).unwrap_or(u32::MAX),
        body_bytes_per_s_min: s3.body_rate_min.as_u32(),
        inline_bytes_max: s3.inline_bytes_max.as_u32(),
        uploads_max: s3.uploads_max,
        upload_life_s: s3.upload_life.0.as_secs(),
    };
    let store_key = keyring.index().store_key();
    let secret = match &s3.secret_access_key_file {
        None => SigningSecret::derived(&store_key),
        Some(file) => read_signing_secret(&config.path(file))?,
    };
    let credentials = read_credentials(config)?;
    Embedded::open(embedded, secret, &store_key, credentials, clock)
        .with_context(|| dir.display().to_string())
}

fn read_credentials(config: &Config) -> anyhow::Result<Vec<S3Credential>> {
    let read = |credential: &CredentialSection| {
        Ok(S3Credential {
            name: credential.name.clone(),
            access_key_id: credential.access_key_id.clone(),
            secret: read_signing_secret(&config.path(&credential.secret_access_key_file))?,
            buckets: credential.buckets.clone(),
            server_keyed: credential.server_keyed,
        })
    };
    config.s3.credential.iter().map(read).collect()
}

/// Reads a secret access key.
pub(crate) fn read_signing_secret(path: &Path) -> anyhow::Result<SigningSecret> {
    const SECRET_BYTES_MAX: u64 = 1_024;
    let bytes = keyring_file::read_private(path, SECRET_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).ok().map(str::trim);
    let text = text.filter(|text| text.len() >= 16);
    let text = text.with_context(|| {
        format!(
            "{} does not hold a secret access key of 16 characters or more",
            path.display()
        )
    })?;
    Ok(SigningSecret::new(text.to_owned()))
}

fn make_dir(dir: &Path) -> anyhow::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .mode(0o700)
        .create(dir)
        .with_context(|| dir.display().to_string())?;
    let parent = dir.parent().unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()?;
    Ok(())
}
