//! Who is at the other end: the socket's peer, or what a trusted proxy says of it.
//!
//! Only `x-forwarded-for` and `x-forwarded-proto` are read, and only from trusted proxies; the
//! header `forwarded` (RFC 7239) is not.

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// What a proxy says the client spoke to it: `https` or `http`, one per proxy on the way.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Prefix lengths of what counts as one client.
const IPV4_PREFIX: u8 = 24;
const IPV6_PREFIX: u8 = 56;

/// Addresses of the proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

/// The text is neither an address nor a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a range such as 10.0.0.0/8")]
pub struct BadRange(String);

impl Proxies {
    /// From addresses (`192.0.2.1`) and ranges (`10.0.0.0/8`, `fd00::/8`).
    pub fn new(ranges: &[String]) -> Result<Self, BadRange> {
        let range = |text: &String| {
            let range = text.parse::<IpNet>();
            let range = range.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            range.map_err(|_| BadRange(text.clone()))
        };
        ranges.iter().map(range).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address is one of theirs.
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    /// The right-most hop that is no trusted proxy. A hop that is no address ends the walk, as
    /// nobody can say who wrote what stands before it.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        for hop in values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
            if !self.trust(client) {
                break;
            }
            let Some(before) = address(hop) else { break };
            client = before;
        }
        client
    }
}

/// An address with or without a port, as proxies write it.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let address = text.parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The network of a client: /24 of IPv4, /56 of IPv6. `Display` shows it as a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpNet);

impl ClientNetwork {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(ip) => Ipv4Net::new_assert(ip, IPV4_PREFIX).trunc().into(),
            IpAddr::V6(ip) => Ipv6Net::new_assert(ip, IPV6_PREFIX).trunc().into(),
        })
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a connection came; the same for all its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The socket's other end.
    pub peer: IpAddr,
    /// Whether that is a trusted proxy.
    pub proxied: bool,
    /// Whether it speaks TLS to us.
    pub tls: bool,
}

impl Connection {
    /// The network of the client that sent a request with these headers.
    pub fn client(&self, proxies: &Proxies, headers: &HeaderMap) -> ClientNetwork {
        ClientNetwork::of(if self.proxied {
            proxies.client(self.peer, headers)
        } else {
            self.peer
        })
    }

    /// Whether a proxy says that a request came to it, or to a proxy before it, without TLS.
    /// Anything but `https` is no promise; a proxy that says nothing is taken to bring TLS.
    pub fn came_insecure(&self, headers: &HeaderMap) -> bool {
        self.proxied
            && !headers
                .get_all(FORWARDED_PROTO)
                .iter()
                .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
                .all(|hop| hop.trim_ascii().eq_ignore_ascii_case(b"https"))
    }

    /// Whether the client is known to speak TLS: to us, or to a proxy that says so.
    pub fn came_over_tls(&self, headers: &HeaderMap) -> bool {
        if self.proxied {
            headers.contains_key(FORWARDED_PROTO) && !self.came_insecure(headers)
        } else {
            self.tls
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        let ranges = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"].map(str::to_owned);
        Proxies::new(&ranges).unwrap()
    }

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn connection(peer: &str) -> Connection {
        let peer = peer.parse().unwrap();
        Connection {
            peer,
            proxied: proxies().trust(peer),
            tls: false,
        }
    }

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let headers = headers(FORWARDED_FOR, forwarded);
        connection(peer).client(&proxies(), &headers).to_string()
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_the_client_whatever_it_says() {
        assert_eq!(client("198.51.100.9", &["203.0.113.5"]), "198.51.100.0/24");
        assert_eq!(client("2001:db8:1:2ff:3::4", &[]), "2001:db8:1:200::/56");
        assert_eq!(client("::ffff:198.51.100.9", &[]), "198.51.100.0/24");
    }

    #[test]
    fn behind_proxies_the_right_most_untrusted_hop_is_the_client() {
        for forwarded in [
            &["203.0.113.5"] as &[&str],
            &["8.8.8.8, 203.0.113.5"],
            &["8.8.8.8", "203.0.113.5"],
            &["8.8.8.8,203.0.113.5 , 10.1.1.1"],
            &["203.0.113.5:4711"],
            &["203.0.113.5", "192.0.2.1,10.2.3.4"],
        ] {
            assert_eq!(
                client("10.9.9.9", forwarded),
                "203.0.113.0/24",
                "{forwarded:?}"
            );
        }
        assert_eq!(client("fd00::1", &["[2001:db8::1]:80"]), "2001:db8::/56");
        assert_eq!(
            client("::ffff:10.9.9.9", &["203.0.113.5"]),
            "203.0.113.0/24"
        );
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_walk() {
        for forwarded in [
            &[] as &[&str],
            &[""],
            &["unknown"],
            &["203.0.113.5, unknown"],
            &["203.0.113.5, 300.1.1.1"],
            &["203.0.113.5,"],
        ] {
            assert_eq!(
                client("10.9.9.9", forwarded),
                "10.9.9.0/24",
                "{forwarded:?}"
            );
        }
        assert_eq!(
            client("10.9.9.9", &["203.0.113.5, x, 10.8.8.8"]),
            "10.8.8.0/24"
        );
    }

    #[test]
    fn ranges_are_checked() {
        for bad in ["", "10.0.0.0/33", "proxy.example", "10.0.0.0/8 "] {
            assert!(Proxies::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(proxies().trust("10.255.0.1".parse().unwrap()));
        assert!(!proxies().trust("11.0.0.1".parse().unwrap()));
        assert!(!proxies().trust("192.0.2.2".parse().unwrap()));
    }

    fn insecure(peer: &str, values: &[&str]) -> bool {
        connection(peer).came_insecure(&headers(FORWARDED_PROTO, values))
    }

    #[test]
    fn a_proxy_that_says_nothing_or_https_is_believed() {
        for values in [&[] as &[&str], &["https"], &["HTTPS"], &["https, https"]] {
            assert!(!insecure("10.1.1.1", values), "{values:?}");
        }
    }

    #[test]
    fn one_hop_without_tls_is_enough() {
        for values in [
            &["http"] as &[&str],
            &["HTTP"],
            &["https", "http"],
            &["http, https"],
            &["https,http"],
            &[""],
            &["https,"],
            &["quic"],
        ] {
            assert!(insecure("10.1.1.1", values), "{values:?}");
            assert!(!insecure("198.51.100.9", values), "no proxy: {values:?}");
        }
    }

    #[test]
    fn only_tls_of_our_own_or_a_trusted_proxys_word_makes_a_client_secure() {
        let https = headers(FORWARDED_PROTO, &["https"]);
        let none = HeaderMap::new();
        assert!(connection("10.1.1.1").came_over_tls(&https));
        assert!(!connection("10.1.1.1").came_over_tls(&none));
        assert!(!connection("198.51.100.9").came_over_tls(&https));
        let tls = Connection {
            tls: true,
            ..connection("198.51.100.9")
        };
        assert!(tls.came_over_tls(&none));
    }
}
