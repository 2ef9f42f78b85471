//! The endpoint from outside: requests into the router, answers out. Tests are named after the
//! rows of the table of S3 engines' behaviour; expectations are AWS's.

mod conditional;
mod faults;
mod keys;
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
    let dir = tempfile::tempdir().unwrap();
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

    fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// A PUT as the vault signs it.
    fn put() -> Self {
        forge(Method::PUT).header("if-none-match", "*")
    }

    fn sign(mut self) -> Presigned {
        self.headers.sort();
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        if !self
            .query
            .iter()
            .any(|pair| pair.0 == "X-Amz-SignedHeaders")
        {
            self = self.query("X-Amz-SignedHeaders", &names);
        }
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string();
        self.query.sort();
        let pairs = self.query.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let query = pairs.join("&");
        let mut canonical = Canonical::new(self.method.as_str(), &self.path, &query);
        self.headers
            .iter()
            .for_each(|(name, value)| canonical.header(name, value));
        let digest = canonical.finish(&names);
        let signer = Signer::new(self.region.into(), SigningSecret::new(self.secret.into()));
        let day = signer.day_key(self.at);
        let mut time = String::new();
        push_time(&mut time, &day.date, self.at);
        let signature = day.sign(self.region, &time, digest.as_ref());
        let signature = std::str::from_utf8(&signature).unwrap();
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
