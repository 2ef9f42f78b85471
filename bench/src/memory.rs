//! The most anonymous memory that a process holds over some time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::bail;

use crate::proc;

/// How often it is looked at.
const SAMPLE: Duration = Duration::from_millis(100);

/// Watches a process's anonymous memory from a thread of its own.
pub(crate) struct Memory {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Memory {
    pub(crate) fn watch(pid: u32) -> Self {
        let (most, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (shared_most, shared_stop) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !shared_stop.load(Ordering::Relaxed) {
                if let Ok(kib) = proc::anonymous_kib(pid) {
                    shared_most.fetch_max(kib, Ordering::Relaxed);
                }
                std::thread::sleep(SAMPLE);
            }
        });
        Self { most, stop, thread }
    }

    pub(crate) fn end(self, at_least: u64) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            bail!("the thread that watches memory failed");
        }
        Ok(self.most.load(Ordering::Relaxed).max(at_least))
    }
}
