//! `strongroom s3`: what an operator of the S3 endpoint needs beside the configuration.

use crate::config::{self, CredentialSection};
use anyhow::Context;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use clap::{Args, Subcommand};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// 80 bits name a credential; they are no secret.
const ID_BYTES: usize = 10;
/// As many bits as the key that signs its requests has (HMAC-SHA-256).
const SECRET_BYTES: usize = 32;

/// The S3 endpoint
#[derive(Subcommand)]
pub(crate) enum S3Command {
    /// Make a credential for the S3 endpoint: writes its secret, prints what to configure
    Credential(Credential),
}

#[derive(Args)]
pub(crate) struct Credential {
    /// Owner of the buckets that it makes; the same name again is for replacing a key
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Bucket that it may make and use; a trailing `*` stands for any ending; may be repeated
    #[arg(long = "bucket", value_name = "BUCKET", default_value = "*")]
    buckets: Vec<String>,
    /// Let it leave encryption to the vault's own key
    #[arg(long)]
    server_keyed: bool,
}

impl S3Command {
    pub(crate) fn run(
        self,
        find: impl FnOnce() -> anyhow::Result<Option<PathBuf>>,
        overrides: &[(String, String)],
    ) -> anyhow::Result<()> {
        let Self::Credential(credential) = self;
        let config = config::load(&config::find_required(find)?, overrides)?;
        let access_key_id = format!("SR{}", hex::encode_upper(random::<ID_BYTES>()?));
        let file = format!("s3-{access_key_id}.secret");
        let made = CredentialSection {
            name: credential.name,
            access_key_id,
            secret_access_key_file: file.into(),
            buckets: credential.buckets,
            server_keyed: credential.server_keyed,
        };
        let table = table(&made)?;
        let path = config.path(&made.secret_access_key_file);
        // Before anything is written, so that what is printed can be added as it stands.
        config.with_credential(made)?;
        let secret = Zeroizing::new(random::<SECRET_BYTES>()?);
        let mut text = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(secret.as_slice()));
        text.push('\n');
        write_secret(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
        write!(
            std::io::stdout(),
            "# The secret access key is in {}.\n\
             # Add this to the configuration and start the vault again.\n{table}",
            path.display()
        )?;
        Ok(())
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("no random numbers from the operating system")?;
    Ok(bytes)
}

/// As it stands in the configuration. The names are whatever an operator gave.
fn table(made: &CredentialSection) -> anyhow::Result<String> {
    let table = toml::to_string(made).context("the credential cannot be written as TOML")?;
    Ok(format!("[[s3.credential]]\n{table}"))
}

fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
