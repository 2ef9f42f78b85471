//! Multipart uploads.

use super::*;

/// [`multipart::PART_BYTES_MIN`].
const PART: usize = 5 << 20;

impl World {
    pub(super) async fn begin(&self, key: &str, keying: Keying) -> String {
        let checksum = Some(("CRC32".to_owned(), "FULL_OBJECT".to_owned()));
        let headers = vec![("x-amz-meta-a".to_owned(), "b".to_owned())];
        let id = self
            .store
            .create_upload(&self.bucket, key, keying, headers, checksum);
        id.await.unwrap()
    }

    pub(super) async fn part_as(
        &self,
        key: &str,
        id: &str,
        number: u32,
        customer: Option<DataKey>,
        value: &[u8],
    ) -> Result<Written, StoreError> {
        let length = Some(value.len() as u64);
        let writing = self
            .store
            .part(&self.bucket, key, id, number, customer, length);
        let mut writing = writing.await?;
        assert_eq!(writing.checksum().unwrap().0, "CRC32");
        writing.push(value).await?;
        let checksums = vec![("crc32".to_owned(), format!("sum{number}"))];
        writing.finish(checksums, Condition::None).await
    }

    pub(super) async fn part(&self, key: &str, id: &str, number: u32, value: &[u8]) -> NamedPart {
        let written = self
            .part_as(key, id, number, Some(customer(1)), value)
            .await;
        named(number, written.unwrap())
    }

    pub(super) async fn complete(
        &self,
        key: &str,
        id: &str,
        named: Vec<NamedPart>,
    ) -> Result<Written, StoreError> {
        let assembly = self.store.assemble(&self.bucket, key, id, named).await?;
        assembly.finish(Vec::new(), Condition::None).await
    }
}

pub(super) fn named(number: u32, written: Written) -> NamedPart {
    NamedPart {
        number,
        etag: written.etag,
        checksums: Vec::new(),
    }
}

#[tokio::test]
async fn parts_in_any_order_and_twice_make_the_object() {
    let world = world().await;
    let id = world.begin("k", Keying::Customer(customer(1))).await;
    let (one, two, three) = (value(PART, 1), value(PART + 70_000, 2), value(10, 3));
    let third = world.part("k", &id, 7, &three).await;
    world.part("k", &id, 2, &value(PART, 9)).await;
    let first = world.part("k", &id, 1, &one).await;
    let second = world.part("k", &id, 2, &two).await;
    world.part("k", &id, 9, &value(100, 9)).await;
    assert_eq!(world.files().len(), 4);
    let written = world.complete("k", &id, vec![first, second, third]).await;
    let written = written.unwrap();
    assert!(written.etag.ends_with("-3") && written.etag.len() == 34);
    assert_eq!(world.files().len(), 3);
    let whole = [one, two, three].concat();
    assert!(world.get("k").await.unwrap() == whole);
    let key = customer(1);
    let stored = world.store.open(&world.bucket, "k", Some(&key)).await;
    let stored = stored.unwrap();
    assert_eq!(stored.parts, 3);
    assert_eq!(stored.manifest.headers[0].0, "x-amz-meta-a");
    assert_eq!(stored.part_range(1), Some(0..PART as u64));
    let end = whole.len() as u64;
    assert_eq!(stored.part_range(3), Some(end - 10..end));
    assert_eq!((stored.part_range(0), stored.part_range(4)), (None, None));
    for (from, to) in [
        (PART - 1, PART + 1),
        (PART, PART + 1),
        (PART - 100_000, whole.len()),
        (whole.len() - 11, whole.len()),
        (0, PART),
    ] {
        let range = Some(from as u64..to as u64);
        let got = world.read("k", Some(&key), range).await.unwrap();
        assert!(got == whole[from..to], "{from} {to}");
    }
    let again = world.complete("k", &id, Vec::new()).await;
    assert!(matches!(again, Err(StoreError::NoSuchUpload)));
}

#[tokio::test]
async fn one_empty_part_makes_an_empty_object() {
    let world = world().await;
    let id = world.begin("k", Keying::Server).await;
    let part = world.part_as("k", &id, 1, None, b"").await.unwrap();
    let written = world.complete("k", &id, vec![named(1, part)]).await;
    assert_eq!(written.unwrap().size, 0);
    assert_eq!(world.read("k", None, None).await.unwrap(), b"");
}

#[tokio::test]
async fn complete_refuses_what_aws_refuses() {
    let world = world().await;
    let id = world.begin("k", Keying::Customer(customer(1))).await;
    let first = world.part("k", &id, 1, &value(10, 1)).await;
    let second = world.part("k", &id, 2, &value(10, 1)).await;
    let complete = |parts: Vec<&NamedPart>| {
        let parts = parts.into_iter().cloned().collect();
        world.complete("k", &id, parts)
    };
    let order = complete(vec![&second, &first]).await;
    assert!(matches!(order, Err(StoreError::InvalidPartOrder)));
    let twice = complete(vec![&first, &first]).await;
    assert!(matches!(twice, Err(StoreError::InvalidPartOrder)));
    assert!(matches!(
        complete(vec![]).await,
        Err(StoreError::InvalidPart)
    ));
    let small = complete(vec![&first, &second]).await;
    assert!(matches!(
        small,
        Err(StoreError::EntityTooSmall {
            number: 1,
            proposed: 10,
            ..
        })
    ));
    let mut other = second.clone();
    other.etag = first.etag.clone();
    assert!(matches!(
        complete(vec![&other]).await,
        Err(StoreError::InvalidPart)
    ));
    let mut other = second.clone();
    other.checksums = vec![("crc32".into(), "sum1".into())];
    assert!(matches!(
        complete(vec![&other]).await,
        Err(StoreError::InvalidPart)
    ));
    let mut other = second.clone();
    other.number = 3;
    assert!(matches!(
        complete(vec![&other]).await,
        Err(StoreError::InvalidPart)
    ));
    let mut good = second;
    good.checksums = vec![("crc32".into(), "sum2".into())];
    complete(vec![&good]).await.unwrap();
}

