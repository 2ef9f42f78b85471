//! The endpoint from outside: requests into the router, answers out. Tests are named after the
//! rows of the table of S3 engines' behaviour; expectations are AWS's.

mod access;
mod buckets;
mod conditional;
mod copy;
mod faults;
mod hostile;
mod keys;
mod list;
mod multipart;
mod objects;
mod post;
mod signature;
mod transfer;

use crate::presign::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use crate::{
    Embedded, EmbeddedConfig, ObjectStore, Presigned, S3Credential, SigningSecret, Transport,
};
use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use strongroom_core::secret::{DataKey, StoreKey};
use strongroom_core::time::Clock;
use strongroom_core::{ObjectId, UnixMillis};
use strongroom_s3::sigv4::{Canonical, Signer, UNRESERVED, push_time};
use strongroom_s3::sse_c::COPY_SOURCE_SSE_C;
use tower::ServiceExt;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const START: UnixMillis = UnixMillis(1_800_000_000_000);
const OBJECT: ObjectId = ObjectId([0xab; 32]);
const LIMIT: u64 = 10 << 20;

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }

    fn behind_ms(&self) -> u64 {
        0
    }
}

/// A store in its own directory, with a clock to turn.
struct World {
    dir: tempfile::TempDir,
    clock: Arc<TestClock>,
    store: Arc<Embedded>,
    router: Router,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn is(&self, status: u16, code: &str) -> &Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert!(
            body.contains(&format!("<Code>{code}</Code>")),
            "{code} not in {body}"
        );
        assert!(body.contains(&format!("<RequestId>{}</", self.header("x-amz-request-id"))));
        self
    }
}

fn key(fill: u8) -> DataKey {
    DataKey::init_with(|bytes| bytes.fill(fill))
}

/// The credentials of the applications: one with customer keys alone, one that the server keeps
/// keys for, and one that may touch little.
fn credentials() -> Vec<S3Credential> {
    let credential = |name: &str, id: &str, buckets: &[&str], server_keyed| S3Credential {
        name: name.into(),
        access_key_id: id.into(),
        secret: SigningSecret::new(SECRET.into()),
        buckets: buckets.iter().map(|&one| one.to_owned()).collect(),
        server_keyed,
    };
    vec![
        credential("alice", "AKIDALICE", &["*", "named"], true),
        credential("bob", "AKIDBOB", &["*"], false),
        credential("carol", "AKIDCAROL", &["carol-*"], true),
    ]
}

fn open(config: EmbeddedConfig, clock: &Arc<TestClock>) -> Arc<Embedded> {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let secret = SigningSecret::new(SECRET.into());
    let store_key = StoreKey::init_with(|bytes| bytes.fill(9));
    Embedded::open(config, secret, &store_key, credentials(), clock).unwrap()
}

fn world() -> World {
    world_with(|_| ())
}

fn world_with(change: impl FnOnce(&mut EmbeddedConfig)) -> World {
    // In memory where there is such a place: power cuts are tested elsewhere, and syncs are slow.
    let dir = tempfile::TempDir::new_in("/dev/shm").or_else(|_| tempfile::tempdir());
    world_in(dir.unwrap(), change)
}

fn world_in(dir: tempfile::TempDir, change: impl FnOnce(&mut EmbeddedConfig)) -> World {
    let clock = Arc::new(TestClock(AtomicU64::new(START.0)));
    let mut config = EmbeddedConfig {
        dir: dir.path().join("store"),
        bucket: "vault".into(),
        public_url: "http://objects.test:9000".into(),
        object_bytes_max: LIMIT,
        disk_reserve_bytes: 0,
        access_key_id: "AKIDEXAMPLE".into(),
        cors_origins: vec!["https://frame.test".into()],
        ..EmbeddedConfig::default()
    };
    change(&mut config);
    let store = open(config, &clock);
    let router = store.router();
    World {
        dir,
        clock,
        store,
        router,
    }
}

impl World {
    fn presign_put(&self, fill: u8) -> Presigned {
        self.store
            .presign_put(&OBJECT, &key(fill), START, 900, None)
    }

    fn presign_get(&self, fill: u8) -> Presigned {
        self.store.presign_get(&OBJECT, &key(fill), START, 60)
    }

