//! What each name of the closed list means to a caller, and what the caller can do about it.

use strongroom_wire::ErrorName;

/// One sentence or two, for people.
pub(super) fn meaning(name: ErrorName) -> &'static str {
    match name {
        ErrorName::InvalidRequest => {
            "The body is no JSON object, a member is missing, doubled or of the wrong type, the \
             token is malformed, or this is no request of HTTP with one `host`."
        }
        ErrorName::InvalidDuration => {
            "`customDuration` is malformed, not more than nothing, or above the configured maximum \
             (1 hour by default)."
        }
        ErrorName::NotAuthenticated => {
            "Credentials are missing, expired or bad; the answer does not say what is wrong with \
             them."
        }
        ErrorName::SessionMismatch => {
            "`lunasec-session-hash` belongs to another session than the JWT."
        }
        ErrorName::NotAllowed => {
            "The JWT's subject may not use this route, or a request with a cookie came from \
             another origin."
        }
        ErrorName::NoSuchToken => {
            "The token is unknown, expired or deleted, or there is no live grant for it: one \
             answer for all."
        }
        ErrorName::NoSuchRoute => "No route has this path.",
        ErrorName::MethodNotAllowed => "The path takes other methods; `allow` names them.",
        ErrorName::Timeout => "The body did not arrive in time (10 seconds by default).",
        ErrorName::OnHold => "The token is held and can be neither changed nor deleted.",
        ErrorName::IdempotencyConflict => "The idempotency key was used with another request.",
        ErrorName::TooLarge => {
            "The body (128 KiB by default), the metadata (64 KiB), `contentLength` (5 GiB) or the \
             request's header is above its limit."
        }
        ErrorName::UnsupportedMediaType => {
            "A request that brings its JWT in a cookie must be `application/json`."
        }
        ErrorName::WrongHost => "The `host` that was asked for is none of this vault's names.",
        ErrorName::TooManyRequests => {
            "A limit is used up; `retry-after` says for how many seconds."
        }
        ErrorName::Internal => {
            "The vault failed; its log has the cause under the name of the request."
        }
        ErrorName::Unavailable => {
            "The vault cannot serve now; `retry-after` says when to ask again. Nothing was done."
        }
    }
}
