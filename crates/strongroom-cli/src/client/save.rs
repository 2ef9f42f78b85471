//! Writes a file that is there whole or not at all.

use super::connect::shown;
use super::exit::Failure;
use anyhow::Context;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

/// A file under a temporary name beside its target, mode 0600, removed unless it is kept.
pub(crate) struct Save {
    file: File,
    temporary: Temporary,
    target: PathBuf,
}

/// Removes the file when dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `keep` the name is gone already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Save {
    /// Creates the temporary file; a target that exists must be a regular file.
    pub(crate) async fn create(target: &Path) -> anyhow::Result<Self> {
        let target = resolve(target)?;
        let name = target
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Failure::usage("-o must name a file"))?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).context("no random numbers from the operating system")?;
        let temporary = target.with_file_name(format!(".{name}.{}.part", hex::encode(random)));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&temporary).await;
        let file = file.with_context(|| format!("cannot create {}", shown(&target)))?;
        Ok(Self {
            file,
            temporary: Temporary(temporary),
            target,
        })
    }

    /// Appends to the file.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(bytes).await;
        written.with_context(|| format!("cannot write {}", shown(&self.target)))
    }

    /// Makes the file durable under its real name.
    pub(crate) async fn keep(mut self) -> anyhow::Result<()> {
        let (temporary, target) = (&self.temporary.0, &self.target);
        let kept = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            fs::rename(temporary, target)?;
            fs::File::open(directory(target))?.sync_all()
        };
        kept.await
            .with_context(|| format!("cannot write {}", shown(target)))
    }
}

/// Follows links, and refuses what a rename would destroy, such as a device.
fn resolve(target: &Path) -> anyhow::Result<PathBuf> {
    match fs::canonicalize(target) {
        Ok(real) if real.is_file() => Ok(real),
        Ok(_) => Err(Failure::usage("-o must name a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(target.to_owned()),
        Err(error) => Err(error).with_context(|| shown(target)),
    }
}

fn directory(target: &Path) -> &Path {
    target
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_kept_file_replaces_the_old_one_with_mode_0600() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("value");
        fs::write(&target, "old and longer").unwrap();
        let mut save = Save::create(&target).await.unwrap();
        save.write(b"new").await.unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old and longer");
        save.keep().await.unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["value"]);
    }

    #[tokio::test]
    async fn a_file_that_is_not_kept_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut save = Save::create(&dir.path().join("value")).await.unwrap();
        save.write(b"half").await.unwrap();
        assert_eq!(names(dir.path()).len(), 1);
        drop(save);
        assert!(names(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn a_link_is_followed_and_no_device_or_directory_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "").unwrap();
        symlink(&real, &link).unwrap();
        let mut save = Save::create(&link).await.unwrap();
        save.write(b"v").await.unwrap();
        save.keep().await.unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"v");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(Save::create(dir.path()).await.is_err());
        assert!(Save::create(Path::new("/dev/null")).await.is_err());
        assert!(Save::create(&dir.path().join("none/value")).await.is_err());
    }
}
