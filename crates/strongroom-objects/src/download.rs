//! A download: opens a stored file with its customer key and reads any part of it.
//!
//! Every size comes from the manifest, which the key authenticates; the file must be exactly as
//! long as the manifest says. Must not know HTTP.

use crate::buffers::{Buffer, Pool};
use crate::disk::{Disk, FileName, direct};
use crate::upload::{BLOCK_BYTES, HEAD_BYTES_MAX, PREFIX_BYTES};
use bytes::Bytes;
use futures_util::{Stream, stream};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use strongroom_core::VERSION;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::manifest::{HeadError, Manifest, open_head};
use strongroom_core::stream::{
    Context, Flag, RUN_HEADER_BYTES, SEGMENT_BYTES, SegmentOpener, plain_bytes, run_salt,
    sealed_bytes, segment_of, segment_offset,
};
use tokio::task::{JoinHandle, spawn_blocking};

const SEGMENT: u64 = SEGMENT_BYTES as u64;
/// Segments that are read at once.
const BATCH_SEGMENTS: u64 = (BLOCK_BYTES / SEGMENT_BYTES) as u64;
/// Bytes of a range from which on it is read past the page cache.
const DIRECT_BYTES_MIN: u64 = 1 << 20;

/// Why an object is not read.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is none of that name.
    Missing,
    /// It needs a customer key.
    NoKey,
    /// It has another customer key.
    WrongKey,
    /// It is not what was stored; the text is for the log.
    Broken(&'static str),
    /// The file system failed.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Broken("file too short"),
            _ => Self::Io(error),
        }
    }
}

/// An object whose key was right.
pub(crate) struct Stored {
    pub(crate) manifest: Manifest,
    file: File,
    opener: SegmentOpener,
    run_at: u64,
}

impl Stored {
    /// Opens an object; blocks on the disk.
    pub(crate) fn open(
        disk: &Disk,
        bucket: &str,
        object_key: &str,
        key: Option<&DataKey>,
    ) -> Result<Self, Refusal> {
        let file = disk
            .read(&FileName::new(object_key))?
            .ok_or(Refusal::Missing)?;
        let key = key.ok_or(Refusal::NoKey)?;
        let head = read_head(&file)?;
        let manifest = open_head(&head, key, bucket, object_key).map_err(|error| match error {
            HeadError::WrongKey => Refusal::WrongKey,
            HeadError::Broken(_) => Refusal::Broken("head does not open"),
        })?;
        let [run] = manifest.runs.as_slice() else {
            return Err(Refusal::Broken("more than one run"));
        };
        let run_at = (PREFIX_BYTES + head.len()) as u64;
        let sealed = sealed_bytes(run.length).map_err(|_| Refusal::Broken("impossible length"))?;
        if file.metadata()?.len() != run_at + sealed {
            return Err(Refusal::Broken("file length differs from the manifest"));
        }
        let mut header = [0; RUN_HEADER_BYTES];
        file.read_exact_at(&mut header, run_at)?;
        if run_salt(&header) != Ok(run.salt) {
            return Err(Refusal::Broken("run header differs from the manifest"));
        }
        let context = Context::Stored {
            bucket,
            object_key,
            part_number: run.part_number,
        };
        let opener = SegmentOpener::new(&run.salt, key, &context, run.length, Flag::EndOfRun)
            .map_err(|_| Refusal::Broken("impossible run"))?;
        Ok(Self {
            manifest,
            file,
            opener,
            run_at,
        })
    }

    /// Reads and opens up to one batch of segments from `first` on, and cuts them to `range`;
    /// blocks on the disk.
    fn read_batch(
        &self,
        first: u64,
        range: &Range<u64>,
        mut buffer: Buffer,
    ) -> io::Result<VecDeque<Bytes>> {
        let end = range.end.div_ceil(SEGMENT).min(first + BATCH_SEGMENTS);
        let lengths: Vec<usize> = (first..end)
            .map_while(|index| self.opener.segment_bytes(index))
            .collect();
        let total = lengths.iter().sum();
        let offset = self.run_at + segment_offset(first);
        let mut at = direct::read(&self.file, &mut buffer, offset, total)?;
        buffer.plaintext = at..at + total;
        let mut cuts = Vec::with_capacity(lengths.len());
        for (index, length) in (first..end).zip(lengths) {
            let plain = self.opener.open(index, &mut buffer[at..at + length]);
            let plain = plain
                .map_err(|_| io::Error::other("a segment does not open"))?
                .len();
            let start = index * SEGMENT;
            let from = clamp(range.start.saturating_sub(start), plain);
            let to = clamp(range.end.saturating_sub(start), plain);
            cuts.push(at + from..at + to.max(from));
            at += length;
        }
        let bytes = Bytes::from_owner(buffer);
        Ok(cuts
            .into_iter()
            .filter(|cut| !cut.is_empty())
            .map(|cut| bytes.slice(cut))
            .collect())
    }

