//! Sequences of operations are compared with maps.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
enum Step {
    CreateBucket(usize),
    DeleteBucket(usize),
    Put {
        bucket: usize,
        key: usize,
        condition: usize,
        files: Option<usize>,
    },
    Delete {
        bucket: usize,
        key: usize,
        condition: usize,
    },
    DeleteMany {
        bucket: usize,
        keys: Vec<usize>,
    },
    CreateUpload {
        bucket: usize,
        key: usize,
    },
    PutPart {
        upload: usize,
        number: u32,
    },
    Complete {
        upload: usize,
        chosen: u8,
        condition: usize,
    },
    Abort(usize),
    GarbageDone(usize),
}

const BUCKETS: usize = 2;
const KEYS: usize = 3;
const UPLOADS: usize = 4;
const OPEN_MAX: u32 = 3;

fn step() -> impl Strategy<Value = Step> {
    let (bucket, key, condition) = (0..BUCKETS, 0..KEYS, 0..5_usize);
    let upload = 0..UPLOADS;
    prop_oneof![
        2 => bucket.clone().prop_map(Step::CreateBucket),
        1 => bucket.clone().prop_map(Step::DeleteBucket),
        6 => (bucket.clone(), key.clone(), condition.clone(), prop::option::of(0..3_usize))
            .prop_map(|(bucket, key, condition, files)| {
                Step::Put { bucket, key, condition, files }
            }),
        3 => (bucket.clone(), key.clone(), condition.clone())
            .prop_map(|(bucket, key, condition)| Step::Delete { bucket, key, condition }),
        1 => (bucket.clone(), prop::collection::vec(key.clone(), 0..4))
            .prop_map(|(bucket, keys)| Step::DeleteMany { bucket, keys }),
        3 => (bucket, key).prop_map(|(bucket, key)| Step::CreateUpload { bucket, key }),
        6 => (upload.clone(), 1..4_u32)
            .prop_map(|(upload, number)| Step::PutPart { upload, number }),
        3 => (upload.clone(), any::<u8>(), condition)
            .prop_map(|(upload, chosen, condition)| Step::Complete { upload, chosen, condition }),
        1 => upload.prop_map(Step::Abort),
        2 => (0..5_usize).prop_map(Step::GarbageDone),
    ]
}

/// An upload as the model knows it.
struct Open {
    bucket: usize,
    key: usize,
    parts: BTreeMap<u32, PartRow>,
}

/// What the index should hold.
#[derive(Default)]
struct Model {
    buckets: BTreeMap<usize, BucketId>,
    objects: BTreeMap<(usize, usize), ObjectRow>,
    uploads: BTreeMap<usize, Open>,
    garbage: BTreeSet<RunName>,
    drawn: u64,
}

/// What a condition should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Holds,
    Exists,
    Missing,
    Differs,
}

impl Model {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn condition(&self, choice: usize, at: (usize, usize)) -> (Condition, Judged) {
        let standing = self.objects.get(&at);
        let etag = standing.map_or("none", |row| row.etag.as_str());
        let when_there = |judged| {
            if standing.is_some() {
                judged
            } else {
                Judged::Missing
            }
        };
        match choice {
            0 | 1 => (Condition::None, Judged::Holds),
            2 if standing.is_some() => (Condition::IfNoneMatch, Judged::Exists),
            2 => (Condition::IfNoneMatch, Judged::Holds),
            3 => {
                // An unknown ETag equals none, not even itself.
                let judged = if etag.is_empty() {
                    Judged::Differs
                } else {
                    Judged::Holds
                };
                (Condition::IfMatch(etag.to_owned()), when_there(judged))
            }
            _ if self.drawn.is_multiple_of(2) => {
                (Condition::IfMatch("*".into()), when_there(Judged::Holds))
            }
            _ => (Condition::IfMatch("x".into()), when_there(Judged::Differs)),
        }
    }

    fn discard(&mut self, names: impl IntoIterator<Item = RunName>) -> BTreeSet<RunName> {
        let names: BTreeSet<_> = names.into_iter().collect();
        self.garbage.extend(&names);
        names
    }

    fn alive(&self) -> BTreeSet<RunName> {
        let objects = self.objects.values().flat_map(names_of);
        let parts = self.uploads.values().flat_map(|open| open.parts.values());
        objects.chain(parts.map(|part| part.file)).collect()
    }
}

