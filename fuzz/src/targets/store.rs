//! What the embedded object store keeps: sealed runs, manifests, and what lies under its own key.

use super::{FILLED, Given, Input, altered, expand, extract, gcm, put_str, uniform};
use strongroom_core::Error;
use strongroom_core::aead::TAG_BYTES;
use strongroom_core::secret::{DataKey, StoreKey};
use strongroom_core::stream::kept::{Draft, Part, StoreKeys};
use strongroom_core::stream::manifest::{HeadKeys, Manifest, head_bytes, open_head};
use strongroom_core::stream::{
    Context, Flag, RUN_BYTES_MAX, SEGMENT_BYTES, SegmentOpener, SegmentSealer, plain_bytes,
    run_header, run_salt, sealed_bytes, segment_of, segment_offset, segments,
};

const BUCKET: &str = "bucket";
const OBJECT: &str = "key";
const UPLOAD: &str = "upload";
const PART: u32 = 3;
const SALT: [u8; 32] = [2; 32];
const CUSTOMER: [u8; 32] = [3; 32];
const STORE: [u8; 32] = [4; 32];

fn customer_key() -> DataKey {
    DataKey::init_with(|bytes| *bytes = CUSTOMER)
}

/// What a run is made with, then its pattern.
///
/// However it is cut while it is sealed and in whatever order it is opened, the same bytes come
/// back; one altered byte spoils its segment, in the header every segment; no other length or end
/// passes for the run's.
pub(super) fn sealed_run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let far = input.u64();
    if let Ok(plain) = plain_bytes(far) {
        assert_eq!(sealed_bytes(plain), Ok(far));
    }
    assert_eq!(sealed_bytes(far).is_ok(), far <= RUN_BYTES_MAX);
    let (at, flip, cut) = (input.u32(), input.u8().max(1), input.u16());
    let end = match input.u8() % 2 {
        0 => Flag::EndOfRun,
        _ => Flag::EndOfObject,
    };
    let length = usize::from(input.u16()) + usize::from(input.u8() % 3) * SEGMENT_BYTES;
    let salt = input.array();
    let plain = pattern(input.0, length);
    let context = match end {
        Flag::EndOfObject => Context::Envelope {
            token: "t",
            part_index: at,
            part_size: far,
        },
        _ => Context::Stored {
            bucket: BUCKET,
            object_key: OBJECT,
            part_number: at,
        },
    };
    let run = seal_run(&plain, &salt, &context, end, cut.into());
    assert_eq!(run, seal_run(&plain, &salt, &context, end, 0));
    assert_eq!(plain_bytes(run.len() as u64), Ok(length as u64));
    let opened = open_run(&run, &context, length, end, true);
    let mut expected: Vec<_> = plain
        .chunks(SEGMENT_BYTES)
        .map(|part| Some(part.to_vec()))
        .collect();
    if expected.is_empty() {
        expected.push(Some(Vec::new()));
    }
    assert!(opened == expected, "other bytes came out");
    run_is_authenticated(&run, &context, length, end, (at, flip));
    true
}

fn run_is_authenticated(
    run: &[u8],
    context: &Context<'_>,
    length: usize,
    end: Flag,
    (at, flip): (u32, u8),
) {
    let mut broken = run.to_vec();
    let at = usize::try_from(at).unwrap_or(0) % run.len();
    broken[at] ^= flip;
    let opened = open_run(&broken, context, length, end, false);
    for (index, opened) in opened.iter().enumerate() {
        let from = usize::try_from(segment_offset(index as u64)).unwrap_or(usize::MAX);
        let spoilt = at < 33 || (from..from + SEGMENT_BYTES + TAG_BYTES).contains(&at);
        assert_eq!(opened.is_none(), spoilt);
    }
    let other_end = match end {
        Flag::EndOfRun => Flag::EndOfObject,
        _ => Flag::EndOfRun,
    };
    let last = |opened: Vec<Option<Vec<u8>>>| opened.into_iter().next_back().flatten();
    assert_eq!(last(open_run(run, context, length, other_end, true)), None);
    if length > 0 {
        assert_eq!(last(open_run(run, context, length - 1, end, false)), None);
    }
}

