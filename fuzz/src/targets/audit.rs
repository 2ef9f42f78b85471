//! The decision log as it is found at the start.

use super::scratch;
use serde_json::Value;
use std::fs;
use std::path::Path;
use strongroom_audit::{Decision, Durability, Entry, Limits, Log, Rule};
use strongroom_core::UnixMillis;

const HEADER: &[u8] = b"{\"format\":\"strongroom.decisions\",\"version\":1}\n";
/// Small, so that the end alone is looked at.
const LIMITS: Limits = Limits {
    queue_bytes_max: 512,
};

/// One byte that is 0 for a file as it is, or else the lines behind a sound header follow.
///
/// What is opened is a beginning of the file that ends in a whole line with a time, which is the
/// newest; it is the same when it is opened again, and goes on with what is written then.
pub(super) fn audit_log(data: &[u8]) -> bool {
    let Some((behind_header, rest)) = data.split_first() else {
        return false;
    };
    let file = match behind_header {
        0 => rest.to_vec(),
        _ => [HEADER, rest].concat(),
    };
    let dir = scratch();
    let dir = dir.path();
    let path = dir.join("decisions.jsonl");
    fs::write(&path, &file).expect("a file can be written");
    let Ok(newest) = open(dir) else {
        assert_eq!(
            fs::read(&path).expect("it is there"),
            file,
            "refused and changed"
        );
        return false;
    };
    let kept = fs::read(&path).expect("it is there");
    assert!(kept.starts_with(HEADER) && kept.ends_with(b"\n"));
    let is_torn_header = file.len() <= HEADER.len();
    assert!(file.starts_with(&kept) || is_torn_header);
    assert_eq!(newest, newest_of(&kept));
    assert!(
        !file[kept.len().min(file.len())..]
            .split(|b| *b == 0)
            .next()
            .is_some_and(has_time)
    );
    assert_eq!(open(dir).ok(), Some(newest), "opened again");
    assert_eq!(fs::read(&path).expect("it is there"), kept, "opened again");
    goes_on(dir, &kept);
    kept.len() > HEADER.len() && kept == file
}

fn open(dir: &Path) -> Result<UnixMillis, strongroom_audit::Error> {
    Log::open(dir, Durability::Buffered, LIMITS).map(|log| log.newest_at_open())
}

/// The time in a line, if it is one of a log.
fn time(line: &[u8]) -> Option<UnixMillis> {
    let json: Value = serde_json::from_slice(line).ok()?;
    json.get("at")?.as_u64().map(UnixMillis)
}

/// Whether a whole line with a time stands in there.
fn has_time(lines: &[u8]) -> bool {
    let whole = lines.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    lines[..whole]
        .split(|byte| *byte == b'\n')
        .any(|line| time(line).is_some())
}

/// Of the last line; 0 if that is the header.
fn newest_of(kept: &[u8]) -> UnixMillis {
    let lines: Vec<_> = kept.split(|byte| *byte == b'\n').collect();
    time(lines[lines.len() - 2]).unwrap_or_default()
}

fn goes_on(dir: &Path, kept: &[u8]) {
    let log = Log::open(dir, Durability::Buffered, LIMITS).expect("it opened before");
    let at = UnixMillis(u64::MAX);
    let entry = Entry {
        at,
        request: None,
        subject: None,
        session: None,
        action: "sweep",
        token: None,
        target: None,
        decision: Decision::Allow,
        rule: Rule::Sweep,
        row: None,
    };
    let _ = log.append(&entry).expect("there is room");
    log.close();
    let grown = fs::read(log.path()).expect("it is there");
    assert!(grown.len() > kept.len() && grown.starts_with(kept));
    assert_eq!(newest_of(&grown), at);
}
