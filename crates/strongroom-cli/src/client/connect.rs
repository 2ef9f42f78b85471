//! Finds the vault and the key to speak to it with: arguments, configuration, and when nothing
//! else is given, the development vault that this user has started.

use super::exit::Failure;
use super::output::Output;
use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use strongroom_client::{Client, ClientConfig, Identity, JwtSigner, Now, is_loopback};
use strongroom_wire::SecretText;

/// Longest key, certificate or `vault.json` file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Bits of a file's mode that let others than its owner in.
const OTHERS: u32 = 0o077;

/// Options of every command that talks to a vault.
#[derive(Args)]
pub(crate) struct ConnectArgs {
    /// URL of the vault
    #[arg(long, global = true, env = "STRONGROOM_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// PEM private key that signs the application's JWTs; nobody else may be able to read it
    #[arg(long, global = true, env = "STRONGROOM_KEY", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// `iss` of the JWTs
    #[arg(long, global = true, env = "STRONGROOM_ISSUER", value_name = "NAME")]
    pub(crate) issuer: Option<String>,
    /// PEM certificates to trust beside the system's
    #[arg(long, global = true, env = "STRONGROOM_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// The `client` section of the configuration.
pub(crate) struct ClientSettings {
    /// URL of the vault.
    pub(crate) url: String,
    /// PEM private key of the application.
    pub(crate) signing_key_file: PathBuf,
    /// `iss` of the JWTs.
    pub(crate) issuer: Option<String>,
    /// PEM certificates to trust beside the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// What of the environment is no configuration: where a development vault would be, and who
/// started the server.
pub(crate) struct Surroundings {
    /// `$XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// The system's directory for temporary files.
    pub(crate) temp_dir: PathBuf,
    /// `$NOTIFY_SOCKET`, at which the service manager is told how the server is.
    pub(crate) notify_socket: Option<OsString>,
}

impl Surroundings {
    /// Where a development vault is made: the first of [`Surroundings::dev_dirs`].
    pub(crate) fn dev_dir(&self) -> PathBuf {
        self.dev_dirs()
            .next()
            .unwrap_or_else(|| self.temp_dir.clone())
    }

    /// Where one is looked for, in order.
    fn dev_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let uid = rustix::process::geteuid().as_raw();
        let runtime = self
            .runtime_dir
            .as_ref()
            .map(|dir| dir.join("strongroom-dev"));
        let temp = self.temp_dir.join(format!("strongroom-dev-{uid}"));
        runtime.into_iter().chain([temp])
    }
}

/// What a command needs to talk to a vault; nothing is sent or read before it is used.
pub(crate) struct Connection {
    url: Option<String>,
    key: PathBuf,
    issuer: Option<String>,
    ca: Option<PathBuf>,
    now: Now,
    /// How to print.
    pub(crate) output: Output,
}

impl Connection {
    /// Arguments win over the configuration; a development vault is used only without both.
    pub(crate) fn find(
        args: &ConnectArgs,
        settings: Option<ClientSettings>,
        around: &Surroundings,
        now: Now,
        output: Output,
    ) -> anyhow::Result<Self> {
        let settings = match settings {
            None if args.url.is_none() && args.key.is_none() => dev_vault(around, output)?,
            settings => settings,
        };
        let (url, key, issuer, ca) = match settings {
            Some(found) => (
                Some(found.url),
                Some(found.signing_key_file),
                found.issuer,
                found.ca_file,
            ),
            None => (None, None, None, None),
        };
        let Some(key) = args.key.clone().or(key) else {
            return Err(Failure::usage(
                "no signing key: give --key FILE, a configuration with a client section, or start `strongroom serve --dev`",
            ));
        };
        Ok(Self {
            url: args.url.clone().or(url),
            key,
            issuer: args.issuer.clone().or(issuer),
            ca: args.ca.clone().or(ca),
            now,
            output,
        })
    }

    /// Reads the time.
    pub(crate) fn now(&self) -> strongroom_core::UnixMillis {
        (self.now)()
    }

