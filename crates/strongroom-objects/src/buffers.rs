//! Buffers of one size that transfers take and give back.
//!
//! Fresh memory of this size costs a page fault per 4 KiB; recycling it is most of what keeps a
//! transfer cheap. Must not know what is in them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Free buffers that are kept for the next transfer.
const KEPT_MAX: usize = 16;

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

    /// A buffer with undefined content.
    pub(crate) fn take(&self) -> Buffer {
        let kept = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        Buffer {
            bytes: kept.unwrap_or_else(|| vec![0; self.bytes]),
            home: self.clone(),
        }
    }
}

/// Goes back to its pool when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Pool,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
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
        drop(many);
        assert_eq!(pool.free.lock().unwrap().len(), KEPT_MAX);
    }
}
