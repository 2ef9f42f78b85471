//! Presigned URLs: `SigV4` in the query, path style, the SSE-C headers signed.
//!
//! Every signed header is also returned, because the client must send exactly these. Must not know
//! what serves the URL: the embedded endpoint or any S3 engine.

use crate::Error;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use std::fmt::{self, Write};
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::{ObjectId, UnixMillis};
use strongroom_s3::sigv4::{ALGORITHM, Canonical, EXPIRES_S_MAX, Signer, SigningSecret, push_time};
pub(crate) use strongroom_s3::sse_c::{SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5};
use strongroom_s3::verify::Credential;
use zeroize::Zeroizing;

/// Room for the URL besides the configured names: fixed text, object key, signature, numbers.
const URL_BYTES: usize = 640;

/// A URL and the headers that must go with it. `Debug` says nothing.
pub struct Presigned {
    /// Absolute, with signature; good for whoever holds it and the headers.
    pub url: String,
    /// `host`, the three SSE-C headers, and `if-none-match` on upload. A signed content length is
    /// not among them.
    pub headers: Vec<(&'static str, String)>,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presigned([REDACTED])")
    }
}

/// Signs URLs of one bucket; cheap, and shared between threads.
pub struct Presigner {
    credential: Arc<Credential>,
    bucket: String,
    /// Scheme and authority.
    origin: String,
    /// Bytes of the scheme in `origin`, up to and including `://`.
    host_from: usize,
}

/// What differs between an upload and a download.
enum Act {
    Put { content_length: Option<u64> },
    Get,
}

impl Presigner {
    /// `public_url` is scheme and authority as clients type them, without a path.
    pub fn new(
        public_url: &str,
        bucket: String,
        region: String,
        access_key_id: String,
        secret: SigningSecret,
    ) -> Result<Self, Error> {
        let (origin, host_from) = parse_origin(public_url)?;
        check_name("region", &region, |byte| byte == b'-')?;
        check_name("access_key_id", &access_key_id, |byte| {
            byte.is_ascii_uppercase()
        })?;
        check_name("bucket", &bucket, |byte| byte == b'-' || byte == b'.')?;
        if !(3..=63).contains(&bucket.len()) {
            return Err(Error::Config("bucket must have 3 to 63 characters".into()));
        }
        Ok(Self {
            credential: Arc::new(Credential {
                access_key_id,
                signer: Signer::new(region, secret),
            }),
            bucket,
            origin,
            host_from,
        })
    }

    /// See [`crate::ObjectStore::presign_put`].
    pub fn put(
        &self,
        object: &ObjectId,
        key: &DataKey,
        now: UnixMillis,
        life_s: u32,
        content_length: Option<u64>,
    ) -> Presigned {
        self.presign(&Act::Put { content_length }, object, key, now, life_s)
    }

    /// See [`crate::ObjectStore::presign_get`].
    pub fn get(&self, object: &ObjectId, key: &DataKey, now: UnixMillis, life_s: u32) -> Presigned {
        self.presign(&Act::Get, object, key, now, life_s)
    }

    pub(crate) fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    fn host(&self) -> &str {
        &self.origin[self.host_from..]
    }

    fn presign(
        &self,
        act: &Act,
        object: &ObjectId,
        key: &DataKey,
        now: UnixMillis,
        life_s: u32,
    ) -> Presigned {
        let (key_text, md5_text) = sse_c_values(key);
        let (method, signed) = match act {
            Act::Put {
                content_length: None,
            } => ("PUT", &SIGNED_PUT),
            Act::Put {
                content_length: Some(_),
            } => ("PUT", &SIGNED_PUT_LENGTH),
            Act::Get => ("GET", &SIGNED_GET),
        };
        let day = self.credential.signer.day_key(now);
        let mut url = String::with_capacity(
            URL_BYTES + self.origin.len() + self.bucket.len() + self.credential.access_key_id.len(),
        );
        let object = object_hex(object);
        push_all(
            &mut url,
            &[&self.origin, "/", &self.bucket, "/", text(&object), "?"],
        );
        let query_from = url.len();
        let time = self.push_query(&mut url, &day.date, now, life_s, signed.1);
        if matches!(act, Act::Get) {
            url.push_str("&response-cache-control=no-store");
        }
        let path = &url[self.origin.len()..query_from - 1];
        let mut canonical = Canonical::new(method, path, &url[query_from..]);
        if let Act::Put {
            content_length: Some(length),
        } = act
        {
            canonical.header("content-length", &length.to_string());
        }
        canonical.header("host", self.host());
        if matches!(act, Act::Put { .. }) {
            canonical.header("if-none-match", "*");
        }
        canonical.header(SSE_C_ALGORITHM, "AES256");
        canonical.header(SSE_C_KEY, &key_text);
        canonical.header(SSE_C_KEY_MD5, &md5_text);
        let digest = canonical.finish(signed.0);
        let signature = day.sign(
            &self.credential.signer.region,
            &url[time.0..time.1],
            digest.as_ref(),
        );
        push_all(&mut url, &["&X-Amz-Signature=", text(&signature)]);
        Presigned {
            url,
            headers: self.headers(act, &key_text, md5_text),
        }
    }

