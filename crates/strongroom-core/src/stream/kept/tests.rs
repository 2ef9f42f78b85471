//! What the object store keeps under its own key: sealed, moved and altered.

use super::*;
use crate::secret::StoreKey;
use proptest::prelude::*;
use rand_core::UnwrapErr;

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

fn keys() -> StoreKeys {
    StoreKeys::new(&StoreKey::init_with(|bytes| bytes.fill(1)))
}

fn data_key(fill: u8) -> DataKey {
    DataKey::init_with(|bytes| bytes.fill(fill))
}

fn head_keys(fill: u8) -> HeadKeys {
    HeadKeys::new(&[fill; SALT_BYTES], &data_key(fill))
}

fn part() -> Part {
    Part {
        length: 5,
        stored_at: UnixMillis(6),
        salt: [7; SALT_BYTES],
        file: [8; FILE_NAME_BYTES],
        etag: "tag".into(),
        checksums: vec![("crc32".into(), "AAAAAA==".into())],
    }
}

#[test]
fn an_object_key_opens_for_its_object_alone() {
    let keys = keys();
    let sealed = keys.seal_object_key("b", "k", &data_key(2), &mut rng());
    let sealed = sealed.unwrap();
    let opened = keys.open_object_key("b", "k", &sealed).unwrap();
    assert!(opened.same_as(&data_key(2)));
    for (bucket, object_key) in [("b", "other"), ("other", "k"), ("bk", "")] {
        let refused = keys.open_object_key(bucket, object_key, &sealed);
        assert_eq!(refused.unwrap_err(), Error::Sealed);
    }
}

#[test]
fn an_upload_keeps_its_keys_with_and_without_a_data_key() {
    let keys = keys();
    for kept in [None, Some(data_key(3))] {
        let upload = UploadKeys {
            head: head_keys(3),
            data_key: kept,
        };
        let sealed = keys.seal_upload("id", "b", "k", &upload, &mut rng());
        let sealed = sealed.unwrap();
        let opened = keys.open_upload("id", "b", "k", &sealed).unwrap();
        assert!(opened.head.are_of(&data_key(3)));
        assert!(!opened.head.are_of(&data_key(4)));
        assert_eq!(opened.head.manifest_key, upload.head.manifest_key);
        assert_eq!(opened.data_key.is_some(), upload.data_key.is_some());
        for (id, bucket, object_key) in [("di", "b", "k"), ("id", "c", "k"), ("id", "b", "l")] {
            let refused = keys.open_upload(id, bucket, object_key, &sealed);
            assert_eq!(refused.err(), Some(Error::Sealed));
        }
    }
}

#[test]
fn drafts_and_parts_open_for_their_upload_and_number_alone() {
    let head = head_keys(5);
    let draft = Draft {
        headers: vec![("content-type".into(), "text/plain".into())],
        checksum: Some(("SHA256".into(), "COMPOSITE".into())),
    };
    let sealed = draft.seal("id", &head, &mut rng()).unwrap();
    assert_eq!(Draft::open("id", &head, &sealed).unwrap(), draft);
    assert_eq!(Draft::open("di", &head, &sealed), Err(Error::Sealed));
    assert_eq!(
        Draft::open("id", &head_keys(6), &sealed),
        Err(Error::Sealed)
    );
    let sealed = part().seal("id", 1, &head, &mut rng()).unwrap();
    assert_eq!(Part::open("id", 1, &head, &sealed).unwrap(), part());
    assert_eq!(Part::open("id", 2, &head, &sealed), Err(Error::Sealed));
    assert_eq!(Part::open("di", 1, &head, &sealed), Err(Error::Sealed));
}

#[test]
fn another_version_is_named_before_any_key_is_tried() {
    let mut sealed = part().seal("id", 1, &head_keys(5), &mut rng()).unwrap();
    sealed[0] = 2;
    let refused = Part::open("id", 1, &head_keys(5), &sealed);
    assert_eq!(refused, Err(Error::UnknownVersion));
    assert_eq!(
        Part::open("id", 1, &head_keys(5), &[]),
        Err(Error::Malformed)
    );
}

proptest! {
    #[test]
    fn an_altered_or_cut_part_is_refused(at in 0..80_usize, bit in 0..8_u8, cut in 1..80_usize) {
        let head = head_keys(5);
        let sealed = part().seal("id", 1, &head, &mut rng()).unwrap();
        let mut altered = sealed.clone();
        altered[at] ^= 1 << bit;
        prop_assert!(Part::open("id", 1, &head, &altered).is_err());
        prop_assert!(Part::open("id", 1, &head, &sealed[..sealed.len() - cut]).is_err());
    }
}
