//! Where the vault listens and how clients reach it.

use crate::config::{Config, TlsSection};
use crate::listener;
use crate::system_now;
use crate::tls::{Pair, Tls};
use anyhow::Context;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use strongroom_api::HostNames;
use tokio::net::TcpListener;

/// A listener, bound before anything is opened so that port 0 is known by then.
pub(super) struct Bound {
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<Tls>,
    pub(super) address: SocketAddr,
    pub(super) url: String,
}

impl Bound {
    /// The names by which it may be called, `more` among them.
    pub(super) fn names(&self, more: &[String]) -> anyhow::Result<HostNames> {
        Ok(HostNames::new(&self.url, self.address, more)?)
    }
}

/// The two listeners.
pub(super) struct Listeners {
    pub(super) api: Bound,
    pub(super) s3: Bound,
}

/// Where the listeners can be reached.
pub(crate) struct Urls {
    pub(crate) api: String,
    pub(crate) s3: String,
    api_address: SocketAddr,
    s3_address: SocketAddr,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        let (api, s3) = (&config.api, &config.s3);
        let open = |section, files: &Option<TlsSection>| {
            let pair = |files| Pair::new(section, files, |path| config.path(path), system_now);
            files.as_ref().map(|files| pair(files).open()).transpose()
        };
        // Certificates first: a port that is bound and never served puzzles whoever waits for it.
        let api_tls = open("api.tls", &api.tls)?;
        let s3_tls = open("s3.tls", &s3.tls)?;
        Ok(Self {
            api: bind("api.listen", api.listen, api_tls, api.public_url.as_ref())?,
            s3: bind("s3.listen", s3.listen, s3_tls, s3.public_url.as_ref())?,
        })
    }

    pub(super) fn urls(&self) -> Urls {
        Urls {
            api: self.api.url.clone(),
            s3: self.s3.url.clone(),
            api_address: self.api.address,
            s3_address: self.s3.address,
        }
    }
}

fn bind(
    key: &str,
    listen: SocketAddr,
    tls: Option<Tls>,
    public_url: Option<&String>,
) -> anyhow::Result<Bound> {
    let (tcp, address) =
        listener::bind(listen).with_context(|| format!("{key}: cannot listen on {listen}"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = public_url.map_or_else(|| format!("{scheme}://{address}"), Clone::clone);
    Ok(Bound {
        tcp,
        tls,
        address,
        url,
    })
}

/// Written beside its place and renamed, so that a reader never sees half of it.
pub(super) fn write_ready_file(path: &Path, urls: &Urls) -> anyhow::Result<()> {
    let json = serde_json::json!({
        "api": urls.api_address.to_string(),
        "s3": urls.s3_address.to_string(),
        "api_url": urls.api,
        "s3_url": urls.s3,
        "pid": std::process::id(),
    });
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let unfinished = PathBuf::from(name);
    // Made anew, so that nothing is written through a link that somebody left there.
    let _ = fs::remove_file(&unfinished);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| writeln!(file, "{json}"))
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| path.display().to_string())
}
