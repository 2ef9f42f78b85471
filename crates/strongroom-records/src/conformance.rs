//! What every adapter must do: one suite for all, to be called from each adapter's tests.
//!
//! The suite asks for stores by name: the same name is the same data, opened again; another
//! name is an empty store of its own. It knows the trait alone.

mod faults;
mod faulty;
mod races;

use std::pin::Pin;
use std::sync::Arc;

pub use self::faulty::{Fault, Faulty};
use crate::{
    Error, GrantRow, Insert, ROW_BYTES_MAX, RecordId, RecordStore, RevocationRow, Row, SessionRef,
    Swap, UnixMillis,
};

/// Opens the store of a name.
pub type Open<'a> = dyn Fn(&'static str) -> Opening<'a> + Sync + 'a;

/// A store on its way.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Arc<dyn RecordStore>> + Send + 'a>>;

/// Runs the whole suite, on a runtime with several threads if the races are to mean anything.
///
/// # Panics
///
/// Where the adapter breaks the contract; the message says what was expected.
pub async fn run(open: &Open<'_>) {
    insert_happens_once(open).await;
    replace_compares_the_version(open).await;
    races::one_of_many_racers_wins(open).await;
    grants_need_their_record_and_version(open).await;
    charge_is_both_or_neither(open).await;
    delete_takes_the_grants_along(open).await;
    revocation_is_never_shortened(open).await;
    races::admit_is_one_snapshot(open).await;
    races::deleted_record_never_shows_without_its_grant(open).await;
    races::scan_shows_each_standing_record_once(open).await;
    sweep_drops_what_has_ended(open).await;
    marks_compare_their_value(open).await;
    kek_floor_refuses_late_writers(open).await;
    limits_are_errors_before_anything_is_written(open).await;
    everything_survives_reopening(open).await;
    faults::every_write_sent_again_converges(open).await;
}

fn id(range: u8, number: u16) -> RecordId {
    let mut bytes = [0x5a; 32];
    // Spread like the real ones: neighbours in number are none in the key.
    bytes[..2].copy_from_slice(&number.wrapping_mul(40_503).to_be_bytes());
    bytes[2] = range;
    bytes[30..].copy_from_slice(&number.to_be_bytes());
    RecordId(bytes)
}

fn session(number: u8) -> SessionRef {
    SessionRef([number ^ 0xc3; 32])
}

fn row(version: u64) -> Row {
    let outer = [version.to_be_bytes().to_vec(), vec![0xa5; 250]].concat();
    let meta = version.is_multiple_of(2).then(|| vec![0x3c; 300]);
    Row {
        version,
        kek: 7,
        root: 2,
        due: UnixMillis(3_600_000),
        outer,
        meta,
    }
}

fn grant(version: u64) -> GrantRow {
    GrantRow {
        version,
        keep_until: UnixMillis(1000),
        bytes: version.to_be_bytes().to_vec(),
    }
}

fn revocation(keep_until: u64) -> RevocationRow {
    RevocationRow {
        keep_until: UnixMillis(keep_until),
        bytes: keep_until.to_be_bytes().to_vec(),
    }
}

async fn version_of(store: &dyn RecordStore, id: RecordId) -> Option<u64> {
    store
        .admit(id, session(0))
        .await
        .expect("admit")
        .record
        .map(|row| row.version)
}

async fn insert_happens_once(open: &Open<'_>) {
    let store = open("insert").await;
    assert_eq!(version_of(&*store, id(0, 0)).await, None, "absent before");
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    assert_eq!(
        store.insert(id(0, 0), row(2)).await.expect("insert"),
        Insert::Exists
    );
    let found = store.admit(id(0, 0), session(0)).await.expect("admit");
    assert_eq!(
        *found.record.expect("the record is there"),
        row(1),
        "the first row stays"
    );
    assert!(found.grant.is_none() && found.revocation.is_none());
    store.close().await.expect("close");
}

async fn replace_compares_the_version(open: &Open<'_>) {
    let store = open("replace").await;
    assert_eq!(
        store.replace(id(0, 0), 1, row(2)).await.expect("replace"),
        Swap::Lost,
        "absent"
    );
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    assert_eq!(
        store.replace(id(0, 0), 1, row(2)).await.expect("replace"),
        Swap::Swapped
    );
    assert_eq!(
        store.replace(id(0, 0), 1, row(3)).await.expect("replace"),
        Swap::Lost,
        "stale"
    );
    let found = store
        .admit(id(0, 0), session(0))
        .await
        .expect("admit")
        .record;
    assert_eq!(*found.expect("the record is there"), row(2));
    store.close().await.expect("close");
}

