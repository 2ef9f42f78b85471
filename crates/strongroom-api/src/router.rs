//! The API listener: paths, methods, and the way every authenticated request goes.

use crate::answer::{Refusal, Success, VARIES_IN_ENCODING, respond};
use crate::credentials::{self, Origin};
use crate::host::HostNames;
use crate::network::Proxies;
use crate::public;
use crate::request_id::RequestIds;
use crate::work::Turns;
use crate::{body, routes};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::header::VARY;
use http::{HeaderValue, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use strongroom::{Action, RequestId, Vault};
use strongroom_core::time::Clock;
use strongroom_jwks::KeySources;
use strongroom_session::Verified;
use strongroom_wire::{ErrorName, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tracing::Instrument;

/// Limits and names of the API listener.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Origin of the API's public URL: what a cookie-authenticated request must come from.
    pub own_origin: Origin,
    /// Most bytes of a request's body.
    pub body_bytes_max: usize,
    /// Longest time for a body to arrive.
    pub body_time_max: Duration,
    /// Whether the contract is served, as a document and as a page.
    pub docs: bool,
    /// Names by which clients may call the listener.
    pub host_names: HostNames,
    /// Proxies whose word about a client counts.
    pub proxies: Proxies,
    /// Most lines of a request's header.
    pub headers_max: usize,
    /// Most bytes of a request's path and query.
    pub uri_bytes_max: usize,
    /// Requests that are worked on at a time.
    pub requests_max: usize,
    /// Longest wait of further requests; then they are refused.
    pub queue_time_max: Duration,
    /// Whether applications may use the Simple Tokenizer's routes.
    pub simple: Simple,
}

/// Whether the Simple Tokenizer's pair of routes is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simple {
    /// It is not: 404.
    Absent,
    /// Applications may use it.
    Served,
}

/// Everything a handler needs.
pub struct Api {
    vault: Arc<Vault>,
    keys: Arc<KeySources>,
    clock: Arc<dyn Clock>,
    config: ApiConfig,
    ids: RequestIds,
    turns: Turns,
}

