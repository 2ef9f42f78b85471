//! The HTTP contract as an OpenAPI 3.1 document, made from what the router and the wire types are.
//!
//! Paths and methods come from the router's own tables, bodies from `strongroom-wire`, error
//! names and statuses from its closed list. What only people can say stands in `operations.rs`
//! and `errors.rs`, in matches that the compiler keeps complete.

pub(crate) mod document;
mod errors;
mod examples;
mod operations;

use crate::public::{PUBLIC, Public};
use crate::router::{ACTIONS, SIMPLE};
use document::{
    Answer, Components, Document, Example, Info, MediaType, Operation, Ordered, PathItem,
    RequestBody, Response, Tag,
};
use operations::Described;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use strongroom::Action;
use strongroom_wire::{ErrorName, envelope, header};

const OPENAPI: &str = "3.1.1";
/// Of the contract, not of the program: the second number rises when something is added.
const VERSION: &str = "1.0";
pub(crate) const JSON: &str = envelope::CONTENT_TYPE;
pub(crate) const HTML: &str = "text/html; charset=utf-8";

const TAGS: [(&str, &str); 5] = [
    ("values", "Putting values in and getting them out."),
    ("grants", "Who may read a value, and for how long."),
    ("metadata", "What the application keeps beside a value."),
    (
        "simple",
        "The pair of LunaSec's Simple Tokenizer, behind the application's back end. A vault has it \
         with `simple.enabled`; elsewhere its paths are 404.",
    ),
    ("service", "Whether the vault runs, and this contract."),
];

const ABOUT: &str = "A vault that keeps values behind tokens. A client asks for a token, gets a \
signed URL and a key with it, and carries the value to the URL itself; to read the value it asks \
again. The six `POST` routes are those of LunaSec's Tokenizer.

**Credentials.** A JWT in the `authorization` header, raw or behind the word `Bearer`. Clients without \
that header may send it in a cookie; such a request must be `application/json` and come from the \
vault's own origin. Good or bad, an `authorization` header makes cookies ignored. The claim \
`sub` is `user`, `application` or `developer` and decides which routes are open.

**Bodies.** A JSON object, at most 128 KiB unless configured otherwise. Member names match in \
any case, so `tokenID` is `tokenId`. Unknown members are ignored; a known member that stands \
there twice, in whatever case, is refused; `null` is the same as absence.

**Answers.** Every answer is an envelope with `success`. Every failure carries one of the names \
of `ErrorName` with its one status, a message for people, and the name of the request, which is \
also in the header `x-request-id`. A path that no route has is 404 `NoSuchRoute`; a method that \
a path does not take is 405 `MethodNotAllowed`, and `allow` names those that it takes. Answers \
may get further members and headers: ignore those you do not know.

**Paths.** Doubled slashes are served as one, so a base URL may end in a slash.

**What comes first.** A request is judged in this order: credentials, session hash, subject, \
body, then the token.";

/// The document as text: JSON, indented, its end a line feed.
pub fn openapi() -> String {
    // Maps with string keys and values: nothing in it can fail to be written.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) fn document() -> Document {
    let actions = all_actions().map(|(path, action)| {
        let described = operations::action(*action);
        let operation = action_operation(&described);
        (
            (*path).to_owned(),
            PathItem {
                method: "post",
                operation,
            },
        )
    });
    let public = PUBLIC.iter().map(|(path, public)| {
        let operation = public_operation(*public);
        (
            (*path).to_owned(),
            PathItem {
                method: "get",
                operation,
            },
        )
    });
    Document {
        openapi: OPENAPI,
        info: Info {
            title: "Strongroom",
            version: VERSION,
            summary: "The HTTP API of a tokenization vault",
            description: ABOUT.to_owned(),
            license: json!({ "name": "Apache-2.0", "identifier": "Apache-2.0" }),
        },
        servers: [json!({ "url": "/", "description": "The vault that serves this document" })],
        tags: TAGS
            .iter()
            .map(|(name, description)| Tag { name, description })
            .collect(),
        paths: Ordered(actions.chain(public).collect()),
        components: components(),
    }
}

/// Every route that needs credentials, whether a configuration leaves it out or not.
fn all_actions() -> impl Iterator<Item = &'static (&'static str, Action)> {
    ACTIONS.iter().chain(&SIMPLE)
}

