//! The runs of one object, read from any part of it, one block ahead.
//!
//! Every size and salt comes from the manifest, which the key authenticates; a file must be
//! exactly as long as the manifest says. Files are opened when their bytes are wanted. A thread
//! that may block only reads; a segment is opened just before it is sent.

use super::{BLOCK_BYTES, Channel};
use crate::buffers::Buffer;
use crate::disk::direct;
use crate::index::{BodyPlace, RunFile};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::manifest::Manifest;
use strongroom_core::stream::{
    Context, Flag, RUN_HEADER_BYTES, SEGMENT_BYTES, SegmentOpener, run_salt, sealed_bytes,
    segment_of, segment_offset,
};
use tokio::task::{JoinHandle, spawn_blocking};

const SEGMENT: u64 = SEGMENT_BYTES as u64;
/// Segments that are read at once.
const BATCH_SEGMENTS: u64 = (BLOCK_BYTES / SEGMENT_BYTES) as u64;

/// What the store has is not what was stored; the text is for the log.
pub(crate) fn broken(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// The runs of an object, in order.
pub(crate) struct Runs {
    pub(crate) channel: Channel,
    pub(crate) bucket: String,
    pub(crate) object_key: String,
    pub(crate) key: DataKey,
    pub(crate) manifest: Arc<Manifest>,
    /// As many as there are runs in the manifest.
    pub(crate) place: BodyPlace,
}

/// One run, found and fitting its entry in the manifest.
pub(crate) struct OpenRun {
    index: usize,
    source: Source,
    opener: SegmentOpener,
}

enum Source {
    Memory(Bytes),
    File { file: File, run: RunFile },
}

impl Runs {
    /// Opens one run. Blocks on the disk if it is a file.
    pub(crate) fn open(&self, index: usize) -> io::Result<OpenRun> {
        let run = self.manifest.runs.get(index).ok_or(broken("no such run"))?;
        let sealed = sealed_bytes(run.length).map_err(|_| broken("impossible length"))?;
        let source = match &self.place {
            BodyPlace::Inline(bytes) => {
                if index != 0 || bytes.len() as u64 != sealed {
                    return Err(broken("the row's length differs from the manifest"));
                }
                Source::Memory(bytes.clone())
            }
            BodyPlace::Files(files) => {
                let file = files.get(index).ok_or(broken("a file is not named"))?;
                self.open_file(*file, sealed)
                    .inspect_err(|error| damage(&file.name, error))?
            }
        };
        let header = source.header()?;
        if run_salt(&header) != Ok(run.salt) {
            source.damage("run header differs from the manifest");
            return Err(broken("run header differs from the manifest"));
        }
        let context = Context::Stored {
            bucket: &self.bucket,
            object_key: &self.object_key,
            part_number: run.part_number,
        };
        let opener = SegmentOpener::new(&run.salt, &self.key, &context, run.length, Flag::EndOfRun)
            .map_err(|_| broken("impossible run"))?;
        Ok(OpenRun {
            index,
            source,
            opener,
        })
    }

    fn open_file(&self, run: RunFile, sealed: u64) -> io::Result<Source> {
        let file = self.channel.disk.open_run(&run.name)?;
        if file.metadata()?.len() != u64::from(run.run_at) + sealed {
            return Err(broken("file length differs from the manifest"));
        }
        Ok(Source::File { file, run })
    }

    fn is_inline(&self) -> bool {
        matches!(self.place, BodyPlace::Inline(_))
    }
}

/// Damage or an attack: a name of a file says nothing about its object.
fn damage(name: &[u8; 16], error: &dyn std::fmt::Display) {
    let file = hex::encode(name);
    tracing::error!(file, %error, "a file of the object store is not what was stored");
}

impl Source {
    fn header(&self) -> io::Result<[u8; RUN_HEADER_BYTES]> {
        let mut header = [0; RUN_HEADER_BYTES];
        match self {
            Self::Memory(bytes) => {
                let start: &[u8; RUN_HEADER_BYTES] =
                    bytes.first_chunk().ok_or(broken("no run header"))?;
                header.copy_from_slice(start);
            }
            Self::File { file, run } => file.read_exact_at(&mut header, run.run_at.into())?,
        }
        Ok(header)
    }

    fn damage(&self, why: &str) {
        match self {
            Self::Memory(_) => {
                tracing::error!(
                    why,
                    "a value in the object store's index is not what was stored"
                );
            }
            Self::File { run, .. } => damage(&run.name, &why),
        }
    }
}

impl OpenRun {
    /// Opens segment 0 of an empty run.
    pub(crate) fn check_empty(self, runs: &Runs) -> io::Result<()> {
        let mut batch = Batch::read(Arc::new(self), 0..1, &runs.channel)?;
        batch.next(&runs.channel).transpose().map(|_| ())
    }
}

/// Sealed segments of one run, in memory.
struct Batch {
    run: Arc<OpenRun>,
    sealed: Sealed,
    /// Where in `sealed` the next segment begins.
    at: usize,
    segments: Range<u64>,
}

enum Sealed {
    Buffer(Buffer),
    Bytes(Bytes),
}

impl Batch {
    /// Reads segments; blocks on the disk if the run is a file.
    fn read(run: Arc<OpenRun>, segments: Range<u64>, channel: &Channel) -> io::Result<Self> {
        let from = segment_offset(segments.start);
        let (sealed, at) = match &run.source {
            Source::Memory(bytes) => {
                let at = usize::try_from(from).map_err(io::Error::other)?;
                (Sealed::Bytes(bytes.clone()), at)
            }
            Source::File { file, run: place } => {
                let lengths = segments.clone();
                let total = lengths.filter_map(|index| run.opener.segment_bytes(index));
                let mut buffer = channel.blocks.take();
                let from = u64::from(place.run_at) + from;
                let at = direct::read(file, &mut buffer, from, total.sum())
                    .inspect_err(|error| damage(&place.name, error))?;
                (Sealed::Buffer(buffer), at)
            }
        };
        Ok(Self {
            run,
            sealed,
            at,
            segments,
        })
    }

    /// Opens the next segment: its number, and its plaintext at the buffer's start.
    fn next(&mut self, channel: &Channel) -> Option<io::Result<(u64, Buffer)>> {
        let index = self.segments.next()?;
        let length = self.run.opener.segment_bytes(index)?;
        let sealed: &[u8] = match &self.sealed {
            Sealed::Buffer(buffer) => buffer,
            Sealed::Bytes(bytes) => bytes,
        };
        let mut plain = channel.segments.take();
        let count = length - (strongroom_core::aead::TAG_BYTES);
        plain.plaintext = 0..count;
        let opened = sealed.get(self.at..self.at + length).and_then(|sealed| {
            let opened = self.run.opener.open_to(index, sealed, &mut plain[..count]);
            opened.ok()
        });
        self.at += length;
        if opened.is_none() {
            self.run.source.damage("a segment does not open");
            return Some(Err(broken("a segment does not open")));
        }
        Some(Ok((index, plain)))
    }
}

/// A range being read, one batch ahead.
struct Reading {
    runs: Arc<Runs>,
    range: Range<u64>,
    direct: bool,
    /// The run that is read next, where it starts in the object, and its next segment.
    run: usize,
    run_from: u64,
    segment: u64,
    open: Option<Arc<OpenRun>>,
    ahead: Option<Ahead>,
    /// What is being sent, and where its run starts in the object.
    batch: Option<(Batch, u64)>,
}

enum Ahead {
    Ready(io::Result<(Batch, u64)>),
    Task(JoinHandle<io::Result<(Batch, u64)>>),
}

/// The bytes of `range`. Its first segment is opened before this returns, so that a broken object
/// is refused rather than cut off.
pub(crate) async fn stream(
    runs: Arc<Runs>,
    range: Range<u64>,
    first_run: Option<OpenRun>,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let mut reading = Reading {
        runs,
        direct: range.end.saturating_sub(range.start) >= direct::TRANSFER_BYTES_MIN,
        range,
        run: 0,
        run_from: 0,
        segment: 0,
        open: first_run.map(Arc::new),
        ahead: None,
        batch: None,
    };
    reading.seek();
    reading.read_ahead();
    let first = reading.next().await?;
    let rest = stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|bytes| (bytes, reading)))
    });
    Ok(stream::iter(first.map(Ok)).chain(rest))
}

