//! The one place that reads clocks. Measuring is what this program is for.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A monotonic instant.
#[expect(clippy::disallowed_methods, reason = "measuring is what bench is for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for the times in JWTs and signatures.
#[expect(
    clippy::disallowed_methods,
    reason = "what a real server checks needs the real time"
)]
pub(crate) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
