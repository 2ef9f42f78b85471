//! Pairs of certificate and key, sound and not.

use super::*;
use crate::system_now;
use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            dir: TempDir::new().unwrap(),
        };
        files.replace();
        files
    }

    /// A new certificate with its key; returns the certificate.
    fn replace(&self) -> Vec<u8> {
        let Made { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        self.write("cert.pem", &cert.pem());
        self.write("key.pem", &signing_key.serialize_pem());
        cert.der().to_vec()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn pair(&self) -> Pair {
        let section = TlsSection {
            certificate_file: "cert.pem".into(),
            key_file: "key.pem".into(),
        };
        Pair::new(
            "api.tls",
            &section,
            |path| self.dir.path().join(path),
            system_now,
        )
    }

    fn refusal(&self) -> String {
        match self.pair().load() {
            Ok(_) => panic!("it was read"),
            Err(error) => format!("{error:#}"),
        }
    }
}

#[test]
fn a_sound_pair_is_read() {
    let files = Files::new();
    let made = files.replace();
    let (certified, expires) = files.pair().read().unwrap();
    assert_eq!(certified.end_entity_cert().unwrap().as_ref(), made);
    assert!(expires.is_some());
}

#[test]
fn a_pair_that_does_not_belong_together_is_refused() {
    let files = Files::new();
    let other = Files::new();
    fs::copy(
        other.dir.path().join("key.pem"),
        files.dir.path().join("key.pem"),
    )
    .unwrap();
    let said = files.refusal();
    assert!(
        said.contains("api.tls") && said.contains("do not belong together"),
        "{said}"
    );
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let files = Files::new();
    let key = files.dir.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let said = files.refusal();
    assert!(
        said.contains("open to others") && said.contains("key.pem"),
        "{said}"
    );
}

#[test]
fn files_that_hold_something_else_are_refused_by_name() {
    for (name, text) in [
        ("cert.pem", ""),
        ("cert.pem", "nonsense"),
        (
            "cert.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        ("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        ("key.pem", ""),
        (
            "key.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
        (
            "key.pem",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
    ] {
        let files = Files::new();
        files.write(name, text);
        let said = files.refusal();
        assert!(
            said.contains(name) && said.contains("api.tls"),
            "{text:?}: {said}"
        );
        assert!(!said.contains("AAAA"), "{said}");
    }
    let files = Files::new();
    fs::remove_file(files.dir.path().join("cert.pem")).unwrap();
    assert!(files.refusal().contains("cert.pem"));
}

/// What a pair in use does at its looks, without waiting.
fn watched(files: &Files) -> (Watched, Tls) {
    let pair = files.pair();
    let stamp = pair.stamp();
    let (sender, receiver) = watch::channel(pair.load().unwrap());
    let watched = Watched {
        pair,
        taken: stamp.clone(),
        seen: stamp,
        sender,
    };
    (watched, receiver)
}

#[test]
fn a_change_is_taken_up_when_it_has_stood_for_one_look() {
    let files = Files::new();
    let (mut watched, mut tls) = watched(&files);
    tls.mark_unchanged();
    watched.look();
    assert!(!tls.has_changed().unwrap(), "nothing changed");
    files.replace();
    watched.look();
    assert!(!tls.has_changed().unwrap(), "it may still be changing");
    watched.look();
    assert!(tls.has_changed().unwrap());
    tls.mark_unchanged();
    watched.look();
    assert!(!tls.has_changed().unwrap(), "it is taken up once");
}

#[test]
fn a_broken_change_is_left_and_its_repair_taken_up() {
    let files = Files::new();
    let (mut watched, mut tls) = watched(&files);
    tls.mark_unchanged();
    fs::remove_file(files.dir.path().join("key.pem")).unwrap();
    watched.look();
    watched.look();
    assert!(!tls.has_changed().unwrap(), "there is no key");
    files.replace();
    watched.look();
    watched.look();
    assert!(tls.has_changed().unwrap());
}