fn action_operation(described: &Described) -> Operation {
    let examples = |list: Vec<(&str, &str, Value)>| {
        let list = list.into_iter();
        list.map(|(name, summary, value)| Example {
            name: name.to_owned(),
            summary: summary.to_owned(),
            value,
        })
        .collect()
    };
    let schema = json!({ "$ref": schema(described.request) });
    let body = MediaType {
        schema,
        examples: examples(described.asks()),
    };
    let answer = MediaType {
        schema: success(Some(described.answer)),
        examples: examples(described.answers()),
    };
    let success = Response {
        description: described.says.to_owned(),
        headers: headers(&[header::REQUEST_ID, header::SESSION_HASH]),
        content: one(JSON, answer),
    };
    let mut responses = vec![("200".to_owned(), Answer::Here(success))];
    responses.extend(
        by_status(&described.errors())
            .map(|(status, names)| (status.to_string(), Answer::Shared(shared_key(&names)))),
    );
    Operation {
        id: described.id,
        tags: [described.tag],
        summary: described.summary,
        description: described.description.to_owned(),
        security: SCHEMES
            .iter()
            .map(|(name, ..)| json!({ *name: [] }))
            .collect(),
        parameters: vec![json!({ "$ref": "#/components/parameters/SessionHash" })],
        request_body: Some(RequestBody {
            required: true,
            content: one(JSON, body),
        }),
        responses: Ordered(responses),
    }
}

fn public_operation(public: Public) -> Operation {
    let told = operations::public(public);
    let body = MediaType {
        schema: told.schema,
        examples: told.examples,
    };
    let success = Response {
        description: told.says.to_owned(),
        headers: headers(&[header::REQUEST_ID]),
        content: one(told.content_type, body),
    };
    let mut responses = vec![("200".to_owned(), Answer::Here(success))];
    responses.extend(by_status(told.errors).map(|(status, names)| {
        (
            status.to_string(),
            Answer::Here(failure(status, &names, false)),
        )
    }));
    Operation {
        id: told.id,
        tags: ["service"],
        summary: told.summary,
        description: told.description.to_owned(),
        security: vec![],
        parameters: vec![],
        request_body: None,
        responses: Ordered(responses),
    }
}

fn schema(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

fn one(media_type: &str, content: MediaType) -> Ordered<MediaType> {
    Ordered(vec![(media_type.to_owned(), content)])
}

/// The envelope around `data`, or the one that has none.
fn success(data: Option<&str>) -> Value {
    let base = json!({ "$ref": schema("Success") });
    match data {
        None => base,
        Some(data) => json!({
            "allOf": [base],
            "type": "object",
            "required": ["data"],
            "properties": { "data": { "$ref": schema(data) } },
        }),
    }
}

/// The names of each status.
fn by_status(names: &[ErrorName]) -> impl Iterator<Item = (u16, Vec<ErrorName>)> + use<> {
    let mut all: BTreeMap<u16, Vec<ErrorName>> = BTreeMap::new();
    for name in names {
        all.entry(name.status()).or_default().push(*name);
    }
    all.into_iter()
}

/// The key of a failure that routes share.
fn shared_key(names: &[ErrorName]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    names.join("Or")
}

/// Every failure that routes share, and the two that no operation has, by their keys.
fn shared_failures() -> Ordered<Response> {
    let mut all: BTreeMap<(u16, String), Response> = BTreeMap::new();
    for (_, action) in all_actions() {
        for (status, names) in by_status(&operations::action(*action).errors()) {
            let key = (status, shared_key(&names));
            all.entry(key)
                .or_insert_with(|| failure(status, &names, true));
        }
    }
    for name in [ErrorName::NoSuchRoute, ErrorName::MethodNotAllowed] {
        let key = (name.status(), shared_key(&[name]));
        all.insert(key, failure(name.status(), &[name], false));
    }
    Ordered(
        all.into_iter()
            .map(|((_, key), response)| (key, response))
            .collect(),
    )
}

fn failure(status: u16, names: &[ErrorName], authenticated: bool) -> Response {
    let texts = names
        .iter()
        .map(|name| format!("`{name}`: {}", errors::meaning(*name)));
    let mut carried = vec![header::REQUEST_ID];
    // Credentials come first: their refusal knows no session.
    if authenticated {
        carried.push(header::SESSION_HASH);
    }
    match status {
        405 => carried.push("allow"),
        429 | 503 => carried.push(header::RETRY_AFTER),
        _ => {}
    }
    let enumerated: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    let schema = json!({
        "allOf": [{ "$ref": schema("Failure") }],
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "name": { "enum": enumerated },
                    "errorName": { "enum": enumerated },
                },
            },
        },
    });
    let examples = names.iter().map(|name| Example {
        name: name.as_str().to_owned(),
        summary: errors::meaning(*name).to_owned(),
        value: examples::failure(*name),
    });
    Response {
        description: texts.collect::<Vec<_>>().join("\n\n"),
        headers: headers(&carried),
        content: one(
            JSON,
            MediaType {
                schema,
                examples: examples.collect(),
            },
        ),
    }
}

