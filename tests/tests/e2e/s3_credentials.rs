//! Credentials of the S3 endpoint beside the vault's own: made by the command line, named in the
//! configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use strongroom_tests::{Setup, Vault};

/// Runs `s3 credential` with these arguments; returns what it printed.
fn make(vault: &Vault, arguments: &[&str]) -> String {
    let output = vault.cli(&[&["s3", "credential"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn add(vault: &Vault, tables: &str) {
    let path = vault.root().join("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}\n{tables}\n")).unwrap();
}

#[test]
fn a_credential_is_made_and_its_table_can_be_added_as_it_stands() {
    let mut vault = Setup::new().make();
    let name = "back\"up = 1 # no";
    let printed = make(
        &vault,
        &["--name", name, "--bucket", "backup", "--bucket", "b-*"],
    );
    let tables: toml::Table = printed.parse().unwrap();
    let made = &tables["s3"]["credential"][0];
    assert_eq!(made["name"].as_str(), Some(name));
    assert_eq!(made["server_keyed"].as_bool(), Some(false));
    let buckets: Vec<_> = made["buckets"].as_array().unwrap().iter().collect();
    assert_eq!(
        buckets,
        [&"backup".into(), &"b-*".into()] as [&toml::Value; 2]
    );
    let secret = vault
        .root()
        .join(made["secret_access_key_file"].as_str().unwrap());
    let mode = fs::metadata(&secret).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let text = fs::read_to_string(secret).unwrap();
    assert!(text.trim().len() >= 40, "{} characters", text.len());
    assert!(!printed.contains(text.trim()), "the secret was printed");
    vault.mark("a secret access key", text.trim().as_bytes());
    add(&vault, &printed);
    // A second one of the same name, as while a key is being replaced.
    let second = make(&vault, &["--name", name]);
    assert_ne!(second, printed);
    add(&vault, &second);
    vault.start_again();
    let disagreeing = vault.cli(&["s3", "credential", "--name", name, "--server-keyed"]);
    assert!(!disagreeing.status.success());
    let said = String::from_utf8(disagreeing.stderr).unwrap();
    assert!(said.contains("s3.credential 3 server_keyed"), "{said}");
    assert_eq!(secrets(&vault), 2, "nothing is written for what cannot be");
}

/// How many files with secrets there are.
fn secrets(vault: &Vault) -> usize {
    let files = fs::read_dir(vault.root()).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".secret")).count()
}

#[test]
fn a_credential_that_cannot_be_is_refused_at_start() {
    let table = |more: &str| {
        format!(
            "[[s3.credential]]\nname = \"a\"\naccess_key_id = \"AAA\"\n\
             secret_access_key_file = \"a.secret\"\n{more}\n"
        )
    };
    let start = |text: &str, secret: &str, mode: u32| {
        let mut vault = Setup::new().make();
        let path = vault.root().join("a.secret");
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        add(&vault, text);
        vault.refuses_to_start()
    };
    let sound = "0123456789abcdef";
    for (text, secret, mode, expected) in [
        (table(""), sound, 0o644, "open to others"),
        (table(""), "0123456789abcde", 0o600, "16 characters"),
        (
            table("buckets = [\"strongroom\"]"),
            sound,
            0o600,
            "s3.credential 1 buckets",
        ),
        (
            table("buckets = [\"No\"]"),
            sound,
            0o600,
            "s3.credential 1 buckets",
        ),
        (table("typo = 1"), sound, 0o600, "typo"),
        (
            table("") + &table(""),
            sound,
            0o600,
            "s3.credential 2 access_key_id",
        ),
    ] {
        let said = start(&text, secret, mode);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains(&secret[..12]), "{said}");
    }
}