impl Reading {
    /// Goes to the first segment of the range.
    fn seek(&mut self) {
        let runs = Arc::clone(&self.runs);
        for run in &runs.manifest.runs {
            if self.run_from + run.length > self.range.start {
                break;
            }
            self.run_from += run.length;
            self.run += 1;
        }
        self.segment = segment_of(self.range.start - self.run_from.min(self.range.start));
    }

    /// Starts to read the next batch, if the range goes on.
    fn read_ahead(&mut self) {
        let runs = Arc::clone(&self.runs);
        while let Some(run) = runs.manifest.runs.get(self.run) {
            if self.run_from >= self.range.end || self.range.is_empty() {
                return;
            }
            let wanted = run.length.min(self.range.end - self.run_from);
            let last = wanted.div_ceil(SEGMENT);
            if self.segment < last {
                return self.read_batch(last);
            }
            self.run_from += run.length;
            self.run += 1;
            self.segment = 0;
        }
    }

    fn read_batch(&mut self, last: u64) {
        let segments = self.segment..last.min(self.segment + BATCH_SEGMENTS);
        self.segment = segments.end;
        let (index, from, direct) = (self.run, self.run_from, self.direct);
        let open = self.open.take().filter(|open| open.index == index);
        let runs = Arc::clone(&self.runs);
        let inline = runs.is_inline();
        let read = move || {
            let open = open.map_or_else(|| runs.open(index).map(Arc::new), Ok)?;
            if let Source::File { file, .. } = &open.source
                && direct
            {
                direct::enter(file);
            }
            Ok((Batch::read(open, segments, &runs.channel)?, from))
        };
        self.ahead = Some(if inline {
            Ahead::Ready(read())
        } else {
            Ahead::Task(spawn_blocking(read))
        });
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some((batch, run_from)) = &mut self.batch {
                if let Some(opened) = batch.next(&self.runs.channel) {
                    let (index, plain) = opened?;
                    let start = *run_from + index * SEGMENT;
                    return Ok(Some(self.cut(start, plain)));
                }
                self.batch = None;
            }
            let read = match self.ahead.take() {
                None => return Ok(None),
                Some(Ahead::Ready(read)) => read?,
                Some(Ahead::Task(task)) => task.await.map_err(io::Error::other)??,
            };
            self.open = Some(Arc::clone(&read.0.run));
            self.batch = Some(read);
            self.read_ahead();
        }
    }

    /// What of a segment that starts at byte `start` of the object is in the range.
    fn cut(&self, start: u64, plain: Buffer) -> Bytes {
        let length = plain.plaintext.end;
        let clamp = |value: u64| usize::try_from(value).map_or(length, |value| value.min(length));
        let from = clamp(self.range.start.saturating_sub(start));
        let to = clamp(self.range.end.saturating_sub(start));
        Bytes::from_owner(plain).slice(from..to.max(from))
    }
}
