//! Group commit: how many concurrent callers a commit may expect, the wait for them, and the
//! gathering of what they ask. It must not know what is committed, or how.

use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Enough company: a sync shared by so many costs each of them next to nothing.
const ENOUGH: usize = 48;
/// How often, and how long each time, a commit waits for callers who are expected to come.
const LINGER_STEPS: usize = 8;
const LINGER_STEP: Duration = Duration::from_micros(600);

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

    /// Gives concurrent callers time to join the `have` that are there: a sync shared by many
    /// costs each of them little. `look` says how many there are now, or `None` to go ahead.
    ///
    /// Sleeping, unlike waiting on a queue, costs the callers no wake-up.
    pub fn linger(&self, mut have: usize, mut look: impl FnMut() -> Option<usize>) {
        let mut idle_steps = 0;
        for _ in 0..LINGER_STEPS {
            if have == 0 || !self.is_worth_waiting(have, idle_steps) {
                return;
            }
            std::thread::sleep(LINGER_STEP);
            let Some(now) = look() else { return };
            idle_steps += usize::from(now == have);
            have = now;
        }
    }
}

/// What a committing thread is asked.
#[derive(Debug)]
pub enum Message<W, C> {
    /// Commit this. Boxed, because a bounded queue allocates room for all that may wait.
    Write(Box<W>),
    /// Some time has passed.
    Tick,
    /// Finish; nothing behind this is looked at.
    Close(C),
}

/// What a committing thread took off its queue for one round.
#[derive(Debug)]
pub struct Group<W, C> {
    /// To be committed together, in order; the thread takes them out.
    pub writes: Vec<W>,
    /// Some time has passed since this was last taken.
    pub tick: bool,
    /// To finish, after these writes.
    pub closing: Option<C>,
    crowd: Crowd,
    writes_max: usize,
}

impl<W, C> Group<W, C> {
    /// Nothing taken yet; at most `writes_max` writes in a round.
    pub fn new(writes_max: usize) -> Self {
        Self {
            writes: Vec::new(),
            tick: false,
            closing: None,
            crowd: Crowd::default(),
            writes_max,
        }
    }

    /// Waits until there is something to do, and a little longer for expected company. `false`
    /// when nobody is left to ask and nothing is left to do.
    pub fn gather(&mut self, queue: &Receiver<Message<W, C>>) -> bool {
        if self.writes.is_empty() && !self.tick && self.closing.is_none() {
            let Ok(first) = queue.recv() else {
                return false;
            };
            self.add(first);
            self.drain(queue);
        }
        let crowd = std::mem::take(&mut self.crowd);
        let have = self.joinable().unwrap_or(0);
        crowd.linger(have, || {
            self.drain(queue);
            self.joinable()
        });
        self.crowd = crowd;
        true
    }

    /// To be told after each round: how many writes it committed. Takes what came meanwhile.
    pub fn committed(&mut self, count: usize, queue: &Receiver<Message<W, C>>) {
        self.drain(queue);
        self.crowd.note(count, self.writes.len());
    }

    /// The writes so far, if others may still join them.
    fn joinable(&self) -> Option<usize> {
        self.closing.is_none().then_some(self.writes.len())
    }

    fn add(&mut self, message: Message<W, C>) {
        match message {
            Message::Write(write) => self.writes.push(*write),
            Message::Tick => self.tick = true,
            Message::Close(reply) => self.closing = Some(reply),
        }
    }

    /// Takes what is there, in order; nothing after a close.
    fn drain(&mut self, queue: &Receiver<Message<W, C>>) {
        while self.closing.is_none() && self.writes.len() < self.writes_max {
            match queue.try_recv() {
                Ok(message) => self.add(message),
                Err(_) => return,
            }
        }
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
    fn lingering_ends_when_all_are_there_or_nobody_comes() {
        let mut crowd = Crowd::default();
        crowd.note(4, 4);
        let mut coming = [4, 6, 8].into_iter();
        crowd.linger(2, || coming.next());
        assert_eq!(coming.next(), None, "waited until all eight were there");
        let mut looks = 0;
        crowd.linger(2, || {
            looks += 1;
            Some(2)
        });
        assert_eq!(
            looks, 3,
            "three idle steps are more than a quarter of eight"
        );
        crowd.linger(0, || panic!("nobody is there to wait"));
    }

    #[test]
    fn group_takes_what_waits_up_to_its_size_and_nothing_behind_a_close() {
        let (asks, queue) = std::sync::mpsc::channel();
        for number in 0..5 {
            asks.send(Message::Write(Box::new(number))).unwrap();
        }
        asks.send(Message::Tick).unwrap();
        asks.send(Message::Close("bye")).unwrap();
        asks.send(Message::Write(Box::new(9))).unwrap();
        let mut group = Group::new(3);
        assert!(group.gather(&queue));
        assert_eq!(std::mem::take(&mut group.writes), [0, 1, 2]);
        group.committed(3, &queue);
        assert!(group.gather(&queue));
        assert_eq!(group.writes, [3, 4]);
        assert!(group.tick);
        assert_eq!(group.closing, Some("bye"));
    }

    #[test]
    fn group_ends_when_nobody_is_left_to_ask() {
        let (asks, queue) = std::sync::mpsc::channel::<Message<u8, ()>>();
        asks.send(Message::Write(Box::new(1))).unwrap();
        drop(asks);
        let mut group = Group::new(3);
        assert!(group.gather(&queue));
        assert_eq!(std::mem::take(&mut group.writes), [1]);
        group.committed(1, &queue);
        assert!(!group.gather(&queue));
    }

    #[test]
    fn nobody_waits_for_more_than_enough() {
        let mut crowd = Crowd::default();
        crowd.note(500, 500);
        assert!(!crowd.is_worth_waiting(ENOUGH, 0));
    }
}
