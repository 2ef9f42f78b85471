//! Names, records, grants, runs and stored objects against `docs/vectors`, byte for byte.
//!
//! Another program made the vectors from the text of `docs/crypto.md`. Opening must give what
//! they state, sealing with the same nonces the same bytes, and each refused case its error.

#![expect(
    clippy::unwrap_used,
    reason = "a vector that cannot be read fails the test"
)]

use aws_lc_rs::digest::{SHA256, digest};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;
use strongroom_core::caller::SessionKind;
use strongroom_core::derive::{IndexKey, KekKey, RootKey, TokenRefKey};
use strongroom_core::envelope::{Birth, Inner, Mode, Record, State, open_metadata, seal_metadata};
use strongroom_core::grant::{Grant, GrantSeal, Revocation};
use strongroom_core::secret::{AuditKey, DataKey, IndexSecret, Kek, RootSecret, StoreKey};
use strongroom_core::stream::kept::{Draft, Part, StoreKeys, UploadKeys};
use strongroom_core::stream::manifest::{self, HeadError, HeadKeys, Manifest, Run};
use strongroom_core::stream::{
    self, Context, Flag, RUN_HEADER_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES, SegmentOpener,
    SegmentSealer,
};
use strongroom_core::{Error, ObjectId, RecordId, Session, SessionRef, Token, UnixMillis};

/// Gives the bytes of a vector where a program would take random ones.
struct Fixed(Vec<u8>);