fn headers(names: &[&str]) -> Ordered<Value> {
    let reference = |name: &&str| {
        let place = json!({ "$ref": format!("#/components/headers/{name}") });
        ((*name).to_owned(), place)
    };
    Ordered(names.iter().map(reference).collect())
}

/// Name, how it is described, what it is in OpenAPI's words.
const SCHEMES: [(&str, &str, &str); 4] = [
    (
        "rawJwt",
        "The compact JWT alone, as LunaSec's clients send it.",
        header::AUTHORIZATION,
    ),
    ("bearerJwt", "The compact JWT behind the word `Bearer`.", ""),
    (
        "cookie",
        "The JWT in a cookie, from clients that are no browsers and send no `authorization`.",
        header::ACCESS_TOKEN_COOKIE,
    ),
    (
        "browserCookie",
        "The JWT in a cookie that no other origin can set, from browsers.",
        header::HOST_ACCESS_TOKEN_COOKIE,
    ),
];

fn security_schemes() -> Ordered<Value> {
    let scheme = |(name, description, place): &(&str, &str, &str)| {
        let scheme = match *place {
            "" => json!({
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": description,
            }),
            place => json!({
                "type": "apiKey", "name": place, "description": description,
                "in": if place == header::AUTHORIZATION { "header" } else { "cookie" },
            }),
        };
        ((*name).to_owned(), scheme)
    };
    Ordered(SCHEMES.iter().map(scheme).collect())
}

fn components() -> Components {
    let mut schemas: Map<String, Value> = strongroom_wire::schema::all();
    schemas.insert(
        "Success".to_owned(),
        json!({
            "type": "object",
            "description": "The envelope of every answer that is 200.",
            "required": ["success", "error"],
            "properties": {
                "success": { "const": true },
                "error": {
                    "type": "object",
                    "maxProperties": 0,
                    "description": "Empty, for clients that expect it to be there.",
                },
            },
        }),
    );
    Components {
        schemas,
        responses: shared_failures(),
        parameters: Ordered(vec![("SessionHash".to_owned(), session_hash())]),
        headers: Ordered(response_headers()),
        security_schemes: security_schemes(),
    }
}

const SHA1_HEX: &str = "^[0-9a-f]{40}$";

fn session_hash() -> Value {
    json!({
        "name": header::SESSION_HASH,
        "in": "header",
        "required": false,
        "description": "The value of an earlier answer's header of this name. A request whose \
            JWT belongs to another session is refused with 401 `SessionMismatch`, so that a page \
            that showed one user's data stops when another logs in.",
        "schema": { "type": "string", "pattern": SHA1_HEX },
    })
}

fn response_headers() -> Vec<(String, Value)> {
    let described = |name: &str, required: bool, description: &str, schema: Value| {
        let header = json!({ "description": description, "required": required, "schema": schema });
        (name.to_owned(), header)
    };
    vec![
        described(
            header::REQUEST_ID,
            true,
            "Names this request, here, in a failure's body, in the log and in the audit log.",
            json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
        ),
        described(
            header::SESSION_HASH,
            false,
            "SHA-1 of the JWT's `session_id` (of nothing, where it has none), in lower-case \
             hexadecimal. Sent once the JWT was found good, unless the request carried the \
             header itself.",
            json!({ "type": "string", "pattern": SHA1_HEX }),
        ),
        described(
            header::RETRY_AFTER,
            true,
            "Whole seconds after which the request may be repeated.",
            json!({ "type": "integer", "minimum": 0 }),
        ),
        described(
            "allow",
            true,
            "The methods that this path takes.",
            json!({ "type": "string" }),
        ),
    ]
}

#[cfg(test)]
mod tests;
