//! Listings are compared with the plainest possible reading of all keys.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Pieces of keys, prefixes, markers and delimiters: bytes next to each other, the highest and
/// lowest characters, and delimiters of several characters that overlap.
const PIECES: &[&str] = &[
    "a",
    "b",
    "/",
    "//",
    "/.",
    "\0",
    "\u{1}",
    "\u{7f}",
    "é",
    "\u{ffff}",
    "\u{10000}",
    "\u{10ffff}",
];

fn text(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), pieces).prop_map(|all| all.concat())
}

fn query() -> impl Strategy<Value = ListQuery> {
    let max = prop_oneof![0..4_usize, 0..=PAGE_MAX];
    let of = || prop::option::of(text(0..4));
    (text(0..3), of(), of(), prop::option::of(text(0..3)), max).prop_map(
        |(prefix, after, start_after, delimiter, max)| ListQuery {
            prefix,
            after,
            start_after,
            delimiter,
            max,
        },
    )
}

#[derive(Debug, PartialEq, Eq)]
enum Item<T> {
    Entry(T),
    Prefix(String),
}

/// The items of all keys in order, whatever their number.
fn items<T: Clone>(
    keys: &[(String, T)],
    prefix: &str,
    delimiter: Option<&str>,
    is_shown: impl Fn(&str, Option<&str>, &T) -> bool,
) -> Vec<Item<(String, T)>> {
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, rest) in keys {
        let Some(tail) = key.strip_prefix(prefix) else {
            continue;
        };
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        let common = delimiter.and_then(|delimiter| {
            let (head, _) = tail.split_once(delimiter)?;
            Some(format!("{prefix}{head}{delimiter}"))
        });
        if !is_shown(key, common.as_deref(), rest) {
            continue;
        }
        match common {
            Some(common) if seen.insert(common.clone()) => items.push(Item::Prefix(common)),
            Some(_) => {}
            None => items.push(Item::Entry((key.clone(), rest.clone()))),
        }
    }
    items
}

fn model(keys: &[(String, ())], query: &ListQuery) -> Listing {
    let shown = |key: &str, common: Option<&str>, (): &()| {
        let started = query.start_after.as_deref().is_none_or(|start| key > start);
        let passed = query.after.as_deref().is_some_and(|after| {
            key <= after || common.is_some_and(|common| after.starts_with(common))
        });
        started && !passed
    };
    let mut items = items(keys, &query.prefix, query.delimiter.as_deref(), shown);
    let more = items.len() > query.max && query.max > 0;
    items.truncate(query.max);
    let mut listing = Listing::default();
    for item in items {
        listing.next = more.then(|| match &item {
            Item::Entry((key, ())) => key.clone(),
            Item::Prefix(common) => common.clone(),
        });
        match item {
            Item::Entry((key, ())) => listing.entries.push(entry(key)),
            Item::Prefix(common) => listing.prefixes.push(common),
        }
    }
    listing
}

fn entry(key: String) -> Entry {
    let stat = Stat {
        size: key.len() as u64,
        stored_at: NOW,
        etag: key.len().to_string(),
    };
    Entry { key, stat }
}

async fn fill(index: &Arc<Index>, bucket: BucketId, keys: &[(String, ())]) {
    let puts: Vec<_> = keys
        .iter()
        .map(|(key, ())| {
            let (index, key) = (Arc::clone(index), key.clone());
            tokio::spawn(async move {
                let row = inline(&key.len().to_string(), &vec![0; key.len()]);
                index.put(bucket, &key, row, Condition::None).await
            })
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.unwrap().unwrap(), Put::Stored(vec![]));
    }
}

async fn check_listings(keys: &[(String, ())], queries: &[ListQuery]) {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(open(&directory));
    // Neighbours on both sides must not be seen.
    let before = bucket(&index, "before").await;
    let id = bucket(&index, "things").await;
    let after = bucket(&index, "after").await;
    for bucket in [before, id, after] {
        fill(&index, bucket, keys).await;
    }
    for query in queries {
        let listing = index.list(id, query).await.unwrap();
        assert_eq!(listing, model(keys, query), "{query:?} of {keys:?}");
        // The pages together are the whole.
        if query.max == 0 {
            continue;
        }
        let mut page = query.clone();
        let mut together = Listing::default();
        loop {
            let next = index.list(id, &page).await.unwrap();
            together.entries.extend(next.entries);
            together.prefixes.extend(next.prefixes);
            page.after = next.next;
            if page.after.is_none() {
                break;
            }
        }
        let whole = ListQuery {
            max: usize::MAX,
            ..query.clone()
        };
        assert_eq!(together, model(keys, &whole), "{query:?} of {keys:?}");
    }
}

