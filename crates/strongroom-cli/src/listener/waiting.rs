//! Connections that wait for a request: when all that a listener may have are taken, one of them
//! makes room for who comes, so that nobody can keep others out by doing nothing.

use super::exchange::Phase;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// All connections of one listener.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Open>>);

/// By number, which is by age.
#[derive(Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, (Phase, CancellationToken)>,
}

/// One connection, until it is dropped.
pub(super) struct Member {
    all: Waiting,
    number: u64,
    leave: CancellationToken,
}

impl Waiting {
    /// One more connection.
    pub(super) fn enter(&self, phase: Phase) -> Member {
        let leave = CancellationToken::new();
        let mut open = self.locked();
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (phase, leave.clone()));
        Member {
            all: self.clone(),
            number,
            leave,
        }
    }

    /// Asks the oldest connection that waits for a request to leave, and each of them once.
    pub(super) fn make_room(&self) {
        let mut open = self.locked();
        let waits = |(_, (phase, _)): &(&u64, &(Phase, CancellationToken))| phase.waits();
        let oldest = open
            .connections
            .iter()
            .find(waits)
            .map(|(number, _)| *number);
        if let Some((_, leave)) = oldest.and_then(|number| open.connections.remove(&number)) {
            leave.cancel();
        }
    }

    /// What the lock guards is sound at every step.
    fn locked(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Ends when it is asked to leave.
    pub(super) async fn asked(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.all.locked().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_waits_is_asked_and_who_is_served_is_not() {
        let waiting = Waiting::default();
        let phases = [(); 3].map(|()| Phase::new());
        let members = phases.clone().map(|phase| waiting.enter(phase));
        let asked = || members.each_ref().map(|member| member.leave.is_cancelled());
        phases[0].serving();
        waiting.make_room();
        assert_eq!(asked(), [false, true, false]);
        waiting.make_room();
        assert_eq!(asked(), [false, true, true]);
        waiting.make_room();
        assert_eq!(asked(), [false, true, true]);
        drop(members);
        assert!(waiting.locked().connections.is_empty());
    }
}
