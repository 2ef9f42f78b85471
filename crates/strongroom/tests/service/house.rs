//! A vault in a directory of its own, with everything around it that a test has to reach.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use strongroom::clock::VaultClock;
use strongroom::{
    Action, Error, GrantTarget, Parts, Presigned, Request, RequestId, Rules, Upload, Vault,
};
use strongroom_audit::{Decision, Durability, Entry, Limits, Log, Rule};
use strongroom_core::secret::MasterKey;
use strongroom_core::time::Clock;
use strongroom_core::{RecordId, Session, SessionKind, SessionRef, Subject, Token, UnixMillis};
use strongroom_core::{VaultId, grant::GrantSeal};
use strongroom_keyring::Keyring;
use strongroom_objects::{Embedded, EmbeddedConfig, ObjectStore, SigningSecret, Transport};
use strongroom_records::conformance::Faulty;
use strongroom_records::{RecordStore, Row, Sqlite, SqliteConfig};
use strongroom_session::{KeySourceConfig, PublicKey, Verifier};
use strongroom_wire::Metadata;
use tempfile::TempDir;
use tower::ServiceExt;

/// The present of every new house: whole seconds, and on the hour.
pub(crate) const START: u64 = 1_800_000_000_000;
pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;

pub(crate) const ALICE: Who = Who::User("default", "alice");
pub(crate) const BOB: Who = Who::User("default", "bob");
pub(crate) const APP: Who = Who::Application("default");
pub(crate) const DEV: Who = Who::Developer("default", "tool");

/// A caller: key source, and the session's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    User(&'static str, &'static str),
    Application(&'static str),
    Developer(&'static str, &'static str),
}