impl Fixed {
    fn nothing_left(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&std::mem::replace(&mut self.0, rest));
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn vectors(name: &str) -> Value {
    let path = format!("{}/../../docs/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn small(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap()
}

fn millis(value: &Value) -> UnixMillis {
    UnixMillis(number(value))
}

fn token(value: &Value) -> Token {
    Token::parse(text(value)).unwrap()
}

fn record_id(value: &Value) -> RecordId {
    RecordId(array(value))
}

fn data_key(value: &Value) -> DataKey {
    DataKey::from_slice(&bytes(value)).unwrap()
}

/// The field as a refused case states it, else as the good case does.
fn field<'a>(refused: &'a Value, good: &'a Value, name: &str) -> &'a Value {
    refused.get(name).unwrap_or(&good[name])
}

fn class(error: Error) -> &'static str {
    match error {
        Error::Sealed => "sealed",
        Error::UnknownVersion => "unknown_version",
        Error::Malformed => "malformed",
        Error::UnknownKey => "unknown_key",
    }
}

fn assert_refused<T>(outcome: Result<T, Error>, case: &Value) {
    let found = outcome.map_or_else(class, |_| "opened");
    assert_eq!(found, text(&case["error"]), "{}", case["name"]);
}

fn index_key(secret: &Value) -> IndexKey {
    IndexKey::new(&IndexSecret::from_slice(&bytes(secret)).unwrap())
}

#[test]
fn names_are_those_of_the_vectors() {
    let all = vectors("names.json");
    let index = index_key(&all["index_secret"]);
    assert_eq!(*index.grant_key().expose(), array(&all["grant_key"]));
    assert_eq!(*index.store_key().expose(), array(&all["store_key"]));
    let audit = AuditKey::from_slice(&bytes(&all["audit_key"])).unwrap();
    let refs = TokenRefKey::new(&audit);
    for case in list(&all["tokens"]) {
        let id = index.record_id(&token(&case["token"]));
        assert_eq!(id.to_string(), text(&case["record_id"]));
        assert_eq!(refs.token_ref(&id).to_string(), text(&case["token_ref"]));
        let upper = text(&case["token"]).replace("lunasec-", "").to_uppercase();
        let upper = Token::parse(&format!("lunasec-{upper}")).unwrap();
        assert_eq!(index.record_id(&upper), id);
    }
    for case in list(&all["sessions"]) {
        let kind = match number(&case["kind"]) {
            1 => SessionKind::User,
            2 => SessionKind::Application,
            3 => SessionKind::Developer,
            other => panic!("kind {other}"),
        };
        let session = Session::new(kind, text(&case["issuer"]), text(&case["id"])).unwrap();
        let found = index.session_ref(&session).to_string();
        assert_eq!(found, text(&case["session_ref"]));
    }
    for refused in list(&all["refused_tokens"]) {
        assert!(Token::parse(text(refused)).is_err(), "{refused}");
    }
}

fn root(all: &Value, generation: u32) -> RootKey {
    let secret = RootSecret::from_slice(&bytes(&all["root_secret"])).unwrap();
    RootKey::new(generation, &secret)
}

fn kek(all: &Value, number: u32) -> KekKey {
    KekKey::new(number, &Kek::from_slice(&bytes(&all["kek"])).unwrap())
}

fn birth(value: &Value) -> Birth {
    assert_eq!(number(&value["mode"]), 1);
    Birth {
        mode: Mode::SseC,
        kind: text(&value["kind"]).to_owned(),
        created_at: millis(&value["created_at"]),
        expires_at: millis(&value["expires_at"]),
        size_limit: number(&value["size_limit"]),
        part_size: number(&value["part_size"]),
        object_id: ObjectId(array(&value["object_id"])),
        metadata_salt: array(&value["metadata_salt"]),
    }
}

fn state(value: &Value) -> State {
    let flag = |name: &str| value[name].as_bool().unwrap();
    State {
        stored: flag("stored"),
        hold: flag("hold"),
        honeytoken: flag("honeytoken"),
        grant_epoch: small(&value["grant_epoch"]),
        reads_left: small(&value["reads_left"]),
        metadata_version: small(&value["metadata_version"]),
        creator: SessionRef(array(&value["creator"])),
        creator_grant_ends_at: millis(&value["creator_grant_ends_at"]),
        pinned_etag: text(&value["pinned_etag"]).to_owned(),
    }
}

#[test]
fn records_open_to_what_the_vectors_state() {
    let all = vectors("record.json");
    for case in list(&all["cases"]) {
        let id = record_id(&case["record_id"]);
        let kek = kek(&all, small(&case["kek_number"]));
        let outer = bytes(&case["outer"]);
        let record = Record::open(&kek, &id, number(&case["row_version"]), &outer).unwrap();
        assert_eq!(record.birth, birth(&case["birth"]));
        assert_eq!(record.state, state(&case["state"]));
        let root = root(&all, small(&case["generation"]));
        let token = token(&case["token"]);
        let key = record.inner.unwrap(&root, &token, &id, &record.birth);
        assert!(key.unwrap().same_as(&data_key(&case["data_key"])));
    }
}

#[test]
fn records_seal_to_the_bytes_of_the_vectors() {
    let all = vectors("record.json");
    for case in list(&all["cases"]) {
        let id = record_id(&case["record_id"]);
        let token = token(&case["token"]);
        let birth = birth(&case["birth"]);
        let data_key = data_key(&case["data_key"]);
        let root = root(&all, small(&case["generation"]));
        let mut rng = Fixed(bytes(&case["inner_nonce"]));
        let inner = Inner::wrap(&root, &token, &id, &birth, &data_key, &mut rng).unwrap();
        assert!(rng.nothing_left());
        let record = Record {
            birth,
            state: state(&case["state"]),
            inner,
        };
        let kek = kek(&all, small(&case["kek_number"]));
        let mut rng = Fixed(bytes(&case["outer_nonce"]));
        let outer = record.seal(&kek, &id, number(&case["row_version"]), &mut rng);
        assert!(rng.nothing_left());
        assert_eq!(outer.unwrap(), bytes(&case["outer"]), "{}", case["name"]);
    }
}

#[test]
fn refused_records_are_refused_for_the_stated_reason() {
    let all = vectors("record.json");
    let refused = &all["refused"];
    let good = list(&all["cases"])
        .iter()
        .find(|case| case["name"] == refused["case"])
        .unwrap();
    for case in list(&refused["outer"]) {
        let id = record_id(field(case, good, "record_id"));
        let kek = kek(&all, small(field(case, good, "kek_number")));
        let version = number(field(case, good, "row_version"));
        assert_refused(
            Record::open(&kek, &id, version, &bytes(&case["bytes"])),
            case,
        );
    }
    let id = record_id(&good["record_id"]);
    let kek = kek(&all, small(&good["kek_number"]));
    for case in list(&refused["inner"]) {
        let outer = bytes(&case["outer"]);
        let record = Record::open(&kek, &id, number(&good["row_version"]), &outer).unwrap();
        let root = root(&all, small(field(case, good, "generation")));
        let token = token(field(case, good, "token"));
        let key = record.inner.unwrap(&root, &token, &id, &record.birth);
        assert_refused(key, case);
    }
}

#[test]
fn metadata_opens_and_seals_as_the_vectors_state() {
    let all = vectors("record.json");
    for case in list(&all["metadata"]) {
        let (id, token, salt) = (
            record_id(&case["record_id"]),
            token(&case["token"]),
            array(&case["salt"]),
        );
        let root = root(&all, small(&case["generation"]));
        let version = small(&case["version"]);
        let meta = bytes(&case["meta"]);
        let opened = open_metadata(&root, &token, &id, &salt, version, &meta).unwrap();
        let json = text(&case["json"]).as_bytes();
        assert_eq!(opened.as_slice(), json);
        let mut rng = Fixed(bytes(&case["nonce"]));
        let sealed = seal_metadata(&root, &token, &id, &salt, version, json, &mut rng);
        assert_eq!(sealed, meta);
    }
}

#[test]
fn refused_metadata_is_refused_for_the_stated_reason() {
    let all = vectors("record.json");
    let good = &list(&all["metadata"])[1];
    for case in list(&all["refused"]["metadata"]) {
        let opened = open_metadata(
            &root(&all, small(&good["generation"])),
            &token(field(case, good, "token")),
            &record_id(field(case, good, "record_id")),
            &array(field(case, good, "salt")),
            small(field(case, good, "version")),
            &bytes(&case["bytes"]),
        );
        assert_refused(opened, case);
    }
}

fn grant(value: &Value) -> Grant {
    Grant {
        version: number(&value["row_version"]),
        epoch: small(&value["epoch"]),
        granted_at: millis(&value["granted_at"]),
        expires_at: millis(&value["expires_at"]),
        uses_left: small(&value["uses_left"]),
        purpose: text(&value["purpose"]).to_owned(),
    }
}

#[test]
fn grants_and_revocations_are_those_of_the_vectors() {
    let all = vectors("grants.json");
    let seal = GrantSeal::new(&index_key(&all["index_secret"]).grant_key());
    let record = record_id(&all["record_id"]);
    let session = SessionRef(array(&all["session_ref"]));
    for case in list(&all["grants"]) {
        let (grant, row) = (grant(&case["grant"]), bytes(&case["row"]));
        assert_eq!(seal.seal(&record, &session, &grant).unwrap(), row);
        assert_eq!(seal.open(&record, &session, &row).unwrap(), grant);
    }
    for case in list(&all["revocations"]) {
        let revocation = Revocation {
            revoked_at: millis(&case["revoked_at"]),
            keep_until: millis(&case["keep_until"]),
        };
        let row = bytes(&case["row"]);
        assert_eq!(seal.seal_revocation(&session, revocation), row);
        assert_eq!(seal.open_revocation(&session, &row).unwrap(), revocation);
    }
    for case in list(&all["refused"]["grants"]) {
        let record = record_id(field(case, &all, "record_id"));
        let session = SessionRef(array(field(case, &all, "session_ref")));
        assert_refused(seal.open(&record, &session, &bytes(&case["bytes"])), case);
    }
    for case in list(&all["refused"]["revocations"]) {
        let session = SessionRef(array(field(case, &all, "session_ref")));
        assert_refused(seal.open_revocation(&session, &bytes(&case["bytes"])), case);
    }
}

fn context(value: &Value) -> Context<'_> {
    match text(&value["kind"]) {
        "stored" => Context::Stored {
            bucket: text(&value["bucket"]),
            object_key: text(&value["object_key"]),
            part_number: small(&value["part_number"]),
        },
        "envelope" => Context::Envelope {
            token: text(&value["token"]),
            part_index: small(&value["part_index"]),
            part_size: number(&value["part_size"]),
        },
        other => panic!("context {other}"),
    }
}

