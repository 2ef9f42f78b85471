//! Discovery against real directories and modes.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use strongroom_core::UnixMillis;

fn args(url: Option<&str>, key: Option<&Path>) -> ConnectArgs {
    ConnectArgs {
        url: url.map(str::to_owned),
        key: key.map(Path::to_owned),
        issuer: None,
        ca: None,
        json: false,
        quiet: true,
    }
}

fn find(
    args: &ConnectArgs,
    settings: Option<ClientSettings>,
    dir: &Path,
) -> anyhow::Result<Connection> {
    let around = Surroundings {
        runtime_dir: Some(dir.join("run")),
        temp_dir: dir.to_owned(),
        notify_socket: None,
    };
    let now: Now = Arc::new(|| UnixMillis(0));
    Connection::find(args, settings, &around, now, Output::new(false, true))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A development vault under the runtime directory.
fn dev(dir: &Path) -> PathBuf {
    let dev = dir.join("run/strongroom-dev");
    fs::create_dir_all(&dev).unwrap();
    mode(&dev, 0o700);
    let text = r#"{"url":"http://127.0.0.1:9","signing_key_file":"app.pem","pid":1}"#;
    fs::write(dev.join("vault.json"), text).unwrap();
    dev
}

#[test]
fn without_anything_the_user_is_told_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let error = find(&args(None, None), None, dir.path()).err().unwrap();
    assert!(
        error
            .to_string()
            .starts_with("no signing key: give --key FILE")
    );
}

#[test]
fn the_development_vault_is_found_when_nothing_else_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let dev = dev(dir.path());
    let found = find(&args(None, None), None, dir.path()).unwrap();
    assert_eq!(found.url.as_deref(), Some("http://127.0.0.1:9"));
    assert_eq!(found.key, dev.join("app.pem"));
}

#[test]
fn the_development_vault_is_found_in_the_temporary_directory() {
    let dir = tempfile::tempdir().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    fs::rename(
        dev(dir.path()),
        dir.path().join(format!("strongroom-dev-{uid}")),
    )
    .unwrap();
    assert!(find(&args(None, None), None, dir.path()).is_ok());
}

#[test]
fn arguments_and_configuration_keep_the_development_vault_out() {
    let dir = tempfile::tempdir().unwrap();
    dev(dir.path());
    let key = Path::new("/k");
    assert!(
        find(&args(None, Some(key)), None, dir.path())
            .unwrap()
            .url
            .is_none()
    );
    assert!(find(&args(Some("http://h"), None), None, dir.path()).is_err());
    let settings = || ClientSettings {
        url: "https://v".into(),
        signing_key_file: "/c".into(),
        issuer: Some("i".into()),
        ca_file: Some("/ca".into()),
    };
    let found = find(&args(None, None), Some(settings()), dir.path()).unwrap();
    assert_eq!(
        (found.url.as_deref(), found.key, found.ca),
        (Some("https://v"), "/c".into(), Some("/ca".into()))
    );
    let found = find(&args(None, Some(key)), Some(settings()), dir.path()).unwrap();
    assert_eq!(
        (found.url.as_deref(), found.key),
        (Some("https://v"), key.into())
    );
}

#[test]
fn a_development_directory_that_others_could_have_made_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dev = dev(dir.path());
    for bad in [0o755, 0o770, 0o701, 0o500] {
        mode(&dev, bad);
        let error = find(&args(None, None), None, dir.path()).err().unwrap();
        assert!(error.to_string().contains("mode 0700"), "{bad:o}");
    }
    mode(&dev, 0o700);
    let moved = dir.path().join("elsewhere");
    fs::rename(&dev, &moved).unwrap();
    symlink(&moved, &dev).unwrap();
    let error = find(&args(None, None), None, dir.path()).err().unwrap();
    assert!(error.to_string().contains("must be a directory"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("app.pem");
    fs::write(&key, "not a key").unwrap();
    let connection = find(&args(None, Some(&key)), None, dir.path()).unwrap();
    for bad in [0o644, 0o640, 0o604, 0o620] {
        mode(&key, bad);
        let error = connection.signer().err().unwrap().to_string();
        assert!(
            error.contains("can be read by others") && error.contains("chmod 600"),
            "{error}"
        );
    }
    mode(&key, 0o600);
    let error = format!("{:#}", connection.signer().err().unwrap());
    assert!(
        error.contains("must be an unencrypted PEM private key"),
        "{error}"
    );
}

#[test]
fn a_missing_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("none.pem");
    let connection = find(&args(None, Some(&key)), None, dir.path()).unwrap();
    let error = format!("{:#}", connection.signer().err().unwrap());
    assert!(
        error.contains("cannot open") && error.contains("none.pem"),
        "{error}"
    );
    let connection = find(&args(None, Some(dir.path())), None, dir.path()).unwrap();
    let error = format!("{:#}", connection.signer().err().unwrap());
    assert!(error.contains("is not a regular file"), "{error}");
}

#[test]
fn session_ids_of_developers_differ() {
    let (one, two) = (random_session_id().unwrap(), random_session_id().unwrap());
    assert_eq!(one.expose().len(), 32);
    assert_ne!(one.expose(), two.expose());
}
