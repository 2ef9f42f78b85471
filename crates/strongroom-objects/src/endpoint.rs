//! The S3 endpoint of the embedded store: AWS's operations, for the vault and for applications.
//!
//! Answers follow AWS. Every request is signed, cookies are ignored; whatever S3 has beyond this is
//! answered 501. Must not know tokens or sessions, and must not log URLs' queries, signatures or
//! keys.

mod access;
mod answer;
mod body;
mod buckets;
mod conditions;
mod copy;
mod cors;
mod delete;
mod faults;
mod get;
mod list;
mod multipart;
mod operation;
mod parts;
mod post;
mod put;
mod settings;
#[cfg(test)]
mod tests;
mod turns;
mod vault;

use crate::index::Bucket;
use crate::store::Store;
use crate::{Embedded, EmbeddedConfig, Error, ForeignHost, S3Credential, Transport};
pub(crate) use access::Access;
use access::{Client, Who};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use body::{Pace, Sent};
use faults::of_store;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use operation::Operation;
use rand_core::{Rng, UnwrapErr};
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::stream::RUN_BYTES_MAX;
use strongroom_s3::S3Error;
use strongroom_s3::cors::Rules;
use strongroom_s3::query::Query;
use strongroom_s3::target::Target;
use strongroom_s3::verify::{Credential, verify};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use turns::Turns;

/// On every answer: a value must never run as a page of this origin, whatever its type says.
const HEADER_TOO_LARGE: S3Error = S3Error::new(
    400,
    "RequestHeaderSectionTooLarge",
    "Your request header section exceeds the maximum allowed request header section size.",
);
const NOT_HTTP: S3Error = S3Error::new(400, "BadRequest", "This is no HTTP request.");
const GUARDS: [(HeaderName, HeaderValue); 4] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Customer keys in a request's headers, whose transport matters.
const KEY_HEADERS: [&str; 2] = [
    "x-amz-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key",
];

/// Of how many transfers one is kept free of applications, so that they cannot shut the vault out.
const VAULT_SHARE: usize = 4;

const INSECURE: S3Error = S3Error::new(
    400,
    "InvalidRequest",
    "Requests specifying Server Side Encryption with Customer provided keys must be made over a \
     secure connection.",
);

pub(crate) fn router(store: Arc<Embedded>) -> Router {
    Router::new().fallback(handle).with_state(store)
}

/// What the endpoint keeps in memory: who may come in, how many at a time.
pub(crate) struct Gates {
    pub(crate) access: Access,
    /// Of the vault's bucket.
    cors: Option<Rules>,
    transfers: Arc<Semaphore>,
    /// Of the transfers, those that no application gets.
    transfers_of_vault: usize,
    uploads: Turns,
    downloads: Turns,
}

impl Gates {
    /// From the configuration, whose faults are refused.
    pub(crate) fn new(
        config: &EmbeddedConfig,
        vault: &Arc<Credential>,
        credentials: Vec<S3Credential>,
    ) -> Result<Self, Error> {
        if config.transfers_max == 0 || config.transfers_max > Semaphore::MAX_PERMITS {
            return Err(Error::Config("transfers_max must be at least 1".into()));
        }
        if config.object_downloads_max == 0 {
            let why = "object_downloads_max must be at least 1";
            return Err(Error::Config(why.into()));
        }
        Ok(Self {
            access: Access::new(&config.region, &config.bucket, vault, credentials)?,
            cors: cors::of_vault(&config.cors_origins),
            transfers: Arc::new(Semaphore::new(config.transfers_max)),
            transfers_of_vault: config.transfers_max / VAULT_SHARE,
            uploads: Turns::default(),
            downloads: Turns::default(),
        })
    }
}

/// A request whose signature was right.
struct Call<'a> {
    store: &'a Embedded,
    who: &'a Who,
    operation: Operation,
    /// Signed in the query.
    presigned: bool,
    /// Names of the signed headers.
    bound: &'a [String],
    bucket_name: &'a str,
    key: &'a str,
    query: &'a Query,
    headers: &'a HeaderMap,
}

