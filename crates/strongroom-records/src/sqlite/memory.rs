//! What the adapter answers from memory: recent records, and which grants and revocations
//! exist at all. It knows nothing of SQL.
//!
//! The store's files are held exclusively, so memory changes only with the writer's commits.
//! A read from memory alone is a snapshot because the writer counts `state` up before and
//! after it applies a batch: a reader that sees an odd or a changed count asks the database.
//! Between commit and application the database is ahead of memory; records touched by that
//! batch are announced before, so that no reader brings one in early.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_core::{RecordId, SessionRef};

use crate::Row;

/// Shards of the row cache and of the presence sets.
const SHARDS: usize = 512;

/// What a cached row costs beside its sealed bytes: key, fields, allocations, table slot.
const ROW_OVERHEAD_BYTES: usize = 200;

/// A change to memory that follows a commit.
pub(super) enum Effect {
    /// The record is now this.
    Put(RecordId, Arc<Row>),
    /// The record is gone.
    Remove(RecordId),
    /// The grant exists that did not.
    GrantAdded(RecordId, SessionRef),
    /// The grant is gone.
    GrantDropped(RecordId, SessionRef),
    /// The revocation exists that did not.
    RevocationAdded(SessionRef),
    /// The revocation is gone.
    RevocationDropped(SessionRef),
}

/// The row cache and the presence sets, coherent with the writer.
pub(super) struct Memory {
    state: AtomicU64,
    shards: Vec<Mutex<Shard>>,
    shard_bytes_max: usize,
    grants: Presence,
    revocations: Presence,
    closed: AtomicBool,
}

/// Two generations of rows: the older one goes as a whole when the younger one is full.
#[derive(Default)]
struct Shard {
    young: HashMap<RecordId, Arc<Row>>,
    young_bytes: usize,
    old: HashMap<RecordId, Arc<Row>>,
    /// Commits that touched the shard; a reader's row counts only if it did not change.
    changes: u64,
    /// A commit that touches the shard is under way.
    announced: bool,
}

/// Which keys exist, and how often: two rows may share a key. May count one too many, never one
/// too few.
struct Presence {
    shards: Vec<Mutex<HashMap<u128, u32>>>,
    count: AtomicUsize,
    count_max: usize,
    /// Too many to remember: every key may exist.
    overflown: AtomicBool,
}

impl Memory {
    /// Empty, for at most `cache_bytes` of rows and `presence_max` grants and revocations each.
    pub(super) fn new(cache_bytes: usize, presence_max: usize) -> Self {
        Self {
            state: AtomicU64::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_bytes_max: cache_bytes / SHARDS,
            grants: Presence::new(presence_max),
            revocations: Presence::new(presence_max),
            closed: AtomicBool::new(false),
        }
    }

    /// From now on memory knows nothing.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The record, if memory alone knows that it exists without grant and revocation.
    pub(super) fn admit(&self, record: RecordId, session: SessionRef) -> Option<Arc<Row>> {
        let before = self.state.load(Ordering::SeqCst);
        if before % 2 == 1
            || self.closed.load(Ordering::SeqCst)
            || self.revocations.maybe(session_key(session))
            || self.grants.maybe(grant_key(record, session))
        {
            return None;
        }
        let row = locked(self.shard(record)).find(record, self.shard_bytes_max);
        row.filter(|_| self.state.load(Ordering::SeqCst) == before)
    }

    /// Whether memory alone knows that the session has no revocation.
    pub(super) fn is_unrevoked(&self, session: SessionRef) -> bool {
        !self.closed.load(Ordering::SeqCst) && !self.revocations.maybe(session_key(session))
    }

    /// To be asked before a read whose row is handed to [`Memory::fill`].
    pub(super) fn changes(&self, record: RecordId) -> u64 {
        locked(self.shard(record)).changes
    }

    /// Remembers a row read from the database, unless a commit came in between.
    pub(super) fn fill(&self, record: RecordId, row: &Arc<Row>, changes: u64) {
        let mut shard = locked(self.shard(record));
        if shard.changes == changes && !shard.announced {
            shard.put(record, Arc::clone(row), self.shard_bytes_max);
        }
    }

