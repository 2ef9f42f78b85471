//! A vault in a directory of its own, and the router in front of it.

use crate::{Api, ApiConfig, Connection, Front, HostNames, Origin, Proxies, Simple};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, request};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use strongroom::clock::VaultClock;
use strongroom::{Parts, Rules, Vault};
use strongroom_audit::{Durability, Limits, Log};
use strongroom_core::time::Clock;
use strongroom_core::{Subject, Token, UnixMillis, VaultId};
use strongroom_jwks::{self as jwks, KeySources};
use strongroom_keyring::Keyring;
use strongroom_objects::{Embedded, EmbeddedConfig, SigningSecret};
use strongroom_records::{Sqlite, SqliteConfig};
use strongroom_session::{KeySourceConfig, PublicKey, Verifier};
use tempfile::TempDir;
use tower::ServiceExt;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const OWN_URL: &str = "https://vault.example.org";
pub(super) const OWN_HOST: &str = "vault.example.org";
pub(super) const BODY_BYTES_MAX: usize = 4_096;
/// Short, because one test waits for it.
const BODY_TIME_MAX: Duration = Duration::from_millis(200);

pub(super) const USER: &str = r#""sub":"user","session_id":"alice""#;
pub(super) const APPLICATION: &str = r#""sub":"application""#;

pub(super) struct House {
    dir: TempDir,
    pub(super) log: Arc<Log>,
    signer: Ed25519KeyPair,
    front: Arc<Front>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) json: serde_json::Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(super) fn name(&self) -> &str {
        self.json["error"]["name"].as_str().unwrap_or_default()
    }
}

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn unknown() -> Token {
    Token::generate(&mut rng())
}

fn verifier(signer: &Ed25519KeyPair) -> Verifier {
    let x = b64(signer.public_key());
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    let source = KeySourceConfig {
        name: "default".to_owned(),
        keys: vec![PublicKey::from_jwk(&jwk).unwrap()],
        fetched: false,
        subjects: vec![Subject::User, Subject::Application, Subject::Developer],
        iss: None,
        aud: None,
    };
    Verifier::new(vec![source], strongroom_session::Rules::default()).unwrap()
}

/// In memory where there is such a place: power cuts are tested elsewhere, and syncs are slow.
fn directory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

async fn open_vault(dir: &TempDir, log: &Arc<Log>, clock: &Arc<dyn Clock>) -> Vault {
    let rng = &mut rng();
    let keyring = Keyring::generate(VaultId([7; 16]), NOW, rng);
    let config = EmbeddedConfig {
        dir: dir.path().join("objects"),
        disk_reserve_bytes: 0,
        ..EmbeddedConfig::default()
    };
    let store_key = keyring.index().store_key();
    let secret = SigningSecret::derived(&store_key);
    let records = Sqlite::open(SqliteConfig::new(dir.path().join("records.sqlite3"))).unwrap();
    let vault = Vault::open(Parts {
        keyring,
        records: Arc::new(records),
        objects: Embedded::open(config, secret, &store_key, Vec::new(), Arc::clone(clock)).unwrap(),
        audit: Arc::clone(log),
        clock: Arc::clone(clock),
        rules: Rules::default(),
    });
    vault.await.unwrap()
}

fn config() -> ApiConfig {
    let listen = "127.0.0.1:37766".parse().unwrap();
    ApiConfig {
        own_origin: Origin::of(OWN_URL).unwrap(),
        body_bytes_max: BODY_BYTES_MAX,
        body_time_max: BODY_TIME_MAX,
        host_names: HostNames::new(OWN_URL, listen, &[]).unwrap(),
        proxies: Proxies::default(),
        headers_max: 64,
        uri_bytes_max: 10 * 1024,
        requests_max: 100,
        queue_time_max: Duration::from_secs(5),
        docs: true,
        simple: Simple::Absent,
    }
}

/// A direct connection over TLS.
const CONNECTION: Connection = Connection {
    peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    proxied: false,
    tls: true,
};

impl House {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    pub(super) async fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        let dir = directory();
        let log = Log::open(dir.path(), Durability::Durable, Limits::default()).unwrap();
        let log = Arc::new(log);
        let clock: Arc<dyn Clock> = Arc::new(VaultClock::new(|| NOW, NOW));
        let signer = Ed25519KeyPair::generate().unwrap();
        let vault = open_vault(&dir, &log, &clock).await;
        let mut config = config();
        change(&mut config);
        let keys = KeySources::new(verifier(&signer), Vec::new(), jwks::Limits::default(), 0);
        let keys = Arc::new(keys.unwrap());
        let api = Api::new(Arc::new(vault), keys, clock, config, &mut rng());
        Self {
            dir,
            log,
            signer,
            front: Arc::new(Front::new(Arc::new(api))),
        }
    }

    /// A JWT with these claims, good for ten minutes.
    pub(super) fn jwt(&self, claims: &str) -> String {
        let claims = format!(r#"{{{claims},"exp":{}}}"#, NOW.secs() + 600);
        let signed = format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(claims));
        let signature = self.signer.sign(signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    pub(super) fn signed(&self, claims: &str, path: &str) -> request::Builder {
        Request::post(path).header("authorization", self.jwt(claims))
    }

    /// Sends it under the vault's own name, unless it says another.
    pub(super) async fn send(&self, request: request::Builder, body: impl Into<Body>) -> Answer {
        let mut request = request.body(body.into()).unwrap();
        let headers = request.headers_mut();
        headers
            .entry(HOST)
            .or_insert(HeaderValue::from_static(OWN_HOST));
        self.send_as_it_is(request).await
    }

    pub(super) async fn send_as_it_is(&self, request: Request<Body>) -> Answer {
        let (status, headers, bytes) = self.exchange(request).await;
        // An answer to HEAD has no body.
        let json = if bytes.is_empty() {
            serde_json::Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Answer {
            status,
            headers,
            json,
        }
    }

    async fn exchange(&self, request: Request<Body>) -> (u16, HeaderMap, Bytes) {
        let service = self.front.service(CONNECTION);
        let response = service.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, bytes)
    }

    /// Status, headers and bytes of an answer that need not be JSON.
    pub(super) async fn raw(&self, request: request::Builder) -> (u16, HeaderMap, Bytes) {
        let request = request.header("host", OWN_HOST);
        self.exchange(request.body(Body::empty()).unwrap()).await
    }

    pub(super) fn unreadable(&self, status: u16) -> Vec<u8> {
        self.front.unreadable(status)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(super) async fn post(&self, claims: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.send(self.signed(claims, path), body).await
    }

    pub(super) async fn detokenize(&self, claims: &str, token: &Token) -> Answer {
        let body = format!(r#"{{"tokenId":"{}"}}"#, token.expose());
        self.post(claims, "/detokenize", body).await
    }

    pub(super) async fn token(&self, claims: &str) -> Token {
        self.token_with(claims, "{}").await
    }

    pub(super) async fn token_with(&self, claims: &str, body: &str) -> Token {
        let answer = self.post(claims, "/tokenize", body.to_owned()).await;
        Token::parse(answer.json["data"]["tokenId"].as_str().unwrap()).unwrap()
    }

    pub(super) fn log_text(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("decisions.jsonl")).unwrap()
    }
}