fn upload_model(uploads: &[(String, String)], query: &UploadQuery) -> UploadListing {
    let shown = |key: &str, common: Option<&str>, id: &String| {
        query.key_marker.as_deref().is_none_or(|marker| {
            let in_common = common.is_some_and(|common| marker.starts_with(common));
            let own = key == marker
                && query
                    .upload_marker
                    .as_ref()
                    .is_some_and(|behind| id > behind);
            !in_common && (key > marker || own)
        })
    };
    let mut items = items(uploads, &query.prefix, query.delimiter.as_deref(), shown);
    let more = items.len() > query.max && query.max > 0;
    items.truncate(query.max);
    let mut listing = UploadListing::default();
    for item in items {
        listing.next = more.then(|| match &item {
            Item::Entry((key, id)) => (key.clone(), Some(id.clone())),
            Item::Prefix(common) => (common.clone(), None),
        });
        match item {
            Item::Entry((key, id)) => listing.entries.push(UploadEntry {
                key,
                id,
                created_at: NOW,
            }),
            Item::Prefix(common) => listing.prefixes.push(common),
        }
    }
    listing
}

async fn check_uploads(uploads: &[(String, String)], queries: &[UploadQuery]) {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(open(&directory));
    let id = bucket(&index, "things").await;
    let other = bucket(&index, "other").await;
    let rows = uploads.iter().flat_map(|(key, name)| {
        let elsewhere = upload(&format!("{name}-other"), other, key);
        [upload(name, id, key), elsewhere]
    });
    let made: Vec<_> = rows
        .map(|row| {
            let index = Arc::clone(&index);
            tokio::spawn(async move { index.create_upload(row, 1000).await })
        })
        .collect();
    for made in made {
        assert_eq!(made.await.unwrap().unwrap(), CreateUpload::Created);
    }
    for query in queries {
        let listing = index.uploads(id, query).await.unwrap();
        assert_eq!(
            listing,
            upload_model(uploads, query),
            "{query:?} of {uploads:?}"
        );
    }
}

fn upload_query() -> impl Strategy<Value = UploadQuery> {
    let of = || prop::option::of(text(0..4));
    let marker = prop::option::of((0..40_u32).prop_map(|number| format!("{number:02}")));
    (
        text(0..2),
        of(),
        marker,
        prop::option::of(text(0..3)),
        0..6_usize,
    )
        .prop_map(
            |(prefix, key_marker, upload_marker, delimiter, max)| UploadQuery {
                prefix,
                key_marker,
                upload_marker,
                delimiter,
                max,
            },
        )
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn listings_are_those_of_the_plainest_reading(
        keys in prop::collection::btree_set(text(1..5), 0..60),
        mut queries in prop::collection::vec(query(), 60),
        marks in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let keys: Vec<_> = keys.into_iter().map(|key| (key, ())).collect();
        // Half of the markers are keys that exist.
        for (query, mark) in queries.iter_mut().zip(&marks).step_by(2) {
            if !keys.is_empty() {
                query.after = Some(mark.get(&keys).0.clone());
            }
        }
        run(check_listings(&keys, &queries));
    }

    #[test]
    fn upload_listings_are_those_of_the_plainest_reading(
        keys in prop::collection::vec(text(1..4), 0..40),
        mut queries in prop::collection::vec(upload_query(), 60),
        marks in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let numbered = keys.into_iter().enumerate();
        let mut uploads: Vec<_> = numbered
            .map(|(number, key)| (key, format!("{number:02}")))
            .collect();
        uploads.sort();
        for (query, mark) in queries.iter_mut().zip(&marks).step_by(2) {
            if !uploads.is_empty() {
                query.key_marker = Some(mark.get(&uploads).0.clone());
            }
        }
        run(check_uploads(&uploads, &queries));
    }
}

#[tokio::test]
async fn page_holds_at_most_a_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(open(&directory));
    let id = bucket(&index, "things").await;
    for thousand in 0..2 {
        let keys: Vec<_> = (0..600)
            .map(|key| (format!("{thousand}/{key:03}"), ()))
            .collect();
        fill(&index, id, &keys).await;
    }
    let query = ListQuery {
        max: usize::MAX,
        ..ListQuery::default()
    };
    let page = index.list(id, &query).await.unwrap();
    assert_eq!(page.entries.len(), PAGE_MAX);
    assert_eq!(page.next.as_deref(), Some("1/399"));
    let query = ListQuery {
        delimiter: Some("/".into()),
        ..query
    };
    let page = index.list(id, &query).await.unwrap();
    assert_eq!(page.prefixes, ["0/", "1/"]);
    assert_eq!(page.next, None);
}