fn names_of(row: &ObjectRow) -> Vec<RunName> {
    match &row.place {
        BodyPlace::Inline(_) => Vec::new(),
        BodyPlace::Files(files) => files.iter().map(|file| file.name).collect(),
    }
}

fn key(number: usize) -> String {
    format!("key{number}")
}

fn set(freed: &[RunName]) -> BTreeSet<RunName> {
    freed.iter().copied().collect()
}

/// The index beside the model.
struct Beside {
    index: Index,
    model: Model,
}

impl Beside {
    async fn take(&mut self, step: Step) {
        match step {
            Step::CreateBucket(bucket) => self.create_bucket(bucket).await,
            Step::DeleteBucket(bucket) => self.delete_bucket(bucket).await,
            Step::Put {
                bucket,
                key,
                condition,
                files,
            } => self.put((bucket, key), condition, files).await,
            Step::Delete {
                bucket,
                key,
                condition,
            } => self.delete((bucket, key), condition).await,
            Step::DeleteMany { bucket, keys } => self.delete_many(bucket, keys).await,
            Step::CreateUpload { bucket, key } => self.create_upload((bucket, key)).await,
            Step::PutPart { upload, number } => self.put_part(upload, number).await,
            Step::Complete {
                upload,
                chosen,
                condition,
            } => self.complete(upload, chosen, condition).await,
            Step::Abort(upload) => self.abort(upload).await,
            Step::GarbageDone(count) => self.garbage_done(count).await,
        }
    }

    /// The bucket's id, or one that no bucket has.
    fn id(&self, bucket: usize) -> BucketId {
        let gone = BucketId(1 << 40);
        self.model.buckets.get(&bucket).copied().unwrap_or(gone)
    }

    async fn create_bucket(&mut self, bucket: usize) {
        let made = self.index.create_bucket(&key(bucket), "owner", NOW).await;
        match (made.unwrap(), self.model.buckets.get(&bucket)) {
            (CreateBucket::Created(made), None) => {
                self.model.buckets.insert(bucket, made.id);
            }
            (CreateBucket::Exists(found), Some(id)) => assert_eq!(found.id, *id),
            other => panic!("{other:?}"),
        }
    }

    async fn delete_bucket(&mut self, bucket: usize) {
        let answer = self.index.delete_bucket(self.id(bucket)).await.unwrap();
        if self.model.objects.keys().any(|at| at.0 == bucket) {
            assert_eq!(answer, DeleteBucket::NotEmpty);
        } else if self.model.buckets.remove(&bucket).is_none() {
            assert_eq!(answer, DeleteBucket::NoBucket);
        } else {
            let uploads = std::mem::take(&mut self.model.uploads);
            let (gone, kept) = uploads
                .into_iter()
                .partition(|(_, open)| open.bucket == bucket);
            self.model.uploads = kept;
            let gone: BTreeMap<usize, Open> = gone;
            let parts = gone.into_values().flat_map(|open| open.parts.into_values());
            let freed = self.model.discard(parts.map(|part| part.file));
            assert!(matches!(answer, DeleteBucket::Deleted(names) if set(&names) == freed));
        }
    }

    async fn put(&mut self, at: (usize, usize), choice: usize, files: Option<usize>) {
        let (condition, judged) = self.model.condition(choice, at);
        let names: Vec<_> = (0..files.unwrap_or(0)).map(|_| self.model.draw()).collect();
        // Now and then an ETag is unknown.
        let drawn = self.model.draw();
        let etag = if drawn.is_multiple_of(5) {
            String::new()
        } else {
            drawn.to_string()
        };
        let row = match files {
            Some(_) => filed(&etag, &names),
            None => inline(&etag, etag.as_bytes()),
        };
        let name = key(at.1);
        let put = self.index.put(self.id(at.0), &name, row.clone(), condition);
        let put = put.await.unwrap();
        if !self.model.buckets.contains_key(&at.0) {
            assert_eq!(put, Put::NoBucket);
            return;
        }
        match judged {
            Judged::Holds => {
                let replaced = self.model.objects.insert(at, row);
                let freed = self.model.discard(replaced.iter().flat_map(names_of));
                assert!(matches!(put, Put::Stored(names) if set(&names) == freed));
            }
            Judged::Exists => assert_eq!(put, Put::Exists),
            Judged::Missing => assert_eq!(put, Put::Missing),
            Judged::Differs => assert_eq!(put, Put::Differs),
        }
    }

