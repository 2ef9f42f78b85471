//! Opening the file: its format, a torn header, a torn tail.

use crate::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use strongroom_core::UnixMillis;

const FORMAT: u64 = 1;
pub(crate) const HEADER: &[u8] = b"{\"format\":\"strongroom.decisions\",\"version\":1}\n";
/// Longest line of ours, with room to spare.
pub(crate) const LINE_BYTES_MAX: u64 = 4 * 1024;

pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) len: u64,
    pub(crate) newest: UnixMillis,
}

pub(crate) fn open(dir: &Path, path: &Path, batch_bytes_max: u64) -> Result<Opened, Error> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mut len = file.metadata()?.len();
    if len <= HEADER.len() as u64 && is_torn_header(&mut file)? {
        file.write_all_at(HEADER, 0)?;
        file.set_len(HEADER.len() as u64)?;
        len = HEADER.len() as u64;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
    }
    check_header(&mut file, path)?;
    let (end, newest) = whole(&file, len, path, batch_bytes_max)?;
    if end < len {
        tracing::warn!(
            bytes = len - end,
            "the audit log's last batch was torn and is cut off"
        );
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(Opened {
        file,
        len: end,
        newest,
    })
}

/// Whether the file is empty, or a prefix of the header that a power cut left behind.
fn is_torn_header(file: &mut File) -> Result<bool, Error> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HEADER.len() as u64).read_to_end(&mut bytes)?;
    Ok(bytes
        .iter()
        .zip(HEADER)
        .all(|(byte, expected)| byte == expected || *byte == 0))
}

fn check_header(file: &mut File, path: &Path) -> Result<(), Error> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HEADER.len() as u64 + 20).read_to_end(&mut head)?;
    if head.starts_with(HEADER) {
        return Ok(());
    }
    let malformed = || Error::Malformed {
        path: path.display().to_string(),
        what: "first line",
    };
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(line).map_err(|_| malformed())?;
    match json["version"].as_u64() {
        Some(found) if found > FORMAT => Err(Error::Newer {
            found,
            known: FORMAT,
        }),
        _ => Err(malformed()),
    }
}

/// End of what is whole, and the time of its last line. What follows goes: it was of a batch
/// that nobody was told of.
///
/// The file only grows, so a sector that a power cut lost reads as zeros, also before sectors of
/// the same batch that did arrive. The first zero within the last batch ends what is whole.
fn whole(
    file: &File,
    len: u64,
    path: &Path,
    batch_bytes_max: u64,
) -> Result<(u64, UnixMillis), Error> {
    let malformed = || Error::Malformed {
        path: path.display().to_string(),
        what: "last line",
    };
    // With the byte before the line before the batch, which shows where that line begins.
    let looked_at = batch_bytes_max + LINE_BYTES_MAX + 1;
    let from = len.saturating_sub(looked_at);
    let tail = read(file, from, len)?;
    let zero = tail.iter().position(|byte| *byte == 0);
    let mut rest = &tail[..zero.unwrap_or(tail.len())];
    while let Some(newline) = rest.iter().rposition(|byte| *byte == b'\n') {
        let before = rest[..newline].iter().rposition(|byte| *byte == b'\n');
        let start = match before {
            Some(at) => at + 1,
            None if from == 0 => 0,
            // Longer than any line of ours: what its end looks like says nothing.
            None => break,
        };
        let line = serde_json::from_slice::<serde_json::Value>(&rest[start..newline]);
        if let Some(at) = line.ok().and_then(|json| json["at"].as_u64()) {
            let end = from + newline as u64 + 1;
            // Zeros before the last batch are no torn batch: what was acknowledged is damaged.
            if read(file, end.saturating_sub(looked_at), from)?.contains(&0) {
                return Err(malformed());
            }
            return Ok((end, UnixMillis(at)));
        }
        rest = &rest[..start];
    }
    if from == 0 {
        return Ok((HEADER.len() as u64, UnixMillis(0)));
    }
    Err(malformed())
}

/// The bytes between two places; none if the first is not before the second.
fn read(file: &File, from: u64, to: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}
