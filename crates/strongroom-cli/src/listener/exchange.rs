//! The byte stream of one connection, under limits of time: for a header to arrive, and between
//! requests. It also gives a body to what the HTTP library refuses by itself, and lets a client
//! that is still sending read its answer.

use http_body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

/// What is read and forgotten after the last answer, and for how long: a client that still sends
/// would see its connection reset instead of the answer.
const LINGER_BYTES_MAX: usize = 512 * 1024;
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);
const LINGER_STEP_BYTES: usize = 4 * 1024;

/// Makes a whole answer out of the status of one without a body.
pub(crate) type Unreadable = Arc<dyn Fn(u16) -> Vec<u8> + Send + Sync>;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stand {
    /// Between requests, with nothing of the next one there.
    Idle,
    /// A header is under way; also before the first byte of the first one.
    Header,
    /// A request is being served; its body has limits of its own.
    Serving,
    /// The last answer is out.
    Lingering,
}

/// Shared by the stream, which sees bytes, and the service, which sees requests and answers.
#[derive(Debug, Clone)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(Stand::Header as u8)))
    }

    /// A whole header has arrived.
    pub(crate) fn serving(&self) {
        self.set(Stand::Serving);
    }

    /// The body of an answer, whose end is the end of its request.
    pub(crate) fn answer<B>(&self, body: B) -> Answered<B> {
        Answered {
            body,
            phase: self.clone(),
        }
    }

    // Both sides run in the connection's one task, so nothing is ordered by these.
    fn set(&self, stand: Stand) {
        self.0.store(stand as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Stand {
        match self.0.load(Ordering::Relaxed) {
            0 => Stand::Idle,
            1 => Stand::Header,
            2 => Stand::Serving,
            _ => Stand::Lingering,
        }
    }
}

/// A body that says when it is over.
pub(crate) struct Answered<B> {
    body: B,
    phase: Phase,
}

impl<B> Drop for Answered<B> {
    fn drop(&mut self) {
        self.phase.set(Stand::Idle);
    }
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Limits between and before requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Longest time for a header.
    pub(super) header_time_max: Duration,
    /// Longest silence between an answer and the next request.
    pub(super) idle_max: Duration,
}

/// The stream.
pub(super) struct Exchange<S> {
    stream: S,
    phase: Phase,
    pace: Pace,
    unreadable: Option<Unreadable>,
    /// A vault that stops waits for nobody's last words.
    stop: watch::Receiver<bool>,
    /// What the timer was set for.
    timed: Option<Stand>,
    timer: Pin<Box<Sleep>>,
    /// Written in place of what the library wants to write.
    instead: Option<(Vec<u8>, usize)>,
    lingered_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) fn new(
        stream: S,
        phase: Phase,
        pace: Pace,
        unreadable: Option<Unreadable>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            stream,
            phase,
            pace,
            unreadable,
            stop,
            timed: None,
            timer: Box::pin(sleep_until(Instant::now())),
            instead: None,
            lingered_bytes: 0,
        }
    }

    /// Whether the time for `stand` is over. The timer is set when something is waited for, which
    /// for a header that comes in one piece never happens.
    fn poll_time(&mut self, stand: Stand, time_max: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.timed != Some(stand) {
            self.timer.as_mut().reset(Instant::now() + time_max);
            self.timed = Some(stand);
        }
        self.timer.as_mut().poll(cx)
    }

    /// Reads and forgets, until the client has ended, has sent too much, or its time is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; LINGER_STEP_BYTES];
        while self.lingered_bytes < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.lingered_bytes += buf.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.poll_time(Stand::Lingering, LINGER_TIME_MAX, cx),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Exchange<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stand = self.phase.get();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let time_max = match stand {
            Stand::Serving | Stand::Lingering => {
                self.timed = None;
                return read;
            }
            Stand::Idle => self.pace.idle_max,
            Stand::Header => self.pace.header_time_max,
        };
        if read.is_pending() {
            ready!(self.poll_time(stand, time_max, cx));
            let message = "no request came in time";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        if stand == Stand::Idle && buf.filled().len() > before {
            self.phase.set(Stand::Header);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Exchange<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.instead.is_none() {
            let unreadable = this.unreadable.as_ref();
            let status = unreadable.and_then(|make| Some((make, bodiless_refusal(buf)?)));
            this.instead = status.map(|(make, status)| (make(status), 0));
        }
        let Some((bytes, written)) = &mut this.instead else {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        };
        while *written < bytes.len() {
            let count = ready!(Pin::new(&mut this.stream).poll_write(cx, &bytes[*written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count;
        }
        this.instead = None;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unreadable.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            let first = first.map_or(&[] as &[u8], |buf| buf);
            if self.instead.is_some() || bodiless_refusal(first).is_some() {
                return self.poll_write(cx, first);
            }
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase.get() != Stand::Lingering {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.phase.set(Stand::Lingering);
        }
        if !*self.stop.borrow() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// The status, if this is the whole of a refusal that the HTTP library makes by itself. Our own
/// all have a body and the name of their request.
fn bodiless_refusal(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let (digits, _) = rest.split_at_checked(2)?;
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let is_whole = bytes.ends_with(b"\r\n\r\n");
    let is_empty = has(b"\r\ncontent-length: 0\r\n") && !has(b"\r\nx-request-id: ");
    let status = std::str::from_utf8(digits).ok()?.parse::<u16>().ok()?;
    (is_whole && is_empty).then_some(400 + status)
}

#[cfg(test)]
mod tests;
