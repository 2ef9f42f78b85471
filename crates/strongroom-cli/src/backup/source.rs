//! The vault's side of a backup: what it sends, in which order, and why that is whole.
//!
//! Snapshots of records and objects are taken while the sweeper removes nothing, records first.
//! Between the two nothing but the sweeper takes an object of the vault away, so every record in
//! the first snapshot whose upload was acknowledged has its object in the second; what was
//! uploaded in between is an object more. Files of the second are held until they are sent. The
//! decision log is sent up to its durable end after the entry about the backup itself, which was
//! appended after the snapshots: so it holds every entry of a record in them.
//!
//! The databases are copied beside the data first and sent from there, so that a slow receiver
//! does not keep their logs from being emptied.

use super::manifest::{CONFIG, Digest, Formats, Head};
use super::message::{CHUNK_BYTES, Message, send};
use crate::config::Config;
use crate::stores::OpenVault;
use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use strongroom_audit::{Entry, Rule};
use strongroom_objects::ObjectsSnapshot;
use strongroom_records::Snapshot;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// Where the databases' copies lie, below the data directory, while they are sent.
const STAGING: &str = "backup.tmp";
/// A receiver that takes nothing for so long is given up.
const STALL_MAX: Duration = Duration::from_mins(1);
/// The pause after each [`CHUNK_BYTES`] that were sent: at most 256 MiB a second, so that serving
/// has the disk in between.
const CHUNK_PAUSE: Duration = Duration::from_millis(1);

/// All that a backup is made of.
pub(crate) struct Source {
    opened: Arc<OpenVault>,
    data: PathBuf,
    config_file: PathBuf,
    bucket: String,
    /// Free bytes that the copies of the databases must leave.
    reserve_bytes: u64,
    /// One backup at a time.
    one: Mutex<()>,
}

/// What was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// The snapshots and what is known of them.
struct Taken {
    at: u64,
    records: Snapshot,
    objects: ObjectsSnapshot,
    audit_bytes: u64,
}

/// The directory of the copies; removed when it is dropped.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // What is left is removed by the next backup or start.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what a backup left that was killed.
pub(crate) fn clean(data: &Path) {
    drop(Staging(data.join(STAGING)));
}

impl Source {
    /// Of an open vault; `config_file` is what `config` was read from.
    pub(crate) fn new(opened: &Arc<OpenVault>, config: &Config, config_file: PathBuf) -> Self {
        Self {
            opened: Arc::clone(opened),
            data: config.path(&config.data_dir),
            config_file,
            bucket: config.s3.bucket.clone(),
            reserve_bytes: config.s3.disk_reserve.0,
            one: Mutex::default(),
        }
    }

