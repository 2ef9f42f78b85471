//! Backups made while the vault serves, and what becomes of them.

use crate::{s3_credentials, skip};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use strongroom_tests::binary::strongroom;
use strongroom_tests::vault::{PATH, clean, files_below, wait};
use strongroom_tests::{Access, Setup, Vault, eventually, now_s};

/// Where a test's backups go: a place that is searched for secrets at the end.
fn place(vault: &Vault, name: &str) -> PathBuf {
    vault.home().parent().unwrap().join("logs").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes a backup; returns where it is.
pub(crate) fn backup(vault: &Vault, name: &str) -> PathBuf {
    let dir = place(vault, name);
    let output = vault.cli(&["--json", "backup", text(&dir)]);
    assert!(output.status.success(), "{}", said(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["backup"], text(&dir));
    let files = files_below(&dir).len();
    // The manifest and its digest are counted by nobody.
    assert_eq!(result["files"], files - 2);
    dir
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(&[out.as_slice(), err.as_slice()].concat()).into_owned()
}

/// Stops the vault, moves its data away, restores, starts it again. Returns what `restore` said.
pub(crate) fn restore(vault: &mut Vault, backup: &Path, evidence: Evidence) -> Value {
    if vault.runs() {
        vault.stop();
    }
    let old = vault.home().join("old");
    let _ = fs::remove_dir_all(&old);
    fs::rename(vault.data(), &old).unwrap();
    let log = old.join("audit/decisions.jsonl");
    let output = match evidence {
        Evidence::Log => vault.cli(&["--json", "restore", text(backup), "--audit", text(&log)]),
        Evidence::None => vault.cli(&["--json", "restore", text(backup), "--accept-resurrection"]),
    };
    assert!(output.status.success(), "{}", said(&output));
    vault.start_again();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[derive(Clone, Copy)]
pub(crate) enum Evidence {
    Log,
    None,
}

/// The value of a token, for an application that grants itself access; `None` if there is no such
/// token or no value.
pub(crate) fn granted_value(vault: &Vault, jwt: &str, token: &str) -> Option<Vec<u8>> {
    let body = json!({ "self": true, "tokenId": token });
    let answer = vault.call("/grant/set", jwt, &body);
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = vault.get(&vault.detokenize(jwt, token));
    if answer.status == 404 {
        return None;
    }
    assert_eq!((answer.status, answer.whole), (200, true), "a torn value");
    Some(answer.body)
}

fn assert_refused(output: &Output, expected: &str) {
    let said = said(output);
    assert!(
        !output.status.success() && said.contains(expected),
        "{said}"
    );
}

/// Applications' objects in a bucket of their own, sealed under the vault's key.
fn with_a_credential(setup: Setup) -> (Vault, Access) {
    let vault = setup.make();
    let arguments = ["--name", "logs", "--bucket", "logs", "--server-keyed"];
    let table = s3_credentials::make(&vault, &arguments);
    s3_credentials::add(&vault, &table);
    let access = s3_credentials::access(&vault, &table);
    (vault, access)
}

/// Bytes that no other value has.
fn bytes(number: usize, length: usize) -> Vec<u8> {
    let line = format!("value number {number} of the load; ");
    line.bytes().cycle().take(length).collect()
}

/// What goes on while a backup is made. Everything must be answered with success.
struct Load<'a> {
    vault: &'a Vault,
    jwt: &'a str,
    access: &'a Access,
    stop: AtomicBool,
    stored: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Load<'_> {
    fn tokenize(&self, client: usize) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            let length = if round % 5 == 0 { 150_000 } else { 500 };
            let value = bytes(client * 1_000_000 + round, length);
            let token = self.vault.store(self.jwt, &value);
            self.stored.lock().unwrap().push((token, value));
        }
    }

    /// Puts, overwrites, reads and deletes.
    fn objects(&self, client: usize) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            let path = format!("/logs/{client}-{}", round % 7);
            let body = bytes(round, 100_000);
            assert_eq!(self.call("PUT", &path, "", &body).0, 200);
            assert_eq!(self.call("GET", &path, "", b""), (200, body));
            if round % 3 == 0 {
                assert_eq!(self.call("DELETE", &path, "", b"").0, 204);
            }
        }
    }

    fn uploads_in_parts(&self) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            let path = format!("/logs/parts-{}", round % 3);
            let (status, begun) = self.call("POST", &path, "uploads=", b"");
            let begun = String::from_utf8(begun).unwrap();
            assert_eq!(status, 200, "{begun}");
            let id = begun.split("<UploadId>").nth(1).unwrap();
            let id = id.split('<').next().unwrap();
            let part = format!("partNumber=1&uploadId={id}");
            let body = bytes(round, 90_000);
            let answer =
                s3_credentials::call(self.vault, self.access, ("PUT", &path, &part), &[], &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let etag = answer.header("etag").unwrap();
            if round % 2 == 0 {
                let aborted = self.call("DELETE", &path, &format!("uploadId={id}"), b"");
                assert_eq!(aborted.0, 204);
                continue;
            }
            let document = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>\
                 </Part></CompleteMultipartUpload>"
            );
            let query = format!("uploadId={id}");
            let completed = self.call("POST", &path, &query, document.as_bytes());
            assert_eq!(completed.0, 200);
        }
    }

    fn call(&self, method: &str, path: &str, query: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let asked = (method, path, query);
        let answer = s3_credentials::call(self.vault, self.access, asked, &[], body);
        (answer.status, answer.body)
    }
}