fn pattern(seed: &[u8], length: usize) -> Vec<u8> {
    let seed = if seed.is_empty() { &[0] } else { seed };
    let mut out = seed.repeat(length.div_ceil(seed.len()));
    out.truncate(length);
    out
}

/// Each segment with its first `gathered` bytes in place and the rest given apart.
fn seal_run(
    plain: &[u8],
    salt: &[u8; 32],
    context: &Context<'_>,
    end: Flag,
    gathered: usize,
) -> Vec<u8> {
    let mut sealer = SegmentSealer::new(salt, &customer_key(), context).expect("short names");
    let mut run = run_header(salt).to_vec();
    let count = segments(plain.len() as u64);
    for index in 0..count {
        let from = usize::try_from(index).unwrap_or(0) * SEGMENT_BYTES;
        let part = &plain[from..plain.len().min(from + SEGMENT_BYTES)];
        let flag = if index + 1 == count { end } else { Flag::More };
        let gathered = gathered.min(part.len());
        let mut segment = vec![0; part.len() + TAG_BYTES];
        segment[..gathered].copy_from_slice(&part[..gathered]);
        sealer
            .seal_from(&mut segment, gathered, &part[gathered..], flag)
            .expect("a run of this length can be made");
        run.extend_from_slice(&segment);
    }
    let mut after = [0; TAG_BYTES + 1];
    assert_eq!(sealer.seal(&mut after, end), Err(Error::Malformed));
    run
}

/// The segments that open, from the last to the first, in order. The run's length is what its
/// reader believes.
fn open_run(
    run: &[u8],
    context: &Context<'_>,
    length: usize,
    end: Flag,
    in_place: bool,
) -> Vec<Option<Vec<u8>>> {
    let count = segments(length as u64);
    let nothing = || (0..count).map(|_| None).collect();
    let header = run.first_chunk().expect("a run has a header");
    let Ok(salt) = run_salt(header) else {
        return nothing();
    };
    let opener = SegmentOpener::new(&salt, &customer_key(), context, length as u64, end)
        .expect("a run of this length can be opened");
    assert_eq!(opener.segment_bytes(count), None);
    assert_eq!(segment_of(length.saturating_sub(1) as u64), count - 1);
    let open = |index| {
        let from = usize::try_from(segment_offset(index)).ok()?;
        let bytes = opener.segment_bytes(index)?;
        let mut segment = run.get(from..from + bytes)?.to_vec();
        if in_place {
            return opener
                .open(index, &mut segment)
                .ok()
                .map(|plain| plain.to_vec());
        }
        let mut plain = vec![0; bytes - TAG_BYTES];
        opener.open_to(index, &segment, &mut plain).ok()?;
        Some(plain)
    };
    let mut all: Vec<_> = (0..count).rev().map(open).collect();
    all.reverse();
    all
}

/// A manifest; what is read is what writing it again makes, and its sealed head opens to it.
pub(super) fn manifest(data: &[u8]) -> bool {
    assert!(open_head(data, &customer_key(), BUCKET, OBJECT).is_err());
    let Ok(manifest) = Manifest::decode(data) else {
        return false;
    };
    assert_eq!(manifest.encode().as_deref(), Ok(data));
    let total: u64 = manifest.runs.iter().map(|run| run.length).sum();
    assert_eq!(manifest.size, total);
    let keys = HeadKeys::new(&SALT, &customer_key());
    let head = keys.seal(BUCKET, OBJECT, &manifest, &mut { FILLED });
    let head = head.expect("it fits into a head");
    assert_eq!(head_bytes(&manifest), Ok(head.len()));
    let open = |head: &[u8], object| open_head(head, &customer_key(), BUCKET, object);
    assert_eq!(open(&head, OBJECT), Ok(manifest));
    assert!(open(&head, "another").is_err());
    let at = u16::try_from(data.len())
        .unwrap_or(u16::MAX)
        .wrapping_mul(31);
    assert!(open(&altered(&head, at, 1), OBJECT).is_err());
    assert!(open(&head[..head.len() - 1], OBJECT).is_err());
    true
}