fn last_flag(value: &Value) -> Flag {
    match number(value) {
        1 => Flag::EndOfRun,
        2 => Flag::EndOfObject,
        other => panic!("flag {other}"),
    }
}

/// The vectors' rule: byte *i* is *i* mod 251.
fn plaintext(len: u64) -> Vec<u8> {
    let len = usize::try_from(len).unwrap();
    (0..=250).cycle().take(len).collect()
}

fn sha256(data: &[u8]) -> [u8; 32] {
    digest(&SHA256, data).as_ref().try_into().unwrap()
}

fn seal_run(
    salt: &[u8; 32],
    key: &DataKey,
    context: &Context<'_>,
    end: Flag,
    data: &[u8],
) -> Vec<u8> {
    let mut run = stream::run_header(salt).to_vec();
    let mut sealer = SegmentSealer::new(salt, key, context).unwrap();
    let mut rest = data;
    loop {
        let (part, later) = rest.split_at(rest.len().min(SEGMENT_BYTES));
        rest = later;
        let flag = if rest.is_empty() { end } else { Flag::More };
        let mut segment = [part, &[0; 16]].concat();
        sealer.seal(&mut segment, flag).unwrap();
        run.extend_from_slice(&segment);
        if rest.is_empty() {
            return run;
        }
    }
}

