//! The least that storing a stream costs: sealed in blocks, written past the page cache, synced.
//!
//! Blocks, segments and durability are the vault's. What it has beside them (signatures, limits,
//! an index, a manifest) is left out; a difference between the two is the vault's own doing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{Aad, LessSafeKey};
use axum::body::Body;
use futures_util::StreamExt;
use memmap2::MmapMut;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{CHUNK_BYTES, nonce};

const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// Written at once; the vault's block.
const BLOCK_BYTES: usize = 30 * CHUNK_BYTES;
/// A block, and the chunk that crosses its end.
const BUFFER_BYTES: usize = BLOCK_BYTES + SEALED_BYTES;
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// One is filled, one waits, one is written.
const BLOCKS: usize = 3;

/// Seals `body` into a new file at `path` and makes that durable. Gives the file's length.
pub(crate) async fn store(path: &Path, key: LessSafeKey, body: Body) -> Option<u64> {
    let at = path.to_owned();
    let file = spawn_blocking(move || create(&at)).await.ok()?.ok()?;
    let mut block = Filling::new(key, Writer::start(Arc::new(file)))?;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        block.push(&frame.ok()?).await?;
    }
    let length = block.finish().await?;
    let directory = path.parent()?.to_owned();
    let sync = move || File::open(directory).and_then(|directory| directory.sync_all());
    spawn_blocking(sync).await.ok()?.ok()?;
    Some(length)
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    direct(&file, true)?;
    Ok(file)
}

fn direct(file: &File, on: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

/// Memory in a huge page, if there is one.
struct Block {
    map: MmapMut,
    start: usize,
}

impl Block {
    fn new() -> io::Result<Self> {
        let map = MmapMut::map_anon(BUFFER_BYTES.next_multiple_of(HUGE_PAGE_BYTES) * 2)?;
        map.advise(memmap2::Advice::HugePage)?;
        let address = map.as_ptr().addr();
        let start = address.next_multiple_of(HUGE_PAGE_BYTES) - address;
        Ok(Self { map, start })
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..BUFFER_BYTES]
    }
}

/// A thread that writes blocks one after another, and gives them back.
struct Writer {
    full: mpsc::Sender<(Block, u64)>,
    empty: mpsc::Receiver<Block>,
    writing: JoinHandle<io::Result<Arc<File>>>,
}

impl Writer {
    fn start(file: Arc<File>) -> Self {
        let (full, mut to_write) = mpsc::channel::<(Block, u64)>(BLOCKS);
        let (written, empty) = mpsc::channel(BLOCKS);
        let writing = spawn_blocking(move || {
            while let Some((mut block, offset)) = to_write.blocking_recv() {
                file.write_all_at(&block.bytes()[..BLOCK_BYTES], offset)?;
                // Nobody wants it back once the body has ended.
                let _ = written.try_send(block);
            }
            Ok(file)
        });
        Self {
            full,
            empty,
            writing,
        }
    }
}

/// The block that takes what comes.
struct Filling {
    key: LessSafeKey,
    sealed: u64,
    block: Block,
    /// Where the chunk begins that is being filled, and how far it is.
    at: usize,
    filled: usize,
    /// Bytes that went to the writer.
    offset: u64,
    writer: Writer,
    made: usize,
}

impl Filling {
    fn new(key: LessSafeKey, writer: Writer) -> Option<Self> {
        Some(Self {
            key,
            sealed: 0,
            block: Block::new().ok()?,
            at: 0,
            filled: 0,
            offset: 0,
            writer,
            made: 1,
        })
    }

    async fn push(&mut self, mut data: &[u8]) -> Option<()> {
        while !data.is_empty() {
            let room = CHUNK_BYTES - self.filled;
            let (now, rest) = data.split_at(room.min(data.len()));
            if now.len() == room {
                self.seal(now)?;
                if self.at >= BLOCK_BYTES {
                    self.write_block().await?;
                }
            } else {
                let from = self.at + self.filled;
                self.block.bytes()[from..from + now.len()].copy_from_slice(now);
                self.filled += now.len();
            }
            data = rest;
        }
        Some(())
    }

    /// Seals what is gathered and `rest`, which is not copied first.
    fn seal(&mut self, rest: &[u8]) -> Option<()> {
        let end = self.at + self.filled + rest.len() + TAG_BYTES;
        let (gathered, rest_and_tag) = self.block.bytes()[self.at..end].split_at_mut(self.filled);
        self.key
            .seal_in_place_scatter(
                nonce(self.sealed),
                Aad::empty(),
                gathered,
                rest,
                rest_and_tag,
            )
            .ok()?;
        self.sealed += 1;
        self.at = end;
        self.filled = 0;
        Some(())
    }

    async fn write_block(&mut self) -> Option<()> {
        let mut next = if self.made < BLOCKS {
            self.made += 1;
            Block::new().ok()?
        } else {
            self.writer.empty.recv().await?
        };
        self.at -= BLOCK_BYTES;
        next.bytes()[..self.at].copy_from_slice(&self.block.bytes()[BLOCK_BYTES..][..self.at]);
        let full = std::mem::replace(&mut self.block, next);
        self.writer.full.send((full, self.offset)).await.ok()?;
        self.offset += BLOCK_BYTES as u64;
        Some(())
    }

    /// Writes the end and syncs.
    async fn finish(mut self) -> Option<u64> {
        if self.filled > 0 {
            self.seal(&[])?;
        }
        drop(self.writer.full);
        let file = self.writer.writing.await.ok()?.ok()?;
        let end = move || {
            direct(&file, false)?;
            file.write_all_at(&self.block.bytes()[..self.at], self.offset)?;
            file.sync_all()?;
            Ok::<_, io::Error>(self.offset + self.at as u64)
        };
        spawn_blocking(end).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;

    #[tokio::test]
    async fn every_byte_is_in_the_file_in_sealed_chunks() {
        let body: Vec<u8> = (0..3 * BLOCK_BYTES + 5)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let path = std::env::temp_dir().join(format!("floor-{}", std::process::id()));
        let frames = body
            .chunks(100_000)
            .map(|frame| Ok::<_, io::Error>(frame.to_vec()));
        let frames: Vec<_> = frames.collect();
        let sent = Body::from_stream(futures_util::stream::iter(frames));
        let length = store(&path, key().unwrap(), sent).await;
        let file = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(length, Some(file.len() as u64));
        let mut opened = Vec::new();
        for (index, chunk) in file.chunks(SEALED_BYTES).enumerate() {
            let mut chunk = chunk.to_vec();
            let plain = key()
                .unwrap()
                .open_in_place(nonce(index as u64), Aad::empty(), &mut chunk)
                .unwrap();
            opened.extend_from_slice(plain);
        }
        assert!(opened == body);
    }
}