/// One byte for what follows, then its contents, which are sealed as they must be: an object's
/// key, an upload's keys, a draft, a part. What opens is what sealing it again makes.
pub(super) fn kept(data: &[u8]) -> bool {
    let Some((kind, contents)) = data.split_first() else {
        return false;
    };
    let store = StoreKeys::new(&StoreKey::init_with(|bytes| *bytes = STORE));
    let head = HeadKeys::new(&SALT, &customer_key());
    let (open, sealed): (Reopen, _) = match kind % 4 {
        0 => (object_key, seal_object_key(contents)),
        1 => (upload, seal_upload(contents)),
        2 => (draft, seal_of_upload("draft", contents, None)),
        _ => (part, seal_of_upload("part", contents, Some(PART))),
    };
    let keys = (&store, &head);
    let at = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    let broken = altered(&sealed, at.wrapping_mul(31), *kind);
    assert!(open(keys, UPLOAD, &broken).is_err());
    assert!(open(keys, "another", &sealed).is_err());
    match open(keys, UPLOAD, &sealed) {
        Ok(again) => {
            assert_eq!(again, sealed);
            true
        }
        Err(error) => {
            assert_eq!(error, Error::Malformed);
            false
        }
    }
}

/// Opens what was sealed for an upload (an object, where there is none), and seals it again.
type Reopen = fn((&StoreKeys, &HeadKeys), &str, &[u8]) -> Result<Vec<u8>, Error>;

fn object_key(
    (store, _): (&StoreKeys, &HeadKeys),
    upload: &str,
    sealed: &[u8],
) -> Result<Vec<u8>, Error> {
    let key = store.open_object_key(BUCKET, upload, sealed)?;
    store.seal_object_key(BUCKET, upload, &key, &mut nonce(sealed))
}

fn upload(
    (store, _): (&StoreKeys, &HeadKeys),
    upload: &str,
    sealed: &[u8],
) -> Result<Vec<u8>, Error> {
    let keys = store.open_upload(upload, BUCKET, OBJECT, sealed)?;
    store.seal_upload(upload, BUCKET, OBJECT, &keys, &mut nonce(sealed))
}

fn draft(
    (_, head): (&StoreKeys, &HeadKeys),
    upload: &str,
    sealed: &[u8],
) -> Result<Vec<u8>, Error> {
    Draft::open(upload, head, sealed)?.seal(upload, head, &mut nonce(sealed))
}

fn part((_, head): (&StoreKeys, &HeadKeys), upload: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    Part::open(upload, PART, head, sealed)?.seal(upload, PART, head, &mut nonce(sealed))
}

fn nonce(sealed: &[u8]) -> Given<'_> {
    Given(&sealed[1..13])
}

fn seal_object_key(contents: &[u8]) -> Vec<u8> {
    let mut names = b"object\0".to_vec();
    put_str(&mut names, BUCKET);
    put_str(&mut names, UPLOAD);
    let key = expand(&uniform(&STORE), &[&names]);
    sealed(&key, contents, b"strongroom.v1.object\0\x01")
}

fn seal_upload(contents: &[u8]) -> Vec<u8> {
    let mut info = b"upload\0".to_vec();
    put_str(&mut info, UPLOAD);
    let mut aad = b"strongroom.v1.upload\0\x01".to_vec();
    put_str(&mut aad, BUCKET);
    put_str(&mut aad, OBJECT);
    sealed(&expand(&uniform(&STORE), &[&info]), contents, &aad)
}

/// Under the upload's manifest key.
fn seal_of_upload(what: &str, contents: &[u8], number: Option<u32>) -> Vec<u8> {
    let key = expand(&extract(&SALT, &CUSTOMER), &[b"manifest\0"]);
    let mut aad = format!("strongroom.v1.{what}\0\x01").into_bytes();
    put_str(&mut aad, UPLOAD);
    aad.extend(number.map(u32::to_be_bytes).into_iter().flatten());
    sealed(&key, contents, &aad)
}

fn sealed(key: &[u8; 32], contents: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    gcm(key, contents, aad, &mut out);
    out
}
