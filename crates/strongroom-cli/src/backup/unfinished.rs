//! A directory that is there whole or not at all.

use anyhow::{Context, bail};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory of mode 0700 under a temporary name beside its place; removed unless it is kept.
pub(crate) struct Unfinished {
    dir: PathBuf,
    kept: bool,
}

impl Unfinished {
    /// Makes it; refuses a place where there is something already.
    pub(crate) fn create(target: &Path) -> anyhow::Result<Self> {
        match fs::read_dir(target).map(Iterator::count) {
            Ok(0) => {}
            Ok(_) => bail!("{} exists and is not empty", target.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| target.display().to_string()),
        }
        let name = target
            .file_name()
            .with_context(|| format!("{} cannot be made", target.display()))?;
        let mut random = [0; 4];
        getrandom::fill(&mut random).context("no random numbers from the operating system")?;
        let name = format!(
            ".{}.unfinished-{}",
            name.to_string_lossy(),
            hex::encode(random)
        );
        let dir = parent(target).join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir, kept: false })
    }

    /// Where it is for the time being.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes all of it durable, and gives it its name.
    pub(crate) fn keep(mut self, target: &Path) -> anyhow::Result<()> {
        let kept = || {
            // One call for all files, however many there are.
            rustix::fs::syncfs(File::open(&self.dir)?)?;
            fs::rename(&self.dir, target)?;
            File::open(parent(target))?.sync_all()
        };
        kept().with_context(|| target.display().to_string())?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // Whatever went wrong is what must be heard, not that cleaning up failed too.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn parent(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("backup");
        drop(Unfinished::create(&target).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let unfinished = Unfinished::create(&target).unwrap();
        fs::write(unfinished.dir().join("file"), "x").unwrap();
        assert!(!target.exists());
        unfinished.keep(&target).unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_stands_there_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        assert!(Unfinished::create(dir.path()).is_err());
        assert!(Unfinished::create(&dir.path().join("file")).is_err());
    }
}
