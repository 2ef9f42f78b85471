//! Vault time: the system clock, but never backwards.

use std::sync::atomic::{AtomicU64, Ordering};
use strongroom_core::UnixMillis;
use strongroom_core::time::Clock;

/// Beyond this many milliseconds behind, the vault releases nothing.
pub const BEHIND_MS_MAX: u64 = 60_000;

/// max(system clock, newest time in the audit log at start, last time used).
pub struct VaultClock {
    system: Box<dyn Fn() -> UnixMillis + Send + Sync>,
    last: AtomicU64,
}

impl VaultClock {
    /// `system` reads the system clock; `newest` is the newest time in the audit log.
    pub fn new(
        system: impl Fn() -> UnixMillis + Send + Sync + 'static,
        newest: UnixMillis,
    ) -> Self {
        Self {
            system: Box::new(system),
            last: AtomicU64::new(newest.0),
        }
    }
}

impl Clock for VaultClock {
    fn now(&self) -> UnixMillis {
        let system = (self.system)().0;
        UnixMillis(self.last.fetch_max(system, Ordering::AcqRel).max(system))
    }

    fn behind_ms(&self) -> u64 {
        self.last
            .load(Ordering::Acquire)
            .saturating_sub((self.system)().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn movable(start: u64) -> (Arc<AtomicU64>, VaultClock) {
        let system = Arc::new(AtomicU64::new(start));
        let read = Arc::clone(&system);
        let clock = VaultClock::new(
            move || UnixMillis(read.load(Ordering::Acquire)),
            UnixMillis(1_000),
        );
        (system, clock)
    }

    #[test]
    fn time_starts_at_the_newest_audit_entry() {
        let (_, clock) = movable(400);
        assert_eq!(clock.now(), UnixMillis(1_000));
        assert_eq!(clock.behind_ms(), 600);
    }

    #[test]
    fn time_never_runs_backwards() {
        let (system, clock) = movable(5_000);
        assert_eq!(clock.now(), UnixMillis(5_000));
        system.store(2_000, Ordering::Release);
        assert_eq!(clock.now(), UnixMillis(5_000));
        assert_eq!(clock.behind_ms(), 3_000);
        system.store(6_000, Ordering::Release);
        assert_eq!(clock.now(), UnixMillis(6_000));
        assert_eq!(clock.behind_ms(), 0);
    }
}
