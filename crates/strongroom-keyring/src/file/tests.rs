//! The keyring as a file: modes, versions, many writers.

use super::*;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::os::unix::fs::PermissionsExt as _;
use strongroom_core::{UnixMillis, VaultId};
use tempfile::TempDir;

use crate::Part;

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

struct Vault {
    dir: TempDir,
    master: MasterKey,
}

impl Vault {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let master = create_master_key(&dir.path().join("master.key"), &mut rng()).unwrap();
        Self { dir, master }
    }

    fn keyring(&self) -> PathBuf {
        self.dir.path().join("keyring")
    }

    fn master_key(&self) -> PathBuf {
        self.dir.path().join("master.key")
    }

    fn write(&self, keyring: &Keyring) -> Result<(), Error> {
        write(&self.keyring(), keyring, &self.master, &mut rng())
    }

    fn read(&self) -> Result<Keyring, Error> {
        read(&self.keyring(), &self.master, 0)
    }
}

fn fresh() -> Keyring {
    Keyring::generate(VaultId([3; 16]), UnixMillis(1), &mut rng())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn what_was_written_is_read_back_and_private() {
    let vault = Vault::new();
    vault.write(&fresh()).unwrap();
    let master = read_master_key(&vault.master_key()).unwrap();
    assert!(master.same_as(&vault.master));
    let keyring = read(&vault.keyring(), &master, 1).unwrap();
    assert_eq!(
        (keyring.vault_id(), keyring.version()),
        (VaultId([3; 16]), 1)
    );
    assert_eq!(mode(&vault.keyring()), 0o600);
    assert_eq!(mode(&vault.master_key()), 0o600);
}

#[test]
fn a_master_key_is_never_overwritten() {
    let vault = Vault::new();
    let before = fs::read(vault.master_key()).unwrap();
    let again = create_master_key(&vault.master_key(), &mut rng());
    assert!(matches!(again, Err(Error::Exists(_))));
    assert_eq!(fs::read(vault.master_key()).unwrap(), before);
}

#[test]
fn a_writer_that_lost_the_race_changes_nothing() {
    let vault = Vault::new();
    let mut keyring = fresh();
    vault.write(&keyring).unwrap();
    keyring
        .rotate(Part::Kek, UnixMillis(2), &mut rng())
        .unwrap();
    vault.write(&keyring).unwrap();
    let before = fs::read(vault.keyring()).unwrap();
    // The same version again, a second first one, and one that skips a version.
    for (late, expected) in [(keyring, 1), (fresh(), 0)] {
        let Err(Error::Conflict { expected: e, found }) = vault.write(&late) else {
            panic!("written over version 2");
        };
        assert_eq!((e, found), (expected, 2));
    }
    let mut ahead = vault.read().unwrap();
    for _ in 0..2 {
        ahead.rotate(Part::Root, UnixMillis(3), &mut rng()).unwrap();
    }
    assert!(matches!(
        vault.write(&ahead),
        Err(Error::Conflict {
            expected: 3,
            found: 2
        })
    ));
    assert_eq!(fs::read(vault.keyring()).unwrap(), before);
}

#[test]
fn of_many_writers_of_one_version_one_wins() {
    let vault = Vault::new();
    vault.write(&fresh()).unwrap();
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut keyring = vault.read().unwrap();
                    keyring
                        .rotate(Part::Kek, UnixMillis(2), &mut rng())
                        .unwrap();
                    let won = vault.write(&keyring).is_ok();
                    (won, keyring.version())
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .filter(|(won, _)| *won)
            .map(|(_, version)| version)
            .collect::<Vec<_>>()
    });
    let mut distinct = written.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), written.len());
    assert_eq!(vault.read().unwrap().version(), 1 + written.len() as u64);
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_file() {
    let vault = Vault::new();
    let mut keyring = fresh();
    vault.write(&keyring).unwrap();
    keyring
        .rotate(Part::Kek, UnixMillis(2), &mut rng())
        .unwrap();
    let sealed = keyring.seal(&vault.master, &mut rng()).unwrap();
    let temporary = beside(&vault.keyring(), ".tmp");
    for cut in [0, 1, sealed.len() / 2, sealed.len()] {
        // Open to all: a leftover's permissions must not reach the keyring.
        fs::write(&temporary, &sealed[..cut]).unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(vault.read().unwrap().version(), 1);
    }
    vault.write(&keyring).unwrap();
    assert_eq!(vault.read().unwrap().version(), 2);
    assert_eq!(mode(&vault.keyring()), 0o600);
    assert!(!temporary.exists());
}

/// systemd.exec(5), `LoadCredential`: root's, and its access list shows as the group's bit.
#[test]
fn a_file_of_mode_0440_is_private_if_it_is_roots_and_no_other_mode_is() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    fs::write(&path, "x").unwrap();
    let found = fs::metadata(&path).unwrap();
    let roots = (found.uid(), found.gid()) == (0, 0);
    for mode in [0o400, 0o600, 0o440, 0o640, 0o460, 0o444, 0o404, 0o441] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let private = [0o400, 0o600].contains(&mode) || (mode == 0o440 && roots);
        assert_eq!(check_private(&path).is_ok(), private, "{mode:o}");
    }
}

#[test]
fn a_secret_file_open_to_others_is_refused_with_the_command_to_run() {
    let vault = Vault::new();
    vault.write(&fresh()).unwrap();
    for (path, open) in [(vault.keyring(), 0o640), (vault.master_key(), 0o604)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let refused = check_private(&path).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains(&format!("chmod 600 {}", path.display())),
            "{text}"
        );
        assert!(text.contains(&format!("mode {open:04o}")), "{text}");
    }
    assert!(matches!(vault.read(), Err(Error::Exposed { .. })));
    let master = read_master_key(&vault.master_key());
    assert!(matches!(master, Err(Error::Exposed { .. })));
}

#[test]
fn a_missing_a_large_or_a_strange_file_is_refused() {
    let vault = Vault::new();
    assert!(matches!(
        vault.read(),
        Err(Error::Io { action: "read", .. })
    ));
    assert!(matches!(
        check_private(vault.dir.path()),
        Err(Error::NotASecretFile(_))
    ));
    assert!(matches!(
        read_private(&vault.master_key(), 8),
        Err(Error::NotASecretFile(_))
    ));
    fs::write(vault.master_key(), "hello\n").unwrap();
    let refused = read_master_key(&vault.master_key()).unwrap_err();
    assert!(matches!(refused, Error::NotAMasterKey(_)));
    assert!(!refused.to_string().contains("hello"));
}

#[test]
fn a_file_that_is_no_keyring_is_not_written_over() {
    let vault = Vault::new();
    for (content, version) in [
        (&b"\x02rest"[..], true),
        (b"", false),
        (b"\x01short", false),
    ] {
        fs::write(vault.keyring(), content).unwrap();
        fs::set_permissions(vault.keyring(), fs::Permissions::from_mode(0o600)).unwrap();
        let refused = vault.write(&fresh()).unwrap_err();
        assert_eq!(matches!(refused, Error::UnknownVersion(2)), version);
        assert_eq!(matches!(refused, Error::Malformed), !version);
        assert_eq!(fs::read(vault.keyring()).unwrap(), content);
    }
}
