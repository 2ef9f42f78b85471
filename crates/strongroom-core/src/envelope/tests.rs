//! Records sealed, opened, cut and altered.

use super::*;
use crate::secret::{Kek, RootSecret};
use getrandom::SysRng;
use proptest::prelude::*;
use rand_core::UnwrapErr;

const ID: RecordId = RecordId([3; 32]);

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn root(generation: u32) -> RootKey {
    RootKey::new(
        generation,
        &RootSecret::init_with(|key| key.fill(generation.to_be_bytes()[3])),
    )
}

fn kek(number: u32) -> KekKey {
    KekKey::new(
        number,
        &Kek::init_with(|key| key.fill(number.to_be_bytes()[3])),
    )
}

fn token() -> Token {
    Token::parse("lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8").unwrap()
}

fn other_token() -> Token {
    Token::parse("lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c9").unwrap()
}

fn birth() -> Birth {
    Birth {
        mode: Mode::SseC,
        kind: "ssn".to_owned(),
        created_at: UnixMillis(1_000),
        expires_at: UnixMillis::NEVER,
        size_limit: 0,
        part_size: 0,
        object_id: ObjectId([4; 32]),
        metadata_salt: [5; 32],
    }
}

fn data_key() -> DataKey {
    DataKey::init_with(|key| key.fill(9))
}

fn record() -> Record {
    let inner = Inner::wrap(&root(1), &token(), &ID, &birth(), &data_key(), &mut rng()).unwrap();
    let state = State {
        stored: true,
        hold: true,
        pinned_etag: "abc".into(),
        ..State::default()
    };
    Record {
        birth: birth(),
        state,
        inner,
    }
}

#[test]
fn a_sealed_record_opens_to_itself_and_gives_its_data_key() {
    let outer = record().seal(&kek(2), &ID, 7, &mut rng()).unwrap();
    let opened = Record::open(&kek(2), &ID, 7, &outer).unwrap();
    assert_eq!(opened.birth, birth());
    assert_eq!(opened.state, record().state);
    let key = opened
        .inner
        .unwrap(&root(1), &token(), &ID, &opened.birth)
        .unwrap();
    assert!(key.same_as(&data_key()));
}

#[test]
fn another_row_version_id_or_kek_is_refused() {
    let outer = record().seal(&kek(2), &ID, 7, &mut rng()).unwrap();
    assert!(Record::open(&kek(2), &ID, 8, &outer).is_err());
    assert!(Record::open(&kek(2), &RecordId([0; 32]), 7, &outer).is_err());
    assert!(matches!(
        Record::open(&kek(3), &ID, 7, &outer),
        Err(Error::UnknownKey)
    ));
}

#[test]
fn any_changed_bit_of_a_record_is_refused() {
    let outer = record().seal(&kek(2), &ID, 7, &mut rng()).unwrap();
    for bit in 0..outer.len() * 8 {
        let mut altered = outer.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(
            Record::open(&kek(2), &ID, 7, &altered).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn a_cut_or_lengthened_record_is_refused() {
    let outer = record().seal(&kek(2), &ID, 7, &mut rng()).unwrap();
    for len in 0..outer.len() {
        assert!(Record::open(&kek(2), &ID, 7, &outer[..len]).is_err());
    }
    let longer = [outer.as_slice(), &[0]].concat();
    assert!(Record::open(&kek(2), &ID, 7, &longer).is_err());
}

#[test]
fn a_data_key_needs_the_token_the_record_id_the_birth_and_the_generation() {
    let inner = record().inner;
    assert!(
        inner
            .unwrap(&root(1), &other_token(), &ID, &birth())
            .is_err()
    );
    assert!(
        inner
            .unwrap(&root(1), &token(), &RecordId([0; 32]), &birth())
            .is_err()
    );
    let older = Birth {
        created_at: UnixMillis(999),
        ..birth()
    };
    assert!(inner.unwrap(&root(1), &token(), &ID, &older).is_err());
    assert!(matches!(
        inner.unwrap(&root(2), &token(), &ID, &birth()),
        Err(Error::UnknownKey)
    ));
}

#[test]
fn metadata_is_bound_to_token_record_salt_and_version() {
    let json = br#"{"a":1}"#;
    let meta = seal_metadata(&root(1), &token(), &ID, &[5; 32], 1, json, &mut rng());
    let open = |root: &RootKey, token: &Token, id, salt: &[u8; 32], version| {
        open_metadata(root, token, id, salt, version, &meta)
    };
    assert_eq!(
        open(&root(1), &token(), &ID, &[5; 32], 1)
            .unwrap()
            .as_slice(),
        json
    );
    assert!(open(&root(1), &other_token(), &ID, &[5; 32], 1).is_err());
    assert!(open(&root(1), &token(), &RecordId([0; 32]), &[5; 32], 1).is_err());
    assert!(open(&root(1), &token(), &ID, &[6; 32], 1).is_err());
    assert!(open(&root(1), &token(), &ID, &[5; 32], 2).is_err());
    assert!(open(&root(2), &token(), &ID, &[5; 32], 1).is_err());
}

#[test]
fn an_unknown_version_is_named() {
    let mut outer = record().seal(&kek(2), &ID, 7, &mut rng()).unwrap();
    outer[0] = 2;
    assert!(matches!(
        Record::open(&kek(2), &ID, 7, &outer),
        Err(Error::UnknownVersion)
    ));
}

#[test]
fn expiry_counts_from_the_stated_millisecond() {
    let birth = Birth {
        expires_at: UnixMillis(5),
        ..birth()
    };
    assert!(!birth.is_expired(UnixMillis(4)));
    assert!(birth.is_expired(UnixMillis(5)));
    assert!(
        !Birth {
            expires_at: UnixMillis::NEVER,
            ..birth
        }
        .is_expired(UnixMillis(u64::MAX))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Record::open(&kek(2), &ID, 7, &bytes).is_err());
        prop_assert!(open_metadata(&root(1), &token(), &ID, &[5; 32], 1, &bytes).is_err());
        let mut reader = Reader::new(&bytes);
        let _ = Birth::decode(&mut reader).and_then(|_| State::decode(&mut reader));
    }

    #[test]
    fn birth_and_state_survive_encoding(
        kind in "[a-z]{0,40}", created in any::<u64>(), epoch in any::<u32>(),
        reads in any::<u32>(), etag in "[0-9a-f]{0,40}", flags in 0_u8..8,
    ) {
        let birth = Birth { kind, created_at: UnixMillis(created), ..birth() };
        let state = State {
            stored: flags & 1 != 0, hold: flags & 2 != 0, honeytoken: flags & 4 != 0,
            grant_epoch: epoch, reads_left: reads, pinned_etag: etag, ..State::default()
        };
        let mut bytes = birth.encode().unwrap();
        state.encode(&mut bytes).unwrap();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(Birth::decode(&mut reader).unwrap(), birth);
        prop_assert_eq!(State::decode(&mut reader).unwrap(), state);
        prop_assert!(reader.end().is_ok());
    }
}
