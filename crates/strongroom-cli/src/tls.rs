//! TLS of a listener: reads certificate and key, and reads them anew when their files change.
//!
//! A connection keeps what it was opened with; the next one gets what was read last. It must not
//! know what is spoken over TLS, but for its name in ALPN.

mod expiry;

use crate::config::TlsSection;
use anyhow::{Context, bail};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error as TlsError, InconsistentKeys, ServerConfig};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::UnixMillis;
use strongroom_keyring::file as keyring_file;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroize;

/// How often the files are looked at. A change is taken up when it has stood for as long, so that
/// certificate and key may be replaced one after the other.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest certificate chain and longest key that are read.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// A certificate that ends sooner is warned of when it is read.
const SOON: time::Duration = time::Duration::days(14);
/// The one protocol that the listeners speak (RFC 7301 §6).
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// What new connections are to be accepted with.
pub(crate) type Tls = watch::Receiver<TlsAcceptor>;

/// Certificate and key of one listener, as files.
#[derive(Clone)]
pub(crate) struct Pair {
    /// The section of the configuration that names them.
    section: &'static str,
    certificate: PathBuf,
    key: PathBuf,
    system_now: fn() -> UnixMillis,
}

impl Pair {
    /// The files of a section, whose paths `resolve` completes.
    pub(crate) fn new(
        section: &'static str,
        files: &TlsSection,
        resolve: impl Fn(&Path) -> PathBuf,
        system_now: fn() -> UnixMillis,
    ) -> Self {
        Self {
            section,
            certificate: resolve(&files.certificate_file),
            key: resolve(&files.key_file),
            system_now,
        }
    }

    /// Reads the files, which must be sound now, and again whenever they change, until nobody
    /// wants them any more.
    pub(crate) fn open(self) -> anyhow::Result<Tls> {
        // Before they are read: what changes meanwhile is then seen as a change.
        let stamp = self.stamp();
        let (sender, receiver) = watch::channel(self.load()?);
        let watched = Watched {
            pair: self,
            taken: stamp.clone(),
            seen: stamp,
            sender,
        };
        tokio::spawn(watched.run());
        Ok(receiver)
    }

    /// Whether a vault would start with the files as they are now, and clients believe it.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let (_, expires) = self.read()?;
        match expires {
            Some(expires) if self.seconds_until(expires) <= 0 => bail!(
                "{} has expired: {}",
                self.certificate.display(),
                expires.format(&Rfc3339)?
            ),
            _ => Ok(()),
        }
    }

    fn load(&self) -> anyhow::Result<TlsAcceptor> {
        let (certified, expires) = self.read().context(self.section)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        self.tell(expires);
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn read(&self) -> anyhow::Result<(CertifiedKey, Option<OffsetDateTime>)> {
        let shown = || self.certificate.display().to_string();
        let chain = read_chain(&self.certificate).with_context(shown)?;
        let expires = chain.first().and_then(|first| expiry::of(first));
        let key = read_key(&self.key)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok((certified, expires))
            }
            Err(TlsError::InconsistentKeys(_)) => bail!(
                "certificate_file {} and key_file {} do not belong together",
                shown(),
                self.key.display()
            ),
            Err(error) => Err(error).with_context(shown),
        }
    }

    /// Says which certificate is used and how long it is good for.
    fn tell(&self, expires: Option<OffsetDateTime>) {
        let (section, file) = (self.section, self.certificate.display());
        let Some(expires) = expires else {
            tracing::info!(section, %file, "certificate read");
            return;
        };
        let left = self.seconds_until(expires);
        let expires = expires.format(&Rfc3339).unwrap_or_default();
        if left <= 0 {
            tracing::warn!(section, %file, expires, "the certificate has expired");
        } else if left < SOON.whole_seconds() {
            tracing::warn!(section, %file, expires, "certificate read; it expires soon");
        } else {
            tracing::info!(section, %file, expires, "certificate read");
        }
    }

    fn seconds_until(&self, expires: OffsetDateTime) -> i64 {
        let now_s = i64::try_from((self.system_now)().secs()).unwrap_or(i64::MAX);
        expires.unix_timestamp().saturating_sub(now_s)
    }

    fn stamp(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.certificate), Stamp::of(&self.key)]
    }
}

/// What changes when a file is replaced, written or given another mode. Links are followed.
#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// A pair that is in use.
struct Watched {
    pair: Pair,
    /// The files as they were when they were last read, soundly or not.
    taken: [Option<Stamp>; 2],
    /// The files at the last look.
    seen: [Option<Stamp>; 2],
    sender: watch::Sender<TlsAcceptor>,
}

impl Watched {
    async fn run(mut self) {
        while !self.sender.is_closed() {
            tokio::time::sleep(LOOK_EVERY).await;
            // On a thread that may block: the files may be on a slow or lost network.
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(watched) => self = watched,
                Err(error) => {
                    tracing::error!(%error, "the certificate's files are no longer watched");
                    return;
                }
            }
        }
    }

    fn look(&mut self) {
        let stamp = self.pair.stamp();
        let settled = stamp == self.seen;
        self.seen = stamp;
        if !settled || self.seen == self.taken {
            return;
        }
        self.taken = self.seen.clone();
        match self.pair.load() {
            Ok(acceptor) => {
                self.sender.send_replace(acceptor);
            }
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the new certificate or key is not usable; the old pair stays in use"
            ),
        }
    }
}

/// Whether a file holds certificates, and nothing broken.
pub(crate) fn check_chain(path: &Path) -> anyhow::Result<()> {
    let read = read_chain(path).map(drop);
    read.with_context(|| path.display().to_string())
}

fn read_chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let size = fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        bail!("longer than {FILE_BYTES_MAX} bytes");
    }
    let pem = fs::read(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.context("not PEM")?;
    if chain.is_empty() {
        bail!("holds no certificate in PEM");
    }
    Ok(chain)
}

fn read_key(path: &Path) -> anyhow::Result<Arc<dyn rustls::sign::SigningKey>> {
    let pem = keyring_file::read_private(path, FILE_BYTES_MAX)?;
    let shown = || path.display().to_string();
    // What is wrong with it is not told: the text could show parts of the key.
    let der = PrivateKeyDer::from_pem_slice(&pem).ok();
    let mut der = der
        .context("holds no unencrypted private key in PEM")
        .with_context(shown)?;
    let key = aws_lc_rs::sign::any_supported_type(&der);
    der.zeroize();
    key.ok()
        .context("not an RSA, ECDSA or Ed25519 key that can be used")
        .with_context(shown)
}

#[cfg(test)]
mod tests;
