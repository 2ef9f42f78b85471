//! When the next fetch is due. Pure: time and chance are arguments.

use std::time::Duration;

use crate::Limits;

/// The pause after the first failure; it doubles with each one that follows.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Pauses are shortened by up to one part of this many, so that vaults that were started together
/// do not go on asking together.
const JITTER_PARTS: u32 = 10;

/// Until the next fetch after one that brought keys, whose answer may be kept for `max_age`.
pub(crate) fn after_success(limits: &Limits, max_age: Option<Duration>, chance: u32) -> Duration {
    let pause = max_age.unwrap_or_default().min(limits.refresh_max);
    shorten(pause.max(limits.refresh), chance)
}

/// Until the next fetch after so many that failed in a row, at least one.
pub(crate) fn after_failure(limits: &Limits, failures: u32, chance: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = RETRY_FIRST * 2_u32.pow(doublings);
    shorten(pause.min(limits.refresh), chance)
}

fn shorten(pause: Duration, chance: u32) -> Duration {
    let part = f64::from(chance) / f64::from(u32::MAX) / f64::from(JITTER_PARTS);
    pause.saturating_sub(pause.mul_f64(part))
}

/// Numbers that spread pauses; nobody is kept from guessing them (`SplitMix64`).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn draw(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(mixed >> 32).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            refresh: Duration::from_mins(5),
            refresh_max: Duration::from_hours(1),
            ..Limits::default()
        }
    }

    #[test]
    fn the_answers_age_counts_between_the_bounds() {
        let after = |max_age: Option<u64>| {
            after_success(&limits(), max_age.map(Duration::from_secs), 0).as_secs()
        };
        assert_eq!(after(None), 300);
        assert_eq!(after(Some(0)), 300);
        assert_eq!(after(Some(299)), 300);
        assert_eq!(after(Some(1_000)), 1_000);
        assert_eq!(after(Some(86_400)), 3_600);
        assert_eq!(after(Some(u64::MAX)), 3_600);
    }

    #[test]
    fn retries_slow_down_to_the_usual_pace() {
        let after = |failures| after_failure(&limits(), failures, 0).as_secs();
        assert_eq!([1, 2, 3, 9].map(after), [1, 2, 4, 256]);
        assert_eq!([10, 11, 1_000, u32::MAX].map(after), [300; 4]);
    }

    #[test]
    fn chance_takes_off_a_tenth_at_most() {
        let mut chance = Chance(7);
        let mut seen = std::collections::BTreeSet::new();
        for drawn in [0, u32::MAX]
            .into_iter()
            .chain((0..100).map(|_| chance.draw()))
        {
            let pause = after_success(&limits(), None, drawn);
            assert!(pause <= Duration::from_mins(5) && pause >= Duration::from_secs(270));
            seen.insert(pause);
        }
        assert!(seen.len() > 90, "{}", seen.len());
    }

    #[test]
    fn bounds_that_contradict_each_other_do_no_harm() {
        let absurd = Limits {
            refresh: Duration::from_hours(2),
            refresh_max: Duration::from_mins(1),
            ..Limits::default()
        };
        assert_eq!(after_success(&absurd, None, 0), absurd.refresh);
        assert_eq!(
            after_success(&absurd, Some(Duration::MAX), 0),
            absurd.refresh
        );
    }
}
