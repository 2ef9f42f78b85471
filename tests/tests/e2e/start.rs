//! What the vault refuses to start on, and what it puts right at start.

use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use strongroom_tests::binary::strongroom;
use strongroom_tests::vault::{clean, run};
use strongroom_tests::{Setup, Vault};

#[track_caller]
fn assert_refuses(vault: &mut Vault, expected: &[&str]) {
    let said = vault.refuses_to_start();
    assert!(said.contains("error: "), "{said}");
    for text in expected {
        assert!(said.contains(text), "{text:?} is not in: {said}");
    }
}

#[test]
fn a_format_that_is_not_known_is_refused_and_left_alone() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    vault.stop();
    for (file, known) in [("format", 1), ("objects/format", 2)] {
        let path = vault.data().join(file);
        let sound = fs::read(&path).unwrap();
        let newer = known + 1;
        fs::write(&path, format!("{newer}\n")).unwrap();
        let said = [format!("format {newer}"), format!("knows up to {known}")];
        assert_refuses(&mut vault, &[&said[0], &said[1]]);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{newer}\n"));
        for nonsense in ["0\n", "", "one\n", "-1\n"] {
            fs::write(&path, nonsense).unwrap();
            assert_refuses(&mut vault, &["format"]);
        }
        fs::write(&path, sound).unwrap();
    }
    let version = |vault: &Vault, file: &str, version: u32| {
        let connection = Connection::open(vault.data().join(file)).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
    };
    version(&vault, "records.sqlite3", 99);
    assert_refuses(&mut vault, &["format 99", "records.sqlite3"]);
    version(&vault, "records.sqlite3", 0);
    assert_refuses(&mut vault, &["format 0", "records.sqlite3"]);
    version(&vault, "records.sqlite3", 1);
    let index = "objects/index.sqlite3";
    for unknown in [99, 0] {
        version(&vault, index, unknown);
        assert_refuses(&mut vault, &["objects"]);
    }
    version(&vault, index, 1);
    vault.start_again();
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn a_second_process_is_refused_while_the_first_one_runs_on() {
    let vault = Vault::start();
    let mut command = clean(Command::new(strongroom()), &vault.home());
    command
        .args(["serve", "--config"])
        .arg(vault.root().join("strongroom.toml"));
    for listener in ["API", "S3"] {
        command.env(format!("STRONGROOM__{listener}__LISTEN"), "127.0.0.1:0");
    }
    let output = run(command, b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("is in use by another strongroom process"),
        "{said}"
    );
    vault.ok("/tokenize", &vault.application(), &serde_json::json!({}));
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let mut vault = Setup::new().make();
    for (path, mode) in [
        (vault.root().join("master.key"), 0o640),
        (vault.data().join("keyring"), 0o604),
        (vault.data().to_owned(), 0o755),
    ] {
        let private = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_refuses(
            &mut vault,
            &["open to others", "chmod", path.to_str().unwrap()],
        );
        fs::set_permissions(&path, private).unwrap();
    }
    let secret = vault.root().join("s3.secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    vault.set("S3__SECRET_ACCESS_KEY_FILE", "\"s3.secret\"");
    assert_refuses(&mut vault, &["open to others", "s3.secret"]);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    vault.start_again();
}

#[test]
fn another_master_key_and_a_damaged_keyring_are_refused() {
    let mut vault = Setup::new().make();
    let master = vault.root().join("master.key");
    let sound = fs::read_to_string(&master).unwrap();
    let other = format!("strongroom-master-v1:{}=\n", "A".repeat(43));
    for bad in [other.as_str(), "nonsense\n", ""] {
        fs::write(&master, bad).unwrap();
        assert_refuses(&mut vault, &[]);
    }
    fs::remove_file(&master).unwrap();
    assert_refuses(&mut vault, &["master.key"]);
    fs::write(&master, sound).unwrap();
    fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).unwrap();

    let keyring = vault.data().join("keyring");
    let sound = fs::read(&keyring).unwrap();
    for at in [0, 5, 20, 60, sound.len() - 1] {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(&keyring, changed).unwrap();
        assert_refuses(&mut vault, &["keyring"]);
    }
    fs::write(&keyring, sound).unwrap();
    vault.start_again();
}

