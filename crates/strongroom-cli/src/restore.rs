//! `strongroom restore`: a new data directory from a backup, whole or not at all.
//!
//! What was ended since the backup must not come back with it: every grant ends, and what the
//! decision log shows gone goes. `docs/decisions/0014-backup-and-restore.md` says why.

use crate::backup::manifest::{DATA, Digest, FileEntry, Manifest, checked, create};
use crate::backup::{OFFLINE_URL, Unfinished};
use crate::client::{Output, stopped};
use crate::config::{self, Config};
use crate::{serve, stores, system_now};
use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom::Restored;
use strongroom_audit::{Entry, Gone, Rule};
use strongroom_core::time::Clock;

const DECISIONS: &str = "audit/decisions.jsonl";
const PIECE_BYTES: usize = 256 * 1024;

/// Make a new data directory from a backup; the vault must not run
#[derive(Args)]
#[command(
    after_help = "Takes master_key_file, s3 and data_dir from the configuration; a copy of it \
                        as it was is in the backup. Every grant ends."
)]
pub(crate) struct Restore {
    /// What `strongroom backup` made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Where to, instead of the configuration's `data_dir`; must not exist or be empty
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The decision log (data/audit/decisions.jsonl) as the vault left it: what it shows deleted
    /// or expired since the backup stays gone, and it goes on in the new vault
    #[arg(long, value_name = "FILE", conflicts_with = "accept_resurrection")]
    audit: Option<PathBuf>,
    /// The log is lost: accept that what was deleted since the backup is there again
    #[arg(long)]
    accept_resurrection: bool,
}

impl Restore {
    pub(crate) async fn run(
        self,
        find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
        overrides: &[(String, String)],
        output: Output,
    ) -> anyhow::Result<()> {
        ensure!(
            self.audit.is_some() || self.accept_resurrection,
            "what was deleted since the backup would come back: give the vault's decision log \
             with --audit FILE, or, if it is lost, --accept-resurrection"
        );
        let mut config = config::load(&config::find_required(find)?, overrides)?;
        let manifest = Manifest::read(&self.backup)?;
        ensure!(
            config.s3.bucket == manifest.head.bucket,
            "s3.bucket is `{}` in the configuration and was `{}`: values would not open",
            config.s3.bucket,
            manifest.head.bucket
        );
        let target = self.into.clone();
        let target = target.unwrap_or_else(|| config.path(&config.data_dir));
        let unfinished = Unfinished::create(&target)?;
        // Absolute, so that it is not taken as relative to the configuration.
        config.data_dir = std::path::absolute(unfinished.dir())?;
        let made = async {
            self.copy(&manifest, unfinished.dir(), output)?;
            let gone = self.evidence(unfinished.dir())?;
            self.settle(&config, &manifest, gone).await
        };
        let restored = tokio::select! {
            made = made => made?,
            // Dropping what is under way removes it.
            () = stopped() => bail!("stopped; nothing was restored"),
        };
        unfinished.keep(&target)?;
        self.tell(&target, restored, output)
    }

    /// Copies every file and compares it with the manifest.
    fn copy(&self, manifest: &Manifest, to: &Path, output: Output) -> anyhow::Result<()> {
        let bar = output.progress(Some(manifest.bytes()));
        for file in &manifest.files {
            let path = checked(&file.path)?;
            // The configuration stays in the backup: the one in use is the operator's.
            let Ok(below) = path.strip_prefix(DATA) else {
                continue;
            };
            copy_file(&self.backup.join(path), &to.join(below), file)?;
            bar.inc(file.bytes);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// What the newer log shows gone; it takes the place of the backup's own.
    fn evidence(&self, data: &Path) -> anyhow::Result<Gone> {
        let Some(log) = &self.audit else {
            return Ok(Gone::default());
        };
        let own = fs::canonicalize(&self.backup)?;
        let log = fs::canonicalize(log).with_context(|| log.display().to_string())?;
        ensure!(
            !log.starts_with(&own),
            "{} is the backup's own: it says nothing of what came after",
            log.display()
        );
        let gone = Gone::read(&log)?;
        let place = data.join(DECISIONS);
        ensure!(
            begins_with(&log, &place)?,
            "{} does not go on where the backup's log ends: it is another vault's, or older than \
             the backup",
            log.display()
        );
        fs::remove_file(&place)?;
        let mut new = create(&place)?;
        std::io::copy(&mut File::open(&log)?, &mut new)
            .with_context(|| place.display().to_string())?;
        new.sync_all()?;
        Ok(gone)
    }

    /// Opens the copy with the master key, writes the entry, ends what must end, and closes it.
    async fn settle(
        &self,
        config: &Config,
        manifest: &Manifest,
        gone: Gone,
    ) -> anyhow::Result<Restored> {
        let stores = stores::open(config, OFFLINE_URL, system_now)?;
        let rule = if self.accept_resurrection {
            Rule::Resurrection
        } else {
            Rule::Operator
        };
        let entry = Entry::of_operator(stores.clock.now(), "restore", rule);
        stores.audit.append(&entry)?.durable().await?;
        let opened = stores.open_vault(serve::rules(config)).await?;
        ensure!(
            hex::encode(opened.vault_id.as_bytes()) == manifest.head.vault,
            "the backup's keyring is not of the vault that its manifest names"
        );
        let restored = opened.vault.restore(&Arc::new(gone)).await?;
        opened.objects.close().await?;
        opened.close().await?;
        Ok(restored)
    }

    fn tell(&self, target: &Path, restored: Restored, output: Output) -> anyhow::Result<()> {
        let Restored {
            kept,
            removed,
            broken,
        } = restored;
        if broken > 0 {
            output.note(&format!(
                "{broken} records do not open, as before the backup"
            ));
        }
        if self.accept_resurrection {
            output.note("what was deleted since the backup is there again");
        }
        let result = json!({
            "restored": target.display().to_string(),
            "kept": kept,
            "removed": removed,
            "broken": broken,
        });
        let line = format!(
            "{}: {kept} tokens, without grants; {removed} removed that the log shows gone",
            target.display()
        );
        Ok(output.result(&result.to_string(), &line)?)
    }
}

/// Refuses what is not as the manifest says.
fn copy_file(from: &Path, to: &Path, entry: &FileEntry) -> anyhow::Result<()> {
    let shown = || from.display().to_string();
    let mut source = File::open(from).with_context(shown)?;
    let mut target = create(to).with_context(|| to.display().to_string())?;
    let (mut digest, mut bytes) = (Digest::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = source.read(&mut piece).with_context(shown)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        digest.update(&piece[..read]);
        target
            .write_all(&piece[..read])
            .with_context(|| to.display().to_string())?;
    }
    ensure!(
        bytes == entry.bytes && digest.finish() == entry.sha256,
        "{} was changed or cut since the backup was made",
        from.display()
    );
    Ok(())
}

/// Whether one file begins with all of another.
fn begins_with(long: &Path, short: &Path) -> anyhow::Result<bool> {
    let (mut long, mut short) = (File::open(long)?, File::open(short)?);
    let (mut theirs, mut ours) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let read = short.read(&mut ours)?;
        if read == 0 {
            return Ok(true);
        }
        match long.read_exact(&mut theirs[..read]) {
            Ok(()) if theirs[..read] == ours[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
