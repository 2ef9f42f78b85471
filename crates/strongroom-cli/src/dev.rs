//! `serve --dev`: a throw-away vault in a private directory, removed at exit.

use crate::client::Surroundings;
use crate::serve::Urls;
use crate::{init, process};
use anyhow::{Context, bail};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// The directory that the command-line client looks into when it finds nothing else.
pub(crate) struct DevVault {
    dir: PathBuf,
    /// Held for its lock: a directory without a holder was left by a killed process.
    lock: Option<File>,
    lock_path: PathBuf,
}

impl DevVault {
    /// Makes the directory and a vault in it; refuses when another dev vault is running.
    pub(crate) fn create(around: &Surroundings) -> anyhow::Result<Self> {
        let dir = around.dev_dir();
        let mut lock_path = dir.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = take_lock(&lock_path)?;
        if dir.symlink_metadata().is_ok() {
            // Ours was locked, so nobody lives there; anything that is not ours stays and fails.
            fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| dir.display().to_string())?;
        let vault = Self {
            dir,
            lock: Some(lock),
            lock_path,
        };
        init::create(&vault.dir.join("vault"))?;
        Ok(vault)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.join("vault/strongroom.toml")
    }

    /// Leaves address and key for the client, and tells a person what to try.
    pub(crate) fn announce(&self, urls: &Urls) -> anyhow::Result<()> {
        let json = serde_json::json!({
            "url": urls.api,
            "signing_key_file": "vault/application.key.pem",
        });
        let path = self.dir.join("vault.json");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "{json}")?;
        write!(
            std::io::stdout(),
            "A throw-away vault runs at {api} (objects at {s3}).\n\
             Everything in it is gone when it stops (Ctrl-C). Try, in another terminal:\n\
             \n  \
               printf 's3cret' | strongroom tokenize\n  \
               strongroom detokenize TOKEN\n  \
               curl -i {api}/ready\n\n",
            api = urls.api,
            s3 = urls.s3,
        )?;
        std::io::stdout().flush()?;
        Ok(())
    }
}

fn take_lock(path: &PathBuf) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("a dev vault is running already"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

impl Drop for DevVault {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            process::say(&format!(
                "warning: {} could not be removed: {error}",
                self.dir.display()
            ));
        }
        // The lock's file goes first, so that nobody waits on a file without a name.
        let _ = fs::remove_file(&self.lock_path);
        drop(self.lock.take());
    }
}
