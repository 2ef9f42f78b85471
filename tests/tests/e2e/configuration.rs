//! The configuration: all its faults at once, what `config check` and `config show` say, and the
//! logs that it asks for.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use strongroom_tests::binary::strongroom;
use strongroom_tests::tls::put;
use strongroom_tests::vault::{clean, run};
use strongroom_tests::{Authority, Setup, Vault};

/// Runs the program with the vault's configuration and these overrides.
fn config(vault: &Vault, arguments: &[&str], overrides: &[(&str, &str)]) -> Output {
    let mut command = clean(Command::new(strongroom()), &vault.home());
    command.args(arguments).arg("--config");
    command.arg(vault.root().join("strongroom.toml"));
    command.envs(overrides.iter().copied());
    run(command, b"")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const FAULTY: &str = "shutdown_s = 30
typo = 1
[api]
lissen = \"127.0.0.1:1\"
body_time_max = \"10\"
[grants]
default = \"2h\"
[[key_source]]
name = \"default\"
public_key_files = [\"application.pub.pem\", 5]
";

#[test]
fn every_fault_is_told_in_one_run_with_its_line() {
    let mut vault = Setup::new().make();
    let file = vault.root().join("strongroom.toml");
    fs::write(&file, FAULTY).unwrap();
    vault.set("S3__UPLOADS_MAX", "0");
    let told = vault.refuses_to_start();
    let file = file.display();
    for line in [
        format!("{file}:2:1: typo: unknown key"),
        format!("{file}:4:1: api.lissen: unknown key; did you mean `listen`?"),
        format!("{file}:5:17: api.body_time_max: a duration is a whole number"),
        format!("{file}:7:11: grants.default: at most grants.max is wanted"),
        format!("{file}:10:43: key_source 1 public_key_files 2: 5, where a path is wanted"),
        "environment: STRONGROOM__S3__UPLOADS_MAX: s3.uploads_max: at least 1 is wanted".into(),
        "error: 6 faults in the configuration".into(),
    ] {
        assert!(
            told.lines().any(|found| found.starts_with(&line)),
            "{line}\n{told}"
        );
    }
    assert_eq!(told.lines().count(), 7, "{told}");
    for arguments in [
        &["config", "check"] as &[_],
        &["config", "show"],
        &["serve"],
        &["health"],
    ] {
        let output = config(&vault, arguments, &[]);
        assert_eq!(output.status.code(), Some(7), "{arguments:?}");
        assert!(
            said(&output).contains("5 faults in the configuration"),
            "{arguments:?}"
        );
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
    let json = config(&vault, &["config", "check", "--json"], &[]);
    assert_eq!(json.status.code(), Some(7));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["faults"].as_array().unwrap().len(), 5, "{json}");
}

#[test]
fn a_sound_configuration_is_found_so_while_the_vault_runs() {
    let vault = Vault::start();
    let output = config(&vault, &["config", "check"], &[]);
    assert_eq!(said(&output), "");
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .ends_with("strongroom.toml: ok\n")
    );
    let open = [
        ("STRONGROOM__API__LISTEN", "192.0.2.1:1"),
        ("STRONGROOM__TRUSTED_PROXIES", "[\"192.0.2.2\"]"),
    ];
    let output = config(&vault, &["config", "check"], &open);
    assert!(said(&output).contains("environment: STRONGROOM__API__LISTEN: api.listen: plain HTTP"));
    let output = config(&vault, &["config", "check", "--behind-proxy"], &open);
    assert!(output.status.success(), "{}", said(&output));
    vault.ok("/tokenize", &vault.application(), &serde_json::json!({}));
}

#[test]
fn the_files_that_are_named_are_looked_at() {
    let vault = Setup::new().make();
    let check = |overrides: &[(&str, &str)], expected: &[&str]| {
        let output = config(&vault, &["config", "check"], overrides);
        let told = said(&output);
        assert_eq!(output.status.code(), Some(7), "{told}");
        for expected in expected {
            assert!(told.contains(expected), "{expected}\n{told}");
        }
        let count = expected.len();
        assert_eq!(told.lines().count(), count + 1, "{told}");
    };
    let certificate = Authority::default().issue();
    certificate.write(vault.root());
    let other = Authority::default().issue();
    put(&vault.root().join("."), "other.pem", &other.pem);
    check(
        &[
            ("STRONGROOM__MASTER_KEY_FILE", "none.key"),
            (
                "STRONGROOM__API__TLS",
                "{certificate_file = \"other.pem\", key_file = \"tls.key\"}",
            ),
            (
                "STRONGROOM__S3__TLS",
                "{certificate_file = \"none.pem\", key_file = \"tls.key\"}",
            ),
            ("STRONGROOM__S3__SECRET_ACCESS_KEY_FILE", "none.secret"),
            (
                "STRONGROOM__KEY_SOURCE",
                "[{name = \"a\", public_key_files = [\"application.key.pem\"]}, \
                 {name = \"b\", public_key_files = [\"none.pem\"]}]",
            ),
            ("STRONGROOM__CLIENT__CA_FILE", "tls.key"),
        ],
        &[
            "environment: STRONGROOM__MASTER_KEY_FILE: master_key_file: ",
            "environment: STRONGROOM__API__TLS: api.tls: certificate_file ",
            "environment: STRONGROOM__S3__TLS: s3.tls: ",
            "environment: STRONGROOM__S3__SECRET_ACCESS_KEY_FILE: s3.secret_access_key_file: ",
            "environment: STRONGROOM__KEY_SOURCE: key_source 1: ",
            "environment: STRONGROOM__KEY_SOURCE: key_source 2: ",
            "environment: STRONGROOM__CLIENT__CA_FILE: client.ca_file: ",
        ],
    );
    for (name, line) in [("master.key", 10), ("application.key.pem", 45)] {
        let path = vault.root().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        check(&[], &[&format!("strongroom.toml:{line}:")]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::remove_file(vault.root().join("application.key.pem")).unwrap();
    let output = config(&vault, &["config", "check"], &[]);
    assert!(
        output.status.success(),
        "the application keeps it: {}",
        said(&output)
    );
    fs::write(vault.data().join("keyring"), "nonsense").unwrap();
    check(&[], &["data_dir: "]);
}

#[test]
fn what_is_shown_starts_the_same_vault() {
    let mut vault = Setup::new().make();
    let overrides = [
        ("STRONGROOM__GRANTS__MAX", "90m"),
        ("STRONGROOM__DATA_DIR", vault.data().to_str().unwrap()),
    ];
    let output = config(&vault, &["config", "show"], &overrides);
    assert!(output.status.success(), "{}", said(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    let file = vault.root().join("strongroom.toml");
    for line in [
        format!("listen = \"127.0.0.1:37766\"  # {}:16", file.display()),
        "max = \"90m\"  # environment: STRONGROOM__GRANTS__MAX".into(),
        "cache = \"64MiB\"  # default".into(),
        "# iss is not set".into(),
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
    }
    let master = fs::read_to_string(vault.root().join("master.key")).unwrap();
    assert!(!shown.contains(master.trim()));
    fs::write(&file, &shown).unwrap();
    let again = config(&vault, &["config", "show"], &[]);
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("# Configuration"));
        lines
            .map(|line| line.split("  # ").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        values(&String::from_utf8(again.stdout).unwrap()),
        values(&shown)
    );
    vault.start_again();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

#[test]
fn logs_are_lines_of_text_or_of_json() {
    for format in ["text", "json"] {
        let mut vault = Setup::new()
            .set("LOG__FORMAT", format)
            .set("LOG__LEVEL", "debug")
            .make();
        vault.start_again();
        let token = vault.store(&vault.application(), &vault.value());
        vault.fetch(&vault.application(), &token);
        vault.stop();
        let log = vault.log();
        assert!(log.contains("serving") && log.contains("stopping"), "{log}");
        assert!(
            !log.contains('\u{1b}'),
            "no colours where there is no terminal"
        );
        if format == "text" {
            assert!(
                log.lines()
                    .any(|line| line.contains(" INFO ") && line.contains("serving"))
            );
            continue;
        }
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            for key in ["timestamp", "level", "target"] {
                assert!(line[key].is_string(), "{line}");
            }
            assert!(line["fields"]["message"].is_string(), "{line}");
        }
        let serving = log
            .lines()
            .find(|line| line.contains("\"serving\""))
            .unwrap();
        let serving: Value = serde_json::from_str(serving).unwrap();
        assert!(
            serving["fields"]["api"]
                .as_str()
                .unwrap()
                .starts_with("http://127.0.0.1:")
        );
        assert_eq!(serving["level"], "INFO");
    }
}

#[test]
fn the_level_is_a_filter() {
    let mut vault = Setup::new()
        .set("LOG__LEVEL", "off,strongroom_cli=info")
        .make();
    vault.start_again();
    vault.stop();
    assert!(vault.log().contains("serving"), "{}", vault.log());
    let mut vault = Setup::new().set("LOG__LEVEL", "warn").make();
    vault.start_again();
    vault.stop();
    assert_eq!(vault.log(), "");
    let mut vault = Setup::new().set("LOG__LEVEL", "inof").make();
    let told = vault.refuses_to_start();
    assert!(told.contains("did you mean `info`?"), "{told}");
}
