//! The command line against a running vault: round trips, exit codes, what it leaves behind.

use crate::NO_TOKEN;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Output;
use strongroom_tests::{Key, Vault};

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim_end()
        .to_owned()
}

/// Tokenizes standard input.
fn token_of(vault: &Vault, value: &[u8]) -> String {
    let token = text(&vault.cli_with(&["tokenize"], value, &[]));
    vault.mark("a token", &token.as_bytes()["lunasec-".len()..]);
    token
}

#[test]
fn a_value_goes_in_and_out_by_standard_input_and_output() {
    let vault = Vault::start();
    let value = vault.value();
    let token = token_of(&vault, &value);
    assert_eq!(vault.cli(&["detokenize", &token]).stdout, value);
    let by_input = vault.cli_with(&["detokenize", "-"], format!(" {token}\n").as_bytes(), &[]);
    assert_eq!(by_input.stdout, value);
    let plaintext = vault.cli(&["tokenize", "--plaintext", "a little text"]);
    assert_eq!(
        vault.cli(&["detokenize", &text(&plaintext)]).stdout,
        b"a little text"
    );
}

#[test]
fn values_of_0_bytes_and_20_mib_go_in_and_out_by_files_and_pipes() {
    let vault = Vault::start();
    for size in [0, 20 << 20] {
        let value: Vec<u8> = (0..size)
            .map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        let (from, to) = (vault.home().join("from"), vault.home().join("to"));
        fs::write(&from, &value).unwrap();
        let token = text(&vault.cli(&["tokenize", from.to_str().unwrap()]));
        let output = vault.cli(&["detokenize", "-o", to.to_str().unwrap(), &token]);
        assert!(output.status.success() && output.stdout.is_empty());
        assert!(fs::read(&to).unwrap() == value, "{size} by files");
        assert_eq!(
            fs::metadata(&to).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::remove_file(to).unwrap();
        let piped = token_of(&vault, &value);
        assert!(
            vault.cli(&["detokenize", &piped]).stdout == value,
            "{size} by pipes"
        );
    }
}

#[test]
fn metadata_and_grants_are_set_and_read() {
    let vault = Vault::start();
    let made = vault.cli_with(&["tokenize", "--metadata", r#"{"a":1.0}"#], b"x", &[]);
    let token = text(&made);
    assert_eq!(
        text(&vault.cli(&["metadata", "get", &token])),
        r#"{"a":1.0}"#
    );
    assert_eq!(
        text(&vault.cli(&["metadata", "set", &token, r#"{"b":2}"#])),
        ""
    );
    let session = vault.session("s");
    let got = vault.cli(&["--json", "metadata", "get", &token]);
    assert_eq!(text(&got), r#"{"metadata":{"b":2}}"#);
    let verify = || vault.cli(&["grant", "verify", &token, "--session", &session]);
    assert_eq!(
        (verify().status.code(), verify().stdout),
        (Some(6), b"not valid\n".to_vec())
    );
    text(&vault.cli(&["grant", "set", &token, "--session", &session, "--for", "5m"]));
    assert_eq!(text(&verify()), "valid");
    let jwt = text(&vault.cli(&["auth", "create", "--subject", "user", "--session", &session]));
    vault.mark_jwt(&jwt);
    assert_eq!(vault.fetch(&jwt, &token), b"x");
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let vault = Vault::start();
    let token = token_of(&vault, b"x");
    let other_key = vault.home().join("other.pem");
    let (empty, _) = vault.tokenize(&vault.application(), &json!({}));
    let stranger = {
        let mut command = std::process::Command::new("openssl");
        command
            .args(["genpkey", "-quiet", "-algorithm", "RSA", "-out"])
            .arg(&other_key);
        command.status().is_ok_and(|status| status.success())
    };
    assert!(stranger, "openssl makes a key");
    fs::set_permissions(&other_key, fs::Permissions::from_mode(0o600)).unwrap();
    let other_key = other_key.to_str().unwrap();
    for (code, arguments) in [
        (0, &["detokenize", &token][..]),
        (2, &["detokenize"]),
        (2, &["nonsense"]),
        (2, &["detokenize", "nonsense"]),
        (2, &["tokenize", "--metadata", "[]"]),
        (2, &["--json", "detokenize", &token]),
        (2, &["grant", "set", &token, "--self", "--for", "1d"]),
        (2, &["auth", "create", "--subject", "user"]),
        (3, &["detokenize", NO_TOKEN]),
        (3, &["detokenize", "--no-grant", NO_TOKEN]),
        (3, &["detokenize", &empty]),
        (3, &["metadata", "get", &token]),
        (3, &["grant", "set", NO_TOKEN, "--self"]),
        (4, &["--key", other_key, "detokenize", &token]),
        (5, &["--url", "http://127.0.0.1:1", "detokenize", &token]),
        (6, &["grant", "verify", NO_TOKEN, "--self"]),
        (1, &["tokenize", "/none/such"]),
        (1, &["--key", "/none/such", "detokenize", &token]),
    ] {
        let output = vault.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        if ![0, 6].contains(&code) {
            let json = arguments.contains(&"--json");
            assert_eq!(
                (said.is_empty(), output.stdout.is_empty()),
                (json, !json),
                "{arguments:?}"
            );
            assert!(!said.contains(&token), "{arguments:?}: {said}");
        }
    }
    let help = String::from_utf8(vault.cli(&["--help"]).stdout).unwrap();
    for code in [
        "0 done",
        "2 wrong usage",
        "3 no such token",
        "5 the vault is unavailable",
        "6 ",
    ] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn a_stopped_vault_is_exit_code_5() {
    let mut vault = Vault::start();
    let url = vault.api_url().to_owned();
    vault.stop();
    let output = vault.cli_with(&["--url", &url, "tokenize"], b"x", &[]);
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn json_is_one_object_for_results_and_failures() {
    let vault = Vault::start();
    let json = |output: Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let made = json(vault.cli_with(&["--json", "tokenize"], b"x", &[]));
    let token = made["tokenId"].as_str().unwrap();
    let to = vault.home().join("to");
    let to = to.to_str().unwrap();
    assert_eq!(
        json(vault.cli(&["--json", "detokenize", "-o", to, token])),
        json!({ "bytes": 1 })
    );
    let verified = json(vault.cli(&["--json", "grant", "verify", token, "--self"]));
    assert_eq!(verified, json!({ "valid": true }));
    let failed = vault.cli(&["--json", "metadata", "get", NO_TOKEN]);
    assert_eq!(failed.status.code(), Some(3));
    let error = json(failed)["error"].take();
    assert_eq!(
        (&error["name"], &error["status"]),
        (&json!("NoSuchToken"), &json!(404))
    );
    let id = error["requestId"].as_str().unwrap();
    assert!(vault.audit().iter().any(|entry| entry["request"] == id));
}

#[test]
fn a_download_that_is_cut_leaves_no_file_and_an_old_one_as_it_was() {
    let vault = Vault::start();
    let value = vec![b'v'; 3 << 20];
    let token = token_of(&vault, &value);
    let [object] = vault.objects().try_into().unwrap();
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(object)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2 << 20).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 2 << 20).unwrap();

    let dir = vault.home().join("downloads");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("old"), "as it was").unwrap();
    for name in ["old", "new"] {
        let to = dir.join(name);
        let output = vault.cli(&["detokenize", "-o", to.to_str().unwrap(), &token]);
        assert_eq!(
            output.status.code().filter(|code| *code != 0),
            output.status.code()
        );
        assert!(!output.stderr.is_empty());
    }
    let names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["old"]);
    assert_eq!(fs::read_to_string(dir.join("old")).unwrap(), "as it was");
    let piped = vault.cli(&["detokenize", &token]);
    assert!(!piped.status.success() && piped.stdout.len() < value.len());
}

#[test]
fn a_signing_key_that_others_can_read_is_refused() {
    let vault = Vault::start();
    let key = vault.root().join("application.key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let output = vault.cli_with(&["tokenize"], b"x", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("chmod 600"),
        "{said}"
    );
    let other = Key::ed25519();
    fs::write(&key, other.public_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!vault.cli_with(&["tokenize"], b"x", &[]).status.success());
}