#[test]
fn a_backup_made_under_load_brings_back_every_acknowledged_value() {
    let setup = Setup::new()
        .clock()
        .set("SWEEP__EVERY", "1s")
        .set("SWEEP__CLAIM_GRACE", "0s")
        .set("S3__CONNECTIONS_MAX", "1000");
    let (mut vault, access) = with_a_credential(setup);
    let jwt = vault.application();
    vault.clock().shift_s(-3 * 3_600);
    vault.start_again();
    // What the sweeper removes while the backup is made.
    for _ in 0..200 {
        vault.tokenize(&jwt, &json!({}));
    }
    let before: Vec<(String, Vec<u8>)> = (0..160)
        .map(|number| {
            let length = match number % 20 {
                0 => 2_000_000,
                1..=6 => 120_000,
                _ => 300,
            };
            let value = bytes(number, length);
            (vault.store(&jwt, &value), value)
        })
        .collect();
    // The present, in which the uploads that never came are overdue.
    vault.clock().shift_s(0);
    let object = bytes(7, 300_000);
    let kept = ("PUT", "/logs/kept", "");
    let put = s3_credentials::call(&vault, &access, kept, &[], &object);
    assert_eq!(put.status, 200, "{}", put.text());

    let load = Load {
        vault: &vault,
        jwt: &jwt,
        access: &access,
        stop: AtomicBool::new(false),
        stored: Mutex::default(),
    };
    let (made, at_first) = std::thread::scope(|scope| {
        for client in 1..=3 {
            let load = &load;
            scope.spawn(move || load.tokenize(client));
        }
        for client in 1..=2 {
            let load = &load;
            scope.spawn(move || load.objects(client));
        }
        scope.spawn(|| load.uploads_in_parts());
        eventually("some are stored", || {
            (load.stored.lock().unwrap().len() > 10).then_some(())
        });
        let at_first = load.stored.lock().unwrap().clone();
        let made = ["one", "two"].map(|name| backup(&vault, name));
        load.stop.store(true, Ordering::Relaxed);
        (made, at_first)
    });
    let later = load.stored.into_inner().unwrap();
    let audit = vault.audit();
    assert!(audit.iter().any(|entry| entry["action"] == "sweep"));
    let backups = audit.iter().filter(|entry| entry["action"] == "backup");
    assert_eq!(backups.count(), 2);

    for dir in made {
        let restored = restore(&mut vault, &dir, Evidence::Log);
        assert_eq!(restored["broken"], 0);
        for (token, value) in before.iter().chain(&at_first) {
            let found = granted_value(&vault, &jwt, token);
            assert!(
                found.as_ref() == Some(value),
                "an acknowledged value is gone"
            );
        }
        // What came while it was made is whole or not there.
        for (token, value) in &later {
            let found = granted_value(&vault, &jwt, token);
            assert!(found.is_none_or(|found| found == *value));
        }
        let get = ("GET", "/logs/kept", "");
        let found = s3_credentials::call(&vault, &access, get, &[], b"");
        assert!(found.status == 200 && found.body == object);
    }
    assert_eq!(
        vault
            .send(&strongroom_tests::Request::new("GET", "/ready"))
            .status,
        200
    );
}

