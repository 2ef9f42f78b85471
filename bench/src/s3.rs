//! An application's account at the S3 endpoint: its configuration, and requests signed by header.

pub(crate) mod bulk;
pub(crate) mod list;
pub(crate) mod puts;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use strongroom_core::UnixMillis;
use strongroom_s3::sigv4::{Canonical, Signer, SigningSecret, time_text};

use crate::clock;
use crate::stream::Request;
use crate::vault::Vault;

const ACCESS_KEY_ID: &str = "BENCH";
/// Nothing here is secret, only the work counts.
const SECRET: &str = "a secret that everybody knows";
const REGION: &str = "us-east-1";
const UNSIGNED: (&str, &str) = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
/// A customer key of zeros: algorithm, key and MD5 of the key, in the order of their names.
const CUSTOMER_KEY: [(&str, &str); 3] = [
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    (
        "x-amz-server-side-encryption-customer-key",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ),
    (
        "x-amz-server-side-encryption-customer-key-md5",
        "cLyPS3KoaSFGi/joRB3OUQ==",
    ),
];

/// The one credential, and where it is good.
struct Account {
    address: SocketAddr,
    signer: Signer,
}

/// Whether a request carries the customer key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyed {
    Yes,
    No,
}

/// Gives a vault that does not run yet the credential and these buckets.
fn configure(vault: &Vault, buckets: &[&str]) -> anyhow::Result<()> {
    let secret = vault.directory().join("bench.secret");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&secret)
        .context("cannot write the secret")?;
    writeln!(file, "{SECRET}")?;
    let settings = format!(
        "\n[[s3.credential]]\nname = \"bench\"\naccess_key_id = \"{ACCESS_KEY_ID}\"\n\
         secret_access_key_file = \"bench.secret\"\nbuckets = {buckets:?}\n"
    );
    let path = vault.directory().join("strongroom.toml");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.write_all(settings.as_bytes())
        .context("cannot write the configuration")
}

impl Account {
    fn new(address: SocketAddr) -> Self {
        let secret = SigningSecret::new(SECRET.to_owned());
        let signer = Signer::new(REGION.to_owned(), secret);
        Self { address, signer }
    }

    /// A request's head without `content-length` and the closing empty line. `path` and `query`
    /// are canonical: nothing in them needs to be escaped.
    fn head(&self, method: &str, path: &str, query: &str, keyed: Keyed) -> String {
        let now = UnixMillis(clock::unix_s() * 1_000);
        let (host, time) = (self.address.to_string(), time_text(now));
        let mut headers = vec![("host", host.as_str()), UNSIGNED, ("x-amz-date", &time)];
        if keyed == Keyed::Yes {
            headers.extend(CUSTOMER_KEY);
        }
        let mut canonical = Canonical::new(method, path, query);
        for (name, value) in &headers {
            canonical.header(name, value);
        }
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let day = self.signer.day_key(now);
        let signature = day.sign(REGION, &time, canonical.finish(&names).as_ref());
        let target = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in headers {
            // Writing to a string does not fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(
            head,
            "authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{}/{REGION}/s3/aws4_request, \
             SignedHeaders={names}, Signature={}\r\n",
            day.date,
            String::from_utf8_lossy(&signature)
        );
        head
    }

    /// The same as the whole of a request, with its body.
    fn whole(&self, method: &str, target: (&str, &str), keyed: Keyed, body: &[u8]) -> Vec<u8> {
        let head = self.head(method, target.0, target.1, keyed);
        let mut request = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// The same on a connection of its own.
    fn request(&self, method: &str, path: &str, query: &str, keyed: Keyed) -> Request {
        let head = self.head(method, path, query, keyed);
        Request {
            address: self.address,
            head: format!("{head}connection: close\r\n"),
        }
    }
}
