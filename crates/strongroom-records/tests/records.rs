//! The `SQLite` adapter from outside: the conformance suite, and random operations against a
//! model.
#![expect(clippy::unwrap_used, reason = "a call that fails is a test that fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use strongroom_records::{
    Admission, GrantRow, Insert, RecordId, RecordStore, RevocationRow, Row, SessionRef, Sqlite,
    SqliteConfig, Swap, UnixMillis, conformance,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::run(&|name| {
        let config = SqliteConfig::new(directory.path().join(name));
        Box::pin(async move { Arc::new(Sqlite::open(config).unwrap()) as Arc<dyn RecordStore> })
    })
    .await;
}

/// Without any memory every read is a query: the other half of the adapter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_without_memory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::run(&|name| {
        let path = directory.path().join(name);
        let config = SqliteConfig {
            cache_bytes: 0,
            presence_max: 0,
            ..SqliteConfig::new(path)
        };
        Box::pin(async move { Arc::new(Sqlite::open(config).unwrap()) as Arc<dyn RecordStore> })
    })
    .await;
}

/// What the store should hold, in the plainest form.
#[derive(Default)]
struct Model {
    records: BTreeMap<RecordId, Row>,
    grants: BTreeMap<(RecordId, SessionRef), GrantRow>,
    revocations: BTreeMap<SessionRef, RevocationRow>,
    marks: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone)]
enum Op {
    Admit(u8, u8),
    Insert(u8, u64),
    Replace(u8, u64, u64),
    PutGrant(u8, u8, Option<u64>, u64),
    Charge(u8, u64, u8, u64),
    Revoke(u8, u64),
    Delete(u8, u64),
    Sweep(u64, usize),
    SwapMark(bool, Option<u8>, u8),
    Scan(usize),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    // Few keys and versions, so that the operations meet each other.
    let (id, session, version, time) = (0..4_u8, 0..3_u8, 1..4_u64, 0..5_u64);
    prop_oneof![
        8 => (id.clone(), session.clone()).prop_map(|(i, s)| Op::Admit(i, s)),
        6 => (id.clone(), version.clone()).prop_map(|(i, v)| Op::Insert(i, v)),
        4 => (id.clone(), version.clone(), 1..3_u64).prop_map(|(i, v, n)| Op::Replace(i, v, v + n)),
        5 => (id.clone(), session.clone(), prop::option::of(version.clone()), 4..6_u64)
            .prop_map(|(i, s, e, v)| Op::PutGrant(i, s, e, v)),
        3 => (id.clone(), version.clone(), session.clone(), 1..6_u64)
            .prop_map(|(i, v, s, g)| Op::Charge(i, v, s, g)),
        2 => (session, time.clone()).prop_map(|(s, t)| Op::Revoke(s, t)),
        3 => (id, 1..6_u64).prop_map(|(i, v)| Op::Delete(i, v)),
        1 => (time, 1..4_usize).prop_map(|(t, n)| Op::Sweep(t, n)),
        2 => (any::<bool>(), prop::option::of(0..2_u8), 0..2_u8)
            .prop_map(|(n, e, v)| Op::SwapMark(n, e, v)),
        1 => (1..4_usize).prop_map(Op::Scan),
        1 => Just(Op::Reopen),
    ]
}

fn id(number: u8) -> RecordId {
    RecordId([number; 32])
}

fn session(number: u8) -> SessionRef {
    SessionRef([number; 32])
}

fn row(version: u64) -> Row {
    let outer = vec![version.to_be_bytes()[7]; 20];
    let meta = (version > 2).then(|| vec![9; 5]);
    Row {
        version,
        kek: 1,
        root: 1,
        due: UnixMillis(version),
        outer,
        meta,
    }
}

fn grant(version: u64) -> GrantRow {
    GrantRow {
        version,
        keep_until: UnixMillis(version),
        bytes: vec![1; 3],
    }
}

fn swapped(done: bool) -> Swap {
    if done { Swap::Swapped } else { Swap::Lost }
}

impl Model {
    fn admit(&self, id: RecordId, session: SessionRef) -> Admission {
        let record = self.records.get(&id).cloned().map(Arc::new);
        let grant = self.grants.get(&(id, session)).cloned();
        Admission {
            record,
            grant,
            revocation: self.revocations.get(&session).cloned(),
        }
    }

    fn version(&self, id: RecordId) -> Option<u64> {
        self.records.get(&id).map(|row| row.version)
    }

    fn granted(&self, id: RecordId, session: SessionRef) -> Option<u64> {
        self.grants.get(&(id, session)).map(|grant| grant.version)
    }

    fn delete(&mut self, id: RecordId) {
        self.records.remove(&id);
        self.grants.retain(|(record, _), _| *record != id);
    }

    fn revoke(&mut self, session: SessionRef, row: RevocationRow) {
        let end = |row: &RevocationRow| match row.keep_until {
            UnixMillis::NEVER => u64::MAX,
            UnixMillis(time) => time,
        };
        if self
            .revocations
            .get(&session)
            .is_none_or(|old| end(old) < end(&row))
        {
            self.revocations.insert(session, row);
        }
    }

