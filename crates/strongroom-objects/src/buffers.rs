//! Aligned buffers of one size that transfers take and give back, and single ones for small values.
//!
//! Fresh memory of a block's size costs a page fault per 4 KiB; recycling it is most of what keeps
//! a transfer cheap. Large buffers lie in huge pages if the system has them to give: direct I/O
//! then pins and describes to the disk one page per buffer instead of hundreds. Must not know what
//! is in them.

use bytes::Bytes;
use memmap2::MmapMut;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// What direct I/O asks of addresses, offsets and lengths, on all usual disks.
pub(crate) const ALIGNMENT: usize = 4096;
/// A huge page's bytes on x86-64, and on other processors with small pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Buffers from this size on are worth a huge page.
const LARGE_BYTES_MIN: usize = HUGE_PAGE_BYTES / 2;

/// Hands out buffers of one size.
#[derive(Clone)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Memory>>>,
    bytes: usize,
    kept_max: usize,
}

impl Pool {
    /// A pool of buffers of `bytes` bytes; none is made before it is asked for, and at most
    /// `kept_max` wait for the next transfer.
    pub(crate) fn new(bytes: usize, kept_max: usize) -> Self {
        Self {
            free: Arc::default(),
            bytes,
            kept_max,
        }
    }

    /// A buffer with undefined content, aligned to [`ALIGNMENT`].
    pub(crate) fn take(&self) -> Buffer {
        let kept = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let memory = kept.unwrap_or_else(|| Memory::of(self.bytes));
        Buffer {
            start: memory.aligned_start(),
            length: self.bytes,
            memory,
            plaintext: 0..0,
            home: Some(self.clone()),
        }
    }
}

/// Memory that is longer than asked for: where its aligned part begins depends on its address.
enum Memory {
    Heap(Vec<u8>),
    Huge(MmapMut),
}

impl Memory {
    fn of(bytes: usize) -> Self {
        if bytes >= LARGE_BYTES_MIN
            && let Ok(huge) = huge(bytes)
        {
            return Self::Huge(huge);
        }
        Self::Heap(vec![0; bytes + ALIGNMENT])
    }

    fn aligned_start(&self) -> usize {
        let address = self.as_ptr().addr();
        let alignment = match self {
            Self::Heap(_) => ALIGNMENT,
            Self::Huge(_) => HUGE_PAGE_BYTES,
        };
        address.next_multiple_of(alignment) - address
    }
}

/// Of the mapping only what is used takes memory.
fn huge(bytes: usize) -> io::Result<MmapMut> {
    let mapped = bytes.next_multiple_of(HUGE_PAGE_BYTES) + HUGE_PAGE_BYTES;
    let map = MmapMut::map_anon(mapped)?;
    // Small pages do as well.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Ok(map)
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Huge(map) => map,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Huge(map) => map,
        }
    }
}

/// Goes back to its pool, if it has one, when dropped.
pub(crate) struct Buffer {
    memory: Memory,
    start: usize,
    length: usize,
    /// What is wiped before the memory is used again.
    pub(crate) plaintext: Range<usize>,
    home: Option<Pool>,
}

impl Buffer {
    /// One of its own, of exactly this length, not aligned.
    pub(crate) fn single(length: usize) -> Self {
        Self {
            memory: Memory::Heap(vec![0; length]),
            start: 0,
            length,
            plaintext: 0..0,
            home: None,
        }
    }

    /// The first `length` bytes of a buffer that holds no plaintext.
    pub(crate) fn into_bytes(mut self, length: usize) -> Bytes {
        let alone = self.home.is_none() && self.plaintext.is_empty();
        if alone && let Memory::Heap(bytes) = &mut self.memory {
            let mut bytes = std::mem::take(bytes);
            self.length = 0;
            bytes.truncate(length);
            return bytes.into();
        }
        Bytes::copy_from_slice(&self[..length])
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..][..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let plaintext = self.plaintext.clone();
        // `zeroize` goes byte by byte, which a transfer would feel.
        std::hint::black_box(&mut self[plaintext]).fill(0);
        if let Some(home) = &self.home {
            let mut free = home.free.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < home.kept_max {
                let none = Memory::Heap(Vec::new());
                free.push(std::mem::replace(&mut self.memory, none));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again_and_few_are_kept() {
        let pool = Pool::new(8, 3);
        let mut first = pool.take();
        first[0] = 7;
        drop(first);
        assert_eq!(pool.take()[0], 7);
        let many: Vec<_> = (0..6).map(|_| pool.take()).collect();
        assert!(many.iter().all(|buffer| buffer.len() == 8));
        assert!(
            many.iter()
                .all(|buffer| buffer.as_ptr().addr().is_multiple_of(ALIGNMENT))
        );
        drop(many);
        assert_eq!(pool.free.lock().unwrap().len(), 3);
    }

    #[test]
    fn plaintext_is_gone_when_a_buffer_is_handed_out_again() {
        let pool = Pool::new(8, 1);
        let mut first = pool.take();
        first.fill(7);
        first.plaintext = 2..5;
        drop(first);
        assert_eq!(*pool.take(), [7, 7, 0, 0, 0, 7, 7, 7]);
    }

    #[test]
    fn a_large_buffer_is_whole_and_begins_at_a_huge_page() {
        let pool = Pool::new(LARGE_BYTES_MIN + 5, 1);
        let mut buffer = pool.take();
        assert!(matches!(buffer.memory, Memory::Huge(_)));
        assert!(buffer.as_ptr().addr().is_multiple_of(HUGE_PAGE_BYTES));
        buffer.fill(7);
        drop(buffer);
        assert_eq!(pool.take()[..], [7; LARGE_BYTES_MIN + 5]);
    }

    #[test]
    fn a_single_buffer_becomes_bytes_without_its_end() {
        let mut single = Buffer::single(8);
        single[..3].copy_from_slice(b"abc");
        assert_eq!(single.into_bytes(3), "abc");
    }
}