async fn grants_need_their_record_and_version(open: &Open<'_>) {
    let store = open("grants").await;
    let put = async |session, expected, version| {
        store
            .put_grant(id(0, 0), session, expected, grant(version))
            .await
            .expect("put_grant")
    };
    assert_eq!(put(session(1), None, 1).await, Swap::Lost, "no record");
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    assert_eq!(
        put(session(1), Some(1), 2).await,
        Swap::Lost,
        "no grant to replace"
    );
    assert_eq!(put(session(1), None, 1).await, Swap::Swapped);
    assert_eq!(put(session(1), None, 2).await, Swap::Lost, "exists");
    assert_eq!(put(session(1), Some(1), 3).await, Swap::Swapped);
    assert_eq!(put(session(1), Some(1), 4).await, Swap::Lost, "stale");
    let found = store.admit(id(0, 0), session(1)).await.expect("admit");
    assert_eq!(found.grant, Some(grant(3)));
    let other = store.admit(id(0, 0), session(2)).await.expect("admit");
    assert_eq!(other.grant, None, "another session's");
    store.close().await.expect("close");
}

async fn charge_is_both_or_neither(open: &Open<'_>) {
    let store = open("charge").await;
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    let charge = async |version, granted| {
        let answer = store
            .charge(id(0, 0), version, row(5), session(1), granted, grant(5))
            .await;
        answer.expect("charge")
    };
    assert_eq!(charge(1, 1).await, Swap::Lost, "no grant");
    let put = store.put_grant(id(0, 0), session(1), None, grant(1)).await;
    assert_eq!(put.expect("put_grant"), Swap::Swapped);
    assert_eq!(charge(2, 1).await, Swap::Lost, "other record");
    assert_eq!(charge(1, 2).await, Swap::Lost, "other grant");
    let found = store.admit(id(0, 0), session(1)).await.expect("admit");
    assert_eq!(
        *found.record.expect("the record is there"),
        row(1),
        "nothing changed"
    );
    assert_eq!(found.grant, Some(grant(1)), "nothing changed");
    assert_eq!(charge(1, 1).await, Swap::Swapped);
    let found = store.admit(id(0, 0), session(1)).await.expect("admit");
    assert_eq!(*found.record.expect("the record is there"), row(5));
    assert_eq!(found.grant, Some(grant(5)));
    store.close().await.expect("close");
}

async fn delete_takes_the_grants_along(open: &Open<'_>) {
    let store = open("delete").await;
    for number in 0..2 {
        let id = id(0, number);
        assert_eq!(
            store.insert(id, row(1)).await.expect("insert"),
            Insert::Inserted
        );
        let put = store.put_grant(id, session(1), None, grant(1)).await;
        assert_eq!(put.expect("put_grant"), Swap::Swapped);
    }
    assert_eq!(
        store.delete(id(0, 0), 2).await.expect("delete"),
        Swap::Lost,
        "other version"
    );
    assert_eq!(version_of(&*store, id(0, 0)).await, Some(1), "still there");
    assert_eq!(
        store.delete(id(0, 0), 1).await.expect("delete"),
        Swap::Swapped
    );
    assert_eq!(
        store.delete(id(0, 0), 1).await.expect("delete"),
        Swap::Lost,
        "gone"
    );
    let found = store.admit(id(0, 0), session(1)).await.expect("admit");
    assert!(found.record.is_none() && found.grant.is_none());
    let put = store
        .put_grant(id(0, 0), session(1), Some(1), grant(2))
        .await;
    assert_eq!(put.expect("put_grant"), Swap::Lost, "its grant is gone too");
    let other = store.admit(id(0, 1), session(1)).await.expect("admit");
    assert!(
        other.record.is_some() && other.grant.is_some(),
        "another record's stay"
    );
    store.close().await.expect("close");
}

async fn revocation_is_never_shortened(open: &Open<'_>) {
    let store = open("revocation").await;
    for (given, kept) in [(100, 100), (50, 100), (200, 200), (0, 0), (300, 0)] {
        store
            .put_revocation(session(1), revocation(given))
            .await
            .expect("put_revocation");
        let found = store.admit(id(0, 0), session(1)).await.expect("admit");
        assert_eq!(
            found.revocation,
            Some(revocation(kept)),
            "after {given}, without a record"
        );
    }
    store.close().await.expect("close");
}

async fn sweep_drops_what_has_ended(open: &Open<'_>) {
    let store = open("sweep").await;
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    for (number, keep_until) in [(1, 10), (2, 20), (3, 30), (4, 0)] {
        let grant = GrantRow {
            keep_until: UnixMillis(keep_until),
            ..grant(1)
        };
        let put = store
            .put_grant(id(0, 0), session(number), None, grant)
            .await;
        assert_eq!(put.expect("put_grant"), Swap::Swapped);
        let revoked = store
            .put_revocation(session(number), revocation(keep_until))
            .await;
        revoked.expect("put_revocation");
    }
    assert_eq!(
        store.sweep(UnixMillis(9), 10).await.expect("sweep"),
        0,
        "nothing has ended"
    );
    assert_eq!(
        store.sweep(UnixMillis(20), 3).await.expect("sweep"),
        3,
        "the limit is a limit"
    );
    assert_eq!(
        store.sweep(UnixMillis(20), 3).await.expect("sweep"),
        1,
        "the rest"
    );
    for (number, kept) in [(1, false), (2, false), (3, true), (4, true)] {
        let found = store.admit(id(0, 0), session(number)).await.expect("admit");
        assert_eq!(found.grant.is_some(), kept, "grant {number}");
        assert_eq!(found.revocation.is_some(), kept, "revocation {number}");
        assert!(found.record.is_some(), "records are not swept");
    }
    store.close().await.expect("close");
}

