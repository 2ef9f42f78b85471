//! The S3 endpoint of the embedded store: presigned PUT, GET and HEAD under customer keys.
//!
//! Answers follow AWS. Only URLs that the vault signed are served; cookies are ignored; whatever
//! S3 has beyond this is answered 501. Must not know tokens or sessions, and must not log URLs'
//! queries, signatures or keys.

mod body;
mod cors;
mod get;
mod put;
#[cfg(test)]
mod tests;

use crate::Embedded;
use crate::store::StoreError;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use rand_core::{Rng, UnwrapErr};
use std::sync::Arc;
use std::time::Duration;
use strongroom_s3::S3Error;
use strongroom_s3::query::Query;
use strongroom_s3::target::Target;
use strongroom_s3::verify::verify;
use tokio::sync::OwnedSemaphorePermit;

/// On every answer: a value must never run as a page of this origin, whatever its type says.
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

pub(crate) fn router(store: Arc<Embedded>) -> Router {
    Router::new().fallback(handle).with_state(store)
}

/// A request whose signature was right, for a key in our bucket.
struct Signed<'a> {
    key: &'a str,
    query: &'a Query,
    headers: &'a HeaderMap,
    /// Names of the signed headers.
    bound: &'a [String],
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
            refuse(&error, &request_id, parts.method == Method::HEAD)
        }
    };
    finish(&store, &parts, &request_id, answer)
}

async fn answer(store: &Embedded, parts: &Parts, body: &mut Body) -> Result<Response, S3Error> {
    if parts.method == Method::OPTIONS {
        return cors::preflight(&store.config.cors_origins, &parts.headers);
    }
    let known = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
    ];
    if !known.contains(&parts.method) {
        return Err(S3Error::METHOD_NOT_ALLOWED);
    }
    let target = Target::parse(parts.uri.path())?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let credential = store.presigner.credential();
    let verified = verify(
        &store.config.region,
        &|id| (id == credential.access_key_id).then(|| Arc::clone(credential)),
        parts.method.as_str(),
        &target,
        &query,
        &parts.headers,
        store.clock.now(),
    )?;
    if target.bucket != store.presigner.bucket() && !target.bucket.is_empty() {
        return Err(S3Error::NO_SUCH_BUCKET);
    }
    if target.key.is_empty() {
        return Err(S3Error::NOT_IMPLEMENTED);
    }
    let signed = Signed {
        key: &target.key,
        query: &query,
        headers: &parts.headers,
        bound: &verified.bound,
    };
    match parts.method {
        Method::PUT => put::put(store, &signed, body).await,
        Method::GET | Method::HEAD => get::get(store, &signed, &parts.method).await,
        _ => Err(S3Error::NOT_IMPLEMENTED),
    }
}

/// The answer that an error is; to HEAD without a body.
fn refuse(error: &S3Error, request_id: &str, head: bool) -> Response {
    let body = if head {
        Body::empty()
    } else {
        Body::from(error.xml(request_id))
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = error.status();
    let xml = HeaderValue::from_static("application/xml");
    answer.headers_mut().insert(header::CONTENT_TYPE, xml);
    answer
}

/// What the store refuses. A full disk is the client's to retry later; faults of ours are logged
/// and hidden.
fn refused(error: StoreError) -> S3Error {
    match error {
        StoreError::NoSuchKey => S3Error::NO_SUCH_KEY,
        StoreError::PreconditionFailed => S3Error::PRECONDITION_FAILED,
        StoreError::Length => S3Error::INCOMPLETE_BODY,
        StoreError::NoKey => S3Error::new(
            400,
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. The correct \
             parameters must be provided to retrieve the object.",
        ),
        StoreError::WrongKey => S3Error::new(
            403,
            "AccessDenied",
            "Requests specifying Server Side Encryption with Customer provided keys must \
             provide the correct secret key.",
        ),
        StoreError::Full => {
            tracing::error!("the object store is full");
            S3Error::FULL
        }
        error => {
            tracing::error!(%error, "the object store failed");
            S3Error::INTERNAL
        }
    }
}

/// Adds what every answer carries.
fn finish(store: &Embedded, parts: &Parts, request_id: &str, mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in GUARDS {
        headers.entry(name).or_insert(value);
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-amz-request-id", value);
    }
    if parts.method != Method::OPTIONS {
        cors::decorate(&store.config.cors_origins, parts, headers);
    }
    answer
}

/// One of the transfers that may run at a time.
fn transfer(store: &Embedded) -> Result<OwnedSemaphorePermit, S3Error> {
    Arc::clone(&store.transfers)
        .try_acquire_owned()
        .map_err(|_| S3Error::SLOW_DOWN)
}

fn idle(store: &Embedded) -> Duration {
    Duration::from_secs(u64::from(store.config.body_idle_s))
}

/// `N` random bytes as lower-case hex.
fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    UnwrapErr(getrandom::SysRng).fill_bytes(&mut bytes);
    hex::encode(bytes)
}
