//! One run being sealed as its bytes arrive, in constant memory.
//!
//! A full segment that lies whole in what arrives is sealed from there into its place; only what
//! crosses a border is gathered first.

use super::sink::Sink;
use super::{BLOCK_BYTES, Channel};
use crate::buffers::Buffer;
use crate::disk::Incoming;
use crate::store::StoreError;
use bytes::Bytes;
use std::io;
use strongroom_core::stream::{
    Flag, RUN_HEADER_BYTES, SALT_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES, SegmentSealer,
    run_header, sealed_bytes,
};

const TAG_BYTES: usize = SEALED_SEGMENT_BYTES - SEGMENT_BYTES;

/// How much a run may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// The bytes that will come, if that is known.
    pub(crate) announced: Option<u64>,
    /// Most bytes.
    pub(crate) max: u64,
    /// Up to here the run stays in memory.
    pub(crate) inline_max: Option<u64>,
}

impl Room {
    /// Bytes of the buffer that a run in memory needs, or nothing if it goes to a file at once.
    fn in_memory(&self) -> Option<u64> {
        let inline_max = self.inline_max?;
        let most = self.announced.unwrap_or(inline_max);
        (most <= inline_max).then_some(most)
    }
}

/// A run being written. Dropped unfinished, it leaves nothing.
pub(crate) struct RunWriter {
    channel: Channel,
    room: Room,
    sealer: SegmentSealer,
    salt: [u8; SALT_BYTES],
    buffer: Buffer,
    /// Where in the buffer the segment is that is being filled, and how far it is.
    segment_at: usize,
    filled: usize,
    /// Bytes taken so far.
    plain: u64,
    /// None while all of it is in memory.
    sink: Option<Sink>,
}

/// A run that is whole, and durable if it is a file.
pub(crate) struct Finished {
    pub(crate) salt: [u8; SALT_BYTES],
    /// Plaintext bytes.
    pub(crate) length: u64,
    pub(crate) body: Body,
}

/// Where a finished run lies.
pub(crate) enum Body {
    Memory(Bytes),
    File(Incoming),
}

fn malformed(error: strongroom_core::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl RunWriter {
    /// Starts a run under a fresh salt.
    pub(crate) async fn start(
        channel: &Channel,
        sealer: SegmentSealer,
        salt: [u8; SALT_BYTES],
        room: Room,
    ) -> Result<Self, StoreError> {
        let (buffer, sink) = if let Some(most) = room.in_memory() {
            let bytes = sealed_bytes(most).map_err(malformed)?;
            let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
            (Buffer::single(bytes), None)
        } else {
            let sink = Sink::create(&channel.disk, room.announced.unwrap_or(0)).await?;
            (channel.blocks.take(), Some(sink))
        };
        let mut writer = Self {
            channel: channel.clone(),
            room,
            sealer,
            salt,
            buffer,
            segment_at: RUN_HEADER_BYTES,
            filled: 0,
            plain: 0,
            sink,
        };
        writer.buffer[..RUN_HEADER_BYTES].copy_from_slice(&run_header(&salt));
        Ok(writer)
    }

    /// Takes the next bytes.
    pub(crate) async fn push(&mut self, mut data: &[u8]) -> Result<(), StoreError> {
        self.admit(data.len() as u64).await?;
        while !data.is_empty() {
            if self.filled == SEGMENT_BYTES {
                self.seal(&[], Flag::More).await?;
            }
            let room = SEGMENT_BYTES - self.filled;
            let (now, rest) = data.split_at(room.min(data.len()));
            self.plain += now.len() as u64;
            let more_comes =
                !rest.is_empty() || self.room.announced.is_some_and(|all| all > self.plain);
            if now.len() == room && more_comes {
                self.seal(now, Flag::More).await?;
            } else {
                let from = self.segment_at + self.filled;
                self.filled += now.len();
                let to = self.segment_at + self.filled;
                self.buffer.plaintext = self.segment_at..to;
                self.buffer[from..to].copy_from_slice(now);
            }
            data = rest;
        }
        Ok(())
    }

    /// Seals the end and makes a file durable.
    pub(crate) async fn finish(mut self) -> Result<Finished, StoreError> {
        let announced = self.room.announced.unwrap_or(self.plain);
        // A segment that was sealed with more to come cannot be the last.
        if announced != self.plain || (self.filled == 0 && self.plain > 0) {
            return Err(StoreError::Length);
        }
        self.seal_segment(&[], Flag::EndOfRun)?;
        let (salt, length) = (self.salt, self.plain);
        let body = match self.sink.take() {
            None => Body::Memory(self.buffer.into_bytes(self.segment_at)),
            Some(sink) => {
                let (buffer, end) = (self.buffer, self.segment_at);
                Body::File(sink.finish(buffer, end).await?)
            }
        };
        Ok(Finished { salt, length, body })
    }

    /// Ends a run that is refused; on return nothing of it is left.
    pub(crate) async fn abandon(mut self) {
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.written().await
        {
            tracing::debug!(%error, "the last write of a refused upload failed");
        }
    }

    /// Refuses too many bytes, and leaves memory when they are too many for it.
    async fn admit(&mut self, more: u64) -> Result<(), StoreError> {
        let proposed = self.plain.saturating_add(more);
        if proposed > self.room.max {
            let max = self.room.max;
            return Err(StoreError::TooLarge { proposed, max });
        }
        if self.room.announced.is_some_and(|all| proposed > all) {
            return Err(StoreError::Length);
        }
        if self.sink.is_none() && proposed > self.room.inline_max.unwrap_or(0) {
            self.sink = Some(Sink::create(&self.channel.disk, 0).await?);
            let block = self.channel.blocks.take();
            let small = std::mem::replace(&mut self.buffer, block);
            let used = self.segment_at + self.filled;
            self.buffer.plaintext = small.plaintext.clone();
            self.buffer[..used].copy_from_slice(&small[..used]);
        }
        Ok(())
    }

    async fn seal(&mut self, rest: &[u8], flag: Flag) -> Result<(), StoreError> {
        self.seal_segment(rest, flag)?;
        if self.sink.is_some() && self.segment_at >= BLOCK_BYTES {
            self.write_block().await?;
        }
        Ok(())
    }

    fn seal_segment(&mut self, rest: &[u8], flag: Flag) -> Result<(), StoreError> {
        let end = self.segment_at + self.filled + rest.len() + TAG_BYTES;
        let segment = &mut self.buffer[self.segment_at..end];
        self.sealer
            .seal_from(segment, self.filled, rest, flag)
            .map_err(malformed)?;
        self.buffer.plaintext = 0..0;
        self.segment_at = end;
        self.filled = 0;
        Ok(())
    }

    /// Hands the buffer's block to the file, and keeps what is behind it.
    async fn write_block(&mut self) -> Result<(), StoreError> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        // A block that was written is free by then.
        let room = sink.room().await?;
        let mut next = self.channel.blocks.take();
        self.segment_at -= BLOCK_BYTES;
        next[..self.segment_at].copy_from_slice(&self.buffer[BLOCK_BYTES..][..self.segment_at]);
        let block = std::mem::replace(&mut self.buffer, next);
        sink.write(block, room).await?;
        Ok(())
    }
}
