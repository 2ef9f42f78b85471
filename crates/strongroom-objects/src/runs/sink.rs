//! The file behind a run that is being written: blocks, then an end, then durable.
//!
//! Blocks are written one after another by a thread that stays as long as there are any. So a fast
//! upload does not wake a thread for each, and a slow one holds none. Must not know what is in
//! them.

use super::BLOCK_BYTES;
use crate::buffers::Buffer;
use crate::disk::{Disk, Incoming, direct};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit as Room, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

/// One is written and one waits, while the next is filled. With none waiting both ends stand still
/// in turn.
const BLOCKS_MAX: usize = 2;

/// See the module. Dropped unfinished, it leaves nothing.
pub(super) struct Sink {
    disk: Arc<Disk>,
    incoming: Arc<Incoming>,
    /// Bytes of the blocks so far.
    offset: u64,
    queue: Arc<Queue>,
    writing: Option<JoinHandle<io::Result<()>>>,
}

/// Blocks on their way to the thread.
struct Queue {
    state: Mutex<State>,
    /// Closed when writing has failed.
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    blocks: VecDeque<Block>,
    /// Whether a thread will look for further blocks.
    busy: bool,
}

struct Block {
    buffer: Buffer,
    offset: u64,
    /// Given back after the buffer, which is then there for the next.
    _room: Room,
}

impl Sink {
    /// An empty file, if there is room for `announced` bytes.
    pub(super) async fn create(disk: &Arc<Disk>, announced: u64) -> io::Result<Self> {
        let disk = Arc::clone(disk);
        let create = move || {
            disk.check_room(announced)?;
            let incoming = Arc::new(disk.incoming()?);
            Ok(Self {
                disk,
                incoming,
                offset: 0,
                queue: Arc::new(Queue::new()),
                writing: None,
            })
        };
        spawn_blocking(create).await.map_err(io::Error::other)?
    }

    /// Waits while too many blocks are on their way.
    pub(super) async fn room(&mut self) -> io::Result<Room> {
        let room = Arc::clone(&self.queue.room).acquire_owned().await;
        if room.is_err() {
            // The thread closed it, and its error says why.
            self.written().await?;
        }
        room.map_err(io::Error::other)
    }

    /// Takes the next block, the first [`BLOCK_BYTES`] of the buffer.
    pub(super) async fn write(&mut self, buffer: Buffer, room: Room) -> io::Result<()> {
        let starts = self.queue.push(Block {
            buffer,
            offset: self.offset,
            _room: room,
        });
        self.offset += BLOCK_BYTES as u64;
        if starts {
            // The thread before has ended, or is about to.
            self.written().await?;
            let queue = Arc::clone(&self.queue);
            let (disk, incoming) = (Arc::clone(&self.disk), Arc::clone(&self.incoming));
            self.writing = Some(spawn_blocking(move || queue.drain(&disk, &incoming)));
        }
        Ok(())
    }

    /// Waits until all blocks are written.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    /// Writes the end, the first `end` bytes of the buffer, and syncs.
    pub(super) async fn finish(mut self, buffer: Buffer, end: usize) -> io::Result<Incoming> {
        self.written().await?;
        let incoming = Arc::into_inner(self.incoming).ok_or(io::ErrorKind::ResourceBusy)?;
        let (disk, offset) = (self.disk, self.offset);
        let finish = move || {
            disk.check_room(end as u64)?;
            direct::write_end(&incoming.file, &buffer[..end], offset)?;
            disk.sync(&incoming)?;
            Ok(incoming)
        };
        spawn_blocking(finish).await.map_err(io::Error::other)?
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            state: Mutex::default(),
            room: Arc::new(Semaphore::new(BLOCKS_MAX)),
        }
    }

    /// Whether a thread is to be started.
    fn push(&self, block: Block) -> bool {
        let mut state = self.state();
        state.blocks.push_back(block);
        !std::mem::replace(&mut state.busy, true)
    }

    fn next(&self) -> Option<Block> {
        let mut state = self.state();
        let next = state.blocks.pop_front();
        state.busy = next.is_some();
        next
    }

    fn drain(&self, disk: &Disk, incoming: &Incoming) -> io::Result<()> {
        while let Some(block) = self.next() {
            let written = block.write(disk, incoming);
            if written.is_err() {
                self.room.close();
                return written;
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block {
    fn write(&self, disk: &Disk, incoming: &Incoming) -> io::Result<()> {
        disk.check_room(BLOCK_BYTES as u64)?;
        if self.offset == 0 {
            direct::enter(&incoming.file);
        }
        direct::write(&incoming.file, &self.buffer[..BLOCK_BYTES], self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Pool;
    use crate::disk::format::Layout;
    use std::io::ErrorKind;
    use std::os::unix::fs::FileExt;
    use strongroom_core::UnixMillis;

    fn disk(reserve_bytes: u64) -> (tempfile::TempDir, Arc<Disk>) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout {
            dir: dir.path(),
            bucket: "vault",
            owner: "vault",
            now: UnixMillis(1),
        };
        let disk = Disk::open(&layout, reserve_bytes).unwrap();
        (dir, Arc::new(disk))
    }

    fn block(fill: u8) -> Buffer {
        let mut block = Pool::new(BLOCK_BYTES, 0).take();
        block.fill(fill);
        block
    }

    #[tokio::test]
    async fn blocks_and_end_lie_in_the_file_in_their_order() {
        let (_dir, disk) = disk(0);
        let mut sink = Sink::create(&disk, 0).await.unwrap();
        for fill in 0..6 {
            let room = sink.room().await.unwrap();
            sink.write(block(fill), room).await.unwrap();
            if fill == 3 {
                // The next one meets a thread that has gone.
                sink.written().await.unwrap();
            }
        }
        let incoming = sink.finish(block(6), 5).await.unwrap();
        let mut file = vec![9; 6 * BLOCK_BYTES + 5];
        assert_eq!(incoming.file.metadata().unwrap().len(), file.len() as u64);
        incoming.file.read_exact_at(&mut file, 0).unwrap();
        for (part, fill) in file.chunks(BLOCK_BYTES).zip(0..) {
            assert!(part.iter().all(|byte| *byte == fill));
        }
    }

    #[tokio::test]
    async fn a_failed_write_is_told_and_nothing_is_left() {
        let (_dir, disk) = disk(u64::MAX);
        let mut sink = Sink::create(&disk, 0).await.unwrap();
        let told = loop {
            match sink.room().await {
                Ok(room) => sink.write(block(1), room).await.unwrap(),
                Err(error) => break error,
            }
        };
        assert_eq!(told.kind(), ErrorKind::StorageFull);
        drop(sink);
        assert!(disk.unsettled().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_write_that_fails_last_fails_the_end() {
        let (_dir, disk) = disk(u64::MAX);
        let mut sink = Sink::create(&disk, 0).await.unwrap();
        let room = sink.room().await.unwrap();
        sink.write(block(1), room).await.unwrap();
        let told = sink.finish(block(2), 5).await.err().unwrap();
        assert_eq!(told.kind(), ErrorKind::StorageFull);
        assert!(disk.unsettled().unwrap().is_empty());
    }
}
