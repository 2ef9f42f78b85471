//! Tokens, records in their two layers, metadata, and the rows of grants and revocations.

use super::{FILLED, Given, Input, altered, expand, gcm, uniform};
use aws_lc_rs::hmac;
use strongroom_core::derive::{KekKey, RootKey};
use strongroom_core::envelope::{
    Birth, Inner, Mode, Record, State, generation_of, kek_of, open_metadata, seal_metadata,
};
use strongroom_core::grant::{Grant, GrantSeal, Revocation};
use strongroom_core::secret::{DataKey, GrantKey, Kek, RootSecret};
use strongroom_core::{Error, ObjectId, RecordId, SessionRef, Token, UnixMillis};

const ID: RecordId = RecordId([1; 32]);
const OTHER_ID: RecordId = RecordId([2; 32]);
const SESSION: SessionRef = SessionRef([3; 32]);
const KEK: [u8; 32] = [4; 32];
const KEK_NUMBER: u32 = 5;
const ROW_VERSION: u64 = 6;
const GRANT_KEY: [u8; 32] = [8; 32];
const TAG_BYTES: usize = 32;
/// version ‖ g or k, then the nonce.
const NONCE: std::ops::Range<usize> = 5..17;

fn kek() -> KekKey {
    KekKey::new(KEK_NUMBER, &Kek::init_with(|bytes| *bytes = KEK))
}

/// What is taken is the text itself in lower case, and nothing else is taken.
pub(super) fn token(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let parsed = Token::parse(text);
    assert_eq!(parsed.is_ok(), is_token(text), "{text:?}");
    parsed.is_ok_and(|token| {
        assert_eq!(token.expose(), text.to_ascii_lowercase());
        let again = Token::parse(token.expose()).expect("canonical text is a token");
        assert_eq!(again.expose(), token.expose());
        assert_eq!(format!("{token:?}"), "Token([REDACTED])");
        true
    })
}

fn is_token(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.strip_prefix("lunasec-")
        .is_some_and(|uuid| uuid.len() == 36 && uuid.bytes().enumerate().all(fits))
}

/// One byte that is 0 for a row as it is, or else the contents of a row follow and are sealed as
/// they must be. What opens is what sealing it again makes.
pub(super) fn record(data: &[u8]) -> bool {
    let Some((sealed, rest)) = data.split_first() else {
        return false;
    };
    let outer = match sealed {
        0 => rest.to_vec(),
        _ => seal_outer(rest),
    };
    let opened = Record::open(&kek(), &ID, ROW_VERSION, &outer);
    let record = match opened {
        Ok(record) => record,
        Err(error) => {
            assert!(*sealed == 0 || error == Error::Malformed, "{error}");
            return false;
        }
    };
    assert_eq!(kek_of(&outer), Ok(KEK_NUMBER));
    let mut nonce = Given(&outer[NONCE]);
    let again = record.seal(&kek(), &ID, ROW_VERSION, &mut nonce);
    assert_eq!(again.as_ref(), Ok(&outer));
    assert!(Record::open(&kek(), &ID, ROW_VERSION + 1, &outer).is_err());
    assert!(Record::open(&kek(), &OTHER_ID, ROW_VERSION, &outer).is_err());
    record.inner.generation().is_ok()
}

fn seal_outer(contents: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(&KEK_NUMBER.to_be_bytes());
    let version = ROW_VERSION.to_be_bytes();
    let aad = [b"strongroom.v1.outer\0", &*out, ID.as_bytes(), &version].concat();
    let key = expand(&uniform(&KEK), &[b"record\0", ID.as_bytes()]);
    gcm(&key, contents, &aad, &mut out);
    out
}

/// Where a byte is altered and by what, then the fields of a record, its token and metadata: what
/// is sealed opens to the same, and altered, moved or with another token not at all.
pub(super) fn envelope(data: &[u8]) -> bool {
    let mut input = Input(data);
    let (at, flip) = (input.u16(), input.u8());
    let token = token_of(input.array());
    let root = RootKey::new(input.u32(), &RootSecret::init_with(|bytes| bytes.fill(9)));
    let data_key = DataKey::init_with(|bytes| *bytes = input.array());
    let birth = birth(&mut input);
    let state = state(&mut input);

    let inner = Inner::wrap(&root, &token, &ID, &birth, &data_key, &mut { FILLED })
        .expect("short texts fit");
    let record = Record {
        birth,
        state,
        inner,
    };
    let outer = record.seal(&kek(), &ID, ROW_VERSION, &mut { FILLED });
    let outer = outer.expect("short texts fit");
    let opened = Record::open(&kek(), &ID, ROW_VERSION, &outer).expect("what was sealed opens");
    assert!(opened == record, "another record came out");
    assert_eq!(opened.inner.generation(), Ok(root.generation()));
    let unwrap = |token: &Token, id, birth| opened.inner.unwrap(&root, token, id, birth);
    let key = unwrap(&token, &ID, &opened.birth).expect("the token opens it");
    assert!(key.same_as(&data_key));

    let broken = altered(&outer, at, flip);
    assert!(Record::open(&kek(), &ID, ROW_VERSION, &broken).is_err());
    let other_token = token_of([0xff; 16]);
    if token.expose() != other_token.expose() {
        assert!(unwrap(&other_token, &ID, &opened.birth).is_err());
    }
    assert!(unwrap(&token, &OTHER_ID, &opened.birth).is_err());
    let other_birth = Birth {
        size_limit: opened.birth.size_limit ^ 1,
        ..opened.birth.clone()
    };
    assert!(unwrap(&token, &ID, &other_birth).is_err());
    metadata_comes_back(&root, &token, &record, input.0, (at, flip));
    true
}

