//! A value on its way into the vault: bytes, or a stream that is read once or opened anew for
//! each attempt.

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Bytes as they come.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

type Open = Box<dyn Fn() -> ByteStream + Send + Sync>;

/// What is to be tokenized. Its bytes are never looked at and never logged.
pub struct Value {
    source: Source,
    length_bytes: Option<u64>,
}

enum Source {
    Bytes(Bytes),
    Replayable(Open),
    Once(Option<ByteStream>),
}

impl Value {
    /// A value in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            length_bytes: Some(bytes.len() as u64),
            source: Source::Bytes(bytes),
        }
    }

    /// A value of known length that can be read again from its start, such as a file. Every
    /// call of `open` must yield the same bytes.
    pub fn replayable(
        length_bytes: u64,
        open: impl Fn() -> ByteStream + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Source::Replayable(Box::new(open)),
            length_bytes: Some(length_bytes),
        }
    }

    /// A value that can be read once, such as a pipe; its upload is not repeated. Without a
    /// length it is sent in chunks, which not every object store accepts.
    pub fn once(length_bytes: Option<u64>, stream: ByteStream) -> Self {
        Self {
            source: Source::Once(Some(stream)),
            length_bytes,
        }
    }

    /// Length in bytes, if it is known before the end.
    pub fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    /// The bytes from the start, or `None` once a value that is read once was taken.
    pub(crate) fn open(&mut self) -> Option<ByteStream> {
        match &mut self.source {
            Source::Bytes(bytes) => Some(pieces(bytes.clone())),
            Source::Replayable(open) => Some(open()),
            Source::Once(stream) => stream.take(),
        }
    }

    pub(crate) fn can_open(&self) -> bool {
        !matches!(self.source, Source::Once(None))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("length_bytes", &self.length_bytes)
            .finish_non_exhaustive()
    }
}

/// Cuts bytes in memory into pieces, so that a slow upload still shows movement.
fn pieces(bytes: Bytes) -> ByteStream {
    const PIECE_BYTES: usize = 64 * 1024;
    Box::pin(stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Some((Ok(piece), rest))
    }))
}

/// What an upload under way has moved, and why reading the value failed.
#[derive(Default)]
pub(crate) struct Meter {
    bytes: AtomicU64,
    failure: Mutex<Option<io::Error>>,
}

impl Meter {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().ok()?.take()
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if let Ok(mut failure) = self.failure.lock() {
            *failure = Some(error);
        }
        kind.into()
    }
}

/// Counts what passes and keeps the failure, which would drown in the HTTP library's error.
pub(crate) fn metered(stream: ByteStream, meter: Arc<Meter>) -> ByteStream {
    Box::pin(stream.map(move |piece| match piece {
        Ok(piece) => {
            meter.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok(piece)
        }
        Err(error) => Err(meter.fail(error)),
    }))
}