    async fn delete(&mut self, at: (usize, usize), choice: usize) {
        let (condition, judged) = self.model.condition(choice, at);
        let name = key(at.1);
        let answer = self.index.delete(self.id(at.0), &name, condition).await;
        self.expect_deleted(at, judged, answer.unwrap());
    }

    fn expect_deleted(&mut self, at: (usize, usize), judged: Judged, answer: Delete) {
        if !self.model.objects.contains_key(&at) {
            assert_eq!(answer, Delete::Missing);
        } else if judged == Judged::Holds {
            let gone = self.model.objects.remove(&at);
            let freed = self.model.discard(gone.iter().flat_map(names_of));
            assert!(matches!(answer, Delete::Deleted(names) if set(&names) == freed));
        } else {
            assert_eq!(answer, Delete::Differs);
        }
    }

    async fn delete_many(&mut self, bucket: usize, keys: Vec<usize>) {
        let asked = keys.iter().map(|at| (key(*at), Condition::None));
        let answers = self
            .index
            .delete_many(self.id(bucket), asked.collect())
            .await;
        for (at, answer) in keys.into_iter().zip(answers.unwrap()) {
            self.expect_deleted((bucket, at), Judged::Holds, answer);
        }
    }

    async fn create_upload(&mut self, at: (usize, usize)) {
        let taken = |number: &usize| self.model.uploads.contains_key(number);
        let Some(number) = (0..UPLOADS).find(|number| !taken(number)) else {
            return;
        };
        let row = upload(&number.to_string(), self.id(at.0), &key(at.1));
        let answer = self.index.create_upload(row, OPEN_MAX).await.unwrap();
        if !self.model.buckets.contains_key(&at.0) {
            assert_eq!(answer, CreateUpload::NoBucket);
        } else if self.model.uploads.len() >= OPEN_MAX as usize {
            assert_eq!(answer, CreateUpload::TooMany);
        } else {
            assert_eq!(answer, CreateUpload::Created);
            let (bucket, key) = at;
            let parts = BTreeMap::new();
            self.model
                .uploads
                .insert(number, Open { bucket, key, parts });
        }
    }

    async fn put_part(&mut self, upload: usize, number: u32) {
        let row = part(number, self.model.draw());
        let answer = self.index.put_part(&upload.to_string(), row.clone()).await;
        match self.model.uploads.get_mut(&upload) {
            None => assert_eq!(answer.unwrap(), PutPart::NoUpload),
            Some(open) => {
                let replaced = open.parts.insert(number, row);
                let freed = self.model.discard(replaced.map(|part| part.file));
                assert!(matches!(answer.unwrap(), PutPart::Stored(names) if set(&names) == freed));
            }
        }
    }

    /// `chosen` has a bit for each part, and one for a file that is no part.
    async fn complete(&mut self, upload: usize, chosen: u8, choice: usize) {
        let open = self.model.uploads.get(&upload);
        let at = open.map_or((0, 0), |open| (open.bucket, open.key));
        let (condition, judged) = self.model.condition(choice, at);
        let stranger = chosen & 0b1001_0000 == 0b1001_0000;
        let parts = open.map(|open| open.parts.clone()).unwrap_or_default();
        let is_chosen = |number: u32| chosen & (1 << number) != 0;
        let parts = parts.into_values().filter(|part| is_chosen(part.number));
        let mut names: Vec<_> = parts.map(|part| part.size).collect();
        if stranger {
            names.push(1 << 30);
        }
        let row = filed(&self.model.draw().to_string(), &names);
        let id = upload.to_string();
        let answer = self
            .index
            .complete(&id, row.clone(), condition)
            .await
            .unwrap();
        if !self.model.uploads.contains_key(&upload) {
            assert_eq!(answer, Complete::NoUpload);
            return;
        }
        match judged {
            _ if stranger => assert_eq!(answer, Complete::PartsChanged),
            Judged::Holds => {
                let open = self.model.uploads.remove(&upload).unwrap();
                let kept: BTreeSet<_> = names_of(&row).into_iter().collect();
                let replaced = self.model.objects.insert(at, row);
                let parts = open.parts.into_values().map(|part| part.file);
                let dead = parts.filter(|file| !kept.contains(file));
                let replaced = replaced.iter().flat_map(names_of);
                let freed = self.model.discard(dead.chain(replaced));
                assert!(matches!(answer, Complete::Stored(names) if set(&names) == freed));
            }
            Judged::Exists => assert_eq!(answer, Complete::Exists),
            Judged::Missing => assert_eq!(answer, Complete::Missing),
            Judged::Differs => assert_eq!(answer, Complete::Differs),
        }
    }