fn metadata_comes_back(
    root: &RootKey,
    token: &Token,
    record: &Record,
    json: &[u8],
    (at, flip): (u16, u8),
) {
    let salt = &record.birth.metadata_salt;
    let version = record.state.metadata_version;
    let meta = seal_metadata(root, token, &ID, salt, version, json, &mut { FILLED });
    let open = |version, meta: &[u8]| open_metadata(root, token, &ID, salt, version, meta);
    let opened = open(version, &meta).expect("what was sealed opens");
    assert_eq!(*opened, json);
    assert_eq!(generation_of(&meta), Ok(root.generation()));
    assert!(open(version ^ 1, &meta).is_err());
    assert!(open(version, &altered(&meta, at, flip)).is_err());
    assert!(open(version, &meta[..meta.len() - 1]).is_err());
}

fn token_of(uuid: [u8; 16]) -> Token {
    let digits = hex::encode(uuid);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
    Token::parse(&format!("lunasec-{}", groups.join("-"))).expect("a UUID makes a token")
}

fn birth(input: &mut Input<'_>) -> Birth {
    Birth {
        mode: Mode::SseC,
        kind: input.text(),
        created_at: UnixMillis(input.u64()),
        expires_at: UnixMillis(input.u64()),
        size_limit: input.u64(),
        part_size: input.u64(),
        object_id: ObjectId(input.array()),
        metadata_salt: input.array(),
    }
}

fn state(input: &mut Input<'_>) -> State {
    let flags = input.u8();
    State {
        stored: flags & 1 != 0,
        hold: flags & 2 != 0,
        honeytoken: flags & 4 != 0,
        grant_epoch: input.u32(),
        reads_left: input.u32(),
        metadata_version: input.u32(),
        creator: SessionRef(input.array()),
        creator_grant_ends_at: UnixMillis(input.u64()),
        pinned_etag: input.text(),
    }
}

/// One byte for what follows: the body of a grant's row or of a revocation's, which gets its tag
/// here, or either row whole. What opens is what sealing it again makes.
pub(super) fn grant_rows(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else {
        return false;
    };
    let seal = GrantSeal::new(&GrantKey::init_with(|bytes| *bytes = GRANT_KEY));
    let is_grant = kind & 1 == 0;
    let context: &[&[u8]] = if is_grant {
        &[b"strongroom.v1.grant\0", ID.as_bytes(), SESSION.as_bytes()]
    } else {
        &[b"strongroom.v1.revocation\0", SESSION.as_bytes()]
    };
    let row = if kind & 2 == 0 {
        tagged(context, rest)
    } else {
        rest.to_vec()
    };
    let good = if is_grant {
        let opened = seal.open(&ID, &SESSION, &row);
        opened.is_ok_and(|grant| is_canonical_grant(&seal, &grant, &row))
    } else {
        let opened = seal.open_revocation(&SESSION, &row);
        opened.is_ok_and(|revocation| is_canonical_revocation(&seal, revocation, &row))
    };
    let at = u16::try_from(rest.len()).unwrap_or(u16::MAX);
    if !row.is_empty() {
        let broken = altered(&row, at.wrapping_mul(31), *kind);
        assert!(seal.open(&ID, &SESSION, &broken).is_err());
        assert!(seal.open_revocation(&SESSION, &broken).is_err());
    }
    good
}

fn is_canonical_grant(seal: &GrantSeal, grant: &Grant, row: &[u8]) -> bool {
    assert_eq!(seal.seal(&ID, &SESSION, grant).as_deref(), Ok(row));
    assert!(seal.open(&OTHER_ID, &SESSION, row).is_err());
    assert!(seal.open_revocation(&SESSION, row).is_err());
    let ends = grant.expires_at;
    assert!(!grant.is_live(grant.epoch, ends) && !grant.is_live(grant.epoch ^ 1, UnixMillis(0)));
    true
}

fn is_canonical_revocation(seal: &GrantSeal, revocation: Revocation, row: &[u8]) -> bool {
    assert_eq!(seal.seal_revocation(&SESSION, revocation), row);
    assert!(seal.open_revocation(&SessionRef([0; 32]), row).is_err());
    assert!(seal.open(&ID, &SESSION, row).is_err());
    true
}

fn tagged(context: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &GRANT_KEY);
    let tag = hmac::sign(&key, &[&context.concat(), body].concat());
    assert_eq!(tag.as_ref().len(), TAG_BYTES);
    [body, tag.as_ref()].concat()
}