    async fn send(&self, method: Method, signed: &Presigned, body: impl Into<Body>) -> Answer {
        self.raw(request(method, signed).body(body.into()).unwrap())
            .await
    }

    async fn put(&self, value: impl Into<Bytes>) -> Answer {
        let value = value.into();
        let request = request(Method::PUT, &self.presign_put(1));
        self.raw(
            request
                .header("content-length", value.len())
                .body(value.into())
                .unwrap(),
        )
        .await
    }

    async fn get(&self) -> Answer {
        self.send(Method::GET, &self.presign_get(1), Body::empty())
            .await
    }

    /// Sends an application's request, signed by header.
    async fn ask(&self, forge: Forge, body: &str) -> Answer {
        let method = forge.method.clone();
        let request = request(method, &forge.sign_header(body));
        let request = request.header("content-length", body.len());
        self.raw(request.body(body.to_owned().into()).unwrap())
            .await
    }

    async fn make_bucket(&self, name: &str) {
        let made = self.ask(alice(Method::PUT, &format!("/{name}")), "").await;
        assert_eq!(made.status, 200, "{}", made.text());
    }

    async fn raw(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(Transport::Secure);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, headers) = (parts.status, parts.headers);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(
            headers["content-security-policy"],
            "sandbox; default-src 'none'"
        );
        assert!(headers.contains_key("content-disposition"));
        assert!(headers.contains_key("cache-control"));
        assert!(!headers.contains_key("set-cookie"));
        Answer {
            status,
            headers,
            body,
        }
    }

    /// Files of finished objects; small ones have none, unless the test says otherwise.
    fn files(&self) -> Vec<PathBuf> {
        let shelves = std::fs::read_dir(self.dir.path().join("store/runs")).unwrap();
        let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    /// Every file of the store, the index among them.
    fn all_files(&self) -> Vec<PathBuf> {
        let top = std::fs::read_dir(self.dir.path().join("store")).unwrap();
        let top = top.map(|file| file.unwrap().path());
        top.filter(|file| file.is_file())
            .chain(self.files())
            .collect()
    }

    /// The only file.
    fn file(&self) -> PathBuf {
        let [file] = <[_; 1]>::try_from(self.files()).unwrap();
        file
    }

    async fn is_stored(&self) -> bool {
        self.store.presence(&OBJECT).await.unwrap().is_some()
    }

    /// Whether no trace of an upload is left.
    async fn is_empty(&self) -> bool {
        !self.is_stored().await && self.files().is_empty() && self.unfinished() == 0
    }

    fn unfinished(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("store/incoming"))
            .unwrap()
            .count()
    }
}

fn request(method: Method, signed: &Presigned) -> http::request::Builder {
    let request = Request::builder()
        .extension(Transport::Secure)
        .method(method)
        .uri(path_of(&signed.url));
    signed
        .headers
        .iter()
        .fold(request, |request, (name, value)| {
            request.header(*name, value)
        })
}

/// A request of the application `id`; the path may have a query, not encoded.
fn of(id: &str, method: Method, path: &str) -> Forge {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let credential = format!("{id}/20270115/us-east-1/s3/aws4_request");
    let forge = forge(method)
        .path(path)
        .query("X-Amz-Credential", &credential);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.fold(forge, |forge, pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        forge.query(name, value)
    })
}

fn alice(method: Method, path: &str) -> Forge {
    of("AKIDALICE", method, path)
}

fn bob(method: Method, path: &str) -> Forge {
    of("AKIDBOB", method, path)
}

/// The text of the only element of this name.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let found = elements(xml, name);
    assert_eq!(found.len(), 1, "{name} in {xml}");
    found[0]
}

/// The texts of all elements of this name.
fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = xml.split(&open).skip(1);
    inner
        .map(|rest| rest.split(&close).next().unwrap())
        .collect()
}

fn path_of(url: &str) -> &str {
    url.strip_prefix("http://objects.test:9000").unwrap()
}