    async fn abort(&mut self, upload: usize) {
        let answer = self.index.abort(&upload.to_string()).await.unwrap();
        match self.model.uploads.remove(&upload) {
            None => assert_eq!(answer, Abort::NoUpload),
            Some(open) => {
                let parts = open.parts.into_values().map(|part| part.file);
                let freed = self.model.discard(parts);
                assert!(matches!(answer, Abort::Aborted(names) if set(&names) == freed));
            }
        }
    }

    async fn garbage_done(&mut self, count: usize) {
        let first = self.index.garbage(None, count).await.unwrap();
        let expected: Vec<_> = self.model.garbage.iter().copied().take(count).collect();
        assert_eq!(first, expected);
        // A name that lives is no garbage, whatever is said of it.
        let done = first.iter().copied().chain(self.model.alive());
        self.index.garbage_done(done.collect()).await.unwrap();
        self.model.garbage.retain(|name| !first.contains(name));
    }

    async fn compare(&self) {
        for bucket in 0..BUCKETS {
            let found = self.index.bucket(&key(bucket)).await.unwrap();
            let found = found.map(|bucket| bucket.id);
            assert_eq!(found, self.model.buckets.get(&bucket).copied());
            for at in (0..KEYS).map(|number| (bucket, number)) {
                let found = self
                    .index
                    .object(self.id(bucket), &key(at.1))
                    .await
                    .unwrap();
                assert!(found.as_ref() == self.model.objects.get(&at), "{at:?}");
            }
        }
        for number in 0..UPLOADS {
            let id = number.to_string();
            let found = self.index.upload(&id).await.unwrap();
            let open = self.model.uploads.get(&number);
            assert_eq!(found.is_some(), open.is_some());
            let parts = self.index.parts(&id, 0, PARTS_MAX).await.unwrap();
            assert!(
                parts
                    .iter()
                    .eq(open.iter().flat_map(|open| open.parts.values()))
            );
        }
        let all = (0..=self.model.drawn).map(name).collect();
        let alive = self.index.names_in(all).await.unwrap();
        assert_eq!(set(&alive), self.model.alive());
        assert_eq!(set(&garbage(&self.index).await), self.model.garbage);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_sequence_of_operations_does_what_maps_would(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let index = open(&directory);
            let model = Model::default();
            let mut beside = Beside { index, model };
            for (number, step) in steps.into_iter().enumerate() {
                beside.take(step).await;
                if number % 16 == 15 {
                    beside.compare().await;
                }
            }
            beside.compare().await;
            beside.index.close().await.unwrap();
            beside.index = open(&directory);
            beside.compare().await;
        });
    }
}

#[tokio::test]
async fn parts_and_stale_uploads_come_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let index = open(&directory);
    let id = bucket(&index, "things").await;
    for (age, name) in [(3, "young"), (1, "old"), (2, "middle")] {
        let row = UploadRow {
            created_at: UnixMillis(age),
            ..upload(name, id, "k")
        };
        let made = index.create_upload(row, 9).await.unwrap();
        assert_eq!(made, CreateUpload::Created);
    }
    let stale = index.stale_uploads(UnixMillis(3)).await.unwrap();
    assert_eq!(stale, ["old", "middle"]);
    for number in [5, 1, 3, PARTS_MAX] {
        let put = index.put_part("old", part(number, number.into())).await;
        assert_eq!(put.unwrap(), PutPart::Stored(vec![]));
    }
    let numbers =
        |parts: Vec<PartRow>| -> Vec<u32> { parts.iter().map(|part| part.number).collect() };
    assert_eq!(numbers(index.parts("old", 0, 2).await.unwrap()), [1, 3]);
    let rest = index.parts("old", 3, PARTS_MAX).await.unwrap();
    assert_eq!(numbers(rest), [5, PARTS_MAX]);
    assert!(index.parts("none", 0, 9).await.unwrap().is_empty());
    let page = index.garbage(Some(name(1)), 9).await.unwrap();
    assert!(page.is_empty());
    let gone = index.abort("old").await.unwrap();
    assert_eq!(gone, Abort::Aborted([1, 3, 5, 10_000].map(name).to_vec()));
    let page = index.garbage(Some(name(1)), 2).await.unwrap();
    assert_eq!(page, [name(3), name(5)]);
}
