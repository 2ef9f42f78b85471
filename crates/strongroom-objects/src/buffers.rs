//! Aligned buffers of one size that transfers take and give back, and single ones for small values.
//!
//! Fresh memory of a block's size costs a page fault per 4 KiB; recycling it is most of what keeps
//! a transfer cheap. Must not know what is in them.

use bytes::Bytes;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// What direct I/O asks of addresses, offsets and lengths, on all usual disks.
pub(crate) const ALIGNMENT: usize = 4096;

/// Hands out buffers of one size.
#[derive(Clone)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
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
        // Longer than needed: where the aligned part begins depends on the allocation.
        let bytes = kept.unwrap_or_else(|| vec![0; self.bytes + ALIGNMENT]);
        let address = bytes.as_ptr().addr();
        Buffer {
            start: address.next_multiple_of(ALIGNMENT) - address,
            length: self.bytes,
            bytes,
            plaintext: 0..0,
            home: Some(self.clone()),
        }
    }
}

/// Goes back to its pool, if it has one, when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
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
            bytes: vec![0; length],
            start: 0,
            length,
            plaintext: 0..0,
            home: None,
        }
    }

    /// The first `length` bytes of a buffer that holds no plaintext.
    pub(crate) fn into_bytes(mut self, length: usize) -> Bytes {
        if self.home.is_some() || !self.plaintext.is_empty() {
            return Bytes::copy_from_slice(&self[..length]);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        self.length = 0;
        bytes.truncate(length);
        bytes.into()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..][..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.length]
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
                free.push(std::mem::take(&mut self.bytes));
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
    fn a_single_buffer_becomes_bytes_without_its_end() {
        let mut single = Buffer::single(8);
        single[..3].copy_from_slice(b"abc");
        assert_eq!(single.into_bytes(3), "abc");
    }
}