impl Api {
    /// Puts the listener's parts together.
    pub fn new(
        vault: Arc<Vault>,
        keys: Arc<KeySources>,
        clock: Arc<dyn Clock>,
        config: ApiConfig,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Self {
        Self {
            vault,
            keys,
            clock,
            turns: Turns::new(config.requests_max, config.queue_time_max),
            config,
            ids: RequestIds::new(rng),
        }
    }

    pub(crate) fn config(&self) -> &ApiConfig {
        &self.config
    }

    pub(crate) fn next_id(&self) -> RequestId {
        self.ids.next()
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// What is wrong with the sources of keys, a sentence each.
    pub(crate) fn key_faults(&self) -> Vec<String> {
        self.keys.faults(self.clock.now())
    }
}

const POST: &str = "POST";
const GET: &str = "GET, HEAD";

/// Every route that needs credentials, by its path; each takes `POST`.
pub(crate) const ACTIONS: [(&str, Action); 6] = [
    ("/tokenize", Action::Tokenize),
    ("/detokenize", Action::Detokenize),
    ("/grant/set", Action::GrantSet),
    ("/grant/verify", Action::GrantVerify),
    ("/metadata/get", Action::MetadataGet),
    ("/metadata/set", Action::MetadataSet),
];

/// The Simple Tokenizer's, which its client joins to the back end's own URL.
pub(crate) const SIMPLE: [(&str, Action); 2] = [
    ("/.lunasec/tokenize", Action::SimpleTokenize),
    ("/.lunasec/detokenize", Action::SimpleDetokenize),
];

/// Effort of compression, out of 9 for gzip and 11 for brotli: more would cost the vault more than
/// it saves, for whoever asks.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(4);

/// Every route; nothing but [`crate::Front`] stands before it.
pub(crate) fn routes(api: Arc<Api>) -> Router {
    let mut routes = public(&api).fallback(no_such_route);
    let simple: &[_] = match api.config.simple {
        Simple::Served => &SIMPLE,
        Simple::Absent => &[],
    };
    for (path, action) in ACTIONS.iter().chain(simple).copied() {
        let handler = move |State(api): State<Arc<Api>>, request: Request<Body>| async move {
            serve(api, action, request).await
        };
        routes = routes.route(path, axum::routing::post(handler).fallback(post_only));
    }
    routes.with_state(api)
}

/// Routes whose answers hold no key, URL or metadata, and which may be compressed for that
/// reason; never put another one here.
fn public(api: &Api) -> Router<Arc<Api>> {
    let mut routes = Router::new();
    for (path, public) in public::served(api) {
        let handler =
            move |State(api): State<Arc<Api>>| async move { public::answer(&api, public).await };
        routes = routes.route(path, axum::routing::get(handler).fallback(get_only));
    }
    routes
        .layer(axum::middleware::map_response(varies_in_encoding))
        .layer(CompressionLayer::new().quality(COMPRESSION))
}

async fn varies_in_encoding(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(VARY, VARIES_IN_ENCODING);
    response
}

async fn no_such_route(State(api): State<Arc<Api>>) -> Response<Body> {
    let refusal = Refusal::new(ErrorName::NoSuchRoute, "no route has this path");
    respond(api.ids.next(), None, Err(refusal))
}

/// wire → caller → gate → act → answer.
async fn serve(api: Arc<Api>, action: Action, request: Request<Body>) -> Response<Body> {
    let id = api.ids.next();
    // At `debug`, since its fields are formatted for each request; failures name the request
    // themselves.
    let span = tracing::debug_span!("request", %id, action = action.as_str());
    let work = async {
        let (parts, body) = request.into_parts();
        let verified = match authenticate(&api, &parts.headers).await {
            Ok(verified) => verified,
            Err(refusal) => return respond(id, None, Err(refusal)),
        };
        let sent_hash = parts
            .headers
            .get(header::SESSION_HASH)
            .map(HeaderValue::as_bytes);
        let result = act(&api, id, action, &verified, sent_hash, body).await;
        if let Err(Refusal {
            cause: Some(cause), ..
        }) = &result
        {
            tracing::error!(%id, action = action.as_str(), cause, "request failed");
        }
        let hash = sent_hash.is_none().then(|| verified.session_hash_str());
        respond(id, hash, result)
    };
    work.instrument(span).await
}

async fn authenticate(api: &Api, headers: &http::HeaderMap) -> Result<Arc<Verified>, Refusal> {
    let jwt = credentials::jwt(headers, &api.config.own_origin)?;
    let verified = api.keys.verify(jwt, &*api.clock).await;
    verified.map_err(|reason| {
        tracing::debug!(%reason, "credentials refused");
        Refusal::new(ErrorName::NotAuthenticated, "the credentials are not valid")
    })
}

async fn act(
    api: &Api,
    id: RequestId,
    action: Action,
    verified: &Arc<Verified>,
    sent_hash: Option<&[u8]>,
    body: Body,
) -> Result<Success, Refusal> {
    if sent_hash.is_some_and(|hash| hash != verified.session_hash_str().as_bytes()) {
        let message = "`lunasec-session-hash` belongs to another session";
        return Err(Refusal::new(ErrorName::SessionMismatch, message));
    }
    let request = api.vault.begin(Arc::clone(verified), id, action).await?;
    let body: Bytes = body::read(body, api.config.body_bytes_max, api.config.body_time_max).await?;
    let _turn = api.turns.next().await?;
    match action {
        Action::Tokenize | Action::SimpleTokenize => routes::tokenize(api, &request, &body).await,
        Action::Detokenize | Action::SimpleDetokenize => {
            routes::detokenize(api, &request, &body).await
        }
        Action::GrantSet => routes::grant_set(api, &request, &body).await,
        Action::GrantVerify => routes::grant_verify(api, &request, &body).await,
        Action::MetadataGet => routes::metadata_get(api, &request, &body).await,
        Action::MetadataSet => routes::metadata_set(api, &request, &body).await,
    }
}

async fn post_only(State(api): State<Arc<Api>>) -> Response<Body> {
    method_not_allowed(&api, POST)
}

async fn get_only(State(api): State<Arc<Api>>) -> Response<Body> {
    method_not_allowed(&api, GET)
}

fn method_not_allowed(api: &Api, allow: &'static str) -> Response<Body> {
    let message = format!("this route takes {allow}");
    let refusal = Refusal {
        allow: Some(allow),
        ..Refusal::new(ErrorName::MethodNotAllowed, message)
    };
    let response = respond(api.ids.next(), None, Err(refusal));
    debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    response
}