fn open_run(run: &[u8], key: &DataKey, context: &Context<'_>, end: Flag) -> Result<Vec<u8>, Error> {
    let (header, body) = run
        .split_first_chunk::<RUN_HEADER_BYTES>()
        .ok_or(Error::Malformed)?;
    let salt = stream::run_salt(header)?;
    let plain = stream::plain_bytes(run.len() as u64)?;
    let opener = SegmentOpener::new(&salt, key, context, plain, end)?;
    let mut data = Vec::new();
    for (index, segment) in (0..).zip(body.chunks(SEALED_SEGMENT_BYTES)) {
        let mut segment = segment.to_vec();
        data.extend_from_slice(opener.open(index, &mut segment)?);
    }
    Ok(data)
}

#[test]
fn runs_seal_and_open_as_the_vectors_state() {
    let all = vectors("runs.json");
    let (key, salt) = (data_key(&all["key"]), array(&all["salt"]));
    for case in list(&all["cases"]) {
        let (context, end) = (context(&case["context"]), last_flag(&case["last_flag"]));
        let run_key = stream::run_key(&salt, &key, &context).unwrap();
        assert_eq!(*run_key, array(&case["run_key"]));
        let data = plaintext(number(&case["length"]));
        let run = seal_run(&salt, &key, &context, end, &data);
        assert_eq!(run.len() as u64, number(&case["sealed_length"]));
        assert_eq!(run[run.len() - 16..], bytes(&case["last_tag"]));
        assert_eq!(sha256(&run), array(&case["sealed_sha256"]));
        if let Some(sealed) = case.get("sealed") {
            assert_eq!(run, bytes(sealed));
        }
        assert_eq!(open_run(&run, &key, &context, end).unwrap(), data);
    }
}

fn edit(run: &mut Vec<u8>, edit: &Value) {
    let at = |name: &str| usize::try_from(number(&edit[name])).unwrap();
    let range = |index: usize, len: usize| {
        let start = RUN_HEADER_BYTES + index * SEALED_SEGMENT_BYTES;
        start..len.min(start + SEALED_SEGMENT_BYTES)
    };
    match text(&edit["op"]) {
        "set" => {
            let patch = bytes(&edit["hex"]);
            run[at("at")..][..patch.len()].copy_from_slice(&patch);
        }
        "flip" => run[at("at")] ^= 1,
        "cut" => run.truncate(at("to")),
        "append" => run.extend(bytes(&edit["hex"])),
        "drop" => drop(run.drain(range(at("segment"), run.len()))),
        "swap" => {
            let (one, two) = (
                range(at("first"), run.len()),
                range(at("second"), run.len()),
            );
            let (left, right) = run.split_at_mut(two.start);
            left[one].swap_with_slice(&mut right[..two.len()]);
        }
        other => panic!("edit {other}"),
    }
}

