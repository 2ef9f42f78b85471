//! Files that were damaged, forged or moved, and a disk that fills: what is hit says so, the rest
//! works on.

use crate::{assert_refused, skip};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use strongroom_tests::{Answer, Request, Setup, Vault};

fn detokenize(vault: &Vault, jwt: &str, token: &str) -> Answer {
    vault.call("/detokenize", jwt, &json!({ "tokenId": token }))
}

fn database(vault: &Vault) -> PathBuf {
    vault.data().join("records.sqlite3")
}

/// Changes the stopped vault's records.
fn sql(vault: &Vault, statements: &str) {
    let connection = Connection::open(database(vault)).unwrap();
    connection.execute_batch(statements).unwrap();
    connection.close().unwrap();
}

/// Asserts that the newest entry about a release is a denial because of a forged row.
#[track_caller]
fn assert_audited_as_forged(vault: &Vault, answer: &Answer) {
    let id = answer.header("x-request-id").unwrap();
    let entries = vault.audit();
    let entry = entries
        .iter()
        .find(|entry| entry["request"] == id)
        .expect("an entry");
    assert_eq!(
        (&entry["decision"], &entry["rule"]),
        (&json!("deny"), &json!("forged"))
    );
}

#[test]
fn a_damaged_page_fails_its_own_tokens_alone() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let tokens: Vec<String> = (0..60)
        .map(|_| vault.tokenize(&jwt, &json!({})).0)
        .collect();
    vault.stop();

    let connection = Connection::open(database(&vault)).unwrap();
    let first = "SELECT outer_layer FROM records ORDER BY rowid LIMIT 1";
    let row: Vec<u8> = connection.query_row(first, [], |row| row.get(0)).unwrap();
    connection.close().unwrap();
    let bytes = fs::read(database(&vault)).unwrap();
    let at = bytes
        .windows(32)
        .position(|window| window == &row[..32])
        .expect("the row");
    let page = at / 4096 * 4096;
    let file = fs::OpenOptions::new()
        .write(true)
        .open(database(&vault))
        .unwrap();
    file.write_all_at(&[0xff; 64], u64::try_from(page).unwrap())
        .unwrap();

    vault.start_again();
    let answers: Vec<_> = tokens
        .iter()
        .map(|token| detokenize(&vault, &jwt, token))
        .collect();
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(
        !good.is_empty() && !bad.is_empty(),
        "{} good, {} bad",
        good.len(),
        bad.len()
    );
    for answer in bad {
        assert_refused(answer, 500, "Internal");
        assert!(
            !answer.text().to_lowercase().contains("sqlite"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(vault.send(&Request::new("GET", "/health")).status, 200);
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    assert_eq!(vault.fetch(&jwt, &token), value);
    assert!(vault.log().contains("damaged"), "the log names the cause");
}

#[test]
fn a_file_that_is_missing_is_told_and_a_changed_one_never_ends_cleanly() {
    let vault = Vault::start();
    let jwt = vault.application();
    let value = vec![b'v'; 200 * 1024];
    let token = vault.store(&jwt, &value);
    let [object] = vault.objects().try_into().unwrap();
    let sound = fs::read(&object).unwrap();
    let last = sound.len() - 1;
    for at in [0, 1, 40, 100, 70_000, 140_000, last - 500, last] {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(&object, changed).unwrap();
        let answer = vault.get(&vault.detokenize(&jwt, &token));
        assert!(
            answer.status != 200 || !answer.whole,
            "byte {at} of {last}: {}",
            answer.status
        );
        assert!(
            answer.status != 200 || value.starts_with(&answer.body),
            "byte {at}"
        );
    }
    for length in [0, 10, 70_000, last] {
        fs::write(&object, &sound[..length]).unwrap();
        let answer = vault.get(&vault.detokenize(&jwt, &token));
        assert!(
            answer.status != 200 || !answer.whole,
            "length {length}: {}",
            answer.status
        );
    }
    // A change behind the range that is asked for does not matter, one inside it does.
    let mut changed = sound.clone();
    changed[150_000] ^= 1;
    fs::write(&object, changed).unwrap();
    let download = vault.detokenize(&jwt, &token);
    let part = |range| {
        download
            .request("GET")
            .header("range", range)
            .send(vault.s3())
    };
    assert!(part("bytes=0-9").whole);
    let hit = part("bytes=149990-150010");
    assert!(hit.status >= 500 || !hit.whole, "{}", hit.status);

    // It was acknowledged, so it would be a lie that there is none.
    fs::remove_file(&object).unwrap();
    let missing = vault.get(&vault.detokenize(&jwt, &token));
    assert_eq!(missing.status, 500, "{}", missing.text());
    fs::write(&object, &sound).unwrap();
    assert!(vault.fetch(&jwt, &token) == value);
}

#[test]
fn a_file_in_another_ones_place_never_ends_cleanly() {
    let vault = Setup::new().files().start();
    let jwt = vault.application();
    let one = vault.store(&jwt, &vault.value());
    let [file] = <[PathBuf; 1]>::try_from(vault.objects()).unwrap();
    let two = vault.store(&jwt, &vault.value());
    let other = vault
        .objects()
        .into_iter()
        .find(|path| *path != file)
        .unwrap();
    let spare = file.with_extension("spare");
    fs::rename(&file, &spare).unwrap();
    fs::rename(&other, &file).unwrap();
    fs::rename(&spare, &other).unwrap();
    for token in [one, two] {
        let answer = vault.get(&vault.detokenize(&jwt, &token));
        assert!(answer.status != 200 || !answer.whole, "{}", answer.status);
        assert!(answer.status != 200 || answer.body.is_empty());
    }
}

/// Changes the index of the stopped vault's values.
fn change_index(vault: &Vault, statements: &str) {
    let connection = Connection::open(vault.data().join("objects/index.sqlite3")).unwrap();
    connection.execute_batch(statements).unwrap();
    connection.close().unwrap();
}

#[test]
fn an_object_in_another_ones_place_is_refused() {
    for setup in [Setup::new(), Setup::new().files()] {
        let mut vault = setup.start();
        let jwt = vault.application();
        let tokens = [(); 2].map(|()| vault.store(&jwt, &vault.value()));
        vault.stop();
        change_index(
            &vault,
            "UPDATE objects SET body = (SELECT sum(body) FROM objects) - body;",
        );
        vault.start_again();
        for token in tokens {
            let answer = vault.get(&vault.detokenize(&jwt, &token));
            assert_eq!(answer.status, 403, "{}", answer.text());
        }
    }
}

#[test]
fn a_changed_row_of_the_index_never_ends_cleanly() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    vault.stop();
    let read = |vault: &Vault, column: &str| -> Vec<u8> {
        let index = Connection::open(vault.data().join("objects/index.sqlite3")).unwrap();
        let row = format!("SELECT {column} FROM bodies");
        index.query_row(&row, [], |row| row.get(0)).unwrap()
    };
    let write = |vault: &Vault, column: &str, bytes: &[u8]| {
        let hex = hex::encode(bytes);
        change_index(vault, &format!("UPDATE bodies SET {column} = x'{hex}';"));
    };
    for column in ["head", "inline"] {
        let sound = read(&vault, column);
        for at in [0, sound.len() / 2, sound.len() - 1, usize::MAX] {
            let mut changed = sound.clone();
            match changed.get_mut(at) {
                Some(byte) => *byte ^= 1,
                None => changed.truncate(sound.len() / 2),
            }
            write(&vault, column, &changed);
            vault.start_again();
            let answer = vault.get(&vault.detokenize(&jwt, &token));
            let refused = answer.status >= 400 || !answer.whole;
            assert!(refused, "{column} {at}: {}", answer.status);
            vault.stop();
        }
        write(&vault, column, &sound);
    }
    vault.start_again();
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn two_records_that_were_swapped_are_refused_and_audited_as_forged() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let tokens = [(); 3].map(|()| vault.store(&jwt, &vault.value()));
    vault.stop();
    sql(
        &vault,
        "CREATE TEMP TABLE kept AS SELECT rowid AS at, outer_layer FROM records WHERE rowid < 3;
         UPDATE records SET outer_layer = (SELECT outer_layer FROM kept WHERE at = 3 - records.rowid)
         WHERE rowid < 3;",
    );
    vault.start_again();
    for token in &tokens[..2] {
        let answer = detokenize(&vault, &jwt, token);
        assert_refused(&answer, 500, "Internal");
        assert_audited_as_forged(&vault, &answer);
    }
    assert_eq!(detokenize(&vault, &jwt, &tokens[2]).status, 200);
}

#[test]
fn a_record_with_another_version_or_hidden_metadata_is_refused() {
    for change in ["version = version + 1", "meta = NULL", "meta = x'0102'"] {
        let mut vault = Vault::start();
        let jwt = vault.application();
        let (token, _) = vault.tokenize(&jwt, &json!({ "metadata": { "a": 1 } }));
        vault.stop();
        sql(&vault, &format!("UPDATE records SET {change};"));
        vault.start_again();
        let answer = vault.call("/metadata/get", &jwt, &json!({ "tokenId": token }));
        assert_refused(&answer, 500, "Internal");
    }
}

#[test]
fn a_grant_that_was_moved_to_another_token_is_refused() {
    let mut vault = Vault::start();
    let (owner, session) = (vault.application(), vault.session("user"));
    let granted = vault.store(&owner, &vault.value());
    let other = vault.store(&owner, &vault.value());
    vault.grant(&session, &granted, None);
    let user = vault.user(&session);
    assert_eq!(detokenize(&vault, &user, &granted).status, 200);
    assert_eq!(detokenize(&vault, &user, &other).status, 404);
    vault.stop();
    sql(
        &vault,
        "UPDATE grants SET record = (SELECT id FROM records WHERE rowid = 2);",
    );
    vault.start_again();
    let answer = detokenize(&vault, &user, &other);
    assert_refused(&answer, 500, "Internal");
    assert_audited_as_forged(&vault, &answer);
    assert_refused(&detokenize(&vault, &user, &granted), 404, "NoSuchToken");
}

#[test]
fn a_grant_whose_end_was_moved_is_refused() {
    let mut vault = Vault::start();
    let (owner, session) = (vault.application(), vault.session("user"));
    let token = vault.store(&owner, &vault.value());
    vault.grant(&session, &token, None);
    vault.stop();
    let connection = Connection::open(database(&vault)).unwrap();
    let read = "SELECT body FROM grants";
    let mut body: Vec<u8> = connection.query_row(read, [], |row| row.get(0)).unwrap();
    // Format, version, epoch and beginning come before the end.
    body[1 + 8 + 4 + 8 + 3] ^= 1;
    connection
        .execute("UPDATE grants SET body = ?1", [body])
        .unwrap();
    connection.close().unwrap();
    vault.start_again();
    let answer = detokenize(&vault, &vault.user(&session), &token);
    assert_refused(&answer, 500, "Internal");
    assert_audited_as_forged(&vault, &answer);
}

/// A small file system of its own, unmounted when dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    pub(crate) fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"])
            .arg(dir.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Writes until there is no room for more.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    for size in [64 * 1024, 4 * 1024, 512] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_is_503_loses_nothing_acknowledged_and_is_over_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        skip("it mounts a small tmpfs, which is not permitted here");
        return;
    };
    let data = disk.path().join("data");
    let mut vault = Setup::new().data_dir(&data).start();
    let jwt = vault.application();
    let value = vault.value();
    let mut kept = vec![vault.store(&jwt, &value)];
    let (_, pending) = vault.tokenize(&jwt, &json!({}));

    let filler = disk.path().join("filler");
    fill(&filler);
    let refused = vault.put(&pending, &vec![7; 1 << 20]);
    assert_eq!(refused.status, 503, "{}", refused.text());
    let mut refusals = 0;
    for _ in 0..200 {
        let (answer, upload) = match vault.call("/tokenize", &jwt, &json!({})) {
            answer if answer.status == 200 => (answer.json()["data"].take(), true),
            answer => {
                assert_refused(&answer, 503, "Unavailable");
                (json!(null), false)
            }
        };
        if upload {
            // Acknowledged, so it must be there afterwards.
            kept.push(answer["tokenId"].as_str().unwrap().to_owned());
        } else {
            refusals += 1;
        }
    }
    assert!(refusals > 0, "the disk never was full");
    assert_eq!(vault.send(&Request::new("GET", "/health")).status, 200);

    fs::remove_file(&filler).unwrap();
    let readable = |vault: &Vault, kept: &[String]| {
        for token in kept {
            assert_eq!(detokenize(vault, &jwt, token).status, 200);
        }
        assert_eq!(vault.fetch(&jwt, &kept[0]), value);
    };
    // Whatever went wrong while there was no room is over by itself.
    strongroom_tests::eventually("the vault works again", || {
        (vault.call("/tokenize", &jwt, &json!({})).status == 200).then_some(())
    });
    readable(&vault, &kept);
    let other = vault.value();
    let token = vault.store(&jwt, &other);
    vault.kill();
    vault.start_again();
    readable(&vault, &kept);
    assert_eq!(vault.fetch(&jwt, &token), other);
    drop(vault);
}

#[test]
fn below_the_reserve_of_the_disk_uploads_are_503_and_all_else_goes_on() {
    let mut vault = Setup::new().start();
    let (jwt, value) = (vault.application(), vault.value());
    let token = vault.store(&jwt, &value);
    vault.stop();
    vault.set("S3__DISK_RESERVE", "100000GiB");
    vault.start_again();
    let (unfilled, upload) = vault.tokenize(&jwt, &json!({}));
    let (_, large) = vault.tokenize(&jwt, &json!({}));
    for (upload, size) in [(&upload, 1), (&large, 1 << 20)] {
        let answer = vault.put(upload, &vec![7; size]);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("no room"));
    }
    // Records and decisions are what the room is kept for.
    assert_eq!(vault.fetch(&jwt, &token), value);
    let session = vault.session("reader");
    vault.grant(&session, &unfilled, None);
    assert!(vault.granted(&session, &unfilled));
    assert_eq!(vault.send(&Request::new("GET", "/ready")).status, 200);
}
