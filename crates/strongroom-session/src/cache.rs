//! JWTs that were verified before, found again by their SHA-256.
//!
//! Only successes come in here. What a JWT says about time is checked by the caller at each use;
//! the cache only forgets what is over, and everything at once when a key set changes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::Verified;

/// Enough that threads rarely meet at one lock.
const SHARDS: usize = 16;

/// SHA-256 of a whole compact JWT.
pub(crate) type Digest = [u8; 32];

pub(crate) struct Cache {
    shards: Box<[RwLock<HashMap<Digest, Entry>>]>,
    shard_max: usize,
}

struct Entry {
    generation: u64,
    verified: Arc<Verified>,
}

impl Cache {
    /// Holds at most `max` entries; none if `max` is 0.
    pub(crate) fn new(max: usize) -> Self {
        let count = if max < SHARDS { 1 } else { SHARDS };
        let shards = (0..count).map(|_| RwLock::default()).collect();
        Self {
            shards,
            shard_max: max / count,
        }
    }

    /// What was put under this digest in the same generation of key sets.
    pub(crate) fn get(&self, digest: &Digest, generation: u64) -> Option<Arc<Verified>> {
        let shard = self
            .shard(digest)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = shard
            .get(digest)
            .filter(|entry| entry.generation == generation)?;
        Some(Arc::clone(&entry.verified))
    }

    /// Makes room first if there is none: out goes what is of another generation or `over`, then
    /// anything, until an eighth of the shard is free. So a sweep is paid for by the many
    /// entries that follow it, whoever floods the cache.
    pub(crate) fn put(
        &self,
        digest: Digest,
        generation: u64,
        verified: Arc<Verified>,
        over: impl Fn(&Verified) -> bool,
    ) {
        if self.shard_max == 0 {
            return;
        }
        let mut shard = self
            .shard(&digest)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.shard_max && !shard.contains_key(&digest) {
            shard.retain(|_, entry| entry.generation == generation && !over(&entry.verified));
            let keep = self.shard_max - self.shard_max.div_ceil(8);
            let mut surplus = shard.len().saturating_sub(keep);
            shard.retain(|_, _| {
                let stays = surplus == 0;
                surplus = surplus.saturating_sub(1);
                stays
            });
        }
        shard.insert(
            digest,
            Entry {
                generation,
                verified,
            },
        );
    }

    fn shard(&self, digest: &Digest) -> &RwLock<HashMap<Digest, Entry>> {
        &self.shards[usize::from(digest[0]) % self.shards.len()]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap().len())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use strongroom_core::UnixMillis;

    use super::*;

    fn digest(number: u64) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    fn expiring(at: u64) -> Arc<Verified> {
        Arc::new(Verified::for_tests(UnixMillis(at * 1000)))
    }

    fn is_over(now: u64) -> impl Fn(&Verified) -> bool {
        move |verified| verified.expires_at() <= Some(UnixMillis(now * 1000))
    }

    #[test]
    fn what_was_put_is_found_in_its_generation_only() {
        let cache = Cache::new(100);
        let verified = expiring(9);
        cache.put(digest(1), 4, Arc::clone(&verified), is_over(0));
        assert!(Arc::ptr_eq(&cache.get(&digest(1), 4).unwrap(), &verified));
        assert!(cache.get(&digest(1), 5).is_none());
        assert!(cache.get(&digest(2), 4).is_none());
    }

    #[test]
    fn a_flood_never_exceeds_the_bound() {
        for max in [0, 1, 2, 15, 16, 17, 100, 1000] {
            let cache = Cache::new(max);
            for number in 0..5000 {
                cache.put(digest(number), 0, expiring(9), is_over(0));
                assert_eq!(cache.get(&digest(number), 0).is_some(), max > 0);
            }
            assert!(cache.len() <= max, "{} of {max}", cache.len());
            assert!(cache.len() >= max / 2, "{} of {max}", cache.len());
        }
    }

    #[test]
    fn the_expired_leave_first() {
        let cache = Cache::new(8);
        for number in 0..8 {
            cache.put(
                digest(number),
                0,
                expiring(if number < 4 { 10 } else { 30 }),
                is_over(0),
            );
        }
        cache.put(digest(8), 0, expiring(30), is_over(20));
        let found: Vec<bool> = (0..9).map(|n| cache.get(&digest(n), 0).is_some()).collect();
        assert_eq!(
            found,
            [false, false, false, false, true, true, true, true, true]
        );
    }

    #[test]
    fn entries_of_an_older_generation_make_room() {
        let cache = Cache::new(8);
        for number in 0..8 {
            cache.put(digest(number), 0, expiring(30), is_over(0));
        }
        cache.put(digest(8), 1, expiring(30), is_over(0));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn putting_the_same_again_evicts_nothing() {
        let cache = Cache::new(4);
        for number in (0..4).chain(0..4) {
            cache.put(digest(number), 0, expiring(30), is_over(0));
        }
        assert_eq!(cache.len(), 4);
    }
}
