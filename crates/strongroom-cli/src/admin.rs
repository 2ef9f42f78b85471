//! The admin socket: how a command of the operator reaches the vault that runs.
//!
//! A Unix socket of mode 0600 in the data directory. Who connects is told by the kernel
//! (`SO_PEERCRED`): the vault's own user, or root. It is no way to a value: what can be asked for
//! is a backup.

use crate::backup::message::{Ask, Message, send};
use crate::backup::source::{self, Source};
use crate::config::Config;
use anyhow::{Context, bail, ensure};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Name of the socket in the data directory.
const SOCKET: &str = "admin.sock";
/// Longest path of a Unix socket (`unix(7)`: 108 with the zero at its end).
pub(crate) const PATH_BYTES_MAX: usize = 107;
/// Connections at a time; more are closed.
const CONNECTIONS_MAX: usize = 4;
/// What is asked for must come in this time, in so many bytes.
const ASK_TIME_MAX: Duration = Duration::from_secs(5);
const ASK_BYTES_MAX: u64 = 1024;

/// The listening socket; its name goes when it is dropped.
pub(crate) struct Admin {
    listener: UnixListener,
    path: PathBuf,
}

/// Where the socket is.
fn path(config: &Config) -> PathBuf {
    let socket = config.admin.socket.as_deref();
    socket.map_or_else(|| config.data(SOCKET), |socket| config.path(socket))
}

impl Admin {
    /// Binds the socket, in the place of one that a killed vault left. The data directory must be
    /// locked. Where the default place cannot have one, the vault goes without.
    pub(crate) fn bind(config: &Config) -> anyhow::Result<Option<Self>> {
        source::clean(&config.path(&config.data_dir));
        match bind(&path(config)) {
            Ok(admin) => Ok(Some(admin)),
            Err(error) if config.admin.socket.is_some() => Err(error.context("admin.socket")),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "no admin socket, so no backup while serving; set admin.socket"
                );
                Ok(None)
            }
        }
    }

    /// Serves until `stopping`; what is under way is then cut.
    pub(crate) async fn serve(self, source: Arc<Source>, mut stopping: watch::Receiver<bool>) {
        let mut served = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if served.len() < CONNECTIONS_MAX => {
                        served.spawn(serve(stream, Arc::clone(&source), stopping.clone()));
                    }
                    Ok(_) => tracing::warn!("too many connections at the admin socket"),
                    Err(error) => {
                        tracing::warn!(%error, "the admin socket does not accept");
                        // Out of files, say: not again and again at once.
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                },
                Some(_) = served.join_next() => {}
                _ = stopping.changed() => break,
            }
        }
        while served.join_next().await.is_some() {}
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> anyhow::Result<Admin> {
    let shown = || path.display().to_string();
    check_length(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).with_context(shown)?,
        Ok(_) => bail!("{} exists and is no socket", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(shown),
    }
    let listener = UnixListener::bind(path).with_context(shown)?;
    let path = path.to_owned();
    let admin = Admin { listener, path };
    fs::set_permissions(&admin.path, Permissions::from_mode(0o600)).with_context(shown)?;
    Ok(admin)
}

/// Refuses a path that no socket can have.
fn check_length(path: &Path) -> anyhow::Result<()> {
    let bytes = path.as_os_str().len();
    ensure!(
        bytes <= PATH_BYTES_MAX,
        "{} has {bytes} bytes; a socket's path has at most {PATH_BYTES_MAX}",
        path.display()
    );
    Ok(())
}

/// The vault's own user, or root.
fn is_allowed(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

async fn serve(stream: UnixStream, source: Arc<Source>, stopping: watch::Receiver<bool>) {
    match stream.peer_cred() {
        Ok(peer) if is_allowed(peer.uid()) => {}
        Ok(peer) => return tracing::warn!(uid = peer.uid(), "refused at the admin socket"),
        Err(error) => return tracing::warn!(%error, "nobody can be told at the admin socket"),
    }
    if let Err(error) = answer(stream, &source, stopping).await {
        let error = format!("{error:#}");
        tracing::warn!(error, "a backup was asked for and not taken");
    }
}

async fn answer(
    stream: UnixStream,
    source: &Arc<Source>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let mut stream = BufReader::new(stream);
    let mut asked = (&mut stream).take(ASK_BYTES_MAX);
    tokio::time::timeout(ASK_TIME_MAX, asked.read_until(b'\n', &mut line)).await??;
    // Whatever follows the line is not looked at.
    let stream = stream.into_inner().into_std()?;
    stream.set_nonblocking(false)?;
    let Ok(Ask::Backup) = serde_json::from_slice(&line) else {
        let message = "the vault does not know this command".into();
        return Ok(send(&stream, &Message::Error { message })?);
    };
    let (stop, cut) = (Arc::new(AtomicBool::new(false)), stream.try_clone()?);
    let mut sending = pin!(source.send(stream, &stop));
    let sent = tokio::select! {
        sent = &mut sending => sent?,
        _ = stopping.changed() => {
            stop.store(true, Ordering::Release);
            // Also when it waits for a receiver that takes nothing.
            cut.shutdown(Shutdown::Both)?;
            sending.await?
        }
    };
    tracing::info!(files = sent.files, bytes = sent.bytes, "a backup was taken");
    Ok(())
}

/// Connects to the vault that runs; `None` if none does.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<Option<UnixStream>> {
    let path = path(config);
    if check_length(&path).is_err() {
        return Ok(None);
    }
    match UnixStream::connect(&path).await {
        Ok(stream) => {
            let data = fs::metadata(config.path(&config.data_dir))?;
            let uid = stream.peer_cred()?.uid();
            ensure!(
                uid == 0 || uid == data.uid(),
                "{} is held by user {uid}, who is not the vault's",
                path.display()
            );
            Ok(Some(stream))
        }
        // Nobody listens: the lock of the data directory tells whether a vault runs.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "{}: run this as root or as the vault's user",
                path.display()
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_vaults_own_user_are_let_in_and_nobody_else() {
        let own = rustix::process::geteuid().as_raw();
        assert!(is_allowed(0) && is_allowed(own));
        assert!(!is_allowed(own.wrapping_add(1)));
    }

    #[tokio::test]
    async fn a_socket_is_private_and_goes_with_its_vault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let admin = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(admin);
        assert!(!path.exists());
        // One that a killed vault left is replaced, anything else is not.
        let left = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(left);
        drop(bind(&path).unwrap());
        fs::write(&path, "a file").unwrap();
        assert!(bind(&path).is_err());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_told() {
        let path = PathBuf::from("/tmp").join("x".repeat(PATH_BYTES_MAX));
        let said = bind(&path).err().unwrap().to_string();
        assert!(said.contains("at most 107"), "{said}");
    }
}
