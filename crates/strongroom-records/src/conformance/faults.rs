//! What a caller does after a write failed, whether it was kept or lost: send it again.

use super::{Fault, Faulty, Open, grant, id, revocation, row, session};
use crate::{Error, Insert, RecordStore, Swap, UnixMillis};

/// Both faults, one after the other, each in a range of ids of its own.
pub(super) async fn every_write_sent_again_converges(open: &Open<'_>) {
    let store = Faulty::new(open("faults").await);
    for (range, fault) in [(1, Fault::Kept), (2, Fault::Lost)] {
        insert(&store, range, fault).await;
        replace(&store, range, fault).await;
        grants(&store, range, fault).await;
        charge(&store, range, fault).await;
        revocation_and_sweep(&store, range, fault).await;
        mark(&store, range, fault).await;
        delete(&store, range, fault).await;
        floor(&store, u32::from(range), fault).await;
    }
    store.close().await.expect("close");
}

fn failed<T>(answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Io(_))),
        "the fault was not injected"
    );
}

/// What the second try of a compare-and-set answers.
fn second(fault: Fault) -> Swap {
    match fault {
        Fault::Kept => Swap::Lost,
        Fault::Lost => Swap::Swapped,
    }
}

async fn insert(store: &Faulty, range: u8, fault: Fault) {
    let id = id(range, 0);
    store.fail(0, fault);
    failed(&store.insert(id, row(1)).await);
    let expected = match fault {
        Fault::Kept => Insert::Exists,
        Fault::Lost => Insert::Inserted,
    };
    assert_eq!(store.insert(id, row(1)).await.expect("insert"), expected);
    let found = store.admit(id, session(0)).await.expect("admit").record;
    assert_eq!(
        *found.expect("the record is there"),
        row(1),
        "the caller's own row"
    );
}

async fn replace(store: &Faulty, range: u8, fault: Fault) {
    let id = id(range, 0);
    store.fail(0, fault);
    failed(&store.replace(id, 1, row(2)).await);
    assert_eq!(
        store.replace(id, 1, row(2)).await.expect("replace"),
        second(fault)
    );
    let found = store.admit(id, session(0)).await.expect("admit").record;
    assert_eq!(*found.expect("the record is there"), row(2));
}

async fn grants(store: &Faulty, range: u8, fault: Fault) {
    let id = id(range, 0);
    for (expected, version) in [(None, 1), (Some(1), 2)] {
        store.fail(0, fault);
        failed(
            &store
                .put_grant(id, session(1), expected, grant(version))
                .await,
        );
        let again = store
            .put_grant(id, session(1), expected, grant(version))
            .await;
        assert_eq!(again.expect("put_grant"), second(fault));
        let found = store.admit(id, session(1)).await.expect("admit").grant;
        assert_eq!(found, Some(grant(version)));
    }
}

async fn charge(store: &Faulty, range: u8, fault: Fault) {
    let id = id(range, 0);
    store.fail(0, fault);
    failed(&store.charge(id, 2, row(3), session(1), 2, grant(3)).await);
    let again = store.charge(id, 2, row(3), session(1), 2, grant(3)).await;
    assert_eq!(again.expect("charge"), second(fault));
    let found = store.admit(id, session(1)).await.expect("admit");
    assert_eq!(*found.record.expect("the record is there"), row(3));
    assert_eq!(found.grant, Some(grant(3)), "charged once");
}

async fn revocation_and_sweep(store: &Faulty, range: u8, fault: Fault) {
    let session = session(100 + range);
    store.fail(0, fault);
    failed(&store.put_revocation(session, revocation(50)).await);
    store
        .put_revocation(session, revocation(50))
        .await
        .expect("put_revocation");
    let found = store
        .admit(id(range, 0), session)
        .await
        .expect("admit")
        .revocation;
    assert_eq!(found, Some(revocation(50)));

    store.fail(0, fault);
    failed(&store.sweep(UnixMillis(50), 10).await);
    let dropped = store.sweep(UnixMillis(50), 10).await.expect("sweep");
    assert_eq!(dropped, u64::from(fault == Fault::Lost));
    let found = store
        .admit(id(range, 0), session)
        .await
        .expect("admit")
        .revocation;
    assert_eq!(found, None);
}

async fn mark(store: &Faulty, range: u8, fault: Fault) {
    let name = format!("mark {range}");
    store.fail(0, fault);
    failed(&store.swap_mark(&name, None, b"1").await);
    assert_eq!(
        store.swap_mark(&name, None, b"1").await.expect("swap_mark"),
        second(fault)
    );
    assert_eq!(
        store.mark(&name).await.expect("mark").as_deref(),
        Some(&b"1"[..])
    );
}

async fn delete(store: &Faulty, range: u8, fault: Fault) {
    let id = id(range, 0);
    store.fail(0, fault);
    failed(&store.delete(id, 3).await);
    assert_eq!(store.delete(id, 3).await.expect("delete"), second(fault));
    let found = store.admit(id, session(1)).await.expect("admit");
    assert!(
        found.record.is_none() && found.grant.is_none(),
        "gone either way"
    );
}

async fn floor(store: &Faulty, floor: u32, fault: Fault) {
    store.fail(0, fault);
    failed(&store.raise_kek_floor(floor).await);
    store.raise_kek_floor(floor).await.expect("raise_kek_floor");
    let mut late = row(1);
    late.kek = floor - 1;
    let answer = store.insert(id(3, 0), late).await;
    assert!(matches!(answer, Err(Error::KekRetired)), "{answer:?}");
}
