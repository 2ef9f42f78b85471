//! How many concurrent callers a group commit may expect: when to wait for more company, and when
//! to go ahead. Pure arithmetic; who waits, and how, is the writer's.

/// Enough company: a sync shared by so many costs each of them next to nothing.
const ENOUGH: usize = 48;

/// An estimate that follows the callers within a few commits.
///
/// A lone caller, and a crowd that is all there, never wait. Callers who wrote while the last
/// commit was under way show that more exist than it held, so the next one waits for them.
#[derive(Debug, Default)]
pub struct Crowd {
    expected: usize,
}

impl Crowd {
    /// To be told after each commit: how many it held, and how many came meanwhile.
    pub fn note(&mut self, committed: usize, came_meanwhile: usize) {
        let faded = self.expected - self.expected / 8;
        self.expected = faded
            .min(self.expected.saturating_sub(1))
            .max(committed + came_meanwhile);
    }

    /// Whether to wait one more step, with `have` callers there and `idle_steps` steps in which
    /// nobody came.
    pub fn is_worth_waiting(&self, have: usize, idle_steps: usize) -> bool {
        have < self.expected.min(ENOUGH) && idle_steps <= self.expected / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_caller_never_waits() {
        let mut crowd = Crowd::default();
        for _ in 0..10 {
            assert!(!crowd.is_worth_waiting(1, 0));
            crowd.note(1, 0);
        }
    }

    #[test]
    fn a_crowd_that_is_all_there_does_not_wait() {
        let mut crowd = Crowd::default();
        crowd.note(8, 0);
        assert!(!crowd.is_worth_waiting(8, 0));
    }

    #[test]
    fn callers_who_came_meanwhile_are_waited_for() {
        let mut crowd = Crowd::default();
        crowd.note(5, 20);
        assert!(crowd.is_worth_waiting(10, 1));
        assert!(!crowd.is_worth_waiting(25, 0));
        assert!(!crowd.is_worth_waiting(10, 7));
    }

    #[test]
    fn callers_who_left_are_forgotten() {
        let mut crowd = Crowd::default();
        crowd.note(30, 30);
        for _ in 0..60 {
            crowd.note(1, 0);
        }
        assert!(!crowd.is_worth_waiting(1, 0));
    }

    #[test]
    fn nobody_waits_for_more_than_enough() {
        let mut crowd = Crowd::default();
        crowd.note(500, 500);
        assert!(!crowd.is_worth_waiting(ENOUGH, 0));
    }
}