#[test]
fn refused_runs_are_refused_for_the_stated_reason() {
    let all = vectors("runs.json");
    let (key, salt) = (data_key(&all["key"]), array(&all["salt"]));
    let good = &list(&all["cases"])[0];
    for case in list(&all["refused"]) {
        let run = if let Some(sealed) = case.get("sealed") {
            bytes(sealed)
        } else {
            let data = plaintext(number(&case["length"]));
            let mut run = seal_run(
                &salt,
                &key,
                &context(&good["context"]),
                Flag::EndOfRun,
                &data,
            );
            let edits = case["edits"].as_array().unwrap();
            for change in edits {
                edit(&mut run, change);
            }
            assert_eq!(sha256(&run), array(&case["sealed_sha256"]));
            run
        };
        let key = data_key(field(case, &all, "key"));
        let context = context(field(case, good, "context"));
        let end = last_flag(field(case, good, "last_flag"));
        assert_refused(open_run(&run, &key, &context, end), case);
    }
}

fn manifest(value: &Value) -> Manifest {
    let pairs = |value: &Value| {
        let pairs = value.as_array().unwrap().iter();
        pairs
            .map(|pair| (text(&pair[0]).to_owned(), text(&pair[1]).to_owned()))
            .collect()
    };
    Manifest {
        size: number(&value["size"]),
        stored_at: millis(&value["stored_at"]),
        etag: text(&value["etag"]).to_owned(),
        runs: list(&value["runs"])
            .iter()
            .map(|run| Run {
                part_number: small(&run["part_number"]),
                length: number(&run["length"]),
                salt: array(&run["salt"]),
            })
            .collect(),
        checksums: pairs(&value["checksums"]),
        headers: pairs(&value["headers"]),
    }
}

#[test]
fn stored_objects_are_those_of_the_vectors() {
    let all = vectors("objects.json");
    let key = data_key(&all["customer_key"]);
    let (bucket, object_key) = (text(&all["bucket"]), text(&all["object_key"]));
    let keys = HeadKeys::new(&array(&all["check_salt"]), &key);
    assert_eq!(*keys.check(), array(&all["check"]));
    for case in list(&all["cases"]) {
        let (manifest, head) = (manifest(&case["manifest"]), bytes(&case["head"]));
        let raw = bytes(&case["manifest_bytes"]);
        assert_eq!(manifest.encode().unwrap(), raw);
        assert_eq!(Manifest::decode(&raw).unwrap(), manifest);
        let mut rng = Fixed(bytes(&case["nonce"]));
        let sealed = keys.seal(bucket, object_key, &manifest, &mut rng);
        assert_eq!(sealed.unwrap(), head);
        assert_eq!(manifest::head_bytes(&manifest).unwrap(), head.len());
        let opened = manifest::open_head(&head, &key, bucket, object_key);
        assert_eq!(opened.unwrap(), manifest);
    }
}

#[test]
fn refused_heads_are_refused_for_the_stated_reason() {
    let all = vectors("objects.json");
    for case in list(&all["refused"]) {
        let outcome = manifest::open_head(
            &bytes(&case["bytes"]),
            &data_key(field(case, &all, "customer_key")),
            text(field(case, &all, "bucket")),
            text(field(case, &all, "object_key")),
        );
        let found = match outcome {
            Ok(_) => "opened",
            Err(HeadError::WrongKey) => "wrong_key",
            Err(HeadError::Broken(error)) => class(error),
        };
        assert_eq!(found, text(&case["error"]), "{}", case["name"]);
    }
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_array().unwrap().iter();
    pairs
        .map(|pair| (text(&pair[0]).into(), text(&pair[1]).into()))
        .collect()
}

fn store_keys(all: &Value) -> StoreKeys {
    StoreKeys::new(&StoreKey::from_slice(&bytes(&all["store_key"])).unwrap())
}

