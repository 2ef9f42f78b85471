//! The log on a real file: receipts, reopening, and what a crash or a stranger left.

use super::*;
use crate::{Decision, RequestId, Rule};
use std::fs;

fn entry(at: u64) -> Entry {
    Entry {
        at: UnixMillis(at),
        request: Some(RequestId([1; 16])),
        subject: None,
        session: None,
        action: "detokenize",
        token: None,
        target: None,
        decision: Decision::Allow,
        rule: Rule::Grant,
        row: None,
    }
}

fn open(dir: &Path, durability: Durability) -> Log {
    Log::open(dir, durability, Limits::default()).unwrap()
}

fn lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("decisions.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_receipt_means_the_line_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Durability::Durable);
    log.append(&entry(5)).unwrap().durable().await.unwrap();
    let lines = lines(dir.path());
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with(r#"{"at":5,"#));
}

#[tokio::test]
async fn buffered_entries_are_written_at_close() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Durability::Buffered);
    for at in 0..100 {
        log.append(&entry(at)).unwrap().durable().await.unwrap();
    }
    log.close();
    assert_eq!(lines(dir.path()).len(), 101);
    assert!(matches!(log.append(&entry(1)), Err(Error::Closed)));
}

#[tokio::test]
async fn many_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(open(dir.path(), Durability::Durable));
    let tasks: Vec<_> = (0..64_u64)
        .map(|at| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(&entry(at)).unwrap().durable().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(lines(dir.path()).len(), 65);
}

#[tokio::test]
async fn reopening_knows_the_newest_time_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Durability::Durable);
    assert_eq!(log.newest_at_open(), UnixMillis(0));
    log.append(&entry(41)).unwrap().durable().await.unwrap();
    log.append(&entry(42)).unwrap().durable().await.unwrap();
    drop(log);
    let log = open(dir.path(), Durability::Durable);
    assert_eq!(log.newest_at_open(), UnixMillis(42));
    log.append(&entry(43)).unwrap().durable().await.unwrap();
    assert_eq!(lines(dir.path()).len(), 4);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Durability::Durable);
    log.append(&entry(7)).unwrap().durable().await.unwrap();
    drop(log);
    for torn in [
        &b"{\"at\":8,\"act"[..],
        b"\0\0\0\0\n",
        b"\0\0\0\0\0tion\":\"x\"}\n",
    ] {
        let path = dir.path().join("decisions.jsonl");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole, torn].concat()).unwrap();
        let log = open(dir.path(), Durability::Durable);
        assert_eq!(log.newest_at_open(), UnixMillis(7));
        drop(log);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[tokio::test]
async fn a_batch_that_lost_a_sector_in_its_middle_is_cut_off_there() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Durability::Durable);
    log.append(&entry(7)).unwrap().durable().await.unwrap();
    drop(log);
    let path = dir.path().join("decisions.jsonl");
    let whole = fs::read(&path).unwrap();
    let line = whole.split(|byte| *byte == b'\n').nth(1).unwrap();
    let torn = [line, b"\n{\"at\":8,", &[0; 512], b"}\n", line, b"\n"].concat();
    fs::write(&path, [whole.as_slice(), &torn].concat()).unwrap();
    let log = open(dir.path(), Durability::Durable);
    assert_eq!(log.newest_at_open(), UnixMillis(7));
    drop(log);
    let left = fs::read_to_string(&path).unwrap();
    assert!(
        left.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    assert_eq!(left.lines().count(), 3);
}

#[test]
fn a_torn_tail_of_any_length_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    drop(open(dir.path(), Durability::Durable));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [whole.clone(), vec![0; 3_000_000]].concat()).unwrap();
    drop(open(dir.path(), Durability::Durable));
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_header_of_zeros_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), Durability::Durable));
    let path = dir.path().join("decisions.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, vec![0; whole.len()]).unwrap();
    drop(open(dir.path(), Durability::Durable));
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_torn_header_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("decisions.jsonl"), "{\"format\":\"str").unwrap();
    drop(open(dir.path(), Durability::Durable));
    assert_eq!(lines(dir.path()).len(), 1);
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    fs::write(
        &path,
        "{\"format\":\"strongroom.decisions\",\"version\":2}\n",
    )
    .unwrap();
    let refused = Log::open(dir.path(), Durability::Durable, Limits::default());
    assert!(matches!(refused, Err(Error::Newer { found: 2, known: 1 })));
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let text = "my diary, nobody must ever overwrite this file, it is long enough\n";
    fs::write(&path, text).unwrap();
    let refused = Log::open(dir.path(), Durability::Durable, Limits::default());
    assert!(matches!(refused, Err(Error::Malformed { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_full_queue_refuses_instead_of_growing() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        queue_bytes_max: 300,
    };
    let log = Log::open(dir.path(), Durability::Buffered, limits).unwrap();
    let refused = (0..1_000).any(|at| matches!(log.append(&entry(at)), Err(Error::Slow)));
    assert!(refused);
}

#[test]
fn the_end_of_a_line_that_is_too_long_is_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        queue_bytes_max: 300,
    };
    let open = || Log::open(dir.path(), Durability::Buffered, limits);
    open().unwrap().close();
    let path = dir.path().join("decisions.jsonl");
    // Wherever what is looked at begins.
    for spaces in 4_000..5_000 {
        let file = format!("{}{{\"at\":4{}}}\n", "x".repeat(5_000), " ".repeat(spaces));
        let file = [crate::open::HEADER, file.as_bytes()].concat();
        fs::write(&path, &file).unwrap();
        assert!(matches!(open(), Err(Error::Malformed { .. })));
        assert_eq!(fs::read(&path).unwrap(), file);
    }
}

#[test]
fn zeros_before_the_last_batch_are_damage_and_not_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        queue_bytes_max: 300,
    };
    let open = || Log::open(dir.path(), Durability::Buffered, limits);
    open().unwrap().close();
    let path = dir.path().join("decisions.jsonl");
    let line = format!("{{\"at\":4{}}}\n", " ".repeat(1_000));
    // Old lines, zeros in their place, whole lines, and a batch that the power cut tore.
    let file = [
        crate::open::HEADER,
        line.repeat(2).as_bytes(),
        &[0; 500],
        line.repeat(4).as_bytes(),
        &[0; 400],
    ]
    .concat();
    fs::write(&path, &file).unwrap();
    assert!(matches!(open(), Err(Error::Malformed { .. })));
    assert_eq!(fs::read(&path).unwrap(), file);
}
