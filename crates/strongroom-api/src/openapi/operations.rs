//! What people need to know about each route. The matches are complete: a route that nobody
//! described does not compile.

use super::document::Example;
use super::examples::{self, TOKEN};
use super::{HTML, JSON, success};
use crate::public::Public;
use serde_json::{Value, json};
use strongroom::Action;
use strongroom_wire::ErrorName::{
    self, InvalidDuration, InvalidRequest, NoSuchToken, TooLarge, Unavailable, WrongHost,
};

/// Name, summary and value of an example.
type Examples = Vec<(&'static str, &'static str, Value)>;

/// A route that needs credentials.
#[derive(Clone, Copy)]
pub(super) struct Described {
    action: Action,
    /// `operationId`, from which generated clients name their functions.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// Name of the request's schema.
    pub(super) request: &'static str,
    /// Name of the schema of what stands under `data`.
    pub(super) answer: &'static str,
    /// What a success means.
    pub(super) says: &'static str,
    /// Names besides those that every such route has.
    more_errors: &'static [ErrorName],
}

impl Described {
    /// Every name that the route can answer with.
    pub(super) fn errors(&self) -> Vec<ErrorName> {
        let all = ErrorName::ALL.into_iter();
        all.filter(|name| COMMON_ERRORS.contains(name) || self.more_errors.contains(name))
            .collect()
    }

    /// Examples of the request.
    pub(super) fn asks(&self) -> Examples {
        let token = |summary| vec![("token", summary, json!({ "tokenId": TOKEN }))];
        match self.action {
            Action::Tokenize => vec![
                (
                    "nothing",
                    "Keep nothing beside the value",
                    json!({ "metadata": null }),
                ),
                ("text", "As LunaSec's SDK describes a text", text_metadata()),
                (
                    "sized",
                    "A value of 11 bytes and no other",
                    json!({ "contentLength": 11 }),
                ),
            ],
            Action::SimpleTokenize => vec![("text", "As the client sends it", text_metadata())],
            Action::SimpleDetokenize => token("As the client sends it"),
            Action::Detokenize => {
                let mut all = token("The usual spelling");
                let other = json!({ "tokenID": TOKEN });
                all.push((
                    "otherSpelling",
                    "As LunaSec's command line spells it",
                    other,
                ));
                all
            }
            Action::GrantSet => vec![
                (
                    "user",
                    "A user's session, for the default time",
                    with_session(json!({})),
                ),
                (
                    "userForAWhile",
                    "A user's session, for five minutes",
                    with_session(json!({ "customDuration": "5m" })),
                ),
                ("own", "The application's own session", own_session()),
            ],
            Action::GrantVerify => vec![
                ("user", "A user's session", with_session(json!({}))),
                ("own", "The application's own session", own_session()),
            ],
            Action::MetadataGet => token("Of one token"),
            Action::MetadataSet => {
                let metadata = json!({ "tokenId": TOKEN, "metadata": { "note": "checked" } });
                let nothing = json!({ "tokenId": TOKEN, "metadata": null });
                vec![
                    ("replace", "Replace what is kept", metadata),
                    ("remove", "Keep nothing any longer", nothing),
                ]
            }
        }
    }

    /// Examples of the success.
    pub(super) fn answers(&self) -> Examples {
        match self.action {
            Action::Tokenize | Action::SimpleTokenize => {
                vec![("ticket", "Where the value goes", examples::upload())]
            }
            Action::Detokenize | Action::SimpleDetokenize => {
                vec![("ticket", "Where the value is", examples::download())]
            }
            Action::GrantVerify => vec![
                ("live", "There is a live grant", examples::validity(true)),
                (
                    "none",
                    "There is none, or no such token",
                    examples::validity(false),
                ),
            ],
            Action::MetadataGet => vec![("kept", "What was kept", examples::metadata())],
            Action::GrantSet | Action::MetadataSet => vec![("done", "Done", examples::done())],
        }
    }
}

fn text_metadata() -> Value {
    json!({ "metadata": { "dataType": "string", "customFields": { "note": "passport" } } })
}

