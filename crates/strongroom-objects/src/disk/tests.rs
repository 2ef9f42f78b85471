//! Files on their way to their place, and their removal.

use super::*;
use format::Layout;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

fn layout(dir: &Path) -> Layout<'_> {
    Layout {
        dir,
        bucket: "vault",
        owner: "vault",
        now: UnixMillis(1),
    }
}

fn opened() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&layout(dir.path()), 0).unwrap();
    (dir, disk)
}

fn read(disk: &Disk, name: &RunName) -> io::Result<String> {
    let mut bytes = [0; 3];
    disk.open_run(name)?.read_exact_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_file_is_found_before_and_after_it_is_settled_and_gone_after_removal() {
    let (dir, disk) = opened();
    let incoming = disk.incoming().unwrap();
    let name = incoming.name();
    incoming.file.write_all_at(b"one", 0).unwrap();
    disk.sync(&incoming).unwrap();
    incoming.keep();
    assert_eq!(read(&disk, &name).unwrap(), "one");
    assert_eq!(disk.unsettled().unwrap(), [name]);
    disk.settle(&name).unwrap();
    disk.settle(&name).unwrap();
    assert_eq!(disk.unsettled().unwrap(), [] as [RunName; 0]);
    assert_eq!(read(&disk, &name).unwrap(), "one");
    let path = dir.path().join("runs").join(hex::encode(&name[..1]));
    let mode = fs::metadata(path.join(hex::encode(name))).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    disk.remove(&[name]).unwrap();
    disk.remove(&[name]).unwrap();
    let gone = read(&disk, &name).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_not_kept_goes() {
    let (_dir, disk) = opened();
    drop(disk.incoming().unwrap());
    assert_eq!(disk.unsettled().unwrap(), [] as [RunName; 0]);
}

#[test]
fn links_and_pipes_are_not_opened() {
    let (dir, disk) = opened();
    let secret = dir.path().join("secret");
    fs::write(&secret, "abc").unwrap();
    symlink(&secret, disk.run(&[1; 16])).unwrap();
    assert!(read(&disk, &[1; 16]).is_err());
    fs::create_dir(disk.run(&[2; 16])).unwrap();
    assert!(read(&disk, &[2; 16]).is_err());
}

#[test]
fn foreign_files_among_unfinished_ones_are_removed() {
    let (dir, disk) = opened();
    fs::write(dir.path().join("incoming/left"), "over").unwrap();
    assert_eq!(disk.unsettled().unwrap(), [] as [RunName; 0]);
    assert!(!dir.path().join("incoming/left").exists());
}

#[test]
fn a_directory_in_use_is_refused() {
    let (dir, _disk) = opened();
    let again = Disk::open(&layout(dir.path()), 0);
    assert!(matches!(again, Err(Error::InUse)));
}

#[test]
fn the_reserve_is_kept_free() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&layout(dir.path()), u64::MAX).unwrap();
    for refused in [disk.check_room(1), disk.take_room(1, UnixMillis(5))] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::StorageFull);
    }
}

#[test]
fn small_writes_look_at_the_disk_once_a_second() {
    let (_dir, disk) = opened();
    let (now, later) = (UnixMillis(5), UnixMillis(5 + ROOM_MS));
    disk.take_room(10, now).unwrap();
    disk.room.lock().unwrap().bytes = 15;
    disk.take_room(10, now).unwrap();
    assert_eq!(disk.room.lock().unwrap().bytes, 5);
    disk.take_room(0, later).unwrap();
    assert_ne!(disk.room.lock().unwrap().bytes, 5);
}