    /// Loads the key.
    pub(crate) fn signer(&self) -> anyhow::Result<JwtSigner> {
        Ok(read_signer(&self.key)?.with_issuer(self.issuer.clone()))
    }

    /// A client that speaks as the application.
    pub(crate) fn application(&self) -> anyhow::Result<Client> {
        self.client(Identity::Application)
    }

    /// A client that speaks as a developer in a session of its own.
    pub(crate) fn developer(&self) -> anyhow::Result<Client> {
        self.client(Identity::Developer {
            session_id: random_session_id()?,
        })
    }

    fn client(&self, identity: Identity) -> anyhow::Result<Client> {
        let Some(url) = self.url.clone() else {
            return Err(Failure::usage("no vault: give --url URL"));
        };
        if url.starts_with("http:") && !is_loopback(&url) {
            self.output
                .note("warning: the vault's URL is not https, everything can be read on the way");
        }
        let ca_pem = self.ca.as_deref().map(read_public).transpose()?;
        let signer = self.signer()?;
        let config = ClientConfig {
            url,
            signer,
            identity,
            now: self.now.clone(),
            ca_pem,
        };
        Ok(Client::new(config)?)
    }
}

/// Whether a file holds a key that signs, and nobody else can read it.
pub(crate) fn check_signing_key(path: &Path) -> anyhow::Result<()> {
    read_signer(path).map(drop)
}

fn read_signer(path: &Path) -> anyhow::Result<JwtSigner> {
    let pem = read_secret(path)?;
    JwtSigner::from_pem(&pem).with_context(|| shown(path))
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_session_id() -> anyhow::Result<SecretText> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).context("no random numbers from the operating system")?;
    Ok(hex::encode(id).into())
}

#[derive(Deserialize)]
struct DevVault {
    url: String,
    signing_key_file: PathBuf,
    issuer: Option<String>,
}

/// The development vault of this user, if there is one. Its directory decides where values
/// go, so one that somebody else could have made is refused.
pub(super) fn dev_vault(
    around: &Surroundings,
    output: Output,
) -> anyhow::Result<Option<ClientSettings>> {
    let uid = rustix::process::geteuid().as_raw();
    for dir in around.dev_dirs() {
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| shown(&dir)),
            Ok(found) if found.is_dir() && found.uid() == uid && found.mode() & 0o777 == 0o700 => {}
            Ok(_) => bail!(
                "{} must be a directory of yours with mode 0700 to be used as a development vault",
                shown(&dir)
            ),
        }
        let file = dir.join("vault.json");
        let text = read_public(&file)?;
        let vault: DevVault = serde_json::from_slice(&text).with_context(|| shown(&file))?;
        output.note(&format!(
            "using the development vault at {}",
            shown(Path::new(&vault.url))
        ));
        let signing_key_file = dir.join(vault.signing_key_file);
        return Ok(Some(ClientSettings {
            url: vault.url,
            signing_key_file,
            issuer: vault.issuer,
            ca_file: None,
        }));
    }
    Ok(None)
}

/// Reads a file that only its owner may read.
fn read_secret(path: &Path) -> anyhow::Result<SecretBytes> {
    read(path, OTHERS).map(SecretBytes::new)
}

/// Reads a file that everybody may read.
pub(super) fn read_public(path: &Path) -> anyhow::Result<Vec<u8>> {
    read(path, 0)
}

type SecretBytes = zeroize::Zeroizing<Vec<u8>>;

/// Checks the opened file, not its name, which could point elsewhere a moment later.
fn read(path: &Path, forbidden_mode: u32) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", shown(path)))?;
    let found = file.metadata().with_context(|| shown(path))?;
    if !found.is_file() {
        bail!("{} is not a regular file", shown(path));
    }
    if found.mode() & forbidden_mode != 0 {
        bail!(
            "{} can be read by others (mode {:04o}); run chmod 600 on it",
            shown(path),
            found.mode() & 0o7777
        );
    }
    if found.len() > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", shown(path));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .with_context(|| shown(path))?;
    Ok(bytes)
}

/// A path for a message.
pub(crate) fn shown(path: &Path) -> String {
    super::output::printable(&path.display().to_string())
}

#[cfg(test)]
mod tests;