    /// Appends the query up to the signed headers; returns where the time stands.
    fn push_query(
        &self,
        url: &mut String,
        date: &str,
        now: UnixMillis,
        life_s: u32,
        signed: &str,
    ) -> (usize, usize) {
        let (id, region) = (
            &self.credential.access_key_id,
            &self.credential.signer.region,
        );
        push_all(
            url,
            &[
                "X-Amz-Algorithm=",
                ALGORITHM,
                "&X-Amz-Credential=",
                id,
                "%2F",
                date,
            ],
        );
        push_all(url, &["%2F", region, "%2Fs3%2Faws4_request&X-Amz-Date="]);
        let from = url.len();
        push_time(url, date, now);
        let to = url.len();
        // Writing to a `String` does not fail.
        let _ = write!(url, "&X-Amz-Expires={}", life_s.min(EXPIRES_S_MAX));
        push_all(url, &["&X-Amz-SignedHeaders=", signed]);
        (from, to)
    }

    fn headers(
        &self,
        act: &Act,
        key_text: &Zeroizing<String>,
        md5_text: String,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::with_capacity(5);
        headers.push(("host", self.host().to_owned()));
        if matches!(act, Act::Put { .. }) {
            headers.push(("if-none-match", "*".to_owned()));
        }
        headers.push((SSE_C_ALGORITHM, "AES256".to_owned()));
        headers.push((SSE_C_KEY, key_text.as_str().to_owned()));
        headers.push((SSE_C_KEY_MD5, md5_text));
        headers
    }
}

/// The signed headers, plain and percent-encoded.
type SignedHeaders = (&'static str, &'static str);

const SIGNED_GET: SignedHeaders = (
    "host;x-amz-server-side-encryption-customer-algorithm;\
     x-amz-server-side-encryption-customer-key;\
     x-amz-server-side-encryption-customer-key-md5",
    "host%3Bx-amz-server-side-encryption-customer-algorithm%3B\
     x-amz-server-side-encryption-customer-key%3B\
     x-amz-server-side-encryption-customer-key-md5",
);
const SIGNED_PUT: SignedHeaders = (
    "host;if-none-match;x-amz-server-side-encryption-customer-algorithm;\
     x-amz-server-side-encryption-customer-key;\
     x-amz-server-side-encryption-customer-key-md5",
    "host%3Bif-none-match%3Bx-amz-server-side-encryption-customer-algorithm%3B\
     x-amz-server-side-encryption-customer-key%3B\
     x-amz-server-side-encryption-customer-key-md5",
);
const SIGNED_PUT_LENGTH: SignedHeaders = (
    "content-length;host;if-none-match;x-amz-server-side-encryption-customer-algorithm;\
     x-amz-server-side-encryption-customer-key;\
     x-amz-server-side-encryption-customer-key-md5",
    "content-length%3Bhost%3Bif-none-match%3Bx-amz-server-side-encryption-customer-algorithm%3B\
     x-amz-server-side-encryption-customer-key%3B\
     x-amz-server-side-encryption-customer-key-md5",
);

fn push_all(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

fn object_hex(object: &ObjectId) -> [u8; 64] {
    let mut digits = [0; 64];
    // INVARIANT: 32 bytes are 64 digits.
    let _ = hex::encode_to_slice(object.as_bytes(), &mut digits);
    digits
}

/// Hexadecimal digits as text.
fn text(digits: &[u8; 64]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// Base64 of the customer key and of its MD5 (AWS, *Server-side encryption with customer-provided
/// keys*).
fn sse_c_values(key: &DataKey) -> (Zeroizing<String>, String) {
    let key_text = Zeroizing::new(BASE64_STANDARD.encode(key.expose()));
    (key_text, BASE64_STANDARD.encode(Md5::digest(key.expose())))
}

/// Scheme and authority without a default port, and where the authority starts.
fn parse_origin(public_url: &str) -> Result<(String, usize), Error> {
    let bad = |why: &str| Error::Config(format!("public_url {why}"));
    let url = public_url.strip_suffix('/').unwrap_or(public_url);
    let (scheme, authority) = url.split_once("://").ok_or_else(|| bad("needs a scheme"))?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(bad("must start with http:// or https://")),
    };
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(allowed) {
        return Err(bad(
            "must be scheme, lower-case host and port, nothing else",
        ));
    }
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    let host_from = scheme.len() + "://".len();
    Ok((format!("{scheme}://{authority}"), host_from))
}

/// Names that stand in URLs as they are: lower-case letters, digits and what `also` allows.
fn check_name(field: &str, name: &str, also: impl Fn(u8) -> bool) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also(byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
        return Err(Error::Config(format!(
            "{field} has a character that is not allowed"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