fn with_session(more: Value) -> Value {
    let mut body = json!({ "sessionId": "u-1093", "tokenId": TOKEN });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn own_session() -> Value {
    json!({ "self": true, "tokenId": TOKEN })
}

/// What every route with credentials and a body can answer.
const COMMON_ERRORS: [ErrorName; 10] = [
    ErrorName::InvalidRequest,
    ErrorName::NotAuthenticated,
    ErrorName::SessionMismatch,
    ErrorName::NotAllowed,
    ErrorName::Timeout,
    ErrorName::TooLarge,
    ErrorName::UnsupportedMediaType,
    ErrorName::WrongHost,
    ErrorName::Internal,
    ErrorName::Unavailable,
];

pub(super) fn action(action: Action) -> Described {
    let tokenize = Described {
        action,
        id: "tokenize",
        tag: "values",
        summary: "Make a token and say where its value goes",
        description: "Open to users, applications and developers.

Send the value with `PUT` to `uploadUrl`, with every one of `headers` except `host`; a 200 without \
a body means that it is kept. The URL lives 15 minutes by default and takes one value: another \
upload is 412. A value has at most 5 GiB.

The session of the JWT gets a grant of the default length (15 minutes), so that it can read the \
value back and the application can verify the token before it saves it.",
        request: "TokenizeRequest",
        answer: "Upload",
        says: "The token, and where its value goes.",
        more_errors: &[],
    };
    match action {
        Action::Tokenize => tokenize,
        Action::Detokenize => Described {
            id: "detokenize",
            summary: "Say where a token's value is",
            description: "Open to users, applications and developers whose session has a live grant \
for the token.

Fetch the value with `GET` from `downloadUrl`, with every one of `headers` except `host`. The URL \
lives at most 60 seconds, and never longer than the grant or the token; fetch with a fresh one each \
time. The body is the value, byte for byte.",
            request: "DetokenizeRequest",
            answer: "Download",
            says: "Where the value is.",
            more_errors: &[NoSuchToken],
            ..tokenize
        },
        Action::GrantSet | Action::GrantVerify => grants(action, tokenize),
        Action::MetadataGet | Action::MetadataSet => metadata(action, tokenize),
        Action::SimpleTokenize | Action::SimpleDetokenize => simple(action, tokenize),
    }
}

fn grants(action: Action, base: Described) -> Described {
    let set = Described {
        id: "grantSet",
        tag: "grants",
        summary: "Let a session read a token's value for a while",
        description: "Open to applications, for user sessions of the same key source, or with \
`\"self\": true` for the application's own session.

Setting a grant again replaces its end, be it earlier or later. The duration is in Go's notation \
(`15m`, `1h30m`, `90s`), 15 minutes where none is given and at most 1 hour, both configurable.",
        request: "GrantSetRequest",
        answer: "Done",
        says: "The session has the grant.",
        more_errors: &[InvalidDuration, NoSuchToken],
        ..base
    };
    if action == Action::GrantSet {
        return set;
    }
    Described {
        id: "grantVerify",
        summary: "Ask whether a session could read a token's value now",
        description: "Open to applications, for user sessions of the same key source, or with \
`\"self\": true` for the application's own session.

No grant, an expired one and an unknown token are all `\"valid\": false`, not failures.",
        request: "GrantVerifyRequest",
        answer: "GrantValidity",
        says: "Whether there is a live grant.",
        more_errors: &[],
        ..set
    }
}

fn metadata(action: Action, base: Described) -> Described {
    let get = Described {
        id: "metadataGet",
        tag: "metadata",
        summary: "Read what is kept beside a value",
        description: "Open to users whose session has a live grant for the token, and to \
applications and developers without one.

The object comes back as it was given to `/tokenize` or `/metadata/set`. A token with none is 404.",
        request: "MetadataGetRequest",
        answer: "MetadataAnswer",
        says: "The object that is kept.",
        more_errors: &[NoSuchToken],
        ..base
    };
    if action == Action::MetadataGet {
        return get;
    }
    Described {
        id: "metadataSet",
        summary: "Replace what is kept beside a value",
        description: "Open to developers. The audit log keeps that it was done.",
        request: "MetadataSetRequest",
        answer: "Done",
        says: "The object was replaced.",
        ..get
    }
}

fn simple(action: Action, base: Described) -> Described {
    let tokenize = Described {
        id: "simpleTokenize",
        tag: "simple",
        summary: "Make a token for the application",
        description: "As `/tokenize`, open to applications alone: the application's back end adds \
its JWT to what LunaSec's Simple Tokenizer client sends without credentials.",
        ..base
    };
    if action == Action::SimpleTokenize {
        return tokenize;
    }
    Described {
        id: "simpleDetokenize",
        summary: "Say where a token's value is, without a grant",
        description: "As `/detokenize`, open to applications alone: it gives the application's own \
session a grant for this one release.",
        request: "DetokenizeRequest",
        answer: "Download",
        says: "Where the value is.",
        more_errors: &[NoSuchToken],
        ..tokenize
    }
}

/// A route that everybody may ask.
pub(super) struct Told {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) says: &'static str,
    pub(super) content_type: &'static str,
    pub(super) schema: Value,
    pub(super) examples: Vec<Example>,
    pub(super) errors: &'static [ErrorName],
}

/// What a route without credentials answers that is found under the vault's names alone.
const NAMED: &[ErrorName] = &[InvalidRequest, TooLarge, WrongHost];

pub(super) fn public(public: Public) -> Told {
    let health = Told {
        id: "health",
        summary: "Whether the vault runs",
        description: "Asks nothing of what is behind it. Needs no credentials, and answers under \
any host name.",
        says: "It runs.",
        content_type: JSON,
        schema: success(None),
        examples: vec![Example {
            name: "well".to_owned(),
            summary: "Well".to_owned(),
            value: examples::empty(),
        }],
        errors: &[InvalidRequest, TooLarge],
    };
    match public {
        Public::Health => health,
        Public::Ready => Told {
            id: "ready",
            summary: "Whether the vault can serve now",
            description: "Looks at the record store, the object store, the audit log, the disk and \
the clock. Needs no credentials, and answers under any host name; a failure's message lists \
what is wrong in words.",
            says: "It can serve.",
            errors: &[InvalidRequest, TooLarge, Unavailable],
            ..health
        },
        Public::Document => Told {
            id: "openapi",
            summary: "This document",
            description: "Left out with `api.docs = false`.",
            says: "An OpenAPI 3.1 document.",
            schema: json!({
                "type": "object",
                "required": ["openapi", "info", "paths"],
                "properties": { "openapi": { "type": "string", "pattern": "^3\\.1\\." } },
            }),
            examples: vec![],
            errors: NAMED,
            ..health
        },
        Public::Page => Told {
            id: "docs",
            summary: "This document, for people",
            description: "A page without scripts. Left out with `api.docs = false`.",
            says: "A page.",
            content_type: HTML,
            schema: json!({ "type": "string" }),
            examples: vec![],
            errors: NAMED,
        },
    }
}