#[tokio::test]
async fn an_object_over_the_limit_is_refused_at_complete() {
    let world = world().await;
    let id = world.begin("k", Keying::Customer(customer(1))).await;
    let big = usize::try_from(OBJECT_MAX / 2).unwrap() + 1;
    let first = world.part("k", &id, 1, &value(big, 1)).await;
    let second = world.part("k", &id, 2, &value(big, 1)).await;
    let refused = world.complete("k", &id, vec![first.clone(), second]).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    world.complete("k", &id, vec![first]).await.unwrap();
}

#[tokio::test]
async fn a_part_needs_the_uploads_key_name_and_number() {
    let world = world().await;
    let id = world.begin("k", Keying::Customer(customer(1))).await;
    let wrong = world.part_as("k", &id, 1, Some(customer(2)), b"a").await;
    assert!(matches!(wrong, Err(StoreError::UploadKeyDiffers)));
    let none = world.part_as("k", &id, 1, None, b"a").await;
    assert!(matches!(none, Err(StoreError::UploadWantsKey)));
    let other = world.part_as("l", &id, 1, Some(customer(1)), b"a").await;
    assert!(matches!(other, Err(StoreError::NoSuchUpload)));
    let id_of_none = "0".repeat(64);
    let unknown = world.part_as("k", &id_of_none, 1, Some(customer(1)), b"a");
    assert!(matches!(unknown.await, Err(StoreError::NoSuchUpload)));
    for number in [0, 10_001] {
        let refused = world.part_as("k", &id, number, Some(customer(1)), b"a");
        assert!(matches!(refused.await, Err(StoreError::PartNumber)));
    }
    let id = world.begin("k", Keying::Server).await;
    let keyed = world.part_as("k", &id, 1, Some(customer(1)), b"a").await;
    assert!(matches!(keyed, Err(StoreError::UploadKeyDiffers)));
    assert_eq!(world.files(), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn parts_are_listed_in_pages_and_checksums_shown_to_the_key_alone() {
    let world = world().await;
    let id = world.begin("k", Keying::Customer(customer(1))).await;
    for number in [3, 1, 2] {
        world
            .part("k", &id, number, &value(number as usize, 1))
            .await;
    }
    let list = |key: Option<DataKey>, after, max| {
        let (world, id) = (&world, &id);
        async move {
            let listed = world
                .store
                .parts(&world.bucket, "k", id, key.as_ref(), after, max);
            listed.await.unwrap()
        }
    };
    let page = list(Some(customer(1)), 0, 2).await;
    assert_eq!((page.parts.len(), page.next), (2, Some(2)));
    assert_eq!((page.parts[0].number, page.parts[0].size), (1, 1));
    assert_eq!(page.parts[0].checksums[0].1, "sum1");
    assert_eq!(page.checksum.unwrap().1, "FULL_OBJECT");
    let page = list(Some(customer(2)), 2, 2).await;
    assert_eq!((page.parts.len(), page.next), (1, None));
    assert!(page.parts[0].checksums.is_empty());
    assert!(list(None, 0, 10).await.parts[0].checksums.is_empty());
}

#[tokio::test]
async fn aborted_and_stale_uploads_leave_no_files_and_the_number_is_bounded() {
    let world = world().await;
    let aborted = world.begin("k", Keying::Customer(customer(1))).await;
    world.part("k", &aborted, 1, &value(10, 1)).await;
    world
        .store
        .abort(&world.bucket, "k", &aborted)
        .await
        .unwrap();
    assert_eq!(world.files(), [] as [PathBuf; 0]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.begin("k", Keying::Customer(customer(1))).await);
    }
    let keying = Keying::Customer(customer(1));
    let fourth = world
        .store
        .create_upload(&world.bucket, "k", keying, Vec::new(), None);
    assert!(matches!(fourth.await, Err(StoreError::TooManyUploads)));
    let late = world
        .store
        .part(&world.bucket, "k", &ids[0], 1, Some(customer(1)), None);
    let mut late = late.await.unwrap();
    late.push(b"late").await.unwrap();
    world.clock.0.fetch_add(LIFE_MS + 1, Ordering::Relaxed);
    world.store.sweep().await.unwrap();
    let refused = late.finish(Vec::new(), Condition::None).await;
    assert!(matches!(refused, Err(StoreError::NoSuchUpload)));
    assert_eq!(world.files(), [] as [PathBuf; 0]);
    world.begin("k", Keying::Customer(customer(1))).await;
}