#[test]
fn a_backup_holds_ciphertexts_and_no_secret_file() {
    let vault = Setup::new().start();
    let jwt = vault.application();
    vault.store(&jwt, &vault.value());
    vault.store(&jwt, &[vault.value(), vec![7; 100_000]].concat());
    let dir = backup(&vault, "b");
    assert_eq!(
        fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let names: BTreeSet<String> = files_below(&dir)
        .iter()
        .map(|path| {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            text(path.strip_prefix(&dir).unwrap()).to_owned()
        })
        .filter(|name| !name.starts_with("data/objects/runs/"))
        .collect();
    let expected = [
        "data/audit/decisions.jsonl",
        "data/format",
        "data/keyring",
        "data/objects/format",
        "data/objects/index.sqlite3",
        "data/records.sqlite3",
        "manifest.json",
        "manifest.json.sha256",
        "strongroom.toml",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
    // The master key and all else that was marked: in it and around it.
    assert_eq!(vault.leaks(), [""; 0]);
    // It is no secret to whoever looks at it whether it is whole.
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "manifest.json.sha256"])
        .current_dir(&dir)
        .status();
    assert!(checked.unwrap().success());
    assert!(!vault.data().join("backup.tmp").exists());

    // Nothing is written over.
    assert_refused(&vault.cli(&["backup", text(&dir)]), "not empty");
    assert_refused(&vault.cli(&["backup", "/nowhere/at/all"]), "No such file");
    let failed = vault.cli(&["--json", "backup", text(&dir)]);
    let error: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("not empty")
    );
}

#[test]
fn a_stopped_vault_is_backed_up_too() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    vault.stop();
    let dir = backup(&vault, "b");
    restore(&mut vault, &dir, Evidence::Log);
    assert_eq!(granted_value(&vault, &jwt, &token), Some(value));
}