    /// Precedes a commit: no reader may bring in a record that the batch changes.
    pub(super) fn announce(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Put(id, _) | Effect::Remove(id) = effect {
                locked(self.shard(*id)).announced = true;
            }
        }
    }

    /// Follows a commit. Only the writer calls this, before it answers anyone.
    pub(super) fn apply(&self, effects: Vec<Effect>) {
        self.state.fetch_add(1, Ordering::SeqCst);
        for effect in effects {
            match effect {
                Effect::Put(id, row) => {
                    let mut shard = locked(self.shard(id));
                    shard.changed();
                    shard.put(id, row, self.shard_bytes_max);
                }
                Effect::Remove(id) => {
                    let mut shard = locked(self.shard(id));
                    shard.changed();
                    shard.remove(id);
                }
                Effect::GrantAdded(id, session) => self.grants.add(grant_key(id, session)),
                Effect::GrantDropped(id, session) => self.grants.drop_key(grant_key(id, session)),
                Effect::RevocationAdded(session) => self.revocations.add(session_key(session)),
                Effect::RevocationDropped(session) => {
                    self.revocations.drop_key(session_key(session));
                }
            }
        }
        self.state.fetch_add(1, Ordering::SeqCst);
    }

    /// Follows a commit whose outcome is unknown: forgets all rows, and lets everything that
    /// may have come to be be asked for.
    pub(super) fn doubt(&self, effects: Vec<Effect>) {
        for shard in &self.shards {
            let mut shard = locked(shard);
            *shard = Shard {
                changes: shard.changes + 1,
                ..Shard::default()
            };
        }
        let added =
            |effect: &Effect| matches!(effect, Effect::GrantAdded(..) | Effect::RevocationAdded(_));
        self.apply(effects.into_iter().filter(added).collect());
    }

    fn shard(&self, record: RecordId) -> &Mutex<Shard> {
        &self.shards[usize::from(u16::from_be_bytes([record.0[0], record.0[1]])) % SHARDS]
    }
}

impl Shard {
    fn changed(&mut self) {
        self.changes += 1;
        self.announced = false;
    }

    fn find(&mut self, id: RecordId, bytes_max: usize) -> Option<Arc<Row>> {
        if let Some(row) = self.young.get(&id) {
            return Some(Arc::clone(row));
        }
        let row = self.old.remove(&id)?;
        self.put(id, Arc::clone(&row), bytes_max);
        Some(row)
    }

    fn put(&mut self, id: RecordId, row: Arc<Row>, bytes_max: usize) {
        self.remove(id);
        let bytes = cost(&row);
        // Each generation has half of the budget.
        if bytes > bytes_max / 2 {
            return;
        }
        if self.young_bytes + bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(id, row);
    }

    fn remove(&mut self, id: RecordId) {
        self.old.remove(&id);
        if let Some(row) = self.young.remove(&id) {
            self.young_bytes -= cost(&row);
        }
    }
}

