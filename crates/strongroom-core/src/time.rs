//! Time as the vault counts it. Nothing in here reads a clock.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// "Never" where a format allows it.
    pub const NEVER: Self = Self(0);

    /// This instant plus `millis`, at most the end of time.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant, 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// The vault's source of time, held by the service and handed down.
///
/// An implementation must never run backwards (`docs/threat-model.md`, *Clock*).
pub trait Clock: Send + Sync {
    /// The present, never earlier than an instant that this clock returned before.
    fn now(&self) -> UnixMillis;

    /// How far the system's clock is behind [`Clock::now`], in milliseconds; 0 in health.
    fn behind_ms(&self) -> u64;
}
