//! Which URLs keys are fetched from: HTTPS, or plain HTTP that does not leave this machine.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::Error;

/// The one name that plain HTTP is spoken to; it is never looked up, but taken for loopback.
pub(crate) const LOCALHOST: &str = "localhost";

/// Where an issuer publishes its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct JwksUrl(Url);

impl JwksUrl {
    /// An absolute `https` URL without credentials and fragment, or an `http` one whose host is
    /// `localhost` or a loopback address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|_| Error::Url("an absolute https URL is wanted"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(Error::Url(
                    "https is wanted; plain http only to localhost or a loopback address",
                ));
            }
            _ => return Err(Error::Url("an absolute https URL is wanted")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Url("no user name or password: keys are public"));
        }
        if url.fragment().is_some() {
            return Err(Error::Url("no fragment: it is never sent"));
        }
        Ok(Self(url))
    }

    /// Whether TLS says who answers.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }
}

/// Without the query, which some issuers put a client's name into.
impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksUrl({self})")
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_stays_on_this_machine() {
        for text in [
            "https://issuer.example/.well-known/jwks.json",
            "https://issuer.example:8443/keys?p=policy",
            "https://192.0.2.1/keys",
            "https://[2001:db8::1]/keys",
            "http://localhost/keys",
            "http://LOCALHOST:3000/.lunasec/jwks.json",
            "http://127.0.0.1:3000/keys",
            "http://127.9.9.9/keys",
            "http://[::1]:3000/keys",
        ] {
            assert!(JwksUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "issuer.example/keys",
            "//issuer.example/keys",
            "/keys",
            "https://",
            "ftp://issuer.example/keys",
            "file:///etc/keys.json",
            "data:application/json,{}",
            "http://issuer.example/keys",
            "http://192.0.2.1/keys",
            "http://10.0.0.1/keys",
            "http://169.254.169.254/latest/meta-data",
            "http://0.0.0.0/keys",
            "http://[::]/keys",
            "http://[::ffff:127.0.0.1]/keys",
            "http://localhost.example/keys",
            "http://keys.localhost/keys",
            "http://localhost./keys",
            "http://127.0.0.1.example/keys",
            "http://user@localhost/keys",
            "https://user@issuer.example/keys",
            "https://:password@issuer.example/keys",
            "https://localhost@issuer.example/keys#keys",
            "https://issuer.example/keys#keys",
        ] {
            assert!(matches!(JwksUrl::parse(text), Err(Error::Url(_))), "{text}");
        }
    }

    #[test]
    fn it_is_shown_without_its_query() {
        let url = JwksUrl::parse("https://issuer.example/keys?client=c1").unwrap();
        assert_eq!(format!("{url}"), "https://issuer.example/keys");
        assert_eq!(format!("{url:?}"), "JwksUrl(https://issuer.example/keys)");
        assert_eq!(url.url().query(), Some("client=c1"));
    }
}
