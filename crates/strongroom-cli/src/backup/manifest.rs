//! What a backup says of itself: `manifest.json`, and beside it the digest that tells a whole one.
//!
//! Digests are of files as they lie there, ciphertext all of them. They tell damage, not forgery:
//! what is in the files authenticates itself when it is opened.

use anyhow::{Context, bail, ensure};
use aws_lc_rs::digest::{self, SHA256};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

/// The directory of a backup that becomes the data directory.
pub(crate) const DATA: &str = "data";
/// The configuration's copy.
pub(crate) const CONFIG: &str = "strongroom.toml";
const FILE: &str = "manifest.json";
/// As `sha256sum` writes it, so that `sha256sum -c` reads it.
const DIGEST_FILE: &str = "manifest.json.sha256";
const NAME: &str = "strongroom.backup";
const VERSION: u32 = 1;
/// Room for five million files.
const BYTES_MAX: u64 = 1 << 30;

/// The whole manifest.
#[derive(Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) files: Vec<FileEntry>,
}

/// What the vault says of the backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The vault's id, in hexadecimal.
    pub(crate) vault: String,
    /// Vault time in milliseconds since 1970: what was acknowledged before is in the backup.
    pub(crate) at: u64,
    /// Version of the program that made it.
    pub(crate) program: String,
    /// The vault's own bucket, whose name is sealed into each value.
    pub(crate) bucket: String,
    pub(crate) formats: Formats,
}

/// Format versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Formats {
    pub(crate) data: String,
    pub(crate) objects: String,
    pub(crate) records: u32,
    pub(crate) index: u32,
}

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// Below the backup's directory.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
}

impl Manifest {
    pub(crate) fn new(head: Head, files: Vec<FileEntry>) -> Self {
        Self {
            format: NAME.into(),
            version: VERSION,
            head,
            files,
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Writes manifest and digest into the backup's directory.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("the manifest cannot be written")?;
        let digest = format!("{}  {FILE}\n", sha256(text.as_bytes()));
        for (name, text) in [(FILE, &text), (DIGEST_FILE, &digest)] {
            let path = dir.join(name);
            let written = create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
            written.with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Reads the manifest of a backup; one that was not finished has none.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            let mut bytes = Vec::new();
            File::open(&path)
                .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes))
                .with_context(|| format!("no whole backup: {}", path.display()))?;
            Ok::<_, anyhow::Error>(bytes)
        };
        let (text, digest) = (read(FILE)?, read(DIGEST_FILE)?);
        ensure!(
            digest == format!("{}  {FILE}\n", sha256(&text)).as_bytes(),
            "{} was changed or cut: its digest is another",
            dir.join(FILE).display()
        );
        let manifest: Self =
            serde_json::from_slice(&text).with_context(|| dir.join(FILE).display().to_string())?;
        ensure!(manifest.format == NAME, "{} is no backup", dir.display());
        if manifest.version > VERSION {
            bail!(
                "the backup has format {}, this program knows up to {VERSION}: run the newer program",
                manifest.version
            );
        }
        Ok(manifest)
    }
}

/// A path of a manifest: relative, of plain names.
pub(crate) fn checked(path: &str) -> anyhow::Result<&Path> {
    let found = Path::new(path);
    let plain = found
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    ensure!(
        plain && !path.is_empty(),
        "a path of the backup leads out of it: {path:?}"
    );
    Ok(found)
}

/// A new file that nobody else can read, with the directories above it.
pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent() {
        make_dirs(parent)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn make_dirs(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&SHA256, bytes))
}

/// A digest over bytes as they come.
pub(crate) struct Digest(digest::Context);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal.
    pub(crate) fn finish(self) -> String {
        hex::encode(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (tempfile::TempDir, Manifest) {
        let head = Head {
            vault: "00".repeat(16),
            at: 7,
            program: "0".into(),
            bucket: "b".into(),
            formats: Formats {
                data: "1".into(),
                objects: "2".into(),
                records: 1,
                index: 1,
            },
        };
        let entry = FileEntry {
            path: "data/format".into(),
            bytes: 2,
            sha256: sha256(b"1\n"),
        };
        let manifest = Manifest::new(head, vec![entry]);
        let dir = tempfile::tempdir().unwrap();
        manifest.write(dir.path()).unwrap();
        (dir, manifest)
    }

    #[test]
    fn a_manifest_reads_as_it_was_written() {
        let (dir, manifest) = written();
        let read = Manifest::read(dir.path()).unwrap();
        assert_eq!((read.head.at, read.bytes()), (manifest.head.at, 2));
        assert_eq!(read.files[0].sha256, manifest.files[0].sha256);
    }

    #[test]
    fn any_changed_bit_or_cut_of_a_manifest_is_refused() {
        let (dir, _) = written();
        for name in [FILE, DIGEST_FILE] {
            let path = dir.path().join(name);
            let sound = fs::read(&path).unwrap();
            for at in 0..sound.len() {
                let mut changed = sound.clone();
                changed[at] ^= 1;
                fs::write(&path, changed).unwrap();
                assert!(Manifest::read(dir.path()).is_err(), "{name} {at}");
            }
            fs::write(&path, &sound[..sound.len() - 1]).unwrap();
            assert!(Manifest::read(dir.path()).is_err());
            fs::remove_file(&path).unwrap();
            assert!(Manifest::read(dir.path()).is_err());
            fs::write(&path, sound).unwrap();
        }
        assert!(Manifest::read(dir.path()).is_ok());
    }

    #[test]
    fn a_newer_manifest_is_refused() {
        let (dir, mut manifest) = written();
        manifest.version = VERSION + 1;
        for name in [FILE, DIGEST_FILE] {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        manifest.write(dir.path()).unwrap();
        let said = Manifest::read(dir.path()).err().unwrap().to_string();
        assert!(said.contains("run the newer program"), "{said}");
    }

    #[test]
    fn paths_stay_in_the_backup() {
        assert!(checked("data/objects/runs/00/ff").is_ok());
        for path in ["", "/etc/passwd", "../x", "data/../../x", "data/./.."] {
            assert!(checked(path).is_err(), "{path}");
        }
    }
}