/// The SSE-C headers of a key.
fn sse_c(fill: u8) -> Vec<(&'static str, String)> {
    vec![
        (SSE_C_ALGORITHM, "AES256".into()),
        (SSE_C_KEY, BASE64_STANDARD.encode([fill; 32])),
        (
            SSE_C_KEY_MD5,
            BASE64_STANDARD.encode(Md5::digest([fill; 32])),
        ),
    ]
}

/// Signs any request, so that tests can sign what the presigner never would.
struct Forge {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    region: &'static str,
    secret: &'static str,
    at: UnixMillis,
}

fn forge(method: Method) -> Forge {
    Forge {
        method,
        path: format!("/vault/{OBJECT}"),
        query: Vec::new(),
        headers: vec![("host", "objects.test:9000".into())],
        region: "us-east-1",
        secret: SECRET,
        at: START,
    }
    .query("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
    .query(
        "X-Amz-Credential",
        "AKIDEXAMPLE/20270115/us-east-1/s3/aws4_request",
    )
    .query("X-Amz-Date", "20270115T080000Z")
    .query("X-Amz-Expires", "900")
}

impl Forge {
    /// Sets a query parameter.
    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.retain(|pair| pair.0 != name);
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets a signed header.
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|pair| pair.0 != name);
        self.headers.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|pair| pair.0 != name);
        self
    }

    fn sse_c(mut self, fill: u8) -> Self {
        self.headers.extend(sse_c(fill));
        self
    }

    /// The customer key of the source of a copy.
    fn sse_c_source(mut self, fill: u8) -> Self {
        let values = sse_c(fill).into_iter().map(|(_, value)| value);
        self.headers
            .extend(COPY_SOURCE_SSE_C.into_iter().zip(values));
        self
    }

    fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// A PUT as the vault signs it.
    fn put() -> Self {
        forge(Method::PUT).header("if-none-match", "*")
    }

    /// Signs the headers instead of the query; `payload` is all of the body.
    fn sign_header(mut self, payload: &str) -> Presigned {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload.as_bytes());
        let digest = hex::encode(digest);
        let credential = self.take("X-Amz-Credential");
        for name in ["X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires"] {
            self.take(name);
        }
        let payload = self
            .headers
            .iter()
            .find(|pair| pair.0 == "x-amz-content-sha256");
        let payload = payload.map_or(digest, |pair| pair.1.clone());
        let mut signed = self
            .header("x-amz-content-sha256", &payload)
            .header("x-amz-date", "20270115T080000Z");
        let (names, query, signature) = signed.signature(&payload);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, \
             Signature={signature}"
        );
        signed.headers.push(("authorization", authorization));
        Presigned {
            url: format!("http://objects.test:9000{}?{query}", signed.path),
            headers: signed.headers,
        }
    }

    fn take(&mut self, name: &str) -> String {
        let at = self.query.iter().position(|pair| pair.0 == name).unwrap();
        self.query.remove(at).1
    }

    /// Signed names, canonical query, signature.
    fn signature(&mut self, payload: &str) -> (String, String, String) {
        self.headers.sort();
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string();
        let mut pairs: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| (encode(name), encode(value)))
            .collect();
        pairs.sort();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let query = pairs.join("&");
        let mut canonical = Canonical::new(self.method.as_str(), &self.path, &query);
        self.headers
            .iter()
            .for_each(|(name, value)| canonical.header(name, value));
        let digest = canonical.finish_with(&names, payload);
        let signer = Signer::new(self.region.into(), SigningSecret::new(self.secret.into()));
        let day = signer.day_key(self.at);
        let mut time = String::new();
        push_time(&mut time, &day.date, self.at);
        let signature = day.sign(self.region, &time, digest.as_ref());
        let signature = std::str::from_utf8(&signature).unwrap().to_owned();
        (names, query, signature)
    }

    fn sign(mut self) -> Presigned {
        if !self
            .query
            .iter()
            .any(|pair| pair.0 == "X-Amz-SignedHeaders")
        {
            let mut names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            self = self.query("X-Amz-SignedHeaders", &names.join(";"));
        }
        let (_, query, signature) = self.signature("UNSIGNED-PAYLOAD");
        let url = format!(
            "http://objects.test:9000{}?{query}&X-Amz-Signature={signature}",
            self.path
        );
        Presigned {
            url,
            headers: self.headers,
        }
    }
}
