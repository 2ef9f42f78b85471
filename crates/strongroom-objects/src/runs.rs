//! Sealed runs on their way in and out: in memory when small, otherwise in files.
//!
//! A file holds one run and nothing else, from its first byte on (a file of format 1 holds a head
//! before it). Must not know buckets' owners, uploads or HTTP.

pub(crate) mod reader;
mod sink;
pub(crate) mod writer;

use crate::buffers::Pool;
use std::sync::Arc;
use strongroom_core::stream::{SEALED_SEGMENT_BYTES, SEGMENT_BYTES};

use crate::disk::Disk;

/// Bytes that are written or read at once, past the page cache; smaller blocks cost more CPU.
pub(crate) const BLOCK_BYTES: usize = 30 * SEGMENT_BYTES;
/// A block, and the segment that crosses its end.
const BLOCK_BUFFER_BYTES: usize = BLOCK_BYTES + SEALED_SEGMENT_BYTES;
/// Block buffers that wait for the next transfer.
const BLOCKS_KEPT: usize = 8;
/// Segment buffers that wait for the next download.
const SEGMENTS_KEPT: usize = 64;

/// The directory and the memory that runs go through.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) disk: Arc<Disk>,
    blocks: Pool,
    segments: Pool,
}

impl Channel {
    pub(crate) fn new(disk: Arc<Disk>) -> Self {
        Self {
            disk,
            blocks: Pool::new(BLOCK_BUFFER_BYTES, BLOCKS_KEPT),
            segments: Pool::new(SEGMENT_BYTES, SEGMENTS_KEPT),
        }
    }
}
