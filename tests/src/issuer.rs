//! An issuer that publishes its keys over HTTPS, or over plain HTTP, and does what a test says.

use crate::jwt::Key;
use crate::tls::Certificate;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest silence of a client.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A server on loopback; it ends when it is dropped.
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    /// What is sent to everybody; `None` is an end without a word.
    answer: Mutex<Option<String>>,
    asked: AtomicUsize,
    over: AtomicBool,
}

impl Issuer {
    /// Over HTTPS, with this certificate. It hangs up until it is told what to say.
    pub fn https(certificate: &Certificate) -> Self {
        let key = PrivateKeyDer::try_from(certificate.key_der.clone()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that the provider knows")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der.clone()], key)
            .expect("a pair");
        Self::start(Some(Arc::new(config)))
    }

    /// Over plain HTTP.
    pub fn http() -> Self {
        Self::start(None)
    }

    fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            tls,
            answer: Mutex::new(None),
            asked: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that breaks off is no fault of the issuer.
                thread::spawn(move || connection.and_then(|tcp| serving.serve(tcp)));
            }
        });
        Self { address, shared }
    }

    /// Publishes these keys under these names from now on.
    pub fn publish(&self, keys: &[(&Key, &str)]) {
        let entries: Vec<Value> = keys
            .iter()
            .map(|(key, kid)| {
                let mut jwk = key.public_jwk();
                jwk["kid"] = json!(kid);
                jwk
            })
            .collect();
        let body = json!({ "keys": entries }).to_string();
        let length = body.len();
        self.say(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
    }

    /// Sends this to everybody from now on.
    pub fn say(&self, answer: &str) {
        self.set(Some(answer.to_owned()));
    }

    /// Hangs up on everybody from now on.
    pub fn hang_up(&self) {
        self.set(None);
    }

    fn set(&self, answer: Option<String>) {
        let current = self.shared.answer.lock();
        *current.unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// How many connections were made to it.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        let scheme = self.shared.tls.as_ref().map_or("http", |_| "https");
        format!("{scheme}://{}/keys", self.address)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, tcp: TcpStream) -> io::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self
            .answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(answer) = answer else {
            return Ok(());
        };
        tcp.set_read_timeout(Some(SILENCE_MAX))?;
        tcp.set_write_timeout(Some(SILENCE_MAX))?;
        let Some(config) = &self.tls else {
            return speak(tcp, &answer);
        };
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, tcp);
        speak(&mut stream, &answer)?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

fn speak(mut stream: impl Read + Write, answer: &str) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}
