//! An issuer on loopback that a test scripts byte by byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::JwksUrl;

/// What the issuer does with a request.
#[derive(Clone)]
pub(crate) enum Play {
    /// Sends these bytes and ends the connection.
    Send(String),
    /// Sends these bytes and then nothing, and keeps the connection.
    Stall(String),
    /// Ends the connection at once.
    HangUp,
}

pub(crate) struct Issuer {
    port: u16,
    play: Arc<Mutex<Play>>,
    asked: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    pub(crate) async fn start(play: Play) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            port: listener.local_addr().unwrap().port(),
            play: Arc::new(Mutex::new(play)),
            asked: Arc::default(),
            heads: Arc::default(),
        };
        let (play, asked) = (Arc::clone(&issuer.play), Arc::clone(&issuer.asked));
        let heads = Arc::clone(&issuer.heads);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (play, heads) = (play.lock().unwrap().clone(), Arc::clone(&heads));
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(connection, play, heads));
            }
        });
        issuer
    }

    /// One that publishes these keys.
    pub(crate) async fn publishing(keys: &[String]) -> Self {
        Self::start(set(keys)).await
    }

    pub(crate) fn play(&self, play: Play) {
        *self.play.lock().unwrap() = play;
    }

    pub(crate) fn url(&self) -> JwksUrl {
        JwksUrl::parse(&format!("http://127.0.0.1:{}/keys?c=1", self.port)).unwrap()
    }

    pub(crate) fn url_by_name(&self) -> JwksUrl {
        JwksUrl::parse(&format!("http://localhost:{}/keys", self.port)).unwrap()
    }

    /// How often a connection was made.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The headers of all requests, in lower case.
    pub(crate) fn heads(&self) -> String {
        self.heads.lock().unwrap().concat()
    }
}

async fn answer(mut connection: TcpStream, play: Play, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8(head).unwrap().to_lowercase();
    heads.lock().unwrap().push(text);
    match play {
        Play::Send(text) => {
            // The other side may have heard enough before the end.
            let _ = connection.write_all(text.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
        Play::Stall(text) => {
            let _ = connection.write_all(text.as_bytes()).await;
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        Play::HangUp => {}
    }
}

/// A sound answer with this body and further headers, each with its line's end.
pub(crate) fn ok(headers: &str, body: &str) -> Play {
    Play::Send(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

pub(crate) fn set(keys: &[String]) -> Play {
    ok("", &format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}