impl Call<'_> {
    fn objects(&self) -> &Store {
        &self.store.store
    }

    /// The application that signed; the vault's own requests never get to what asks.
    fn client(&self) -> Result<&Client, S3Error> {
        match self.who {
            Who::Client(client) => Ok(client),
            Who::Vault => Err(S3Error::NOT_IMPLEMENTED),
        }
    }

    /// The request's bucket, if it is its signer's.
    async fn bucket(&self) -> Result<Arc<Bucket>, S3Error> {
        let expected = self.headers.get("x-amz-expected-bucket-owner");
        self.bucket_of(self.bucket_name, expected).await
    }

    /// A bucket by its name, if it is the signer's.
    async fn bucket_of(
        &self,
        name: &str,
        expected_owner: Option<&HeaderValue>,
    ) -> Result<Arc<Bucket>, S3Error> {
        find_bucket(self.store, self.who, name, expected_owner).await
    }

    /// Most bytes of one body.
    fn single_bytes_max(&self) -> u64 {
        self.store.config.object_bytes_max.min(RUN_BYTES_MAX)
    }
}

async fn find_bucket(
    store: &Embedded,
    who: &Who,
    name: &str,
    expected_owner: Option<&HeaderValue>,
) -> Result<Arc<Bucket>, S3Error> {
    let client = match who {
        Who::Vault if name == store.config.bucket => return Ok(Arc::clone(&store.vault_bucket)),
        Who::Vault => return Err(S3Error::NO_SUCH_BUCKET),
        Who::Client(client) => client,
    };
    if !client.may(name) {
        return Err(S3Error::ACCESS_DENIED);
    }
    let bucket = store.store.bucket(name).await.map_err(of_store)?;
    let bucket = bucket.ok_or(S3Error::NO_SUCH_BUCKET)?;
    if bucket.owner != client.name || expected_owner.is_some_and(|owner| *owner != bucket.owner) {
        return Err(S3Error::ACCESS_DENIED);
    }
    Ok(bucket)
}

/// A whole answer in place of one that the HTTP library gives to what it cannot read: status 400,
/// 414 or 431, and no body. Clients read a code out of every refusal.
pub fn unreadable(status: u16) -> Vec<u8> {
    let error = match status {
        414 | 431 => HEADER_TOO_LARGE,
        _ => NOT_HTTP,
    };
    let request_id = random_hex::<8>();
    let xml = error.xml(&request_id);
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\n\
         x-content-type-options: nosniff\r\nx-amz-request-id: {request_id}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{xml}",
        xml.len()
    )
    .into_bytes()
}

async fn handle(State(store): State<Arc<Embedded>>, request: Request) -> Response {
    let request_id = random_hex::<8>();
    let (parts, mut body) = request.into_parts();
    let answer = match answer(&store, &parts, &mut body).await {
        Ok(answer) => answer,
        Err(error) => {
            // A client that is still sending would see a reset connection instead of the answer.
            body::discard(&parts.headers, body).await;
            tracing::debug!(request_id, method = %parts.method, code = error.code(), "refused");
            answer::refused(&error, &request_id, parts.method == Method::HEAD)
        }
    };
    finish(&store, &parts, &request_id, answer).await
}

async fn answer(store: &Embedded, parts: &Parts, body: &mut Body) -> Result<Response, S3Error> {
    if parts.extensions.get::<ForeignHost>().is_some() {
        return Err(S3Error::WRONG_HOST);
    }
    if parts.method == Method::OPTIONS {
        return cors::preflight(store, parts).await;
    }
    let known = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
    ];
    if !known.contains(&parts.method) {
        return Err(S3Error::NOT_IMPLEMENTED);
    }
    let target = Target::parse(parts.uri.path())?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    if post::is_form(parts, &target, &query) {
        return post::post(store, parts, &target.bucket, body).await;
    }
    let access = &store.gates.access;
    let verified = verify(
        &store.config.region,
        &|id| access.find(id),
        parts.method.as_str(),
        &target,
        &query,
        &parts.headers,
        store.clock.now(),
    )?;
    let who = access.who(&verified.access_key_id);
    let who = who.ok_or(S3Error::ACCESS_DENIED)?;
    check_transport(parts)?;
    let call = Call {
        store,
        who,
        operation: Operation::of(&parts.method, &target, &query, &parts.headers)?,
        presigned: verified.presigned,
        bound: &verified.bound,
        bucket_name: &target.bucket,
        key: &target.key,
        query: &query,
        headers: &parts.headers,
    };
    let sent = Sent {
        body,
        payload: verified.payload,
        pace: pace(store),
    };
    act(&call, sent).await
}

