//! Runs and heads: edge lengths, documented derivations, damage.

use super::manifest::{HeadError, HeadKeys, Manifest, Run, head_bytes, open_head};
use super::*;
use crate::UnixMillis;
use proptest::prelude::*;
use rand_core::UnwrapErr;

const STORED: Context<'_> = Context::Stored {
    bucket: "vault",
    object_key: "0a0b",
    part_number: 1,
};

fn key(fill: u8) -> DataKey {
    DataKey::init_with(|bytes| bytes.fill(fill))
}

fn seal_run(data: &[u8], key: &DataKey, context: &Context<'_>, end: Flag) -> Vec<u8> {
    let salt = [7; SALT_BYTES];
    let mut run = run_header(&salt).to_vec();
    let mut sealer = SegmentSealer::new(&salt, key, context).unwrap();
    let count = segments(data.len() as u64);
    for index in 0..count {
        let from = usize::try_from(index).unwrap() * SEGMENT_BYTES;
        let to = (from + SEGMENT_BYTES).min(data.len());
        let mut segment = data[from..to].to_vec();
        segment.resize(segment.len() + TAG_BYTES, 0);
        sealer
            .seal(
                &mut segment,
                if index + 1 == count { end } else { Flag::More },
            )
            .unwrap();
        run.extend_from_slice(&segment);
    }
    run
}