/// The keys of the upload, from the customer key.
fn head_keys(all: &Value) -> HeadKeys {
    HeadKeys::new(
        &array(&all["keys"]["check_salt"]),
        &data_key(&all["customer_key"]),
    )
}

#[test]
fn what_the_store_keeps_is_that_of_the_vectors() {
    let all = vectors("kept.json");
    let (store, kept) = (store_keys(&all), data_key(&all["data_key"]));
    let (bucket, object_key) = (text(&all["bucket"]), text(&all["object_key"]));
    let id = text(&all["upload_id"]);
    let rng = || Fixed(bytes(&all["nonce"]));
    let sealed = store.seal_object_key(bucket, object_key, &kept, &mut rng());
    assert_eq!(sealed.unwrap(), bytes(&all["object"]));
    let opened = store.open_object_key(bucket, object_key, &bytes(&all["object"]));
    assert!(opened.unwrap().same_as(&kept));
    for (name, data_key) in [("upload_customer", None), ("upload_server", Some(kept))] {
        let keys = UploadKeys {
            head: head_keys(&all),
            data_key,
        };
        let sealed = store.seal_upload(id, bucket, object_key, &keys, &mut rng());
        assert_eq!(sealed.unwrap(), bytes(&all[name]));
        let opened = store.open_upload(id, bucket, object_key, &bytes(&all[name]));
        let opened = opened.unwrap();
        assert!(opened.head.are_of(&customer_key(&all)));
        assert_eq!(*opened.head.check(), array(&all["keys"]["check"]));
        assert_eq!(opened.data_key.is_some(), name == "upload_server");
    }
}

fn customer_key(all: &Value) -> DataKey {
    data_key(&all["customer_key"])
}

#[test]
fn drafts_and_parts_are_those_of_the_vectors() {
    let all = vectors("kept.json");
    let (id, head) = (text(&all["upload_id"]), head_keys(&all));
    let rng = || Fixed(bytes(&all["nonce"]));
    for case in list(&all["drafts"]) {
        let checksum = &case["draft"]["checksum"];
        let draft = Draft {
            headers: pairs(&case["draft"]["headers"]),
            checksum: checksum
                .is_array()
                .then(|| (text(&checksum[0]).into(), text(&checksum[1]).into())),
        };
        let sealed = bytes(&case["sealed"]);
        assert_eq!(draft.seal(id, &head, &mut rng()).unwrap(), sealed);
        assert_eq!(Draft::open(id, &head, &sealed).unwrap(), draft);
    }
    let stated = &all["part"];
    let part = Part {
        length: number(&stated["length"]),
        stored_at: millis(&stated["stored_at"]),
        salt: array(&stated["salt"]),
        file: bytes(&stated["file"]).try_into().unwrap(),
        etag: text(&stated["etag"]).into(),
        checksums: pairs(&stated["checksums"]),
    };
    let (number, sealed) = (small(&all["part_number"]), bytes(&all["sealed_part"]));
    assert_eq!(part.seal(id, number, &head, &mut rng()).unwrap(), sealed);
    assert_eq!(Part::open(id, number, &head, &sealed).unwrap(), part);
}

#[test]
fn refused_kept_bytes_are_refused_for_the_stated_reason() {
    let all = vectors("kept.json");
    let (store, head) = (store_keys(&all), head_keys(&all));
    for case in list(&all["refused"]) {
        let sealed = bytes(&case["bytes"]);
        let of = |name| text(field(case, &all, name));
        let (bucket, object_key, id) = (of("bucket"), of("object_key"), of("upload_id"));
        let number = small(field(case, &all, "part_number"));
        match text(&case["kind"]) {
            "object" => assert_refused(store.open_object_key(bucket, object_key, &sealed), case),
            "upload" => assert_refused(store.open_upload(id, bucket, object_key, &sealed), case),
            "draft" => assert_refused(Draft::open(id, &head, &sealed), case),
            _ => assert_refused(Part::open(id, number, &head, &sealed), case),
        }
    }
}