async fn act(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    if matches!(call.who, Who::Vault) {
        if call.bucket_name != call.store.config.bucket && !call.bucket_name.is_empty() {
            return Err(S3Error::NO_SUCH_BUCKET);
        }
        vault::check(call)?;
    }
    if !call.operation.lists() {
        return perform(call, sent).await;
    }
    let permit = transfer(call.store, call.who)?;
    let answer = perform(call, sent).await?;
    get::held(answer, permit, pace(call.store)).await
}

async fn perform(call: &Call<'_>, sent: Sent<'_>) -> Result<Response, S3Error> {
    match call.operation {
        Operation::PutObject => put::put(call, sent).await,
        Operation::GetObject => get::get(call).await,
        Operation::HeadObject => get::head(call).await,
        Operation::DeleteObject => delete::one(call).await,
        Operation::DeleteObjects => delete::many(call, sent).await,
        Operation::CopyObject => copy::object(call).await,
        Operation::GetObjectAttributes => get::attributes(call).await,
        Operation::GetObjectAcl => get::acl(call).await,
        Operation::GetObjectTagging => get::tagging(call).await,
        Operation::CreateMultipartUpload => multipart::create(call).await,
        Operation::UploadPart => multipart::part(call, sent).await,
        Operation::UploadPartCopy => copy::part(call).await,
        Operation::CompleteMultipartUpload => multipart::complete(call, sent).await,
        Operation::AbortMultipartUpload => multipart::abort(call).await,
        Operation::ListParts => parts::list(call).await,
        Operation::ListMultipartUploads => parts::uploads(call).await,
        Operation::ListObjects => list::v1(call).await,
        Operation::ListObjectsV2 => list::v2(call).await,
        Operation::ListObjectVersions => list::versions(call).await,
        Operation::ListBuckets => buckets::list(call).await,
        Operation::CreateBucket => buckets::create(call, sent).await,
        Operation::HeadBucket => buckets::head(call).await,
        Operation::DeleteBucket => buckets::delete(call).await,
        Operation::GetBucketLocation => buckets::location(call).await,
        Operation::GetBucketSetting(name) => buckets::setting(call, name).await,
        Operation::GetBucketCors => cors::get(call).await,
        Operation::PutBucketCors => cors::put(call, sent).await,
        Operation::DeleteBucketCors => cors::delete(call).await,
    }
}

/// A customer key must not have been read on its way (AWS).
fn check_transport(parts: &Parts) -> Result<(), S3Error> {
    let keyed = KEY_HEADERS
        .iter()
        .any(|name| parts.headers.contains_key(*name));
    if keyed && !is_secure(parts) {
        return Err(INSECURE);
    }
    Ok(())
}

fn is_secure(parts: &Parts) -> bool {
    parts.extensions.get::<Transport>() == Some(&Transport::Secure)
}

/// Adds what every answer carries.
async fn finish(
    store: &Embedded,
    parts: &Parts,
    request_id: &str,
    mut answer: Response,
) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in GUARDS {
        headers.entry(name).or_insert(value);
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-amz-request-id", value);
    }
    if parts.method != Method::OPTIONS && parts.headers.contains_key(header::ORIGIN) {
        cors::decorate(store, parts, headers).await;
    }
    answer
}

/// One of the transfers that may run at a time.
fn transfer(store: &Embedded, who: &Who) -> Result<OwnedSemaphorePermit, S3Error> {
    let gates = &store.gates;
    let permit = Arc::clone(&gates.transfers).try_acquire_owned();
    let permit = permit.map_err(|_| S3Error::SLOW_DOWN)?;
    let kept = match who {
        Who::Vault => 0,
        Who::Client(_) => gates.transfers_of_vault,
    };
    if gates.transfers.available_permits() < kept {
        return Err(S3Error::SLOW_DOWN);
    }
    Ok(permit)
}

fn pace(store: &Embedded) -> Pace {
    Pace {
        window: Duration::from_secs(u64::from(store.config.body_idle_s)),
        bytes_per_s_min: store.config.body_bytes_per_s_min,
    }
}

/// `N` random bytes as lower-case hex.
fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    UnwrapErr(getrandom::SysRng).fill_bytes(&mut bytes);
    hex::encode(bytes)
}
