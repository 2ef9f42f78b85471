//! The log in a file: lines are queued and written by a thread of their own, so that a slow or
//! full disk holds nobody up. What does not fit is lost, and counted.

use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tracing_subscriber::fmt::MakeWriter;

/// Most bytes of lines that wait for the disk.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// The open log; dropped, it writes what waits.
pub(crate) struct LogFile {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The queue between the subscriber and the thread.
#[derive(Default)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    lost: u64,
    reopen: bool,
    closed: bool,
}

/// Where the subscriber writes to.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

impl LogFile {
    /// Opens or makes the file, with mode 0600.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = open(path).with_context(|| format!("log.file {}", path.display()))?;
        let shared = Arc::<Shared>::default();
        let (theirs, path) = (Arc::clone(&shared), path.to_owned());
        let thread = thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || write_all(&theirs, file, &path))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// For the subscriber.
    pub(crate) fn lines(&self) -> Lines {
        Lines(Arc::clone(&self.shared))
    }

    /// Opens the file anew, after somebody moved it. Lines until now go to the old one.
    pub(crate) fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.filled.notify_one();
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Shared;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

impl Write for &Shared {
    /// Takes a whole line at a time, which is what the subscriber writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.lock();
        if queue.lines.len().saturating_add(line.len()) > QUEUE_BYTES_MAX {
            queue.lost += 1;
        } else {
            queue.lines.extend_from_slice(line);
        }
        drop(queue);
        self.filled.notify_one();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Writes until the log is closed. What was lost is said once there is room again.
fn write_all(shared: &Shared, mut file: File, path: &Path) {
    let mut lines = Vec::new();
    let mut said = 0;
    loop {
        lines.clear();
        let mut queue = shared.lock();
        while queue.lines.is_empty() && !queue.reopen && !queue.closed {
            queue = shared
                .filled
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut lines, &mut queue.lines);
        let (reopen, closed) = (std::mem::take(&mut queue.reopen), queue.closed);
        drop(queue);
        let lost = write(&mut file, &lines);
        let all_lost = {
            let mut queue = shared.lock();
            queue.lost += lost;
            queue.lost
        };
        if lost == 0 && all_lost > said && !closed {
            // Without the lock: this is a line itself.
            tracing::warn!(
                lost = all_lost,
                "lines of the log were lost since the start"
            );
            said = all_lost;
        }
        if reopen {
            file = reopened(path, file);
        }
        if closed && lines.is_empty() {
            return;
        }
    }
}

/// The file under its name, or the old one if there is none to be had.
fn reopened(path: &Path, old: File) -> File {
    match open(path) {
        Ok(file) => {
            tracing::info!("the log goes on in a file opened anew");
            file
        }
        Err(error) => {
            tracing::error!(%error, "the log cannot be opened anew and goes on in the old file");
            old
        }
    }
}

/// Writes whole lines or none; returns how many were lost.
fn write(file: &mut File, lines: &[u8]) -> u64 {
    if lines.is_empty() {
        return 0;
    }
    let before = file.metadata().map(|metadata| metadata.len());
    if file.write_all(lines).is_ok() {
        return 0;
    }
    // The half of a line that did fit would make one with the next.
    if let Ok(before) = before {
        let _ = file.set_len(before);
    }
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn no_line_is_lost_when_the_file_is_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = LogFile::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let lines = log.lines();
        for round in 0..20 {
            for line in 0..100 {
                writeln!(lines.make_writer(), "{round} {line}").unwrap();
            }
            fs::rename(&path, dir.path().join(format!("log.{round}"))).unwrap();
            log.reopen();
            while !path.exists() {
                thread::yield_now();
            }
        }
        drop(log);
        let mut found = 0;
        for entry in fs::read_dir(dir.path()).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            found += text.lines().count();
        }
        assert_eq!(found, 20 * 100);
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = LogFile::open(Path::new("/dev/full")).unwrap();
        let lines = log.lines();
        for _ in 0..3 {
            writeln!(lines.make_writer(), "a line").unwrap();
        }
        let shared = Arc::clone(&log.shared);
        drop(log);
        assert_eq!(shared.lock().lost, 3);
    }

    #[test]
    fn a_queue_that_is_full_takes_no_more() {
        let shared = Arc::<Shared>::default();
        let lines = Lines(Arc::clone(&shared));
        let line = vec![b'x'; QUEUE_BYTES_MAX];
        lines.make_writer().write_all(&line).unwrap();
        lines.make_writer().write_all(b"one more\n").unwrap();
        assert_eq!(
            (shared.lock().lines.len(), shared.lock().lost),
            (QUEUE_BYTES_MAX, 1)
        );
    }
}
