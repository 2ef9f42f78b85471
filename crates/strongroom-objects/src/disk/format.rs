//! The version of the store's directory, and the steps from older ones.
//!
//! A newer version is refused. An older one is copied to `before-<version>` first, by hard links:
//! object files never change in place, so a step must write new files and never edit one. The
//! copy stays; it is the operator's to remove.
//!
//! Version 1 kept each object as one file under `objects`, version 2 has an index.

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use strongroom_core::UnixMillis;

/// What this program writes.
const CURRENT: u32 = 2;

/// What opening a directory takes.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub(crate) dir: &'a Path,
    /// The vault's bucket, the only one of version 1.
    pub(crate) bucket: &'a str,
    /// Who owns that bucket.
    pub(crate) owner: &'a str,
    pub(crate) now: UnixMillis,
}

/// Brings the directory from one version to the next. It may have been tried before and stopped
/// anywhere.
type Step = fn(&Layout<'_>) -> Result<(), Error>;

/// Step `n` leads from version `n + 1` to `n + 2`; version 1 is the first.
const STEPS: &[Step] = &[super::from_1::step];

/// Writes the version of a new directory, refuses a newer one, brings an older one up.
pub(super) fn check(layout: &Layout<'_>) -> Result<(), Error> {
    bring_up(layout, CURRENT, STEPS)?;
    let old = layout.dir.join("objects");
    if old.exists() {
        fs::remove_dir_all(old).map_err(Error::storage("removing files of an older format"))?;
    }
    Ok(())
}

fn bring_up(layout: &Layout<'_>, current: u32, steps: &[Step]) -> Result<(), Error> {
    let dir = layout.dir;
    let text = match fs::read_to_string(dir.join("format")) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if ["objects", "runs"]
                .iter()
                .any(|name| dir.join(name).exists())
            {
                return Err(Error::UnknownFormat);
            }
            return write(dir, current).map_err(Error::storage("writing the format file"));
        }
        Err(cause) => return Err(Error::storage("reading the format file")(cause)),
    };
    let found: u32 = text.trim_end().parse().map_err(|_| Error::UnknownFormat)?;
    if found == 0 {
        return Err(Error::UnknownFormat);
    }
    if found > current {
        return Err(Error::NewerFormat {
            found,
            known: current,
        });
    }
    for version in found..current {
        let step = usize::try_from(version - 1)
            .ok()
            .and_then(|at| steps.get(at));
        let step = step.ok_or(Error::UnknownFormat)?;
        copy(dir, version).map_err(Error::storage("copying the directory"))?;
        step(layout)?;
        write(dir, version + 1).map_err(Error::storage("writing the format file"))?;
    }
    Ok(())
}

pub(super) fn copy(dir: &Path, version: u32) -> io::Result<()> {
    let copy = dir.join(format!("before-{version}"));
    // A copy is complete once it has its format file, which is written last.
    if !copy.join("format").exists() {
        link_tree(&dir.join("objects"), &copy.join("objects"))?;
        write(&copy, version)?;
    }
    Ok(())
}

fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_tree(&entry.path(), &target)?;
        } else if !target.exists() {
            fs::hard_link(entry.path(), target)?;
        }
    }
    File::open(to)?.sync_all()
}

fn write(dir: &Path, version: u32) -> io::Result<()> {
    let (unfinished, path) = (dir.join("format.new"), dir.join("format"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&unfinished)?;
    writeln!(file, "{version}")?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dir: &Path) -> Layout<'_> {
        Layout {
            dir,
            bucket: "vault",
            owner: "vault",
            now: UnixMillis(1),
        }
    }

    fn version(dir: &Path) -> String {
        fs::read_to_string(dir.join("format")).unwrap()
    }

    #[test]
    fn a_new_directory_gets_the_current_version() {
        let dir = tempfile::tempdir().unwrap();
        check(&layout(dir.path())).unwrap();
        check(&layout(dir.path())).unwrap();
        assert_eq!(version(dir.path()), "2\n");
    }

    #[test]
    fn a_newer_directory_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 3).unwrap();
        let refused = check(&layout(dir.path())).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the object store has format 3, this program knows up to 2"
        );
        assert_eq!(version(dir.path()), "3\n");
    }

    #[test]
    fn objects_without_a_version_or_with_nonsense_are_refused() {
        for name in ["objects", "runs"] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join(name)).unwrap();
            let refused = check(&layout(dir.path()));
            assert!(matches!(refused, Err(Error::UnknownFormat)));
            for text in ["0", "", "one", "-1"] {
                fs::write(dir.path().join("format"), text).unwrap();
                let refused = check(&layout(dir.path()));
                assert!(matches!(refused, Err(Error::UnknownFormat)), "{text}");
            }
        }
    }

    #[test]
    fn an_older_directory_is_copied_then_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("objects/ab/name");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "old").unwrap();
        write(dir.path(), 1).unwrap();
        let step: Step = |layout| {
            let file = layout.dir.join("objects/ab/name");
            fs::remove_file(&file).unwrap();
            fs::write(file, "new").unwrap();
            Ok(())
        };
        bring_up(&layout(dir.path()), 2, &[step]).unwrap();
        assert_eq!(version(dir.path()), "2\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let copy = dir.path().join("before-1");
        assert_eq!(
            fs::read_to_string(copy.join("objects/ab/name")).unwrap(),
            "old"
        );
        assert_eq!(version(&copy), "1\n");
    }

    #[test]
    fn a_failed_migration_leaves_the_old_version_and_can_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("objects")).unwrap();
        write(dir.path(), 1).unwrap();
        let fails: Step = |_| Err(Error::UnknownFormat);
        assert!(bring_up(&layout(dir.path()), 2, &[fails]).is_err());
        assert_eq!(version(dir.path()), "1\n");
        let works: Step = |_| Ok(());
        bring_up(&layout(dir.path()), 2, &[works]).unwrap();
        assert_eq!(version(dir.path()), "2\n");
    }
}