#[test]
fn a_backup_that_was_changed_cut_or_lost_a_file_is_refused() {
    let mut vault = Setup::new().start();
    let jwt = vault.application();
    vault.store(&jwt, &vault.value());
    vault.store(&jwt, &vec![7; 100_000]);
    let dir = backup(&vault, "b");
    vault.stop();
    let into = vault.home().join("restored");
    let try_it = |vault: &Vault| {
        let words = [
            "restore",
            text(&dir),
            "--into",
            text(&into),
            "--accept-resurrection",
        ];
        vault.cli(&words)
    };
    for path in files_below(&dir) {
        // It is for people, and not restored.
        if path.ends_with("strongroom.toml") {
            continue;
        }
        let sound = fs::read(&path).unwrap();
        let mut changed = sound.clone();
        changed[sound.len() / 2] ^= 1;
        for damage in [Some(changed), Some(sound[..sound.len() - 1].to_vec()), None] {
            match damage {
                Some(damaged) => fs::write(&path, damaged).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let output = try_it(&vault);
            assert!(!output.status.success(), "{}", path.display());
            assert!(!into.exists());
            let home = fs::read_dir(vault.home()).unwrap();
            assert_eq!(home.count(), 0, "nothing is left");
        }
        fs::write(&path, sound).unwrap();
    }
    assert!(try_it(&vault).status.success());
    assert_refused(&try_it(&vault), "not empty");
}

#[test]
fn a_backup_opens_with_its_own_master_key_and_bucket_alone() {
    let mut vault = Vault::start();
    let dir = backup(&vault, "b");
    vault.stop();
    let into = vault.home().join("restored");
    let words = [
        "restore",
        text(&dir),
        "--into",
        text(&into),
        "--accept-resurrection",
    ];
    let other = [("STRONGROOM__S3__BUCKET", "another")];
    let refused = vault.cli_with(&words, b"", &other);
    assert_refused(&refused, "s3.bucket is `another`");
    let key = vault.root().join("master.key");
    let sound = fs::read_to_string(&key).unwrap();
    let at = sound.len() - 10;
    let other = if &sound[at..=at] == "A" { "B" } else { "A" };
    fs::write(&key, format!("{}{other}{}", &sound[..at], &sound[at + 1..])).unwrap();
    assert_refused(&vault.cli(&words), "the keyring does not open");
    assert!(!into.exists());
    fs::write(&key, sound).unwrap();
    assert!(vault.cli(&words).status.success());
}

#[test]
fn what_the_log_shows_removed_stays_gone_and_without_it_nothing_is_restored() {
    let mut vault = Setup::new()
        .clock()
        .set("SWEEP__EVERY", "1s")
        .set("SWEEP__CLAIM_GRACE", "0s")
        .set("TOKENS__LIFETIME", "1h")
        .start();
    let jwt = vault.mint(json!({ "sub": "application", "exp": now_s() + 6 * 3_600 }));
    let short_lived = vault.store(&jwt, &vault.value());
    let dir = backup(&vault, "b");
    vault.clock().shift_s(3 * 3_600);
    eventually("the sweep", || {
        let audit = vault.audit();
        audit
            .iter()
            .any(|entry| entry["action"] == "sweep")
            .then_some(())
    });
    let value = vault.value();
    let later = vault.store(&jwt, &value);
    let lives = backup(&vault, "lives");
    vault.stop();

    let into = vault.home().join("restored");
    let words = ["restore", text(&dir), "--into", text(&into)];
    let with = |more: &[&str]| vault.cli(&[&words, more].concat());
    assert_refused(&with(&[]), "--accept-resurrection");
    let own = dir.join("data/audit/decisions.jsonl");
    assert_refused(&with(&["--audit", text(&own)]), "the backup's own");
    let log = vault.data().join("audit/decisions.jsonl");
    let cut = vault.home().join("cut.jsonl");
    let whole = fs::read(&log).unwrap();
    let earlier = fs::read(&own).unwrap();
    fs::write(&cut, &earlier[..earlier.len() - 20]).unwrap();
    assert_refused(&with(&["--audit", text(&cut)]), "does not go on");
    let another = Vault::start();
    let theirs = another.data().join("audit/decisions.jsonl");
    assert_refused(&with(&["--audit", text(&theirs)]), "does not go on");
    assert!(!into.exists());

    let restored = restore(&mut vault, &dir, Evidence::Log);
    assert_eq!(
        (&restored["kept"], &restored["removed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(granted_value(&vault, &jwt, &short_lived), None);
    // The log goes on, and so does time.
    let audit = fs::read(vault.data().join("audit/decisions.jsonl")).unwrap();
    assert!(audit.starts_with(&whole));
    assert!(
        vault
            .audit()
            .iter()
            .any(|entry| entry["action"] == "restore")
    );
    let index = vault.data().join("objects/index.sqlite3");
    let index = rusqlite::Connection::open(index).unwrap();
    let count: i64 = index
        .query_row("SELECT count(*) FROM objects", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 0, "the value is gone with its token");
    drop(index);

    let restored = restore(&mut vault, &dir, Evidence::None);
    assert_eq!(
        (&restored["kept"], &restored["removed"]),
        (&json!(1), &json!(0))
    );
    let accepted = vault.audit();
    let accepted = accepted.iter().find(|entry| entry["action"] == "restore");
    assert_eq!(accepted.unwrap()["rule"], "resurrection");
    let restored = restore(&mut vault, &lives, Evidence::None);
    assert_eq!(restored["kept"], 1);
    assert_eq!(granted_value(&vault, &jwt, &later), Some(value));
}

#[test]
fn no_grant_survives_a_restore() {
    let mut vault = Vault::start();
    let (owner, jwt) = (vault.session("owner"), vault.application());
    let user = vault.session("user");
    let value = vault.value();
    let token = vault.store(&vault.user(&owner), &value);
    vault.grant(&user, &token, Some("1h"));
    let dir = backup(&vault, "b");
    for session in [&owner, &user] {
        assert_eq!(vault.fetch(&vault.user(session), &token), value);
    }
    restore(&mut vault, &dir, Evidence::Log);
    for session in [&owner, &user] {
        let jwt = vault.user(session);
        let answer = vault.call("/detokenize", &jwt, &json!({ "tokenId": token }));
        crate::assert_refused(&answer, 404, "NoSuchToken");
        assert!(!vault.granted(session, &token));
    }
    for session in [&owner, &user] {
        vault.grant(session, &token, None);
        assert_eq!(vault.fetch(&vault.user(session), &token), value);
    }
    let body = json!({ "tokenId": token, "metadata": { "a": "b" } });
    vault.ok("/metadata/set", &vault.developer("d"), &body);
    assert_eq!(granted_value(&vault, &jwt, &token), Some(value));
}

/// A vault with values of 60 MB, which take a moment to copy.
fn with_much(setup: Setup) -> (Vault, String, String, Vec<u8>) {
    let vault = setup.start();
    let jwt = vault.application();
    for number in 0..12 {
        vault.store(&jwt, &bytes(number, 5_000_000));
    }
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    (vault, jwt, token, value)
}

/// Starts a backup and waits until the first large file is being written.
fn begin(vault: &Vault, dir: &Path) -> Child {
    let mut command = clean(Command::new(strongroom()), &vault.home());
    command
        .args(["backup", text(dir)])
        .env("STRONGROOM_CONFIG", vault.root().join("strongroom.toml"))
        .env("STRONGROOM__DATA_DIR", format!("{:?}", text(vault.data())))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    eventually("it is written", || {
        let runs = unfinished(dir)?.join("data/objects/runs");
        (!files_below(&runs).is_empty()).then_some(())
    });
    child
}

/// What a backup is called while it is not whole.
fn unfinished(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir.parent().unwrap()).unwrap().flatten();
    let name = format!(
        ".{}.unfinished-",
        dir.file_name().unwrap().to_str().unwrap()
    );
    let found = entries.find(|entry| entry.file_name().to_str().unwrap().starts_with(&name));
    found.map(|entry| entry.path())
}

#[test]
fn a_backup_whose_command_is_killed_is_none_and_the_vault_goes_on() {
    let (vault, jwt, token, value) = with_much(Setup::new());
    let dir = place(&vault, "b");
    let mut child = begin(&vault, &dir);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.exists());
    let half = unfinished(&dir).unwrap();
    let into = vault.home().join("restored");
    let words = [
        "restore",
        text(&half),
        "--into",
        text(&into),
        "--accept-resurrection",
    ];
    assert_refused(&vault.cli(&words), "no whole backup");
    assert_eq!(vault.fetch(&jwt, &token), value);
    eventually("the vault notices", || {
        vault
            .log()
            .contains("a backup was asked for and not taken")
            .then_some(())
    });
    fs::remove_dir_all(half).unwrap();

    // A polite end leaves nothing at all.
    let mut child = begin(&vault, &dir);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!wait(&mut child).success());
    assert!(!dir.exists() && unfinished(&dir).is_none());
    backup(&vault, "whole");
}

#[test]
fn a_backup_whose_vault_is_killed_or_stopped_is_none() {
    let (mut vault, jwt, token, value) = with_much(Setup::new());
    let dir = place(&vault, "b");
    let mut child = begin(&vault, &dir);
    vault.kill();
    assert!(!wait(&mut child).success());
    assert!(!dir.exists() && unfinished(&dir).is_none());
    vault.start_again();
    assert!(!vault.data().join("backup.tmp").exists());
    let mut child = begin(&vault, &dir);
    // It does not wait for the backup, nor break it off silently.
    vault.stop();
    assert!(!wait(&mut child).success());
    assert!(!dir.exists() && unfinished(&dir).is_none());
    assert!(!vault.data().join("admin.sock").exists());
    vault.start_again();
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn two_backups_at_a_time_are_one_too_many() {
    let (vault, ..) = with_much(Setup::new());
    let mut child = begin(&vault, &place(&vault, "b"));
    let second = vault.cli(&["backup", text(&place(&vault, "c"))]);
    assert_refused(&second, "under way already");
    assert!(wait(&mut child).success());
}

#[test]
fn a_full_destination_ends_the_backup_and_not_the_vault() {
    let Some(disk) = crate::damage::SmallDisk::mount() else {
        skip("it mounts a small tmpfs, which is not permitted here");
        return;
    };
    let (vault, jwt, token, value) = with_much(Setup::new());
    let output = vault.cli(&["backup", text(&disk.path().join("b"))]);
    assert_refused(&output, "No space left on device");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
    assert_eq!(vault.fetch(&jwt, &token), value);
    let token = vault.store(&jwt, &value);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

/// Connects as nobody and says what it is answered.
const AS_NOBODY: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b'\"backup\"\\n')
    print(len(s.recv(100)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
";

#[test]
fn another_user_is_refused_at_the_admin_socket() {
    if !rustix::process::geteuid().is_root() {
        skip("it becomes another user, which root alone may");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = dir.path().join("socket");
    let vault = Setup::new()
        .set("ADMIN__SOCKET", &format!("{:?}", text(&socket)))
        .start();
    // As if somebody had opened it to all.
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["python3", "-c", AS_NOBODY, text(&socket)])
        .env("PATH", PATH)
        .output()
        .unwrap();
    assert_eq!(said(&output), "0\n");
    eventually("the refusal", || {
        vault
            .log()
            .contains("refused at the admin socket uid=65534")
            .then_some(())
    });
    assert!(
        vault
            .audit()
            .iter()
            .all(|entry| entry["action"] != "backup")
    );
    backup(&vault, "b");
}

#[test]
fn a_socket_whose_path_is_too_long_is_told() {
    let long = format!("/tmp/{}", "x".repeat(110));
    let mut vault = Setup::new()
        .set("ADMIN__SOCKET", &format!("{long:?}"))
        .make();
    let said = vault.refuses_to_start();
    assert!(
        said.contains("admin.socket") && said.contains("at most 107"),
        "{said}"
    );

    // By default the vault serves without, and says so.
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x".repeat(110));
    let vault = Setup::new().data_dir(&deep).start();
    assert!(vault.log().contains("no admin socket"), "{}", vault.log());
    let refused = vault.cli(&["backup", text(&place(&vault, "b"))]);
    assert_refused(&refused, "in use by another strongroom process");
}
