//! Keyring files and master keys against `docs/vectors/keyring.json`, byte for byte.

#![expect(
    clippy::unwrap_used,
    reason = "a vector that cannot be read fails the test"
)]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use strongroom_core::secret::MasterKey;
use strongroom_core::{RecordId, UnixMillis};
use strongroom_keyring::{Error, Keyring, Part, file};
use tempfile::TempDir;

/// Gives the bytes of a vector where a program would take random ones.
struct Fixed(Vec<u8>);

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

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/vectors/keyring.json"
    );
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn master(value: &Value) -> MasterKey {
    MasterKey::from_slice(&bytes(value)).unwrap()
}

fn class(error: &Error) -> &'static str {
    match error {
        Error::Sealed => "sealed",
        Error::Malformed => "malformed",
        Error::UnknownVersion(_) => "unknown_version",
        Error::UnknownProvider(_) => "unknown_provider",
        Error::RolledBack { .. } => "rolled_back",
        _ => "another error",
    }
}

#[test]
fn keyrings_open_to_what_the_vectors_state() {
    let all = vectors();
    for case in list(&all["cases"]) {
        let version = number(&case["version"]);
        let keyring = Keyring::open(
            &bytes(&case["keyring"]),
            &master(&all["master_key"]),
            version,
        );
        let keyring = keyring.unwrap();
        assert_eq!(keyring.version(), version);
        assert_eq!(keyring.vault_id().as_bytes()[..], bytes(&all["vault_id"]));
        for (part, name, current) in [
            (
                Part::Root,
                "root secrets",
                keyring.current_root().generation(),
            ),
            (Part::Kek, "KEKs", keyring.current_kek().number()),
            (Part::Audit, "audit keys", keyring.current_audit_number()),
            (
                Part::Signing,
                "signing seeds",
                keyring.current_signing_number(),
            ),
        ] {
            let stated = &case["lists"][name];
            assert_eq!(u64::from(current), number(&stated["current"]));
            let entries: Vec<_> = list(&stated["entries"])
                .iter()
                .map(|entry| (number(&entry["number"]), number(&entry["created_at"])))
                .collect();
            let found = keyring.numbers(part).into_iter();
            let found: Vec<_> = found
                .map(|(number, UnixMillis(at))| (u64::from(number), at))
                .collect();
            assert_eq!(found, entries, "{name}");
        }
        let probe = RecordId::from_slice(&bytes(&case["probe_record_id"])).unwrap();
        for stated in list(&case["probe_token_refs"]) {
            let audit = u32::try_from(number(&stated["audit_key"])).unwrap();
            let found = keyring.token_ref_key(audit).unwrap().token_ref(&probe);
            assert_eq!(found.as_bytes()[..], bytes(&stated["token_ref"]));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(keyring.signing_seed().expose()).unwrap();
        let public = bytes(&case["signing_public_key"]);
        assert_eq!(pair.public_key().as_ref(), public);
    }
}

#[test]
fn keyrings_seal_to_the_bytes_of_the_vectors() {
    let all = vectors();
    let master = master(&all["master_key"]);
    for case in list(&all["cases"]) {
        let stated = bytes(&case["keyring"]);
        let keyring = Keyring::open(&stated, &master, 0).unwrap();
        let drawn = ["file_key", "slot_nonce", "body_nonce"].map(|name| bytes(&case[name]));
        let mut rng = Fixed(drawn.concat());
        assert_eq!(keyring.seal(&master, &mut rng).unwrap(), stated);
        assert!(rng.0.is_empty());
    }
}

#[test]
fn refused_keyrings_are_refused_for_the_stated_reason() {
    let all = vectors();
    for case in list(&all["refused"]) {
        let master = master(case.get("master_key").unwrap_or(&all["master_key"]));
        let at_least = case.get("at_least").map_or(0, number);
        let outcome = Keyring::open(&bytes(&case["bytes"]), &master, at_least);
        let found = outcome.as_ref().map_or_else(class, |_| "opened");
        assert_eq!(found, case["error"], "{}", case["name"]);
    }
}

#[test]
fn the_master_keys_line_is_that_of_the_vectors() {
    let all = vectors();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("made");
    let mut rng = Fixed(bytes(&all["master_key"]));
    file::create_master_key(&path, &mut rng).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), all["master_key_line"]);
    let read = file::read_master_key(&path).unwrap();
    assert!(read.same_as(&master(&all["master_key"])));
    let path = dir.path().join("refused");
    for line in list(&all["refused_lines"]) {
        fs::write(&path, line.as_str().unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = file::read_master_key(&path);
        assert!(matches!(refused, Err(Error::NotAMasterKey(_))), "{line}");
    }
}