fn open_run(run: &[u8], key: &DataKey, context: &Context<'_>, end: Flag) -> Result<Vec<u8>, Error> {
    let header = run
        .first_chunk::<RUN_HEADER_BYTES>()
        .ok_or(Error::Malformed)?;
    let plain = plain_bytes(run.len() as u64)?;
    let opener = SegmentOpener::new(&run_salt(header)?, key, context, plain, end)?;
    let mut out = Vec::new();
    for index in 0..segments(plain) {
        let from = usize::try_from(segment_offset(index)).unwrap();
        let mut segment = run[from..from + opener.segment_bytes(index).unwrap()].to_vec();
        out.extend_from_slice(opener.open(index, &mut segment)?);
    }
    Ok(out)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn runs_of_every_edge_length_come_back() {
    for len in [
        0,
        1,
        SEGMENT_BYTES - 1,
        SEGMENT_BYTES,
        SEGMENT_BYTES + 1,
        3 * SEGMENT_BYTES,
    ] {
        let data = bytes(len);
        let run = seal_run(&data, &key(1), &STORED, Flag::EndOfRun);
        assert_eq!(run.len() as u64, sealed_bytes(len as u64).unwrap());
        assert_eq!(
            open_run(&run, &key(1), &STORED, Flag::EndOfRun).unwrap(),
            data
        );
    }
}

#[test]
fn another_key_name_part_or_end_does_not_open() {
    let run = seal_run(b"value", &key(1), &STORED, Flag::EndOfRun);
    let other = |context: Context<'_>| open_run(&run, &key(1), &context, Flag::EndOfRun);
    assert_eq!(
        open_run(&run, &key(2), &STORED, Flag::EndOfRun),
        Err(Error::Sealed)
    );
    assert_eq!(
        open_run(&run, &key(1), &STORED, Flag::EndOfObject),
        Err(Error::Sealed)
    );
    for (bucket, object_key, part_number) in [
        ("vaulx", "0a0b", 1),
        ("vault", "0a0c", 1),
        ("vault", "0a0b", 2),
        ("vaul", "t0a0b", 1),
    ] {
        let context = Context::Stored {
            bucket,
            object_key,
            part_number,
        };
        assert_eq!(other(context), Err(Error::Sealed));
    }
    assert_eq!(
        other(Context::Envelope {
            token: "t",
            part_index: 1,
            part_size: 5
        }),
        Err(Error::Sealed)
    );
}

#[test]
fn envelope_runs_bind_token_index_and_part_size() {
    let context = Context::Envelope {
        token: "lunasec-x",
        part_index: 3,
        part_size: 65_536,
    };
    let run = seal_run(b"value", &key(1), &context, Flag::EndOfObject);
    assert_eq!(
        open_run(&run, &key(1), &context, Flag::EndOfObject).unwrap(),
        b"value"
    );
    for (token, part_index, part_size) in [
        ("lunasec-y", 3, 65_536),
        ("lunasec-x", 2, 65_536),
        ("lunasec-x", 3, 65_537),
    ] {
        let other = Context::Envelope {
            token,
            part_index,
            part_size,
        };
        assert_eq!(
            open_run(&run, &key(1), &other, Flag::EndOfObject),
            Err(Error::Sealed)
        );
    }
}

#[test]
fn the_run_key_is_the_documented_derivation() {
    use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
    let (salt, key) = ([9; 32], key(3));
    let mac = |key: &[u8], data: &[u8]| sign(&Key::new(HMAC_SHA256, key), data);
    // RFC 5869: Extract is HMAC(salt, ikm), one block of Expand is HMAC(prk, info ‖ 0x01).
    let prk = mac(&salt, key.expose());
    let info = b"run\0\x01s\x00\x05vault\x00\x040a0b\x00\x00\x00\x01\x01";
    let expected = mac(prk.as_ref(), info);
    assert_eq!(
        run_key(&salt, &key, &STORED).unwrap().as_slice(),
        expected.as_ref()
    );

    let keys = HeadKeys::new(&salt, &key);
    assert_eq!(
        keys.check().as_slice(),
        mac(prk.as_ref(), b"check\0\x01").as_ref()
    );
    assert_ne!(keys.check().as_slice(), prk.as_ref());
}

#[test]
fn the_sealer_refuses_what_the_format_has_no_place_for() {
    let sealer = || SegmentSealer::new(&[0; 32], &key(1), &STORED).unwrap();
    let mut short = vec![0; 10 + TAG_BYTES];
    let mut full = vec![0; SEALED_SEGMENT_BYTES];
    let mut long = vec![0; SEALED_SEGMENT_BYTES + 1];
    let mut empty = vec![0; TAG_BYTES];
    assert_eq!(sealer().seal(&mut short, Flag::More), Err(Error::Malformed));
    assert_eq!(
        sealer().seal(&mut long, Flag::EndOfRun),
        Err(Error::Malformed)
    );
    assert_eq!(
        sealer().seal(&mut [0; 15], Flag::EndOfRun),
        Err(Error::Malformed)
    );
    let mut after = sealer();
    after.seal(&mut full, Flag::More).unwrap();
    assert_eq!(
        after.seal(&mut empty, Flag::EndOfRun),
        Err(Error::Malformed)
    );
    after.seal(&mut short, Flag::EndOfRun).unwrap();
    assert_eq!(
        after.seal(&mut short, Flag::EndOfRun),
        Err(Error::Malformed)
    );
    let mut huge = sealer();
    huge.counter = RUN_BYTES_MAX / SEGMENT;
    assert_eq!(huge.seal(&mut short, Flag::EndOfRun), Err(Error::Malformed));
}

#[test]
fn lengths_no_run_has_are_refused() {
    for sealed in [
        0,
        RUN_HEADER,
        RUN_HEADER + TAG - 1,
        RUN_HEADER + SEALED_SEGMENT + TAG,
    ] {
        assert_eq!(plain_bytes(sealed), Err(Error::Malformed), "{sealed}");
    }
    assert_eq!(sealed_bytes(RUN_BYTES_MAX + 1), Err(Error::Malformed));
    assert_eq!(
        plain_bytes(sealed_bytes(RUN_BYTES_MAX).unwrap()),
        Ok(RUN_BYTES_MAX)
    );
    assert_eq!(plain_bytes(u64::MAX), Err(Error::Malformed));
}

#[test]
fn swapped_and_dropped_segments_are_refused() {
    let data = bytes(3 * SEGMENT_BYTES);
    let run = seal_run(&data, &key(1), &STORED, Flag::EndOfRun);
    let at = |index| usize::try_from(segment_offset(index)).unwrap();
    let (first, second) = (run[at(0)..at(1)].to_vec(), run[at(1)..at(2)].to_vec());
    let mut swapped = run.clone();
    swapped[at(0)..at(1)].copy_from_slice(&second);
    swapped[at(1)..at(2)].copy_from_slice(&first);
    for broken in [
        swapped,
        run[..at(2)].to_vec(),
        [&run[..at(0)], &run[at(1)..]].concat(),
    ] {
        assert_eq!(
            open_run(&broken, &key(1), &STORED, Flag::EndOfRun),
            Err(Error::Sealed)
        );
    }
}

fn manifest() -> Manifest {
    Manifest {
        size: 12,
        stored_at: UnixMillis(1_700_000_000_000),
        etag: "00112233445566778899aabbccddeeff".into(),
        runs: vec![
            Run {
                part_number: 1,
                length: 5,
                salt: [1; 32],
            },
            Run {
                part_number: 4,
                length: 7,
                salt: [2; 32],
            },
        ],
        checksums: vec![("md5".into(), "AAAA".into())],
        headers: vec![("content-type".into(), "text/plain".into())],
    }
}

fn sealed_head() -> Vec<u8> {
    let mut rng = UnwrapErr(getrandom::SysRng);
    HeadKeys::new(&[5; 32], &key(1))
        .seal("vault", "0a0b", &manifest(), &mut rng)
        .unwrap()
}

#[test]
fn a_head_opens_with_its_key_and_name_alone() {
    let head = sealed_head();
    assert_eq!(head.len(), head_bytes(&manifest()).unwrap());
    assert_eq!(
        open_head(&head, &key(1), "vault", "0a0b").unwrap(),
        manifest()
    );
    assert_eq!(
        open_head(&head, &key(2), "vault", "0a0b"),
        Err(HeadError::WrongKey)
    );
    for (bucket, object_key) in [("vault", "0a0c"), ("vaulu", "0a0b"), ("vaul", "t0a0b")] {
        let opened = open_head(&head, &key(1), bucket, object_key);
        assert_eq!(opened, Err(HeadError::Broken(Error::Sealed)));
    }
}

#[test]
fn every_flipped_or_cut_byte_of_a_head_is_refused() {
    let head = sealed_head();
    for at in 0..head.len() {
        let mut flipped = head.clone();
        flipped[at] ^= 1;
        assert!(
            open_head(&flipped, &key(1), "vault", "0a0b").is_err(),
            "flip at {at}"
        );
        assert!(
            open_head(&head[..at], &key(1), "vault", "0a0b").is_err(),
            "cut at {at}"
        );
    }
}

#[test]
fn a_manifest_whose_numbers_disagree_is_refused() {
    let refused = |change: fn(&mut Manifest)| {
        let mut altered = manifest();
        change(&mut altered);
        assert_eq!(
            Manifest::decode(&altered.encode().unwrap()),
            Err(Error::Malformed)
        );
    };
    refused(|it| it.size += 1);
    refused(|it| it.runs[1].part_number = 1);
    refused(|it| it.runs[0].part_number = 0);
    refused(|it| it.runs.clear());
    refused(|it| {
        it.runs[0].length = RUN_BYTES_MAX + 1;
        it.size = it.runs[0].length + 7;
    });
    let mut longer = manifest().encode().unwrap();
    longer.push(0);
    assert_eq!(Manifest::decode(&longer), Err(Error::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_byte_of_a_run_is_refused(len in 0usize..200_000, at: prop::sample::Index, bit in 0u8..8) {
        let mut run = seal_run(&bytes(len), &key(1), &STORED, Flag::EndOfRun);
        let at = at.index(run.len());
        run[at] ^= 1 << bit;
        prop_assert!(open_run(&run, &key(1), &STORED, Flag::EndOfRun).is_err());
    }

    #[test]
    fn any_cut_or_longer_run_is_refused(len in 0usize..200_000, cut: prop::sample::Index, more in 1usize..100) {
        let mut run = seal_run(&bytes(len), &key(1), &STORED, Flag::EndOfRun);
        prop_assert!(open_run(&run[..cut.index(run.len())], &key(1), &STORED, Flag::EndOfRun).is_err());
        run.extend(std::iter::repeat_n(0, more));
        prop_assert!(open_run(&run, &key(1), &STORED, Flag::EndOfRun).is_err());
    }

    #[test]
    fn sealed_and_plain_lengths_are_inverse(plain in 0..=RUN_BYTES_MAX) {
        prop_assert_eq!(plain_bytes(sealed_bytes(plain).unwrap()), Ok(plain));
    }

    #[test]
    fn a_length_is_either_refused_or_some_runs_length(sealed: u64) {
        if let Ok(plain) = plain_bytes(sealed) {
            prop_assert_eq!(sealed_bytes(plain), Ok(sealed));
        }
    }

    #[test]
    fn hostile_manifests_and_heads_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.encode().unwrap(), bytes.clone());
        }
        let versioned = [&[VERSION], bytes.as_slice()].concat();
        let _ = Manifest::decode(&versioned);
        prop_assert!(open_head(&versioned, &key(1), "vault", "0a0b").is_err());
    }
}
