//! Names for requests: unique across restarts and nodes, not secret.

use std::sync::atomic::{AtomicU64, Ordering};
use strongroom::RequestId;

/// 8 random bytes of this process, then a counter: unique without a system call per request.
pub(crate) struct RequestIds {
    process: [u8; 8],
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut process = [0; 8];
        rng.fill_bytes(&mut process);
        Self {
            process,
            next: AtomicU64::new(1),
        }
    }

    pub(crate) fn next(&self) -> RequestId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.process);
        id[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        RequestId(id)
    }
}