    /// Sends a backup; tells the receiver of any error but that of the connection. `stop` ends it.
    pub(crate) async fn send(
        self: &Arc<Self>,
        stream: UnixStream,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Sent> {
        let told = stream.try_clone().context("the connection")?;
        stream.set_write_timeout(Some(STALL_MAX))?;
        let sent = self.try_send(stream, stop).await;
        if let Err(error) = &sent {
            let message = format!("{error:#}");
            // If the connection is what failed, nobody listens.
            let _ = send(&told, &Message::Error { message });
        }
        sent
    }

    async fn try_send(
        self: &Arc<Self>,
        stream: UnixStream,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Sent> {
        let _one = self
            .one
            .try_lock()
            .context("a backup is under way already")?;
        let taken = self.take().await?;
        let (source, stop) = (Arc::clone(self), Arc::clone(stop));
        spawn_blocking(move || source.copy_and_send(taken, &stream, &stop)).await?
    }

    async fn take(&self) -> anyhow::Result<Taken> {
        let opened = &self.opened;
        let held = opened.vault.hold_removals().await;
        let at = opened.clock.now();
        let records = Arc::clone(&opened.records);
        let records = spawn_blocking(move || records.snapshot()).await??;
        let objects = opened.objects.snapshot().await?;
        drop(held);
        let entry = Entry::of_operator(opened.clock.now(), "backup", Rule::Operator);
        opened.audit.append(&entry)?.durable().await?;
        Ok(Taken {
            at: at.0,
            records,
            objects,
            audit_bytes: opened.audit.durable_bytes(),
        })
    }

    fn copy_and_send(
        &self,
        taken: Taken,
        stream: &UnixStream,
        stop: &AtomicBool,
    ) -> anyhow::Result<Sent> {
        let Taken {
            at,
            records,
            mut objects,
            audit_bytes,
        } = taken;
        let (index_format, index_bytes) = objects.index()?;
        let (records_format, records_bytes) = (records.format()?, records.bytes()?);
        self.check_room(records_bytes.saturating_add(index_bytes))?;
        let staging = Staging(self.data.join(STAGING));
        let _ = fs::remove_dir_all(&staging.0);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&staging.0)
            .with_context(|| staging.0.display().to_string())?;
        let going = || !stop.load(Ordering::Acquire);
        let (records_copy, index_copy) = (staging.0.join("records"), staging.0.join("index"));
        records
            .copy_to(&records_copy, going)
            .context("copying the records")?;
        objects
            .copy_index(&index_copy, going)
            .context("copying the index of objects")?;
        let formats = Formats {
            data: self.text("format")?,
            objects: self.text("objects/format")?,
            records: records_format,
            index: index_format,
        };
        let plain = [
            (self.config_file.clone(), CONFIG, u64::MAX),
            (self.data.join("format"), "data/format", u64::MAX),
            (self.data.join("keyring"), "data/keyring", u64::MAX),
            (
                self.opened.audit.path().to_owned(),
                "data/audit/decisions.jsonl",
                audit_bytes,
            ),
            (records_copy, "data/records.sqlite3", u64::MAX),
            (
                self.data.join("objects/format"),
                "data/objects/format",
                u64::MAX,
            ),
            (index_copy, "data/objects/index.sqlite3", u64::MAX),
        ];
        let mut sender = Sender::new(stream, stop);
        sender.plan(&plain, objects.measure()?)?;
        for (path, name, bytes_max) in plain {
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            sender.file(name, &file, bytes_max)?;
        }
        drop(staging);
        while let Some(next) = objects.next_file() {
            let (path, file) = next?;
            sender.file(&format!("data/objects/{path}"), &file, u64::MAX)?;
        }
        let head = Head {
            vault: hex::encode(self.opened.vault_id.as_bytes()),
            at,
            program: env!("CARGO_PKG_VERSION").into(),
            bucket: self.bucket.clone(),
            formats,
        };
        sender.done(head)
    }

    fn check_room(&self, bytes: u64) -> anyhow::Result<()> {
        let space = rustix::fs::statvfs(&self.data)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let wanted = bytes.saturating_add(self.reserve_bytes);
        ensure!(
            free >= wanted,
            "{} has {free} bytes left; copies of the databases need {wanted}, \
             with s3.disk_reserve",
            self.data.display()
        );
        Ok(())
    }

    fn text(&self, name: &str) -> anyhow::Result<String> {
        let path = self.data.join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }
}

/// Sends files and counts them.
struct Sender<'a> {
    stream: &'a UnixStream,
    stop: &'a AtomicBool,
    chunk: Vec<u8>,
    since_pause: usize,
    sent: Sent,
}

impl<'a> Sender<'a> {
    fn new(stream: &'a UnixStream, stop: &'a AtomicBool) -> Self {
        Self {
            stream,
            stop,
            chunk: vec![0; CHUNK_BYTES],
            since_pause: 0,
            sent: Sent { files: 0, bytes: 0 },
        }
    }

    fn plan(
        &self,
        plain: &[(PathBuf, &str, u64)],
        (mut files, mut bytes): (u64, u64),
    ) -> anyhow::Result<()> {
        for (path, _, bytes_max) in plain {
            let found = fs::metadata(path).with_context(|| path.display().to_string())?;
            files += 1;
            bytes += found.len().min(*bytes_max);
        }
        Ok(send(self.stream, &Message::Plan { files, bytes })?)
    }

    fn file(&mut self, path: &str, file: &File, bytes_max: u64) -> anyhow::Result<()> {
        let bytes = file.metadata()?.len().min(bytes_max);
        let path = path.to_owned();
        send(self.stream, &Message::File { path, bytes })?;
        let mut digest = Digest::new();
        let mut rest = file.take(bytes);
        let mut left = bytes;
        while left > 0 {
            ensure!(!self.stop.load(Ordering::Acquire), "the vault is stopping");
            let read = rest.read(&mut self.chunk)?;
            ensure!(read > 0, "a file became shorter while it was read");
            let chunk = &self.chunk[..read];
            digest.update(chunk);
            (&mut &*self.stream).write_all(chunk)?;
            left -= read as u64;
            self.pace(read);
        }
        let sha256 = digest.finish();
        send(self.stream, &Message::Digest { sha256 })?;
        self.sent.files += 1;
        self.sent.bytes += bytes;
        Ok(())
    }

    /// Rests after each chunk's worth of bytes, however many files they are of.
    fn pace(&mut self, bytes: usize) {
        self.since_pause += bytes;
        if self.since_pause >= CHUNK_BYTES {
            self.since_pause = 0;
            thread::sleep(CHUNK_PAUSE);
        }
    }

    fn done(self, head: Head) -> anyhow::Result<Sent> {
        send(self.stream, &Message::Done { head })?;
        Ok(self.sent)
    }
}