impl Who {
    fn source(self) -> &'static str {
        match self {
            Self::User(source, _) | Self::Application(source) | Self::Developer(source, _) => {
                source
            }
        }
    }

    fn claims(self) -> String {
        match self {
            Self::User(_, id) => format!(r#""sub":"user","session_id":"{id}""#),
            Self::Application(_) => r#""sub":"application""#.to_owned(),
            Self::Developer(_, id) => format!(r#""sub":"developer","session_id":"{id}""#),
        }
    }

    pub(crate) fn session(self) -> Session {
        let (kind, id) = match self {
            Self::User(_, id) => (SessionKind::User, id),
            Self::Application(_) => (SessionKind::Application, ""),
            Self::Developer(_, id) => (SessionKind::Developer, id),
        };
        Session::new(kind, self.source(), id).unwrap()
    }
}

/// Two services that trust the same vault.
static SIGNERS: LazyLock<[(&str, Ed25519KeyPair); 2]> =
    LazyLock::new(|| ["default", "other"].map(|name| (name, Ed25519KeyPair::generate().unwrap())));

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn verifier() -> Verifier {
    let sources = SIGNERS.iter().map(|(name, pair)| {
        let x = b64(pair.public_key());
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        KeySourceConfig {
            name: (*name).to_owned(),
            keys: vec![PublicKey::from_jwk(&jwk).unwrap()],
            fetched: false,
            subjects: vec![Subject::User, Subject::Application, Subject::Developer],
            iss: None,
            aud: None,
        }
    });
    Verifier::new(sources.collect(), strongroom_session::Rules::default()).unwrap()
}

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// In memory where there is such a place: power cuts are tested elsewhere, and syncs are slow.
fn directory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

/// What survives when everything is closed: the files, the keys and the time.
pub(crate) struct Ground {
    pub(crate) dir: TempDir,
    pub(crate) time: Arc<AtomicU64>,
    keyring: Vec<u8>,
    master: MasterKey,
    rules: Rules,
    limits: Limits,
}

/// The open vault.
pub(crate) struct House {
    pub(crate) ground: Ground,
    pub(crate) vault: Vault,
    /// Stands between the vault and its record store, and lets writes fail on demand.
    pub(crate) records: Arc<Faulty>,
    pub(crate) objects: Arc<Embedded>,
    pub(crate) log: Arc<Log>,
    pub(crate) clock: Arc<VaultClock>,
    /// A second copy of the keys: what an attacker lacks and a test needs.
    pub(crate) keys: Keyring,
    verifier: Verifier,
    requests: AtomicU64,
    read: AtomicUsize,
}

impl Ground {
    pub(crate) fn new(rules: Rules) -> Self {
        let rng = &mut rng();
        let master = MasterKey::generate(rng);
        let keyring = Keyring::generate(VaultId([7; 16]), UnixMillis(START), rng);
        Self {
            dir: directory(),
            time: Arc::new(AtomicU64::new(START)),
            keyring: keyring.seal(&master, rng).unwrap(),
            master,
            rules,
            limits: Limits::default(),
        }
    }

    /// With a log whose queue takes `queue_bytes_max`.
    pub(crate) fn with_log_queue(mut self, queue_bytes_max: usize) -> Self {
        self.limits = Limits { queue_bytes_max };
        self
    }

    fn keys(&self) -> Keyring {
        Keyring::open(&self.keyring, &self.master, 0).unwrap()
    }

    pub(crate) async fn open(self) -> House {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(self) -> Result<House, Error> {
        let path = self.dir.path();
        let log = Log::open(path, Durability::Durable, self.limits).unwrap();
        let time = Arc::clone(&self.time);
        let system = move || UnixMillis(time.load(Ordering::SeqCst));
        let clock = Arc::new(VaultClock::new(system, log.newest_at_open()));
        let log = Arc::new(log);
        let sqlite = Sqlite::open(SqliteConfig::new(path.join("records.sqlite3"))).unwrap();
        let records = Arc::new(Faulty::new(Arc::new(sqlite)));
        let config = EmbeddedConfig {
            dir: path.join("objects"),
            disk_reserve_bytes: 0,
            ..EmbeddedConfig::default()
        };
        let keys = self.keys();
        let secret = SigningSecret::derived(&keys.index().store_key());
        let objects = Embedded::open(
            config,
            secret,
            &keys.index().store_key(),
            Vec::new(),
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .unwrap();
        let vault = Vault::open(Parts {
            keyring: self.keys(),
            records: Arc::clone(&records) as Arc<dyn RecordStore>,
            objects: Arc::clone(&objects) as Arc<dyn ObjectStore>,
            audit: Arc::clone(&log),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            rules: self.rules,
        });
        Ok(House {
            vault: vault.await?,
            records,
            objects,
            log,
            clock,
            keys,
            verifier: verifier(),
            requests: AtomicU64::new(1),
            read: AtomicUsize::new(lines(path).len()),
            ground: self,
        })
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Rules::default()).await
    }

    pub(crate) async fn with(rules: Rules) -> Self {
        Ground::new(rules).open().await
    }

    /// Stops everything in order and hands back what remains.
    pub(crate) async fn close(self) -> Ground {
        self.records.close().await.unwrap();
        self.log.close();
        self.ground
    }

    /// Closes the stores, runs SQL on the record store's file, and opens everything again.
    pub(crate) async fn forge(self, sql: &str, params: impl rusqlite::Params) -> Self {
        let ground = self.close().await;
        let path = ground.dir.path().join("records.sqlite3");
        let conn = rusqlite::Connection::open(path).unwrap();
        let changed = conn.execute(sql, params).unwrap();
        assert!(changed > 0, "the forgery changes something: {sql}");
        drop(conn);
        ground.open().await
    }

    pub(crate) fn now(&self) -> u64 {
        self.ground.time.load(Ordering::SeqCst)
    }

    pub(crate) fn set_time(&self, at: u64) {
        self.ground.time.store(at, Ordering::SeqCst);
    }

    pub(crate) fn wait(&self, millis: u64) {
        self.ground.time.fetch_add(millis, Ordering::SeqCst);
    }

    /// Authenticates by a fresh JWT and takes the first step of a request.
    pub(crate) async fn begin(&self, who: Who, action: Action) -> Result<Request, Error> {
        let now = self.clock.now();
        let claims = format!(r#"{{{},"exp":{}}}"#, who.claims(), now.secs() + 600);
        let signed = format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(claims));
        let (_, pair) = SIGNERS
            .iter()
            .find(|(name, _)| *name == who.source())
            .unwrap();
        let jwt = format!("{signed}.{}", b64(pair.sign(signed.as_bytes())));
        let verified = self.verifier.verify(&jwt, now).unwrap();
        let number = u128::from(self.requests.fetch_add(1, Ordering::SeqCst));
        let id = RequestId(number.to_be_bytes());
        self.vault.begin(verified, id, action).await
    }

    pub(crate) async fn tokenize(&self, who: Who) -> Result<Upload, Error> {
        self.tokenize_with(who, None).await
    }

    pub(crate) async fn tokenize_with(
        &self,
        who: Who,
        metadata: Option<&Metadata>,
    ) -> Result<Upload, Error> {
        let request = self.begin(who, Action::Tokenize).await?;
        self.vault.tokenize(&request, metadata, None).await
    }

    /// A new token of `who`.
    pub(crate) async fn token(&self, who: Who) -> Token {
        self.tokenize(who).await.unwrap().token
    }

    pub(crate) async fn detokenize(&self, who: Who, token: &Token) -> Result<Presigned, Error> {
        let request = self.begin(who, Action::Detokenize).await?;
        self.vault.detokenize(&request, token).await
    }

    pub(crate) async fn grant(
        &self,
        token: &Token,
        to: &GrantTarget<'_>,
        duration_ms: Option<i64>,
    ) -> Result<(), Error> {
        let request = self.begin(APP, Action::GrantSet).await?;
        self.vault.set_grant(&request, token, to, duration_ms).await
    }

    pub(crate) async fn verify(&self, token: &Token, of: &GrantTarget<'_>) -> Result<bool, Error> {
        let request = self.begin(APP, Action::GrantVerify).await?;
        self.vault.verify_grant(&request, token, of).await
    }

    pub(crate) async fn metadata(&self, who: Who, token: &Token) -> Result<Metadata, Error> {
        let request = self.begin(who, Action::MetadataGet).await?;
        self.vault.get_metadata(&request, token).await
    }

    pub(crate) async fn set_metadata(
        &self,
        token: &Token,
        metadata: Option<&Metadata>,
    ) -> Result<(), Error> {
        let request = self.begin(DEV, Action::MetadataSet).await?;
        self.vault.set_metadata(&request, token, metadata).await
    }

    /// Sends the request that a presigned URL stands for, and returns status and body.
    pub(crate) async fn send(
        &self,
        method: &str,
        presigned: &Presigned,
        body: &'static [u8],
    ) -> (u16, Vec<u8>) {
        let mut request = http::Request::builder().method(method).uri(&presigned.url);
        for (name, value) in &presigned.headers {
            request = request.header(*name, value);
        }
        // As the listener says of a connection with TLS.
        let request = request
            .extension(Transport::Secure)
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap();
        let response = self.objects.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        (status, bytes.unwrap().to_vec())
    }

    /// Tokenizes and uploads a value.
    pub(crate) async fn stored(&self, who: Who, value: &'static [u8]) -> Token {
        let upload = self.tokenize(who).await.unwrap();
        let (status, _) = self.send("PUT", &upload.presigned, value).await;
        assert_eq!(status, 200);
        upload.token
    }

    pub(crate) fn id(&self, token: &Token) -> RecordId {
        self.keys.index().record_id(token)
    }

    pub(crate) fn session(&self, who: Who) -> SessionRef {
        self.keys.index().session_ref(&who.session())
    }

    pub(crate) fn grant_seal(&self) -> GrantSeal {
        GrantSeal::new(&self.keys.index().grant_key())
    }

    /// The record's row as it stands in the store.
    pub(crate) async fn row(&self, token: &Token) -> Option<Arc<Row>> {
        let read = self.records.admit(self.id(token), SessionRef([0; 32]));
        read.await.unwrap().record
    }

    /// How many records the store holds.
    pub(crate) async fn rows(&self) -> usize {
        self.records.scan(None, 1_000).await.unwrap().len()
    }

    /// The entries since the last call, as "decision rule" with the action before.
    pub(crate) async fn entries(&self) -> Vec<Said> {
        let marker = Entry {
            at: self.clock.now(),
            request: None,
            subject: None,
            session: None,
            action: "marker",
            token: None,
            target: None,
            decision: Decision::Allow,
            rule: Rule::Sweep,
            row: None,
        };
        // Outcomes are not waited for; whatever is written before this entry is on disk after it.
        self.log.append(&marker).unwrap().durable().await.unwrap();
        self.entries_on_disk()
    }

    /// The same for a log that takes no more.
    pub(crate) fn entries_on_disk(&self) -> Vec<Said> {
        let all = lines(self.ground.dir.path());
        let from = self.read.swap(all.len(), Ordering::SeqCst);
        let new = all[from..].iter().map(|line| Said(line.clone()));
        new.filter(|said| said.text("action") != "marker").collect()
    }

    /// The new entries in short.
    pub(crate) async fn said(&self) -> Vec<String> {
        self.entries().await.iter().map(Said::short).collect()
    }
}

/// One entry of the log.
#[derive(Debug, Clone)]
pub(crate) struct Said(pub(crate) serde_json::Value);

impl Said {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    /// `action decision rule`.
    pub(crate) fn short(&self) -> String {
        let [action, decision, rule] = ["action", "decision", "rule"].map(|key| self.text(key));
        format!("{action} {decision} {rule}")
    }

    /// The names of its fields.
    pub(crate) fn shape(&self) -> Vec<&str> {
        let fields = self.0.as_object().unwrap();
        fields.keys().map(String::as_str).collect()
    }
}

/// The log's lines after its header.
fn lines(dir: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("decisions.jsonl")).unwrap_or_default();
    let lines = text.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The value of a query parameter of a presigned URL.
pub(crate) fn query<'a>(presigned: &'a Presigned, key: &str) -> &'a str {
    let (_, query) = presigned.url.split_once('?').unwrap();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == key).then_some(value))
        .unwrap()
}

/// How many seconds a presigned URL lives.
pub(crate) fn life_s(presigned: &Presigned) -> u64 {
    query(presigned, "X-Amz-Expires").parse().unwrap()
}

pub(crate) fn json(text: &str) -> Metadata {
    Metadata::parse(text).unwrap()
}

/// A token that no vault ever made.
pub(crate) fn unknown() -> Token {
    Token::generate(&mut rng())
}
