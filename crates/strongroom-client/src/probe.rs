//! Asks a vault how it is. It needs no credential, and does not try twice: whoever asks wants to
//! know how it is now.

use crate::client::{base_url, refused};
use crate::transport::{Transport, host_text, read_bounded, transport_error};
use crate::{Error, limits};
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use strongroom_wire::answer::Done;
use strongroom_wire::envelope;

/// Asks one vault.
pub struct Probe {
    base: Url,
    transport: Transport,
}

impl Probe {
    /// The vault at a URL; trusts the system's CA certificates and those in `ca_pem`.
    pub fn new(url: &str, ca_pem: Option<&[u8]>) -> Result<Self, Error> {
        Ok(Self {
            base: base_url(url)?,
            transport: Transport::new(ca_pem)?,
        })
    }

    /// The vault that listens at this address of this machine, by the name in its public URL,
    /// which its certificate holds and which it knows itself by.
    pub fn at(
        listen: SocketAddr,
        tls: bool,
        public_url: Option<&str>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let scheme = if tls { "https" } else { "http" };
        let address = SocketAddr::new(reachable(listen.ip()), listen.port());
        let mut base = base_url(&format!("{scheme}://{address}"))?;
        let public = public_url.map(base_url).transpose()?;
        let name = public.as_ref().and_then(Url::host_str);
        base.set_host(name.or(base.clone().host_str()))
            .map_err(|_| Error::BadUrl)?;
        // A name in the public URL is looked up nowhere; an address in it is where to connect.
        let transport = match public.as_ref().and_then(Url::domain) {
            Some(name) => Transport::to(address, name, ca_pem)?,
            None => Transport::new(ca_pem)?,
        };
        Ok(Self { base, transport })
    }

    /// The vault's URL.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether the process runs and answers.
    pub async fn live(&self) -> Result<(), Error> {
        self.ask("health").await
    }

    /// Whether requests can be served now; [`Error::Refused`] says why not.
    pub async fn ready(&self) -> Result<(), Error> {
        self.ask("ready").await
    }

    async fn ask(&self, route: &str) -> Result<(), Error> {
        let url = self.base.join(route).map_err(|_| Error::BadUrl)?;
        let host = host_text(&url);
        let asking = async {
            let asked = self.transport.client(&url).get(url.clone()).send().await;
            let answer = asked.map_err(|error| transport_error(&url, error))?;
            let status = answer.status().as_u16();
            if status != 200 {
                return Err(refused(&url, status, answer).await);
            }
            let body = read_bounded(&url, answer, limits::ANSWER_BYTES_MAX).await?;
            let bad = |_| Error::BadAnswer { host: host.clone() };
            envelope::parse_success(&body)
                .map_err(bad)
                .map(|Done {}| ())
        };
        let answered = tokio::time::timeout(limits::PROBE_TIMEOUT, asking).await;
        answered.unwrap_or(Err(Error::TimedOut { host }))
    }
}

/// Who listens on every address is reached on loopback.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
