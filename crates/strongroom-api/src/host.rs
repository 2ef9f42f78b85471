//! Names under which a listener may be reached. A page that rebinds its own name to the vault's
//! address (DNS rebinding) still sends that name, and is refused by it.
//!
//! Ports are not compared: they say nothing about whose name it is, and forwarding changes them.

use http::header::HOST;
use http::{HeaderMap, Uri};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Names that always reach this machine alone; nobody else can rebind them.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Longest name (RFC 1035 §2.3.4), and longest port.
const NAME_BYTES_MAX: usize = 253;
const PORT_BYTES_MAX: usize = 5;

/// The names of one listener.
#[derive(Debug, Clone)]
pub struct HostNames(Vec<Box<str>>);

/// The text is no host name, or has more than a name and a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host name")]
pub struct BadHostName(String);

/// Why a request is not for this listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFault {
    /// Missing, there twice, not a host, or in conflict with the request's own URL.
    Malformed,
    /// A host, and none of the listener's names.
    Foreign,
}

impl HostNames {
    /// The names in `public_url`, of the address `listen`, of loopback, and `more`.
    pub fn new(public_url: &str, listen: SocketAddr, more: &[String]) -> Result<Self, BadHostName> {
        let authority = public_url
            .split_once("://")
            .map_or(public_url, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let listen = match listen.ip() {
            ip if ip.is_unspecified() => None,
            IpAddr::V4(ip) => Some(ip.to_string()),
            IpAddr::V6(ip) => Some(format!("[{ip}]")),
        };
        let mut names: Vec<Box<str>> = Vec::new();
        for text in std::iter::once(authority)
            .chain(listen.as_deref())
            .chain(more.iter().map(String::as_str))
            .chain(LOOPBACK)
        {
            let name = name_of(text.as_bytes()).ok_or_else(|| BadHostName(text.to_owned()))?;
            if !names.iter().any(|known| matches(known, name)) {
                names.push(String::from_utf8_lossy(name).to_ascii_lowercase().into());
            }
        }
        Ok(Self(names))
    }

    /// The first name: that of the public URL.
    pub fn public(&self) -> &str {
        self.0.first().map_or("", |name| name)
    }

    /// Whether a request is for one of the names. Allocates nothing.
    ///
    /// An absolute URL in the request line names the host as well (RFC 9112 §3.2.2); here both
    /// must agree.
    pub fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), HostFault> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().ok_or(HostFault::Malformed)?.as_bytes();
        if hosts.next().is_some() {
            return Err(HostFault::Malformed);
        }
        if uri
            .authority()
            .is_some_and(|authority| !authority.as_str().as_bytes().eq_ignore_ascii_case(host))
        {
            return Err(HostFault::Malformed);
        }
        let name = name_of(host).ok_or(HostFault::Malformed)?;
        if self.0.iter().any(|known| matches(known, name)) {
            Ok(())
        } else {
            Err(HostFault::Foreign)
        }
    }
}

fn matches(known: &str, name: &[u8]) -> bool {
    known.as_bytes().eq_ignore_ascii_case(name)
}

/// The name without its port; `None` for what is no `name`, `name:port` or `[address]:port`.
fn name_of(host: &[u8]) -> Option<&[u8]> {
    let is_port = |text: &[u8]| text.len() <= PORT_BYTES_MAX && text.iter().all(u8::is_ascii_digit);
    let end = if host.first() == Some(&b'[') {
        host.iter().position(|byte| *byte == b']')? + 1
    } else {
        host.iter()
            .position(|byte| *byte == b':')
            .unwrap_or(host.len())
    };
    let (name, rest) = host.split_at(end);
    let port_is_good = rest.is_empty() || (rest[0] == b':' && is_port(&rest[1..]));
    let name_is_good = if let Some(inner) = name.strip_prefix(b"[") {
        let inner = std::str::from_utf8(inner.strip_suffix(b"]")?).ok()?;
        inner.parse::<Ipv6Addr>().is_ok()
    } else {
        let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.iter().all(is_named)
    };
    (port_is_good && name_is_good).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> HostNames {
        let listen = "192.0.2.7:37766".parse().unwrap();
        let more = ["vault.internal".to_owned()];
        HostNames::new("https://Vault.Example.org:8443/prod/", listen, &more).unwrap()
    }

    fn check(hosts: &[&str], uri: &str) -> Result<(), HostFault> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        names().check(&headers, &uri.parse().unwrap())
    }

    #[test]
    fn every_configured_name_is_good_with_any_port_and_case() {
        for host in [
            "vault.example.org",
            "vault.example.org:8443",
            "VAULT.example.ORG:443",
            "192.0.2.7:37766",
            "192.0.2.7",
            "vault.internal:80",
            "localhost:37766",
            "127.0.0.1:1",
            "[::1]:37766",
            "[::1]",
        ] {
            assert_eq!(check(&[host], "/tokenize"), Ok(()), "{host}");
        }
    }

    #[test]
    fn another_name_is_foreign() {
        for host in [
            "evil.example",
            "vault.example.org.",
            "vault.example.org.evil.example",
            "xvault.example.org",
            "192.0.2.8",
            "0.0.0.0",
            "[::2]",
            "127.0.0.2",
        ] {
            assert_eq!(check(&[host], "/"), Err(HostFault::Foreign), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_malformed() {
        for host in [
            "",
            ":37766",
            "vault.example.org:x",
            "vault.example.org:123456",
            "vault.example.org:1:2",
            "user@vault.example.org",
            "vault.example.org/x",
            "vault.example.org, evil.example",
            "::1",
            "[::1",
            "[::1]x",
            "[localhost]",
        ] {
            assert_eq!(check(&[host], "/"), Err(HostFault::Malformed), "{host}");
        }
        assert_eq!(check(&[], "/"), Err(HostFault::Malformed));
        let twice = ["vault.example.org", "vault.example.org"];
        assert_eq!(check(&twice, "/"), Err(HostFault::Malformed));
    }

    #[test]
    fn an_absolute_url_must_say_the_same() {
        let url = "http://vault.example.org/tokenize";
        assert_eq!(check(&["vault.example.org"], url), Ok(()));
        assert_eq!(check(&["vault.internal"], url), Err(HostFault::Malformed));
        let foreign = "http://evil.example/";
        assert_eq!(check(&["evil.example"], foreign), Err(HostFault::Foreign));
        assert_eq!(check(&[], url), Err(HostFault::Malformed));
    }

    #[test]
    fn a_listener_on_every_address_has_its_public_name_and_loopback() {
        let listen = "0.0.0.0:1".parse().unwrap();
        let names = HostNames::new("https://v.example", listen, &[]).unwrap();
        assert_eq!(names.public(), "v.example");
        assert_eq!(names.0.len(), 1 + LOOPBACK.len());
        for bad in [
            "https://a b",
            "https://",
            "https://u@h",
            "https://h:99999999",
        ] {
            assert!(HostNames::new(bad, listen, &[]).is_err(), "{bad}");
        }
        assert!(HostNames::new("https://v", listen, &["x/y".to_owned()]).is_err());
    }
}
