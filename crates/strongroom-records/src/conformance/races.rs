//! Writers against writers and readers: one winner, one snapshot, no page twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Open, grant, id, row, session, version_of};
use crate::{Insert, Swap};

pub(super) async fn one_of_many_racers_wins(open: &Open<'_>) {
    const RACERS: u64 = 16;
    const ROUNDS: u64 = 20;
    let store = open("race").await;
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    for round in 0..ROUNDS {
        let before = version_of(&*store, id(0, 0))
            .await
            .expect("the record is there");
        let racers: Vec<_> = (1..=RACERS)
            .map(|racer| {
                let store = Arc::clone(&store);
                let row = row(before + racer);
                tokio::spawn(async move { store.replace(id(0, 0), before, row).await })
            })
            .collect();
        let mut won = Vec::new();
        for (racer, task) in (1..).zip(racers) {
            if task.await.expect("no panic").expect("replace") == Swap::Swapped {
                won.push(before + racer);
            }
        }
        let now = version_of(&*store, id(0, 0)).await;
        assert_eq!(
            won,
            Vec::from_iter(now),
            "exactly one winner in round {round}, and it stays"
        );
    }
    store.close().await.expect("close");
}

/// Record and grant are always written in this order: first the grant, then the record, both
/// with the next version; or both at once. A snapshot never shows the record ahead.
pub(super) async fn admit_is_one_snapshot(open: &Open<'_>) {
    const VERSIONS: u64 = 300;
    let store = open("snapshot").await;
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    let put = store.put_grant(id(0, 0), session(1), None, grant(1)).await;
    assert_eq!(put.expect("put_grant"), Swap::Swapped);
    let writer = Arc::clone(&store);
    let writing = tokio::spawn(async move {
        for version in 1..VERSIONS {
            let (row, grant) = (row(version + 1), grant(version + 1));
            let swap = if version % 2 == 0 {
                writer
                    .charge(id(0, 0), version, row, session(1), version, grant)
                    .await
            } else {
                let put = writer.put_grant(id(0, 0), session(1), Some(version), grant);
                assert_eq!(put.await.expect("put_grant"), Swap::Swapped);
                writer.replace(id(0, 0), version, row).await
            };
            assert_eq!(swap.expect("write"), Swap::Swapped);
        }
    });
    let (mut last, mut reads) = (0, 0_u64);
    while last < VERSIONS {
        let found = store.admit(id(0, 0), session(1)).await.expect("admit");
        let record = found.record.expect("the record is there").version;
        let grant = found.grant.expect("the grant is there").version;
        let ahead = grant
            .checked_sub(record)
            .expect("the record is never ahead");
        assert!(
            ahead <= record % 2,
            "grant {grant} and record {record} never stood together"
        );
        assert!(record >= last, "a read went back from {last} to {record}");
        last = record;
        reads += 1;
        if writing.is_finished() && last < VERSIONS {
            assert!(reads < VERSIONS * 1000, "the last write never shows");
        }
        tokio::task::yield_now().await;
    }
    writing.await.expect("no panic");
    store.close().await.expect("close");
}

/// An explicit grant may withdraw what the record itself grants: a read that showed the record
/// but no longer its grant would let a withdrawn session in.
pub(super) async fn deleted_record_never_shows_without_its_grant(open: &Open<'_>) {
    const RECORDS: u16 = 200;
    let store = open("withdrawn").await;
    for number in 0..RECORDS {
        let id = id(0, number);
        assert_eq!(
            store.insert(id, row(1)).await.expect("insert"),
            Insert::Inserted
        );
        let put = store.put_grant(id, session(1), None, grant(1)).await;
        assert_eq!(put.expect("put_grant"), Swap::Swapped);
    }
    let deleter = Arc::clone(&store);
    let deleting = tokio::spawn(async move {
        for number in 0..RECORDS {
            let gone = deleter.delete(id(0, number), 1).await;
            assert_eq!(gone.expect("delete"), Swap::Swapped);
            let found = deleter
                .admit(id(0, number), session(1))
                .await
                .expect("admit");
            assert!(found.record.is_none(), "deleted record after the reply");
        }
    });
    for number in 0..RECORDS {
        loop {
            let found = store.admit(id(0, number), session(1)).await.expect("admit");
            assert_eq!(
                found.record.is_some(),
                found.grant.is_some(),
                "both or neither"
            );
            if found.record.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    deleting.await.expect("no panic");
    store.close().await.expect("close");
}

pub(super) async fn scan_shows_each_standing_record_once(open: &Open<'_>) {
    const STANDING: u16 = 50;
    let store = open("scan").await;
    assert!(
        store.scan(None, 10).await.expect("scan").is_empty(),
        "empty store, empty page"
    );
    for number in 0..STANDING {
        let inserted = store.insert(id(0, number), row(1)).await.expect("insert");
        assert_eq!(inserted, Insert::Inserted);
    }
    let writer = Arc::clone(&store);
    let writing = tokio::spawn(async move {
        for number in 0..STANDING {
            let inserted = writer.insert(id(1, number), row(1)).await.expect("insert");
            assert_eq!(inserted, Insert::Inserted);
            if number % 2 == 0 {
                let gone = writer.delete(id(1, number), 1).await.expect("delete");
                assert_eq!(gone, Swap::Swapped);
            }
        }
    });
    let (mut seen, mut after, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = store.scan(after, 7).await.expect("scan");
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 7, "the limit is a limit");
        after = Some(*last);
        for (id, found) in page {
            assert_eq!(*found, row(1));
            assert!(seen.insert(id), "shown twice");
        }
        pages += 1;
    }
    writing.await.expect("no panic");
    assert!(pages > 2, "{pages} pages");
    let missed = (0..STANDING)
        .filter(|number| !seen.contains(&id(0, *number)))
        .count();
    assert_eq!(
        missed, 0,
        "records that stood all the time and were not shown"
    );
    let before = store.scan(Some(id(0, 0)), 7).await.expect("scan");
    let gone = store.delete(id(0, 0), 1).await.expect("delete");
    assert_eq!(gone, Swap::Swapped);
    let page = store.scan(Some(id(0, 0)), 7).await.expect("scan");
    assert_eq!(page, before, "`after` need not exist");
    store.close().await.expect("close");
}
