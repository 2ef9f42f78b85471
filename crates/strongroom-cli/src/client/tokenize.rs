//! `strongroom tokenize`: a file, a text or standard input becomes a token.

use super::connect::{Connection, shown};
use super::exit::{self, Failure};
use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use futures_util::stream::{self, StreamExt};
use indicatif::ProgressBar;
use serde_json::json;
use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use strongroom_client::{ByteStream, Value};
use strongroom_wire::Metadata;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Of a pipe, as much is read ahead to learn its length: some object stores insist on one.
const READ_AHEAD_BYTES: usize = 8 * 1024 * 1024;

/// Arguments of `tokenize`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Tokenize {
    /// File to store; standard input without it or with `-`
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Text to store. Other users of this machine can see it in /proc, and shells remember it:
    /// standard input is safer
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    plaintext: Option<String>,
    /// JSON object to keep beside the value
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

impl Tokenize {
    /// Prints the token.
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let metadata = self.metadata.as_deref().map(Metadata::parse).transpose();
        let metadata = metadata.map_err(|error| Failure::usage(error.to_string()))?;
        let client = connection.application()?;
        let bar = connection.output.progress(None);
        let value = match (self.plaintext, self.file) {
            (Some(text), _) => Value::bytes(text),
            (None, Some(path)) if path.as_os_str() != "-" => file_value(&path, &bar)?,
            (None, _) => {
                if io::stdin().is_terminal() {
                    connection
                        .output
                        .note("reading the value from standard input; end it with Ctrl-D");
                }
                stdin_value(&bar).await?
            }
        };
        let bar = match value.length_bytes() {
            Some(length) if !bar.is_hidden() => {
                bar.set_length(length);
                bar
            }
            _ => bar,
        };
        let token = client.tokenize(value, metadata).await;
        bar.finish_and_clear();
        let token = token?;
        let line = token.expose();
        connection
            .output
            .result(&json!({ "tokenId": line }).to_string(), line)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn file_value(path: &Path, bar: &ProgressBar) -> anyhow::Result<Value> {
    let file = File::open(path).with_context(|| format!("cannot open {}", shown(path)))?;
    let kind = file.metadata().with_context(|| shown(path))?.file_type();
    if kind.is_dir() {
        bail!("{} is a directory", shown(path));
    }
    if kind.is_file() {
        return regular(file, bar).with_context(|| shown(path));
    }
    let reader = tokio::fs::File::from_std(file);
    Ok(Value::once(
        None,
        counted(Box::pin(ReaderStream::new(reader)), bar),
    ))
}

async fn stdin_value(bar: &ProgressBar) -> anyhow::Result<Value> {
    let context = "cannot read standard input";
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().context(context)?);
    if file.metadata().context(context)?.is_file() {
        return regular(file, bar).context(context);
    }
    let mut stdin = tokio::io::stdin();
    let mut ahead = Vec::new();
    let limit = READ_AHEAD_BYTES as u64;
    (&mut stdin)
        .take(limit)
        .read_to_end(&mut ahead)
        .await
        .context(context)?;
    if ahead.len() < READ_AHEAD_BYTES {
        return Ok(Value::bytes(ahead));
    }
    let rest = ReaderStream::with_capacity(stdin, PIECE_BYTES);
    let ahead = stream::iter([Ok(Bytes::from(ahead))]);
    Ok(Value::once(None, counted(Box::pin(ahead.chain(rest)), bar)))
}

/// A regular file from where it stands to its present end, readable as often as needed.
fn regular(mut file: File, bar: &ProgressBar) -> io::Result<Value> {
    let start = file.stream_position()?;
    let length = file.metadata()?.len().saturating_sub(start);
    let (file, bar) = (Arc::new(file), bar.clone());
    Ok(Value::replayable(length, move || {
        bar.set_position(0);
        counted(pieces(Arc::clone(&file), start, start + length), &bar)
    }))
}

/// Reads by position: the file has one cursor, and attempts must not share it.
fn pieces(file: Arc<File>, start: u64, end: u64) -> ByteStream {
    Box::pin(stream::unfold(Some(start), move |at| {
        let file = Arc::clone(&file);
        async move {
            let at = at.filter(|at| *at < end)?;
            let read = tokio::task::spawn_blocking(move || piece(&file, at, end)).await;
            match read.unwrap_or_else(|_| Err(io::Error::other("reading was given up"))) {
                Ok(bytes) => {
                    let next = at + bytes.len() as u64;
                    Some((Ok(bytes), Some(next)))
                }
                Err(error) => Some((Err(error), None)),
            }
        }
    }))
}

fn piece(file: &File, at: u64, end: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(end - at)
        .unwrap_or(PIECE_BYTES)
        .min(PIECE_BYTES);
    let mut bytes = vec![0; wanted];
    let length = loop {
        match file.read_at(&mut bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if length == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter",
        ));
    }
    bytes.truncate(length);
    Ok(bytes.into())
}

fn counted(stream: ByteStream, bar: &ProgressBar) -> ByteStream {
    let bar = bar.clone();
    Box::pin(stream.inspect(move |piece| {
        if let Ok(piece) = piece {
            bar.inc(piece.len() as u64);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    async fn collect(mut stream: ByteStream) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn a_file_reads_the_same_each_time_whatever_is_appended() {
        let mut file = tempfile::tempfile().unwrap();
        let value: Vec<u8> = (0..PIECE_BYTES * 2 + 7)
            .map(|i| i.to_le_bytes()[0])
            .collect();
        file.write_all(&value).unwrap();
        let end = value.len() as u64;
        file.write_all(b"appended").unwrap();
        let file = Arc::new(file);
        for _ in 0..2 {
            assert_eq!(
                collect(pieces(Arc::clone(&file), 0, end)).await.unwrap(),
                value
            );
        }
        assert_eq!(
            collect(pieces(Arc::clone(&file), 5, end)).await.unwrap(),
            value[5..]
        );
        assert!(collect(pieces(file, 7, 7)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let error = collect(pieces(Arc::new(file), 0, 4)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named() {
        let bar = ProgressBar::hidden();
        let error = format!(
            "{:#}",
            file_value(Path::new("/none/such"), &bar).err().unwrap()
        );
        assert!(
            error.starts_with("cannot open /none/such: No such file"),
            "{error}"
        );
        let error = file_value(Path::new("/"), &bar).err().unwrap();
        assert_eq!(error.to_string(), "/ is a directory");
    }
}
