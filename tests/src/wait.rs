//! Waiting for what another process does, and the one reading of the clock.

use std::thread;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(10);
/// 30 s, far more than a busy machine takes.
const TRIES: usize = 3_000;

/// Polls until `look` finds something; panics with `what` after 30 seconds.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..TRIES {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(PAUSE);
    }
    panic!("waited 30 s in vain: {what}");
}

/// The present in whole seconds since 1970, for the dates in JWTs.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' only reading of the clock"
)]
pub fn now_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_secs()
}
