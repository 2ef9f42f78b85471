//! How many requests are worked on at a time, and how long others wait for their turn.

use crate::answer::Refusal;
use std::time::Duration;
use strongroom_wire::ErrorName;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Turns of requests. One is taken when a request has arrived whole, so that nobody can hold one
/// by being slow.
pub(crate) struct Turns {
    free: Semaphore,
    wait_max: Duration,
}

impl Turns {
    /// `turns_max` at a time.
    pub(crate) fn new(turns_max: usize, wait_max: Duration) -> Self {
        Self {
            free: Semaphore::new(turns_max.min(Semaphore::MAX_PERMITS)),
            wait_max,
        }
    }

    /// A turn, first come first served; refused when none came in time.
    pub(crate) async fn next(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        if let Ok(turn) = self.free.try_acquire() {
            return Ok(turn);
        }
        let turn = tokio::time::timeout(self.wait_max, self.free.acquire()).await;
        // The semaphore is never closed.
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let message = "the vault has more to do than it can; try again later";
            Refusal::new(ErrorName::Unavailable, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_does_not_come_in_time_is_503() {
        let turns = Turns::new(1, Duration::from_millis(20));
        let held = turns.next().await.unwrap();
        let refused = turns.next().await.unwrap_err();
        assert_eq!(refused.name, ErrorName::Unavailable);
        drop(held);
        assert!(turns.next().await.is_ok());
    }

    #[tokio::test]
    async fn a_turn_that_is_given_back_goes_to_who_waits() {
        let turns = Turns::new(1, Duration::from_mins(1));
        let held = turns.next().await.unwrap();
        let (next, ()) = tokio::join!(turns.next(), async { drop(held) });
        assert!(next.is_ok());
    }
}
