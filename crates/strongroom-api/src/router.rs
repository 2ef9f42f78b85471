//! The API listener: paths, methods, and the way every authenticated request goes.

use crate::answer::{Refusal, Success, respond};
use crate::credentials::{self, Origin};
use crate::public;
use crate::request_id::RequestIds;
use crate::{body, routes};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use strongroom::{Action, RequestId, Vault};
use strongroom_core::time::Clock;
use strongroom_session::{Verified, Verifier};
use strongroom_wire::{ErrorName, header};
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
}

/// Everything a handler needs.
pub struct Api {
    vault: Arc<Vault>,
    verifier: Arc<Verifier>,
    clock: Arc<dyn Clock>,
    config: ApiConfig,
    ids: RequestIds,
}

impl Api {
    /// Puts the listener's parts together.
    pub fn new(
        vault: Arc<Vault>,
        verifier: Arc<Verifier>,
        clock: Arc<dyn Clock>,
        config: ApiConfig,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Self {
        Self {
            vault,
            verifier,
            clock,
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

/// The API as one service.
pub fn router(api: Arc<Api>) -> Router {
    let mut routes = Router::new().fallback(doubled_slashes);
    for (path, public) in public::served(&api) {
        let handler =
            move |State(api): State<Arc<Api>>| async move { public::answer(&api, public).await };
        routes = routes.route(path, axum::routing::get(handler).fallback(get_only));
    }
    for (path, action) in ACTIONS {
        let handler = move |State(api): State<Arc<Api>>, request: Request<Body>| async move {
            serve(api, action, request).await
        };
        routes = routes.route(path, axum::routing::post(handler).fallback(post_only));
    }
    routes.with_state(api)
}

/// Some clients join a base URL that ends in a slash with a path that starts with one. Only what
/// met no route comes here, so that everybody else does not pay for it.
async fn doubled_slashes(State(api): State<Arc<Api>>, request: Request<Body>) -> Response<Body> {
    let path = collapse_slashes(request.uri().path());
    let action = ACTIONS.iter().find(|(known, _)| *known == path);
    let open = public::served(&api).find(|(known, _)| *known == path);
    match (action, open) {
        (Some((_, action)), _) if request.method() == Method::POST => {
            serve(api, *action, request).await
        }
        (Some(_), _) => method_not_allowed(&api, POST),
        (None, Some(_)) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            method_not_allowed(&api, GET)
        }
        (None, Some((_, open))) => public::answer(&api, open).await,
        (None, None) => {
            let refusal = Refusal::new(ErrorName::NoSuchRoute, "no route has this path");
            respond(api.ids.next(), None, Err(refusal))
        }
    }
}

fn collapse_slashes(path: &str) -> String {
    let mut collapsed = String::with_capacity(path.len());
    for char in path.chars() {
        if char != '/' || !collapsed.ends_with('/') {
            collapsed.push(char);
        }
    }
    collapsed
}

/// wire → caller → gate → act → answer.
async fn serve(api: Arc<Api>, action: Action, request: Request<Body>) -> Response<Body> {
    let id = api.ids.next();
    // At `debug`, since its fields are formatted for each request; failures name the request
    // themselves.
    let span = tracing::debug_span!("request", %id, action = action.as_str());
    let work = async {
        let (parts, body) = request.into_parts();
        let verified = match authenticate(&api, &parts.headers) {
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

fn authenticate(api: &Api, headers: &http::HeaderMap) -> Result<Arc<Verified>, Refusal> {
    let jwt = credentials::jwt(headers, &api.config.own_origin)?;
    api.verifier.verify(jwt, api.clock.now()).map_err(|reason| {
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
    match action {
        Action::Tokenize => routes::tokenize(api, &request, &body).await,
        Action::Detokenize => routes::detokenize(api, &request, &body).await,
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
