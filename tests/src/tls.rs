//! Certificates of a test's own authority, and connections over TLS.

use crate::http::connect;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// A connection over TLS, after the handshake.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Whose certificates a test's client believes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

/// A certificate, for loopback unless other names were asked for.
pub struct Certificate {
    /// In DER, as the server presents it.
    pub der: CertificateDer<'static>,
    /// In PEM.
    pub pem: String,
    /// The private key in PEM.
    pub key_pem: String,
    /// The private key in DER.
    pub key_der: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key is made");
        let made = params.self_signed(&key).expect("a certificate is made");
        Self {
            der: made.der().clone(),
            pem: made.pem(),
            issuer: Issuer::new(params, key),
        }
    }
}

impl Authority {
    /// Its own certificate in PEM, for `--ca`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A new certificate with a new key.
    pub fn issue(&self) -> Certificate {
        self.issue_for(&["127.0.0.1", "localhost"])
    }

    /// The same for any names.
    pub fn issue_for(&self, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key is made");
        let made = params.signed_by(&key, &self.issuer);
        let made = made.expect("a certificate is made");
        Certificate {
            der: made.der().clone(),
            pem: made.pem(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }

    /// What a client of this authority is set up with.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that the provider knows")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// Connects and shakes hands.
    pub fn connect(&self, to: SocketAddr) -> io::Result<TlsStream> {
        shake_hands(self.client(rustls::ALL_VERSIONS), to)
    }
}

/// Connects as this client and shakes hands.
pub fn shake_hands(client: ClientConfig, to: SocketAddr) -> io::Result<TlsStream> {
    let name = ServerName::from(to.ip());
    let mut session = ClientConnection::new(Arc::new(client), name).map_err(io::Error::other)?;
    let mut stream = connect(to)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// The certificate that a server presented.
pub fn presented(stream: &TlsStream) -> &CertificateDer<'static> {
    let chain = stream.conn.peer_certificates().expect("a certificate");
    chain.first().expect("a certificate")
}

impl Certificate {
    /// Writes it as `tls.pem` and `tls.key` into this directory, each whole at once.
    pub fn write(&self, dir: &Path) {
        put(dir, "tls.key", &self.key_pem);
        put(dir, "tls.pem", &self.pem);
    }
}

/// Puts a private file in the place of another.
pub fn put(dir: &Path, name: &str, text: &str) {
    let unfinished = dir.join("unfinished");
    fs::write(&unfinished, text).expect("a file is written");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&unfinished, private).expect("permissions are set");
    fs::rename(&unfinished, dir.join(name)).expect("a file is renamed");
}