impl Presence {
    fn new(count_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
            count_max,
            overflown: AtomicBool::new(false),
        }
    }

    fn maybe(&self, key: u128) -> bool {
        self.overflown.load(Ordering::SeqCst) || locked(self.shard(key)).contains_key(&key)
    }

    fn add(&self, key: u128) {
        if self.overflown.load(Ordering::SeqCst) {
            return;
        }
        *locked(self.shard(key)).entry(key).or_default() += 1;
        if self.count.fetch_add(1, Ordering::SeqCst) >= self.count_max {
            self.overflown.store(true, Ordering::SeqCst);
            for shard in &self.shards {
                *locked(shard) = HashMap::new();
            }
        }
    }

    fn drop_key(&self, key: u128) {
        if let Entry::Occupied(mut entry) = locked(self.shard(key)).entry(key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn shard(&self, key: u128) -> &Mutex<HashMap<u128, u32>> {
        let [.., high, low] = key.to_be_bytes();
        &self.shards[usize::from(u16::from_be_bytes([high, low])) % SHARDS]
    }
}

/// Two pairs may share a key, which costs a query. Both ids are outputs of a keyed derivation,
/// so nobody can aim for that.
fn grant_key(record: RecordId, session: SessionRef) -> u128 {
    first_half(record.0) ^ session_key(session)
}

fn session_key(session: SessionRef) -> u128 {
    first_half(session.0)
}

fn first_half(bytes: [u8; 32]) -> u128 {
    let (half, _) = bytes.as_chunks::<16>();
    u128::from_be_bytes(half[0])
}

fn cost(row: &Row) -> usize {
    ROW_OVERHEAD_BYTES + row.outer.len() + row.meta.as_ref().map_or(0, Vec::len)
}

/// A panic cannot leave these maps half changed in a way that matters: they are only a cache.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_core::UnixMillis;

    fn row(version: u64, bytes: usize) -> Arc<Row> {
        let due = UnixMillis::NEVER;
        Arc::new(Row {
            version,
            kek: 1,
            root: 1,
            due,
            outer: vec![0; bytes],
            meta: None,
        })
    }

    const ID: RecordId = RecordId([7; 32]);
    const SESSION: SessionRef = SessionRef([9; 32]);

    #[test]
    fn row_read_before_a_commit_is_not_remembered() {
        let memory = Memory::new(1 << 24, 10);
        let seen = memory.changes(ID);
        memory.apply(vec![Effect::Put(ID, row(2, 10))]);
        memory.fill(ID, &row(1, 10), seen);
        assert_eq!(memory.admit(ID, SESSION).unwrap().version, 2);
        let seen = memory.changes(ID);
        memory.apply(vec![Effect::Remove(ID)]);
        memory.fill(ID, &row(2, 10), seen);
        assert!(memory.admit(ID, SESSION).is_none());
    }

    #[test]
    fn record_ahead_of_memory_is_not_remembered() {
        let memory = Memory::new(1 << 24, 10);
        let batch = vec![Effect::Put(ID, row(2, 10)), Effect::GrantAdded(ID, SESSION)];
        memory.announce(&batch);
        let seen = memory.changes(ID);
        memory.fill(ID, &row(2, 10), seen);
        assert!(
            memory.admit(ID, SESSION).is_none(),
            "record of the new state, grants of the old"
        );
        memory.apply(batch);
        assert!(memory.admit(ID, SessionRef([1; 32])).is_some());
    }

    #[test]
    fn cache_stays_within_its_bytes_and_keeps_what_is_used() {
        let memory = Memory::new(SHARDS * 10_000, 10);
        let id = |i: u16| {
            let mut id = [0; 32];
            id[30..].copy_from_slice(&i.to_be_bytes());
            RecordId(id)
        };
        for i in 0..1000 {
            memory.apply(vec![Effect::Put(id(i), row(1, 300))]);
            assert!(
                memory.admit(id(0), SESSION).is_some(),
                "row in use was dropped at {i}"
            );
        }
        let kept = (0..1000)
            .filter(|i| memory.admit(id(*i), SESSION).is_some())
            .count();
        assert!(
            (5..=20).contains(&kept),
            "{kept} rows of 500 bytes in 10,000 bytes"
        );
    }

    #[test]
    fn doubt_forgets_rows_and_keeps_possible_grants() {
        let memory = Memory::new(1 << 24, 10);
        memory.apply(vec![Effect::Put(ID, row(1, 10))]);
        assert!(memory.admit(ID, SESSION).is_some());
        memory.doubt(vec![
            Effect::Put(ID, row(2, 10)),
            Effect::GrantAdded(ID, SESSION),
        ]);
        memory.apply(vec![Effect::Put(ID, row(1, 10))]);
        assert!(memory.admit(ID, SESSION).is_none(), "the grant may exist");
        assert!(memory.admit(ID, SessionRef([1; 32])).is_some());
    }

    #[test]
    fn grants_that_share_a_key_are_told_apart_when_one_goes() {
        let memory = Memory::new(1 << 24, 10);
        memory.apply(vec![
            Effect::Put(ID, row(1, 10)),
            Effect::GrantAdded(ID, SESSION),
            Effect::GrantAdded(RecordId(SESSION.0), SessionRef(ID.0)),
            Effect::GrantDropped(RecordId(SESSION.0), SessionRef(ID.0)),
        ]);
        assert!(
            memory.admit(ID, SESSION).is_none(),
            "its grant is still there"
        );
        memory.apply(vec![Effect::GrantDropped(ID, SESSION)]);
        assert!(memory.admit(ID, SESSION).is_some());
    }

    #[test]
    fn too_many_grants_to_remember_means_that_each_may_exist() {
        let memory = Memory::new(1 << 24, 2);
        memory.apply(vec![Effect::Put(ID, row(1, 10))]);
        for i in 0..3 {
            memory.apply(vec![Effect::GrantAdded(RecordId([i; 32]), SESSION)]);
        }
        assert!(memory.admit(ID, SessionRef([1; 32])).is_none());
    }
}