#[test]
fn an_old_copy_of_the_keyring_and_another_vaults_records_are_refused() {
    let mut vault = Vault::start();
    vault.stop();
    let mark = |vault: &Vault, name: &str, value: &[u8]| {
        let connection = Connection::open(vault.data().join("records.sqlite3")).unwrap();
        let change = "UPDATE marks SET value = ?1 WHERE name = ?2";
        assert_eq!(connection.execute(change, (value, name)).unwrap(), 1);
    };
    mark(&vault, "keyring_version", &2_u64.to_be_bytes());
    assert_refuses(
        &mut vault,
        &["the keyring is version 1, but version 2 was already in use"],
    );
    mark(&vault, "keyring_version", &1_u64.to_be_bytes());
    mark(&vault, "vault_id", &[7; 16]);
    assert_refuses(&mut vault, &["belongs to another vault"]);
}

#[test]
fn an_unfinished_upload_is_removed_at_start() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    vault.kill();
    let left = ["left-over", "0123456789abcdef0123456789abcdef"];
    let left = left.map(|name| vault.data().join("objects/incoming").join(name));
    for path in &left {
        fs::write(path, "half of a sealed value").unwrap();
    }
    vault.start_again();
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn a_stored_value_whose_file_was_not_yet_moved_is_found_at_start() {
    let mut vault = Setup::new().files().start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    vault.kill();
    // As if the power had failed between the commit and the file's move to its shelf.
    let [file] = <[_; 1]>::try_from(vault.objects()).unwrap();
    let name = file.file_name().unwrap();
    fs::rename(&file, vault.data().join("objects/incoming").join(name)).unwrap();
    vault.start_again();
    assert_eq!(vault.objects(), [file]);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn a_configuration_that_cannot_be_right_is_refused_with_its_key() {
    for (key, value, expected) in [
        ("API__LISTEN", "0.0.0.0:0", "loopback"),
        ("S3__LISTEN", "0.0.0.0:0", "loopback"),
        ("API__LISSEN", "127.0.0.1:0", "lissen"),
        ("GRANTS__MAX", "1m", "grants.default"),
        ("TOKENS__LIFETIME", "1m", "tokens.lifetime"),
        ("API__BODY_TIME_MAX", "10", "body_time_max"),
        ("API__PUBLIC_URL", "vault.example.org", "api.public_url"),
        ("LOG__FORMAT", "xml", "format"),
        ("KEY_SOURCE", "[]", "key source"),
        (
            "KEY_SOURCE",
            r#"[{ name = "a", public_key_files = ["application.key.pem"] }]"#,
            "private",
        ),
        (
            "KEY_SOURCE",
            r#"[{ name = "a", public_key_files = ["none.pem"] }]"#,
            "none.pem",
        ),
    ] {
        let mut vault = Setup::new().set(key, value).make();
        let said = vault.refuses_to_start();
        assert!(said.contains(expected), "{key}={value}: {said}");
    }
}

#[test]
fn the_configuration_is_found_in_the_documented_order() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let serve = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = clean(Command::new(strongroom()), home);
        command
            .arg("serve")
            .args(arguments)
            .envs(environment.iter().copied());
        let output = run(command, b"");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let nothing = serve(&[], &[]);
    for hint in [
        "no configuration found",
        "strongroom init",
        "serve --dev",
        "--config",
    ] {
        assert!(nothing.contains(hint), "{nothing}");
    }
    // An unknown key tells which of the files was read.
    let write = |name: &str, key: &str| fs::write(home.join(name), format!("{key} = 1\n")).unwrap();
    fs::create_dir(home.join("strongroom")).unwrap();
    write("strongroom/strongroom.toml", "in_the_directory");
    assert!(serve(&[], &[]).contains("in_the_directory"));
    write("strongroom.toml", "beside");
    assert!(serve(&[], &[]).contains("beside"));
    write("named.toml", "by_environment");
    let environment = [("STRONGROOM_CONFIG", "named.toml")];
    assert!(serve(&[], &environment).contains("by_environment"));
    write("argument.toml", "by_argument");
    let said = serve(&["--config", "argument.toml"], &environment);
    assert!(
        said.contains("by_argument") && said.contains("argument.toml"),
        "{said}"
    );
    assert!(serve(&["--config", "none.toml"], &[]).contains("none.toml does not exist"));
}
