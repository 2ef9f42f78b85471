//! Aligned buffers of one size that transfers take and give back.
//!
//! Fresh memory of this size costs a page fault per 4 KiB; recycling it is most of what keeps a
//! transfer cheap. Must not know what is in them.

use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// What direct I/O asks of addresses, offsets and lengths, on all usual disks.
pub(crate) const ALIGNMENT: usize = 4096;

/// Free buffers that are kept for the next transfer.
const KEPT_MAX: usize = 8;

/// Hands out buffers of one size.
#[derive(Clone)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    bytes: usize,
}

impl Pool {
    /// A pool of buffers of `bytes` bytes; none is made before it is asked for.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            free: Arc::default(),
            bytes,
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
            bytes,
            plaintext: 0..0,
            home: self.clone(),
        }
    }
}

/// Goes back to its pool when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    /// What is wiped before the buffer goes back.
    pub(crate) plaintext: Range<usize>,
    home: Pool,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..][..self.home.bytes]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.home.bytes]
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
        let mut free = self
            .home
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again_and_few_are_kept() {
        let pool = Pool::new(8);
        let mut first = pool.take();
        first[0] = 7;
        drop(first);
        assert_eq!(pool.take()[0], 7);
        let many: Vec<_> = (0..2 * KEPT_MAX).map(|_| pool.take()).collect();
        assert!(many.iter().all(|buffer| buffer.len() == 8));
        assert!(
            many.iter()
                .all(|buffer| buffer.as_ptr().addr().is_multiple_of(ALIGNMENT))
        );
        drop(many);
        assert_eq!(pool.free.lock().unwrap().len(), KEPT_MAX);
    }

    #[test]
    fn plaintext_is_gone_when_a_buffer_is_handed_out_again() {
        let pool = Pool::new(8);
        let mut first = pool.take();
        first.fill(7);
        first.plaintext = 2..5;
        drop(first);
        assert_eq!(*pool.take(), [7, 7, 0, 0, 0, 7, 7, 7]);
    }
}
