//! How a vault is made and with which configuration it starts.

use super::{Vault, clean, files_below};
use crate::binary::strongroom;
use crate::clock::FakeClock;
use crate::jwt::Key;
use crate::marks::Marks;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use tempfile::TempDir;

/// A file of a fresh vault: path, permission bits, content.
type Made = (PathBuf, u32, Vec<u8>);

/// What `strongroom init` makes; made once per test run, because RSA keys are slow to make.
static FRESH: LazyLock<Vec<Made>> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary directory");
    let made = dir.path().join("vault");
    let status = clean(Command::new(strongroom()), dir.path())
        .arg("init")
        .arg(&made)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("init runs").success(), "init failed");
    let mut files = Vec::new();
    for path in files_below(&made) {
        let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o777;
        let name = path.strip_prefix(&made).expect("below").to_owned();
        files.push((name, mode, fs::read(&path).expect("readable")));
    }
    files
});

/// How a vault is to be started.
#[derive(Default)]
pub struct Setup {
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    under: Vec<String>,
    clock: bool,
    data_dir: Option<PathBuf>,
}

impl Setup {
    /// With the configuration that `init` writes, on free ports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Overrides a key of the configuration, named as in `S3__DISK_RESERVE`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.environment
            .push((format!("STRONGROOM__{key}"), value.into()));
        self
    }

    /// With a file for every value, also a small one.
    #[must_use]
    pub fn files(self) -> Self {
        self.set("S3__INLINE_BYTES_MAX", "0B")
    }

    /// Gives `serve` one more argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With TLS on both listeners, by `tls.pem` and `tls.key` of the vault's directory.
    #[must_use]
    pub fn tls(self) -> Self {
        self.set("API__TLS__CERTIFICATE_FILE", "tls.pem")
            .set("API__TLS__KEY_FILE", "tls.key")
            .set("S3__TLS__CERTIFICATE_FILE", "tls.pem")
            .set("S3__TLS__KEY_FILE", "tls.key")
    }

    /// Starts the vault as the last argument of this command, which must `exec` it.
    #[must_use]
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// With a clock that the test moves.
    #[must_use]
    pub fn clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// With its data in this directory, which is made.
    #[must_use]
    pub fn data_dir(mut self, dir: &Path) -> Self {
        self.data_dir = Some(dir.to_owned());
        self
    }

    /// Makes the vault and does not start it.
    pub fn make(self) -> Vault {
        let dir = TempDir::new().expect("a temporary directory");
        let root = dir.path().join("vault");
        let data = self.data_dir.clone().unwrap_or_else(|| root.join("data"));
        for made in [&root, &data, &dir.path().join("home")] {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(made);
            made.expect("a directory is made");
        }
        for (name, mode, bytes) in &*FRESH {
            let path = match name.strip_prefix("data") {
                Ok(name) => data.join(name),
                Err(_) => root.join(name),
            };
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(*mode).open(path);
            file.and_then(|mut file| file.write_all(bytes))
                .expect("a file is copied");
        }
        let clock = self.clock.then(|| FakeClock::new(dir.path()));
        let pem = fs::read_to_string(root.join("application.key.pem")).expect("a key");
        let mut marks = Marks::default();
        let master = fs::read_to_string(root.join("master.key")).expect("a master key");
        let (_, master) = master.trim().split_once(':').expect("a prefix and a key");
        marks.add(
            "the master key",
            &BASE64_STANDARD.decode(master).expect("base64"),
        );
        let mut environment = self.environment;
        environment.insert(
            0,
            (
                "STRONGROOM__DATA_DIR".into(),
                format!("{:?}", data.to_str().expect("a path in UTF-8")),
            ),
        );
        Vault {
            dir,
            root,
            data,
            environment,
            arguments: self.arguments,
            under: self.under,
            clock,
            key: Key::from_pem(&pem),
            authority: None,
            serving: None,
            marks: Mutex::new(marks),
            starts: 0,
        }
    }

    /// Makes the vault and starts it.
    pub fn start(self) -> Vault {
        let mut vault = self.make();
        vault.start_again();
        vault
    }
}
