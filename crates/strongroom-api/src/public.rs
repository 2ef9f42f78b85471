//! The routes that everybody may ask: whether the vault runs, and what its contract is.
//!
//! Their answers hold no key, URL or metadata, and may be compressed for that reason.

use crate::answer::{Refusal, Success, respond};
use crate::docs;
use crate::router::Api;
use axum::body::Body;
use http::Response;
use strongroom_wire::ErrorName;

/// One such route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Public {
    /// Whether the process runs and answers; what is behind it is [`Self::Ready`]'s business.
    Health,
    /// Whether requests can be served now.
    Ready,
    /// The contract, for programs.
    Document,
    /// The contract, for people.
    Page,
}

/// Every one with its path; each takes `GET` and `HEAD`.
pub(crate) const PUBLIC: [(&str, Public); 4] = [
    ("/health", Public::Health),
    ("/ready", Public::Ready),
    ("/openapi.json", Public::Document),
    ("/docs", Public::Page),
];

/// Those that are served: without the documentation where the configuration says so.
pub(crate) fn served(api: &Api) -> impl Iterator<Item = (&'static str, Public)> {
    let docs = api.config().docs;
    let all = PUBLIC.into_iter();
    all.filter(move |(_, public)| docs || !matches!(public, Public::Document | Public::Page))
}

pub(crate) async fn answer(api: &Api, public: Public) -> Response<Body> {
    let id = api.next_id();
    match public {
        Public::Health => respond(id, None, Ok(Success::Empty)),
        Public::Ready => respond(id, None, ready(api).await),
        Public::Document => docs::document(id),
        Public::Page => docs::page(id),
    }
}

async fn ready(api: &Api) -> Result<Success, Refusal> {
    let faults = api.vault().health().await.faults.into_iter();
    let mut faults: Vec<_> = faults.map(str::to_owned).collect();
    faults.extend(api.key_faults());
    if faults.is_empty() {
        return Ok(Success::Empty);
    }
    Err(Refusal::new(ErrorName::Unavailable, faults.join("; ")))
}