    fn ended(&self, now: u64) -> usize {
        let ended = |time: UnixMillis| time != UnixMillis::NEVER && time.0 <= now;
        self.grants
            .values()
            .filter(|grant| ended(grant.keep_until))
            .count()
            + self
                .revocations
                .values()
                .filter(|row| ended(row.keep_until))
                .count()
    }
}

async fn step(store: &Sqlite, model: &mut Model, op: Op) {
    match op {
        Op::Admit(i, s) => {
            let found = store.admit(id(i), session(s)).await.unwrap();
            assert_eq!(found, model.admit(id(i), session(s)));
        }
        Op::Insert(i, v) => {
            let answer = store.insert(id(i), row(v)).await.unwrap();
            let exists = model.records.contains_key(&id(i));
            assert_eq!(
                answer,
                if exists {
                    Insert::Exists
                } else {
                    Insert::Inserted
                }
            );
            model.records.entry(id(i)).or_insert_with(|| row(v));
        }
        Op::Replace(i, expected, v) => {
            let answer = store.replace(id(i), expected, row(v)).await.unwrap();
            let done = model.version(id(i)) == Some(expected);
            assert_eq!(answer, swapped(done));
            if done {
                model.records.insert(id(i), row(v));
            }
        }
        Op::PutGrant(i, s, expected, v) => {
            let answer = store
                .put_grant(id(i), session(s), expected, grant(v))
                .await
                .unwrap();
            let done =
                model.records.contains_key(&id(i)) && model.granted(id(i), session(s)) == expected;
            assert_eq!(answer, swapped(done));
            if done {
                model.grants.insert((id(i), session(s)), grant(v));
            }
        }
        Op::Charge(i, v, s, g) => {
            let (row, grant) = (row(v + 1), grant(g + 1));
            let charge = store.charge(id(i), v, row.clone(), session(s), g, grant.clone());
            let done =
                model.version(id(i)) == Some(v) && model.granted(id(i), session(s)) == Some(g);
            assert_eq!(charge.await.unwrap(), swapped(done));
            if done {
                model.records.insert(id(i), row);
                model.grants.insert((id(i), session(s)), grant);
            }
        }
        other => step_rarer(store, model, other).await,
    }
}

async fn step_rarer(store: &Sqlite, model: &mut Model, op: Op) {
    match op {
        Op::Revoke(s, time) => {
            let row = RevocationRow {
                keep_until: UnixMillis(time),
                bytes: vec![2; 3],
            };
            store.put_revocation(session(s), row.clone()).await.unwrap();
            model.revoke(session(s), row);
        }
        Op::Delete(i, v) => {
            let done = model.version(id(i)) == Some(v);
            assert_eq!(store.delete(id(i), v).await.unwrap(), swapped(done));
            if done {
                model.delete(id(i));
            }
        }
        Op::Sweep(now, limit) => {
            let count = model.ended(now);
            let dropped = store.sweep(UnixMillis(now), limit).await.unwrap();
            assert_eq!(dropped, count.min(limit) as u64);
            // Which ones went first is the adapter's business: let the model follow when all did.
            while store.sweep(UnixMillis(now), limit).await.unwrap() == limit as u64 {}
            let ended = |time: UnixMillis| time != UnixMillis::NEVER && time.0 <= now;
            model.grants.retain(|_, grant| !ended(grant.keep_until));
            model.revocations.retain(|_, row| !ended(row.keep_until));
        }
        Op::SwapMark(name, expected, value) => {
            let name = if name { "a" } else { "b" };
            let expected = expected.map(|byte| vec![byte]);
            let answer = store
                .swap_mark(name, expected.as_deref(), &[value])
                .await
                .unwrap();
            let done = model.marks.get(name) == expected.as_ref();
            assert_eq!(answer, swapped(done));
            if done {
                model.marks.insert(name.to_owned(), vec![value]);
            }
            assert_eq!(
                store.mark(name).await.unwrap().as_ref(),
                model.marks.get(name)
            );
        }
        Op::Scan(limit) => {
            let (mut seen, mut after) = (BTreeMap::new(), None);
            loop {
                let page = store.scan(after, limit).await.unwrap();
                let Some((last, _)) = page.last() else { break };
                after = Some(*last);
                seen.extend(page.into_iter().map(|(id, row)| (id, (*row).clone())));
            }
            assert_eq!(seen, model.records);
        }
        _ => {}
    }
}

async fn play(ops: Vec<Op>, cache_bytes: usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.db");
    let config = SqliteConfig {
        cache_bytes,
        ..SqliteConfig::new(path)
    };
    let mut store = Sqlite::open(config.clone()).unwrap();
    let mut model = Model::default();
    for op in ops {
        if matches!(op, Op::Reopen) {
            store.close().await.unwrap();
            store = Sqlite::open(config.clone()).unwrap();
        } else {
            step(&store, &mut model, op).await;
        }
    }
    for (i, s) in (0..4).flat_map(|i| (0..3).map(move |s| (i, s))) {
        let found = store.admit(id(i), session(s)).await.unwrap();
        assert_eq!(found, model.admit(id(i), session(s)), "at the end");
    }
    store.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_does_what_the_model_does(
        ops in prop::collection::vec(op(), 1..60),
        // None, one that drops rows all the time, one that never does.
        cache_bytes in prop::sample::select(vec![0, 512 * 500, 64 << 20]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(ops, cache_bytes));
    }
}
