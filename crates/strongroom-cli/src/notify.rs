//! Tells the service manager how the vault is (`sd_notify(3)`): one datagram of text.

use crate::process::say;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one.
pub(crate) struct Notify<'a>(Option<&'a OsStr>);

impl<'a> Notify<'a> {
    /// `socket` is what `$NOTIFY_SOCKET` names.
    pub(crate) fn new(socket: Option<&'a OsStr>) -> Self {
        Self(socket)
    }

    /// Requests are served.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The vault is about to end.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, text: &str) {
        let Some(socket) = self.0 else { return };
        if let Err(error) = send(socket, text) {
            say(&format!(
                "warning: the service manager cannot be told {text}: {error}"
            ));
        }
    }
}

fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_it_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("strongroom-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (socket, name) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.clone().into_os_string(),
            ),
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{abstract_name}").into(),
            ),
        ] {
            Notify::new(Some(&name)).ready();
            let mut text = [0; 20];
            let length = socket.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1");
        }
        Notify::new(None).stopping();
    }
}
