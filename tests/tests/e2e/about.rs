//! What the program says of itself and of a vault: version, completions, manual pages, health.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::sync::Arc;
use strongroom_tests::binary::strongroom;
use strongroom_tests::tls::put;
use strongroom_tests::vault::{clean, files_below, run};
use strongroom_tests::{Authority, Setup, Vault};

/// Runs the program alone, in an empty directory.
fn alone(arguments: &[&str]) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = clean(Command::new(strongroom()), dir.path());
    command.args(arguments);
    let output = run(command, b"");
    (dir, output)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_version_names_commit_compiler_and_target() {
    let (_dir, long) = alone(&["--version"]);
    let long = text(&long);
    let lines: Vec<_> = long.lines().collect();
    let [version, commit, compiler, target] = <[_; 4]>::try_from(lines).unwrap();
    assert!(version.starts_with("strongroom "), "{long}");
    let commit = commit.strip_prefix("commit ").unwrap();
    let digits = commit.trim_end_matches("-dirty");
    let named = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(named || commit == "unknown", "{long}");
    assert!(compiler.starts_with("built by rustc 1."), "{long}");
    assert!(
        target.starts_with("built for ") && target.contains("linux"),
        "{long}"
    );
    let (_dir, short) = alone(&["-V"]);
    assert_eq!(text(&short).trim_end(), version);
}

#[test]
fn bash_completes_commands_options_and_values() {
    let (dir, output) = alone(&["completions", "bash"]);
    fs::write(dir.path().join("strongroom.bash"), output.stdout).unwrap();
    for (words, expected) in [
        ("strongroom detok", "detokenize"),
        ("strongroom config ch", "check"),
        ("strongroom serve --behind", "--behind-proxy"),
        ("strongroom completions zs", "zsh"),
    ] {
        let script = format!(
            "source strongroom.bash\n\
             COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _strongroom strongroom \"${{COMP_WORDS[COMP_CWORD]}}\" \
             \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"\n"
        );
        let mut bash = clean(Command::new("bash"), dir.path());
        bash.args(["--norc", "-c", &script]);
        let output = run(bash, b"");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text(&output).trim_end(), expected, "{words}: {errors}");
    }
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (_dir, output) = alone(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        assert!(text(&output).contains("detokenize"), "{shell}");
    }
    let (_dir, output) = alone(&["completions", "dash"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_command_has_a_page_that_groff_takes() {
    let (dir, output) = alone(&["man", "--dir", "man/man1"]);
    assert!(output.status.success());
    let pages = files_below(&dir.path().join("man/man1"));
    let names: Vec<_> = pages
        .iter()
        .map(|page| page.file_name().unwrap().to_str().unwrap())
        .collect();
    for name in [
        "strongroom.1",
        "strongroom-serve.1",
        "strongroom-config-check.1",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let (_dir, output) = alone(&["man"]);
    assert_eq!(
        text(&output),
        fs::read_to_string(
            &pages[names
                .iter()
                .position(|name| *name == "strongroom.1")
                .unwrap()]
        )
        .unwrap()
    );
    if Command::new("groff").arg("--version").output().is_err() {
        crate::skip("groff is not installed");
        return;
    }
    for page in pages {
        let mut groff = clean(Command::new("groff"), dir.path());
        groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(&page);
        let output = run(groff, b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{}: {said}",
            page.display()
        );
    }
}

fn health(vault: &Vault, arguments: &[&str], overrides: &[(&str, &str)]) -> Output {
    let mut command = clean(Command::new(strongroom()), &vault.home());
    command.arg("health").args(arguments).arg("--config");
    command.arg(vault.root().join("strongroom.toml"));
    let listen = vault.api().to_string();
    command.env("STRONGROOM__API__LISTEN", listen);
    command.envs(overrides.iter().copied());
    run(command, b"")
}

#[test]
fn a_live_vault_is_healthy_and_a_dead_one_is_not() {
    let mut vault = Vault::start();
    for arguments in [&[] as &[_], &["--live"]] {
        let output = health(&vault, arguments, &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(text(&output).contains("it runs"), "{}", text(&output));
    }
    let json: Value = serde_json::from_slice(&health(&vault, &["--json"], &[]).stdout).unwrap();
    let expected = serde_json::json!({
        "url": vault.api_url(), "live": true, "ready": true, "fault": null,
    });
    assert_eq!(json, expected);
    let url = vault.api_url().to_owned();
    let by_url = || alone(&["health", "--url", &url]).1;
    assert!(by_url().status.success());
    vault.stop();
    let output = by_url();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no connection to 127.0.0.1"));
    let json = alone(&["health", "--json", "--url", &url]).1;
    assert_eq!(json.status.code(), Some(5));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&json["live"], &json["ready"]),
        (&Value::Bool(false), &Value::Null)
    );
    assert!(
        json["fault"].as_str().unwrap().contains("no connection"),
        "{json}"
    );
}

#[test]
fn a_vault_that_cannot_serve_is_live_and_says_why() {
    let vault = Vault::start();
    let log = vault.data().join("audit/decisions.jsonl");
    let original = fs::metadata(&log).unwrap().permissions();
    drop((log, original));
    let url = vault.s3().to_string();
    // Something that answers, and is no vault.
    let output = alone(&["health", "--url", &format!("http://{url}")]).1;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = alone(&["health", "--url", "ftp://127.0.0.1"]).1;
    assert_eq!(output.status.code(), Some(2));
    let output = alone(&["health"]).1;
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_vault_with_tls_is_asked_under_its_public_name() {
    let mut vault = Setup::new().tls().make();
    let authority = Arc::new(Authority::default());
    authority.issue().write(vault.root());
    vault.believe(&authority);
    put(&vault.home(), "ca.pem", authority.pem());
    fs::set_permissions(
        vault.home().join("ca.pem"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    vault.set("API__PUBLIC_URL", "https://localhost:1/behind/a/path");
    vault.start_again();
    let tls = |key: &str| format!("STRONGROOM__API__TLS__{key}");
    let (certificate, key) = (tls("CERTIFICATE_FILE"), tls("KEY_FILE"));
    let ca = vault.home().join("ca.pem");
    let files = [
        (certificate.as_str(), "tls.pem"),
        (key.as_str(), "tls.key"),
        (
            "STRONGROOM__API__PUBLIC_URL",
            "https://localhost:1/behind/a/path",
        ),
        ("STRONGROOM__CLIENT__CA_FILE", ca.to_str().unwrap()),
    ];
    let output = health(&vault, &[], &files);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let port = vault.api().port();
    assert!(
        text(&output).starts_with(&format!("https://localhost:{port}: ")),
        "{}",
        text(&output)
    );
    let output = health(&vault, &[], &files[..3]);
    assert_eq!(
        output.status.code(),
        Some(5),
        "the authority is not known to it"
    );
    let elsewhere = [
        files[0],
        files[1],
        files[3],
        ("STRONGROOM__API__PUBLIC_URL", "https://other.example"),
    ];
    let output = health(&vault, &[], &elsewhere);
    assert_eq!(
        output.status.code(),
        Some(5),
        "the certificate is for another name"
    );
}
