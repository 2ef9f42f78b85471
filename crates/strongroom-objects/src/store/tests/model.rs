//! Any sequence of operations agrees with a map from names to values.

use super::uploads::named;
use super::*;
use multipart::PART_BYTES_MIN;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;

const KEYS: [&str; 3] = ["a", "b/c", "b/d"];

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: usize,
        size: usize,
        seed: u8,
        server: bool,
    },
    Delete {
        key: usize,
    },
    /// A large part if asked for, and a small one.
    Multipart {
        key: usize,
        large: bool,
        size: usize,
        seed: u8,
    },
    /// As the endpoint copies: a stream of one object into another.
    Copy {
        from: usize,
        to: usize,
    },
    Read {
        key: usize,
        from: usize,
        count: usize,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..KEYS.len();
    let size = prop_oneof![
        0..2000_usize,
        60_000..200_000_usize,
        1_900_000..2_100_000_usize
    ];
    prop_oneof![
        4 => (key.clone(), size.clone(), any::<u8>(), any::<bool>())
            .prop_map(|(key, size, seed, server)| Op::Put { key, size, seed, server }),
        2 => key.clone().prop_map(|key| Op::Delete { key }),
        2 => (key.clone(), any::<bool>(), size, any::<u8>())
            .prop_map(|(key, large, size, seed)| Op::Multipart { key, large, size, seed }),
        2 => (key.clone(), key.clone()).prop_map(|(from, to)| Op::Copy { from, to }),
        3 => (key, 0..2_200_000_usize, 0..300_000_usize)
            .prop_map(|(key, from, count)| Op::Read { key, from, count }),
        1 => Just(Op::Restart),
    ]
}

/// What an object is meant to be.
struct Expected {
    value: Vec<u8>,
    etag: String,
    server: bool,
}

fn customer_of(expected: &Expected) -> Option<DataKey> {
    (!expected.server).then(|| customer(1))
}

type Model = BTreeMap<&'static str, Expected>;

async fn apply(world: World, model: &mut Model, op: Op) -> World {
    match op {
        Op::Put {
            key,
            size,
            seed,
            server,
        } => {
            let keying = if server {
                Keying::Server
            } else {
                Keying::Customer(customer(1))
            };
            let value = value(size, seed);
            let put = world.put_as(KEYS[key], keying, &value, None, Condition::None);
            let etag = put.await.unwrap().etag;
            let expected = Expected {
                value,
                etag,
                server,
            };
            model.insert(KEYS[key], expected);
        }
        Op::Delete { key } => {
            let delete = world
                .store
                .delete(&world.bucket, KEYS[key], Condition::None);
            delete.await.unwrap();
            model.remove(KEYS[key]);
        }
        Op::Multipart {
            key,
            large,
            size,
            seed,
        } => {
            let expected = in_parts(&world, KEYS[key], large, size, seed).await;
            model.insert(KEYS[key], expected);
        }
        Op::Copy { from, to } => {
            if let Some(expected) = model.get(KEYS[from]) {
                let copied = copy(&world, KEYS[from], expected, KEYS[to]).await;
                model.insert(KEYS[to], copied);
            }
        }
        Op::Read { key, from, count } => {
            if let Some(expected) = model.get(KEYS[key]) {
                let length = expected.value.len();
                let (from, to) = (from.min(length), (from + count).min(length));
                let range = Some(from as u64..to as u64);
                let key_of = customer_of(expected);
                let got = world.read(KEYS[key], key_of.as_ref(), range).await;
                assert!(got.unwrap() == expected.value[from..to]);
            }
        }
        Op::Restart => return world.restart().await,
    }
    world
}

async fn in_parts(world: &World, key: &str, large: bool, size: usize, seed: u8) -> Expected {
    let id = world.begin(key, Keying::Customer(customer(1))).await;
    let mut parts = Vec::new();
    let mut whole = Vec::new();
    if large {
        let least = usize::try_from(PART_BYTES_MIN).unwrap();
        let sent = value(least + size % 100_000, seed);
        parts.push(world.part(key, &id, 3, &sent).await);
        whole.extend(sent);
    }
    let sent = value(size, seed.wrapping_add(1));
    let last = world
        .part_as(key, &id, 8, Some(customer(1)), &sent)
        .await
        .unwrap();
    parts.push(named(8, last));
    whole.extend(sent);
    Expected {
        value: whole,
        etag: world.complete(key, &id, parts).await.unwrap().etag,
        server: false,
    }
}

async fn copy(world: &World, from: &str, expected: &Expected, to: &str) -> Expected {
    let key = customer_of(expected);
    let stored = world.store.open(&world.bucket, from, key.as_ref()).await;
    let stored = stored.unwrap();
    let size = stored.manifest.size;
    let put = world
        .store
        .put(&world.bucket, to, Keying::Server, Vec::new(), Some(size));
    let mut writing = put.await.unwrap();
    let mut bytes = std::pin::pin!(stored.stream(0..size).await.unwrap());
    while let Some(bytes) = bytes.try_next().await.unwrap() {
        writing.push(&bytes).await.unwrap();
    }
    let written = writing.finish(Vec::new(), Condition::None).await;
    Expected {
        value: expected.value.clone(),
        etag: written.unwrap().etag,
        server: true,
    }
}

async fn agrees(world: &World, model: &Model) {
    let query = ListQuery {
        max: 10,
        ..ListQuery::default()
    };
    let listed = world.store.list(&world.bucket, &query).await.unwrap();
    let listed: Vec<_> = listed
        .entries
        .into_iter()
        .map(|entry| (entry.key, entry.stat.size, entry.stat.etag))
        .collect();
    let expected: Vec<_> = model
        .iter()
        .map(|(key, one)| ((*key).to_owned(), one.value.len() as u64, one.etag.clone()))
        .collect();
    assert_eq!(listed, expected);
    for key in KEYS {
        let expected = model.get(key);
        let read = world
            .read(key, expected.and_then(customer_of).as_ref(), None)
            .await;
        match (read, expected) {
            (Ok(got), Some(expected)) => assert!(got == expected.value, "{key}"),
            (Err(StoreError::NoSuchKey), None) => {}
            (read, _) => panic!("{key}: {:?}", read.map(|bytes| bytes.len())),
        }
    }
}

/// Every file is one that a row names.
async fn no_file_is_left_over(world: &World) {
    let names = world.files().into_iter().map(|path| {
        let mut name = [0; 16];
        let text = path.file_name().unwrap().to_str().unwrap();
        hex::decode_to_slice(text, &mut name).unwrap();
        name
    });
    let names: Vec<_> = names.collect();
    let living = world.store.index.names_in(names.clone()).await.unwrap();
    assert_eq!(living.len(), names.len());
}

#[test]
fn any_sequence_agrees_with_a_map() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let strategy = prop::collection::vec(op(), 1..16);
    runner
        .run(&strategy, |ops| {
            crate::blocking::runtime().unwrap().block_on(async {
                let mut world = world().await;
                let mut model = Model::new();
                for op in ops {
                    world = apply(world, &mut model, op).await;
                }
                agrees(&world, &model).await;
                world.store.sweep().await.unwrap();
                no_file_is_left_over(&world).await;
                let world = world.restart().await;
                agrees(&world, &model).await;
            });
            Ok(())
        })
        .unwrap();
}