    /// The bytes of `range`, one batch read ahead. An error means that what follows cannot be
    /// trusted: the receiver must see the transfer break.
    ///
    /// The first batch is read before this returns, so that a broken object is refused rather
    /// than cut off.
    pub(crate) async fn stream(
        self,
        range: Range<u64>,
        pool: Pool,
    ) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        if range.end - range.start >= DIRECT_BYTES_MIN {
            direct::enter(&self.file);
        }
        let next = segment_of(range.start);
        let mut reading = Reading {
            stored: Arc::new(self),
            pool,
            range,
            next,
            ahead: None,
        };
        reading.read_ahead();
        let first = reading.batch().await.transpose()?.unwrap_or_default();
        reading.read_ahead();
        let state = (reading, first);
        Ok(stream::try_unfold(
            state,
            |(mut reading, mut ready)| async move {
                if ready.is_empty() {
                    match reading.batch().await {
                        Some(batch) => ready = batch?,
                        None => return Ok(None),
                    }
                    reading.read_ahead();
                }
                Ok(ready.pop_front().map(|bytes| (bytes, (reading, ready))))
            },
        ))
    }

    /// Reads all segments that hold no byte: an empty object's only one.
    pub(crate) fn check_empty(&self) -> bool {
        let mut segment = vec![0; self.opener.segment_bytes(0).unwrap_or(0)];
        let read = self
            .file
            .read_exact_at(&mut segment, self.run_at + segment_offset(0));
        read.is_ok() && self.opener.open(0, &mut segment).is_ok()
    }
}

fn clamp(value: u64, max: usize) -> usize {
    usize::try_from(value).map_or(max, |value| value.min(max))
}

/// A range being read, one batch ahead.
struct Reading {
    stored: Arc<Stored>,
    pool: Pool,
    range: Range<u64>,
    next: u64,
    ahead: Option<JoinHandle<io::Result<VecDeque<Bytes>>>>,
}

impl Reading {
    fn read_ahead(&mut self) {
        let first = self.next;
        if first * SEGMENT >= self.range.end || self.range.is_empty() {
            return;
        }
        self.next += BATCH_SEGMENTS;
        let (stored, range) = (Arc::clone(&self.stored), self.range.clone());
        let buffer = self.pool.take();
        self.ahead = Some(spawn_blocking(move || {
            stored.read_batch(first, &range, buffer)
        }));
    }

    async fn batch(&mut self) -> Option<io::Result<VecDeque<Bytes>>> {
        let read = self.ahead.take()?.await;
        Some(read.map_err(io::Error::other).flatten())
    }
}

fn read_head(file: &File) -> Result<Vec<u8>, Refusal> {
    let length = head_length(file)?;
    let mut head = vec![0; length];
    file.read_exact_at(&mut head, PREFIX_BYTES as u64)?;
    Ok(head)
}

fn head_length(file: &File) -> Result<usize, Refusal> {
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact_at(&mut prefix, 0)?;
    let [version, length @ ..] = prefix;
    if version != VERSION {
        return Err(Refusal::Broken("unknown version of the file"));
    }
    usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|length| *length <= HEAD_BYTES_MAX)
        .ok_or(Refusal::Broken("impossible length of the head"))
}

/// The value's size as the file's length tells it, without key and so without proof.
pub(crate) fn unkeyed_size(file: &File) -> io::Result<u64> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "damaged object file");
    let head = head_length(file).map_err(|refusal| match refusal {
        Refusal::Io(error) => error,
        _ => damaged(),
    })?;
    let run = file
        .metadata()?
        .len()
        .checked_sub((PREFIX_BYTES + head) as u64);
    run.and_then(|run| plain_bytes(run).ok())
        .ok_or_else(damaged)
}
