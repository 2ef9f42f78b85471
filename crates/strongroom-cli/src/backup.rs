//! `strongroom backup`: a copy of the data directory, made while the vault serves or while it
//! does not.
//!
//! The vault reads and sends, this side writes: with its own rights, to its own disk. Without a
//! running vault this process is both sides.

pub(crate) mod manifest;
pub(crate) mod message;
pub(crate) mod source;
mod unfinished;

pub(crate) use unfinished::Unfinished;

use crate::client::{Output, stopped};
use crate::config::{self, Config};
use crate::{admin, serve, stores, system_now};
use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use manifest::{Digest, FileEntry, Head, Manifest, checked, create};
use message::{Ask, CHUNK_BYTES, LINE_BYTES_MAX, Message};
use serde_json::json;
use source::Source;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Back up the data directory, also while the vault serves
#[derive(Args)]
#[command(
    after_help = "The directory holds what is encrypted as it is, the keyring as the master key \
                        wraps it, and the configuration; neither the master key nor any other \
                        secret file. Keep it apart from the master key."
)]
pub(crate) struct Backup {
    /// New directory for it; made with mode 0700
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Backup {
    pub(crate) async fn run(
        self,
        find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
        overrides: &[(String, String)],
        output: Output,
    ) -> anyhow::Result<()> {
        let config_file = config::find_required(find)?;
        let config = config::load(&config_file, overrides)?;
        let unfinished = Unfinished::create(&self.dir)?;
        let made = async {
            match admin::connect(&config).await? {
                Some(stream) => receive(stream, unfinished.dir(), output).await,
                None => without_a_vault(&config, &config_file, unfinished.dir(), output).await,
            }
        };
        let manifest = tokio::select! {
            made = made => made?,
            // Dropping what is under way removes it.
            () = stopped() => bail!("stopped; nothing is left of the backup"),
        };
        manifest.write(unfinished.dir())?;
        unfinished.keep(&self.dir)?;
        let result = json!({
            "backup": self.dir.display().to_string(),
            "at": manifest.head.at,
            "files": manifest.files.len(),
            "bytes": manifest.bytes(),
        });
        let line = format!(
            "{}: {} files, {} bytes",
            self.dir.display(),
            manifest.files.len(),
            manifest.bytes()
        );
        Ok(output.result(&result.to_string(), &line)?)
    }
}

/// Opens the stores and is the vault as well.
async fn without_a_vault(
    config: &Config,
    config_file: &Path,
    dir: &Path,
    output: Output,
) -> anyhow::Result<Manifest> {
    let stores = stores::open(config, OFFLINE_URL, system_now)?;
    let opened = Arc::new(stores.open_vault(serve::rules(config)).await?);
    let source = Arc::new(Source::new(&opened, config, config_file.to_owned()));
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    theirs.set_nonblocking(false)?;
    let stop = Arc::default();
    let sending = source.send(theirs, &stop);
    let (sent, received) = tokio::join!(sending, receive(ours, dir, output));
    let manifest = received.and_then(|manifest| sent.map(|_| manifest));
    opened.close().await?;
    manifest
}

/// Nobody is given a URL by a store that is opened for a backup or a restore.
pub(crate) const OFFLINE_URL: &str = "http://localhost";

/// Takes what the vault sends and writes it below `dir`.
async fn receive(stream: UnixStream, dir: &Path, output: Output) -> anyhow::Result<Manifest> {
    let mut stream = BufReader::with_capacity(CHUNK_BYTES, stream);
    let mut ask = serde_json::to_vec(&Ask::Backup)?;
    ask.push(b'\n');
    stream.write_all(&ask).await.context(CONNECTION)?;
    let mut received = Received {
        stream,
        dir,
        files: Vec::new(),
        bar: output.progress(None),
    };
    let head = received.all(output).await?;
    received.bar.finish_and_clear();
    Ok(Manifest::new(head, received.files))
}

const CONNECTION: &str = "the connection to the vault ended before the backup was whole";

struct Received<'a> {
    stream: BufReader<UnixStream>,
    dir: &'a Path,
    files: Vec<FileEntry>,
    bar: ProgressBar,
}

impl Received<'_> {
    async fn all(&mut self, output: Output) -> anyhow::Result<Head> {
        let mut announced = 0;
        loop {
            match self.message().await? {
                Message::Plan { files, bytes } => {
                    announced = files;
                    self.bar = output.progress(Some(bytes));
                }
                Message::File { path, bytes } => self.file(path, bytes).await?,
                Message::Done { head } => {
                    ensure!(self.files.len() as u64 == announced, CONNECTION);
                    return Ok(head);
                }
                Message::Error { message } => bail!("the vault made no backup: {message}"),
                Message::Digest { .. } => bail!("the vault sent what makes no sense"),
            }
        }
    }

    async fn message(&mut self) -> anyhow::Result<Message> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_BYTES_MAX);
        limited
            .read_until(b'\n', &mut line)
            .await
            .context(CONNECTION)?;
        ensure!(line.last() == Some(&b'\n'), CONNECTION);
        serde_json::from_slice(&line).context("the vault sent what makes no sense")
    }

    async fn file(&mut self, path: String, bytes: u64) -> anyhow::Result<()> {
        let target = self.dir.join(checked(&path)?);
        let writing = || target.display().to_string();
        let mut file = create(&target).with_context(writing)?;
        let mut digest = Digest::new();
        let mut left = bytes;
        while left > 0 {
            let piece = self.stream.fill_buf().await.context(CONNECTION)?;
            ensure!(!piece.is_empty(), CONNECTION);
            let length = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            let piece = &piece[..length];
            digest.update(piece);
            file.write_all(piece).with_context(writing)?;
            self.stream.consume(length);
            self.bar.inc(length as u64);
            left -= length as u64;
        }
        let Message::Digest { sha256 } = self.message().await? else {
            bail!("the vault sent what makes no sense");
        };
        ensure!(
            digest.finish() == sha256,
            "{path} did not arrive as it was sent"
        );
        self.files.push(FileEntry {
            path,
            bytes,
            sha256,
        });
        Ok(())
    }
}
