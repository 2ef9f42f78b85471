//! An upload: bytes in, a sealed file out, in constant memory.
//!
//! ```text
//! file = 0x01 ‖ head length u32 ‖ sealed head ‖ run
//! ```
//!
//! The head's length is known beforehand, so the run is written behind room for it and the head
//! last. Whole blocks go past the page cache, end and head through it. Must not know HTTP.

use crate::buffers::{Buffer, Pool};
use crate::disk::{Disk, FileName, Incoming, Published, direct};
use rand_core::{Rng, UnwrapErr};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::manifest::{HeadKeys, Manifest, Run, head_bytes};
use strongroom_core::stream::{
    Context, Flag, RUN_HEADER_BYTES, SALT_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES,
    SegmentSealer, run_header,
};
use strongroom_core::{UnixMillis, VERSION};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes that are written at once, past the page cache; smaller blocks cost more CPU.
pub(crate) const BLOCK_BYTES: usize = 30 * SEGMENT_BYTES;
/// Bytes of a transfer's buffer: a block, and the segment that crosses its end.
pub(crate) const BUFFER_BYTES: usize = BLOCK_BYTES + SEALED_SEGMENT_BYTES;
/// Version byte and head length.
pub(crate) const PREFIX_BYTES: usize = 5;
/// Longest head that is written or read; an upload's headers are far smaller.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

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
    /// Where in the buffer the segment is that is being filled, and how far it is.
    segment_at: usize,
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
        if head_bytes > HEAD_BYTES_MAX {
            return Err(malformed(strongroom_core::Error::Malformed));
        }
        let context = Context::Stored {
            bucket,
            object_key,
            part_number: 1,
        };
        let sealer = SegmentSealer::new(&run_salt, key, &context).map_err(malformed)?;
        let incoming = disk.incoming()?;
        let mut buffer = pool.take();
        let run_at = PREFIX_BYTES + head_bytes;
        let segment_at = run_at + RUN_HEADER_BYTES;
        buffer[..run_at].fill(0);
        buffer[run_at..segment_at].copy_from_slice(&run_header(&run_salt));
        let (bucket, object_key) = (bucket.to_owned(), object_key.to_owned());
        Ok(Self {
            target: Arc::new(Target {
                disk,
                incoming,
                bucket,
                object_key,
            }),
            buffer,
            pool,
            manifest,
            head_keys: HeadKeys::new(&check_salt, key),
            head_bytes,
            sealer,
            segment_at,
            filled: 0,
            offset: 0,
            writing: None,
        })
    }

    /// Takes the next bytes of the value.
    pub(crate) async fn push(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            if self.filled == SEGMENT_BYTES {
                self.seal_segment(Flag::More)?;
                if self.segment_at >= BLOCK_BYTES {
                    self.write_block().await?;
                }
            }
            let from = self.segment_at + self.filled;
            let count = data.len().min(SEGMENT_BYTES - self.filled);
            let (head, rest) = data.split_at(count);
            self.buffer[from..from + count].copy_from_slice(head);
            self.filled += count;
            self.buffer.plaintext = self.segment_at..from + count;
            self.manifest.size += count as u64;
            data = rest;
        }
        Ok(())
    }

    /// Seals the end and the head, syncs, and gives the file its name.
    pub(crate) async fn finish(mut self, stored_at: UnixMillis) -> io::Result<Published> {
        self.seal_segment(Flag::EndOfRun)?;
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
        direct::leave(&incoming.file)?;
        let end = &self.buffer[..self.segment_at];
        disk.check_room(end.len() as u64)?;
        incoming.file.write_all_at(end, self.offset)?;
        incoming
            .file
            .write_all_at(&[&[VERSION][..], &length.to_be_bytes(), &head].concat(), 0)?;
        disk.publish(incoming, &FileName::new(object_key))
    }

    fn seal_segment(&mut self, flag: Flag) -> io::Result<()> {
        let end = self.segment_at + self.filled + TAG_BYTES;
        let segment = &mut self.buffer[self.segment_at..end];
        self.sealer.seal(segment, flag).map_err(malformed)?;
        self.buffer.plaintext = 0..0;
        self.segment_at = end;
        self.filled = 0;
        Ok(())
    }

    /// Hands the buffer's block to a writing thread, one at a time, and keeps what is behind it.
    async fn write_block(&mut self) -> io::Result<()> {
        self.written().await?;
        let block = std::mem::replace(&mut self.buffer, self.pool.take());
        self.segment_at -= BLOCK_BYTES;
        self.buffer[..self.segment_at].copy_from_slice(&block[BLOCK_BYTES..][..self.segment_at]);
        let (target, offset) = (Arc::clone(&self.target), self.offset);
        self.writing = Some(spawn_blocking(move || {
            let Target { disk, incoming, .. } = &*target;
            disk.check_room(BLOCK_BYTES as u64)?;
            if offset == 0 {
                direct::enter(&incoming.file);
            }
            direct::write(&incoming.file, &block[..BLOCK_BYTES], offset)
        }));
        self.offset += BLOCK_BYTES as u64;
        Ok(())
    }

    async fn written(&mut self) -> io::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}
