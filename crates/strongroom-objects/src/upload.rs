//! An upload: bytes in, a sealed file out, in constant memory.
//!
//! ```text
//! file = 0x01 ‖ head length u32 ‖ sealed head ‖ run
//! ```
//!
//! The head's length is known beforehand, so the run is written behind room for it and the head
//! last. Must not know HTTP.

use crate::buffers::{Buffer, Pool};
use crate::disk::{Disk, FileName, Incoming, Published};
use rand_core::{Rng, UnwrapErr};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::manifest::{HeadKeys, Manifest, Run, head_bytes};
use strongroom_core::stream::{
    Context, Flag, SALT_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES, SegmentSealer, run_header,
};
use strongroom_core::{UnixMillis, VERSION};
use tokio::task::{JoinHandle, spawn_blocking};

/// Segments that are written or read at once.
const BATCH_SEGMENTS: usize = 8;
/// Bytes of a transfer's buffer.
pub(crate) const BATCH_BYTES: usize = BATCH_SEGMENTS * SEALED_SEGMENT_BYTES;
/// Version byte and head length.
pub(crate) const PREFIX_BYTES: usize = 5;

const TAG_BYTES: usize = SEALED_SEGMENT_BYTES - SEGMENT_BYTES;

/// An upload under way. Dropped unfinished, it leaves nothing.
pub(crate) struct Upload {
    target: Arc<Target>,
    pool: Pool,
    manifest: Manifest,
    head_keys: HeadKeys,
    head_bytes: usize,
    sealer: SegmentSealer,
    buffer: Buffer,
    /// The segment of the buffer that is being filled, and how far.
    segment: usize,
    filled: usize,
    /// Where the buffer goes in the file.
    offset: u64,
    writing: Option<JoinHandle<io::Result<()>>>,
}

/// What the writing threads need.
struct Target {
    disk: Arc<Disk>,
    incoming: Incoming,
    bucket: String,
    object_key: String,
}

fn malformed(error: strongroom_core::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl Upload {
    /// Starts one. `manifest` has its texts; size, time and run are filled in here.
    pub(crate) fn start(
        disk: Arc<Disk>,
        pool: Pool,
        bucket: &str,
        object_key: &str,
        key: &DataKey,
        mut manifest: Manifest,
    ) -> io::Result<Self> {
        let mut salts = [[0; SALT_BYTES]; 2];
        UnwrapErr(getrandom::SysRng).fill_bytes(salts.as_flattened_mut());
        let [run_salt, check_salt] = salts;
        manifest.runs = vec![Run {
            part_number: 1,
            length: 0,
            salt: run_salt,
        }];
        let head_bytes = head_bytes(&manifest).map_err(malformed)?;
        let context = Context::Stored {
            bucket,
            object_key,
            part_number: 1,
        };
        let sealer = SegmentSealer::new(&run_salt, key, &context).map_err(malformed)?;
        let incoming = disk.incoming()?;
        let header = run_header(&run_salt);
        let run_at = PREFIX_BYTES as u64 + head_bytes as u64;
        incoming.file.write_all_at(&header, run_at)?;
        let (bucket, object_key) = (bucket.to_owned(), object_key.to_owned());
        Ok(Self {
            target: Arc::new(Target {
                disk,
                incoming,
                bucket,
                object_key,
            }),
            buffer: pool.take(),
            pool,
            manifest,
            head_keys: HeadKeys::new(&check_salt, key),
            head_bytes,
            sealer,
            segment: 0,
            filled: 0,
            offset: run_at + header.len() as u64,
            writing: None,
        })
    }

    /// Takes the next bytes of the value.
    pub(crate) async fn push(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            if self.filled == SEGMENT_BYTES {
                self.seal_segment(Flag::More)?;
                if self.segment == BATCH_SEGMENTS {
                    self.write_batch(BATCH_BYTES).await?;
                }
            }
            let from = self.segment * SEALED_SEGMENT_BYTES + self.filled;
            let count = data.len().min(SEGMENT_BYTES - self.filled);
            let (head, rest) = data.split_at(count);
            self.buffer[from..from + count].copy_from_slice(head);
            self.filled += count;
            self.manifest.size += count as u64;
            data = rest;
        }
        Ok(())
    }

    /// Seals the end and the head, syncs, and gives the file its name.
    pub(crate) async fn finish(mut self, stored_at: UnixMillis) -> io::Result<Published> {
        let last = self.segment * SEALED_SEGMENT_BYTES + self.filled + TAG_BYTES;
        self.seal_segment(Flag::EndOfRun)?;
        self.write_batch(last).await?;
        self.written().await?;
        self.manifest.stored_at = stored_at;
        self.manifest.runs[0].length = self.manifest.size;
        spawn_blocking(move || self.publish())
            .await
            .map_err(io::Error::other)?
    }

    /// Ends an upload that is refused; on return nothing of it is left.
    pub(crate) async fn abandon(mut self) {
        if let Err(error) = self.written().await {
            tracing::debug!(%error, "the last write of a refused upload failed");
        }
    }

    fn publish(&self) -> io::Result<Published> {
        let Target {
            disk,
            incoming,
            bucket,
            object_key,
        } = &*self.target;
        let mut rng = UnwrapErr(getrandom::SysRng);
        let head = self
            .head_keys
            .seal(bucket, object_key, &self.manifest, &mut rng);
        let head = head.map_err(malformed)?;
        let length = u32::try_from(head.len())
            .ok()
            .filter(|_| head.len() == self.head_bytes);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        incoming
            .file
            .write_all_at(&[&[VERSION][..], &length.to_be_bytes(), &head].concat(), 0)?;
        disk.publish(incoming, &FileName::new(object_key))
    }

    fn seal_segment(&mut self, flag: Flag) -> io::Result<()> {
        let from = self.segment * SEALED_SEGMENT_BYTES;
        let segment = &mut self.buffer[from..from + self.filled + TAG_BYTES];
        self.sealer.seal(segment, flag).map_err(malformed)?;
        self.segment += 1;
        self.filled = 0;
        Ok(())
    }

    /// Hands the buffer's first `count` bytes to a writing thread, one batch at a time.
    async fn write_batch(&mut self, count: usize) -> io::Result<()> {
        self.written().await?;
        let batch = std::mem::replace(&mut self.buffer, self.pool.take());
        let (target, offset) = (Arc::clone(&self.target), self.offset);
        self.writing = Some(spawn_blocking(move || {
            target.disk.check_room(count as u64)?;
            target.incoming.file.write_all_at(&batch[..count], offset)
        }));
        self.offset += count as u64;
        self.segment = 0;
        Ok(())
    }

    async fn written(&mut self) -> io::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}
