//! What several tests need: AWS's example credential, and requests signed with it.

use crate::S3Error;
use crate::query::Query;
use crate::sigv4::{Canonical, Signer, SigningSecret, time_text};
use crate::target::Target;
use crate::verify::{Credential, Verified, verify};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use strongroom_core::UnixMillis;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// 2013-05-24T00:00:00Z, the instant of AWS's examples.
pub(crate) const THEN: UnixMillis = UnixMillis(1_369_353_600_000);
pub(crate) const NO_BYTES: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) fn credential() -> Arc<Credential> {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    Arc::new(Credential {
        access_key_id: ID.into(),
        signer: Signer::new(REGION.into(), SigningSecret::new(secret.into())),
    })
}

pub(crate) fn find(id: &str) -> Option<Arc<Credential>> {
    (id == ID).then(credential)
}

/// A request, to be changed and judged.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) now: UnixMillis,
}

impl Sent {
    pub(crate) fn new(method: &'static str, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut sent = Self {
            method,
            path: path.into(),
            query: String::new(),
            headers: HeaderMap::new(),
            now: THEN,
        };
        for (name, value) in headers {
            sent.set(name, value);
        }
        sent
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
    }

    /// Signs all headers but those named.
    pub(crate) fn sign_but(mut self, not: &[&str]) -> Self {
        let mut names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        names.retain(|name| !not.contains(name) && *name != "authorization");
        names.sort_unstable();
        let (target, query) = self.parsed();
        let mut canonical = Canonical::new(self.method, &target.canonical, &query.canonical());
        for name in &names {
            canonical.header(name, self.headers[*name].to_str().unwrap());
        }
        let names = names.join(";");
        let content = self.headers.get("x-amz-content-sha256");
        let content = content.map_or("", |content| content.to_str().unwrap());
        let digest = canonical.finish_with(&names, content);
        let day = credential().signer.day_key(THEN);
        let signature = day.sign(REGION, &time_text(THEN), digest.as_ref());
        let signature = std::str::from_utf8(&signature).unwrap();
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/20130524/{REGION}/s3/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        );
        self.set("authorization", &value);
        self
    }

    pub(crate) fn sign(self) -> Self {
        self.sign_but(&[])
    }

    fn parsed(&self) -> (Target, Query) {
        let query = Query::parse(&self.query).unwrap();
        (Target::parse(&self.path).unwrap(), query)
    }

    pub(crate) fn verify(&self) -> Result<Verified, S3Error> {
        let (target, query) = self.parsed();
        verify(
            REGION,
            &find,
            self.method,
            &target,
            &query,
            &self.headers,
            self.now,
        )
    }
}