async fn marks_compare_their_value(open: &Open<'_>) {
    let store = open("marks").await;
    let swap = async |expected: Option<&[u8]>, value: &[u8]| {
        store
            .swap_mark("keyring version", expected, value)
            .await
            .expect("swap_mark")
    };
    assert_eq!(store.mark("keyring version").await.expect("mark"), None);
    assert_eq!(
        swap(Some(b""), b"1").await,
        Swap::Lost,
        "never set is not empty"
    );
    assert_eq!(swap(None, b"").await, Swap::Swapped);
    assert_eq!(swap(None, b"1").await, Swap::Lost);
    assert_eq!(swap(Some(b""), b"2").await, Swap::Swapped);
    assert_eq!(
        store
            .mark("keyring version")
            .await
            .expect("mark")
            .as_deref(),
        Some(&b"2"[..])
    );
    assert_eq!(store.mark("other").await.expect("mark"), None);
    store.close().await.expect("close");
}

async fn kek_floor_refuses_late_writers(open: &Open<'_>) {
    let store = open("floor").await;
    let under = |kek, version| Row {
        kek,
        ..row(version)
    };
    assert_eq!(
        store.insert(id(0, 0), under(3, 1)).await.expect("insert"),
        Insert::Inserted
    );
    store.raise_kek_floor(4).await.expect("raise_kek_floor");
    store
        .raise_kek_floor(2)
        .await
        .expect("a lower floor changes nothing");
    let late = store.insert(id(0, 1), under(3, 1)).await;
    assert!(matches!(late, Err(Error::KekRetired)), "{late:?}");
    let late = store.replace(id(0, 0), 1, under(3, 2)).await;
    assert!(matches!(late, Err(Error::KekRetired)), "{late:?}");
    assert_eq!(
        version_of(&*store, id(0, 1)).await,
        None,
        "nothing was written"
    );
    let rewrapped = store.replace(id(0, 0), 1, under(4, 2)).await;
    assert_eq!(rewrapped.expect("replace"), Swap::Swapped);
    store.close().await.expect("close");
    let store = open("floor").await;
    let late = store.insert(id(0, 1), under(3, 1)).await;
    assert!(
        matches!(late, Err(Error::KekRetired)),
        "after a restart: {late:?}"
    );
    store.close().await.expect("close");
}

async fn limits_are_errors_before_anything_is_written(open: &Open<'_>) {
    let store = open("limits").await;
    let large = Row {
        outer: vec![0; ROW_BYTES_MAX],
        meta: None,
        ..row(1)
    };
    let larger = Row {
        meta: Some(vec![0]),
        ..large.clone()
    };
    assert_eq!(
        store.insert(id(0, 0), large).await.expect("insert"),
        Insert::Inserted
    );
    for answer in [
        store.insert(id(0, 1), larger).await.map(drop),
        store.insert(id(0, 1), row(u64::MAX)).await.map(drop),
        store.replace(id(0, 0), 1, row(1)).await.map(drop),
        store
            .put_grant(id(0, 0), session(0), Some(2), grant(2))
            .await
            .map(drop),
        store.swap_mark(&"n".repeat(65), None, b"").await.map(drop),
    ] {
        assert!(matches!(answer, Err(Error::Limit { .. })), "{answer:?}");
    }
    assert_eq!(version_of(&*store, id(0, 1)).await, None);
    store.close().await.expect("close");
}

async fn everything_survives_reopening(open: &Open<'_>) {
    let store = open("reopen").await;
    assert_eq!(
        store.insert(id(0, 0), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    assert_eq!(
        store.insert(id(0, 1), row(1)).await.expect("insert"),
        Insert::Inserted
    );
    assert_eq!(
        store.replace(id(0, 0), 1, row(2)).await.expect("replace"),
        Swap::Swapped
    );
    let put = store.put_grant(id(0, 0), session(1), None, grant(4)).await;
    assert_eq!(put.expect("put_grant"), Swap::Swapped);
    store
        .put_revocation(session(1), revocation(9))
        .await
        .expect("put_revocation");
    assert_eq!(
        store.delete(id(0, 1), 1).await.expect("delete"),
        Swap::Swapped
    );
    assert_eq!(
        store.swap_mark("m", None, b"v").await.expect("swap_mark"),
        Swap::Swapped
    );
    store.close().await.expect("close");
    store.close().await.expect("closing twice is no error");
    let late = store.admit(id(0, 0), session(1)).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    let late = store.insert(id(0, 2), row(1)).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    drop(store);

    let store = open("reopen").await;
    let found = store.admit(id(0, 0), session(1)).await.expect("admit");
    assert_eq!(*found.record.expect("the record is there"), row(2));
    assert_eq!(found.grant, Some(grant(4)));
    assert_eq!(found.revocation, Some(revocation(9)));
    assert_eq!(version_of(&*store, id(0, 1)).await, None, "deleted");
    assert_eq!(
        store.mark("m").await.expect("mark").as_deref(),
        Some(&b"v"[..])
    );
    store.close().await.expect("close");
}
