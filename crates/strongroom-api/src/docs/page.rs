//! The OpenAPI document as one page of HTML: no script, nothing to load, nothing to press.
//!
//! Knows the parts of such a document and nothing of what our API is. Every text of the document
//! is escaped.

use crate::openapi::document::{
    Answer, Components, Document, MediaType, Operation, PathItem, Response, Tag,
};
use serde_json::{Map, Value};

/// The whole page, with the style sheet in it.
pub(super) fn render(document: &Document, style: &str) -> String {
    let info = &document.info;
    let schemas = &document.components.schemas;
    let tags = document.tags.iter();
    let sections = tags
        .map(|tag| section(tag, document))
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} HTTP API</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the contract</a>\n\
         <header>\n<h1>{title} HTTP API</h1>\n\
         <p>{summary}. Contract {version}, also as an \
         <a href=\"openapi.json\">OpenAPI document</a>.</p>\n</header>\n\
         <nav aria-label=\"Contents\">\n{contents}</nav>\n<main id=\"main\">\n\
         <section>\n<h2 id=\"about\">About</h2>\n{about}</section>\n\
         <section>\n<h2 id=\"credentials\">Credentials</h2>\n{credentials}</section>\n\
         {sections}\
         <section>\n<h2 id=\"everywhere\">Failures of any path</h2>\n{everywhere}</section>\n\
         <section>\n<h2 id=\"types\">Types</h2>\n{types}</section>\n\
         </main>\n</body>\n</html>\n",
        title = escape(info.title),
        summary = escape(info.summary),
        version = escape(info.version),
        contents = contents(document),
        about = paragraphs(&info.description),
        credentials = credentials(document),
        everywhere = everywhere(&document.components),
        types = types(schemas),
    )
}

fn operations(document: &Document) -> impl Iterator<Item = (&str, &PathItem)> {
    document
        .paths
        .0
        .iter()
        .map(|(path, item)| (path.as_str(), item))
}

fn contents(document: &Document) -> String {
    let route = |(path, item): (&str, &PathItem)| {
        format!(
            "<li><a href=\"#{id}\"><code>{method} {path}</code></a></li>\n",
            id = escape(item.operation.id),
            method = escape(&item.method.to_uppercase()),
            path = escape(path),
        )
    };
    let routes = operations(document).map(route).collect::<Vec<_>>().concat();
    format!(
        "<ul>\n<li><a href=\"#about\">About</a></li>\n\
         <li><a href=\"#credentials\">Credentials</a></li>\n{routes}\
         <li><a href=\"#everywhere\">Failures of any path</a></li>\n\
         <li><a href=\"#types\">Types</a></li>\n</ul>\n"
    )
}

fn credentials(document: &Document) -> String {
    let scheme = |(_, scheme): &(String, Value)| {
        let said = match text(scheme, "name") {
            "" => "<code>authorization: Bearer</code> …".to_owned(),
            name => format!(
                "{} <code>{}</code>",
                escape(text(scheme, "in")),
                escape(name)
            ),
        };
        format!(
            "<dt>{said}</dt>\n<dd>{}</dd>\n",
            inline(text(scheme, "description"))
        )
    };
    let schemes = &document.components.security_schemes.0;
    let schemes = schemes.iter().map(scheme).collect::<Vec<_>>().concat();
    format!("<dl>\n{schemes}</dl>\n")
}

fn section(tag: &Tag, document: &Document) -> String {
    let components = &document.components;
    let mine = operations(document).filter(|(_, item)| item.operation.tags[0] == tag.name);
    let articles = mine
        .map(|(path, item)| article(path, item, components))
        .collect::<Vec<_>>();
    format!(
        "<section>\n<h2>{}</h2>\n<p>{}</p>\n{}</section>\n",
        escape(&capital(tag.name)),
        inline(tag.description),
        articles.concat()
    )
}

fn article(path: &str, item: &PathItem, components: &Components) -> String {
    let operation = &item.operation;
    let id = escape(operation.id);
    format!(
        "<article aria-labelledby=\"{id}\">\n\
         <h3 id=\"{id}\"><span class=\"method\">{method}</span> <code>{path}</code></h3>\n\
         <p class=\"summary\">{summary}</p>\n{description}{request}\
         <h4>Answers</h4>\n{responses}</article>\n",
        method = escape(&item.method.to_uppercase()),
        path = escape(path),
        summary = escape(operation.summary),
        description = paragraphs(&operation.description),
        request = request(operation, &components.schemas),
        responses = responses(operation, components),
    )
}

fn request(operation: &Operation, schemas: &Map<String, Value>) -> String {
    let Some((kind, body)) = operation
        .request_body
        .as_ref()
        .and_then(|body| body.content.0.first())
    else {
        return String::new();
    };
    format!(
        "<h4>Request: <code>{}</code></h4>\n{}",
        escape(kind),
        content(body, schemas)
    )
}

/// Members and examples of a body.
fn content(body: &MediaType, schemas: &Map<String, Value>) -> String {
    let schema = interesting(&body.schema, schemas);
    let example = |example: &crate::openapi::document::Example| {
        let json = serde_json::to_string_pretty(&example.value).unwrap_or_default();
        format!(
            "<details>\n<summary>Example: {}</summary>\n\
             <pre tabindex=\"0\"><code>{}</code></pre>\n</details>\n",
            inline(&example.summary),
            escape(&json)
        )
    };
    let examples = body
        .examples
        .iter()
        .map(example)
        .collect::<Vec<_>>()
        .concat();
    format!("{}{examples}", members(schema))
}

/// What a reader wants of a body: the type behind a reference, and of an envelope its `data`.
fn interesting<'a>(schema: &'a Value, schemas: &'a Map<String, Value>) -> &'a Value {
    let data = schema.pointer("/properties/data").unwrap_or(schema);
    named(data)
        .and_then(|name| schemas.get(name))
        .unwrap_or(data)
}

/// The name of the type that a schema refers to.
fn named(schema: &Value) -> Option<&str> {
    text(schema, "$ref").strip_prefix("#/components/schemas/")
}

fn responses(operation: &Operation, components: &Components) -> String {
    let one = |(status, answer): &(String, Answer)| {
        let response = match answer {
            Answer::Here(response) => response,
            Answer::Shared(key) => shared(components, key)?,
        };
        let body = response.content.0.first().filter(|_| status == "200");
        let members = body.map(|(_, body)| content(body, &components.schemas));
        Some(term(status, response, &members.unwrap_or_default()))
    };
    let all = operation.responses.0.iter().filter_map(one);
    let all = all.collect::<Vec<_>>().concat();
    format!("<dl class=\"answers\">\n{all}</dl>\n")
}

fn shared<'a>(components: &'a Components, key: &str) -> Option<&'a Response> {
    let mut all = components.responses.0.iter();
    all.find(|(known, _)| known == key)
        .map(|(_, response)| response)
}

/// What no operation has, because no operation was met.
fn everywhere(components: &Components) -> String {
    let one = |(status, key)| Some(term(status, shared(components, key)?, ""));
    let all = [("404", "NoSuchRoute"), ("405", "MethodNotAllowed")];
    let all = all.into_iter().filter_map(one).collect::<Vec<_>>().concat();
    format!("<dl class=\"answers\">\n{all}</dl>\n")
}

fn term(status: &str, response: &Response, members: &str) -> String {
    format!(
        "<dt><code>{}</code></dt>\n<dd>{}{members}</dd>\n",
        escape(status),
        paragraphs(&response.description)
    )
}

/// The members of an object; nothing for other types.
fn members(schema: &Value) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return String::new();
    };
    let member = |(name, member): (&String, &Value)| {
        format!(
            "<dt><code>{}</code> <span class=\"type\">{}</span></dt>\n<dd>{}</dd>\n",
            escape(name),
            kind(member),
            inline(text(member, "description"))
        )
    };
    let all = properties.iter().map(member).collect::<Vec<_>>().concat();
    if all.is_empty() {
        all
    } else {
        format!("<dl class=\"members\">\n{all}</dl>\n")
    }
}

/// A type in few words, with a link to where more is said.
fn kind(schema: &Value) -> String {
    if let Some(name) = named(schema) {
        return format!("<a href=\"#type-{0}\">{0}</a>", escape(name));
    }
    if let Some(one) = schema.get("anyOf").and_then(Value::as_array) {
        return one.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escape(&value.to_string()));
    }
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str).map(escape);
            kinds.collect::<Vec<_>>().join(" or ")
        }
        _ => escape(text(schema, "type")),
    }
}

/// The types that are not shown with their route already.
fn types(schemas: &Map<String, Value>) -> String {
    let shown = schemas
        .iter()
        .filter(|(name, _)| !name.ends_with("Request"));
    let one = |(name, schema): (&String, &Value)| {
        let pattern = match text(schema, "pattern") {
            "" => String::new(),
            pattern => format!("<p>Matches <code>{}</code></p>\n", escape(pattern)),
        };
        let values = schema.get("enum").and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        let values: Vec<_> = values
            .map(|value| format!("<li><code>{}</code></li>\n", escape(value)))
            .collect();
        let values = match values.len() {
            0 => String::new(),
            _ => format!("<ul class=\"values\">\n{}</ul>\n", values.concat()),
        };
        format!(
            "<h3 id=\"type-{0}\">{0}</h3>\n{1}{pattern}{values}{2}",
            escape(name),
            paragraphs(text(schema, "description")),
            members(schema)
        )
    };
    shown.map(one).collect::<Vec<_>>().concat()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// Paragraphs are divided by an empty line, as in the document's Markdown.
fn paragraphs(markdown: &str) -> String {
    let all = markdown.split("\n\n").filter(|text| !text.is_empty());
    all.map(|text| format!("<p>{}</p>\n", inline(text)))
        .collect::<Vec<_>>()
        .concat()
}

/// `code` and **strong** text; no other Markdown stands in our texts.
fn inline(markdown: &str) -> String {
    let pieces = markdown.split('`').enumerate();
    let piece = |(index, piece): (usize, &str)| {
        if index % 2 == 1 {
            return format!("<code>{}</code>", escape(piece));
        }
        let parts = escape(piece);
        let parts = parts.split("**").enumerate();
        let part = |(index, part): (usize, &str)| match index % 2 {
            1 => format!("<strong>{part}</strong>"),
            _ => part.to_owned(),
        };
        parts.map(part).collect::<Vec<_>>().concat()
    };
    pieces.map(piece).collect::<Vec<_>>().concat()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi;

    fn page() -> String {
        render(&openapi::document(), "")
    }

    #[test]
    fn every_route_and_every_error_name_is_on_the_page() {
        let page = page();
        for (path, _) in operations(&openapi::document()) {
            assert!(
                page.contains(&format!("<code>{path}</code></h3>")),
                "{path}"
            );
        }
        for name in strongroom_wire::ErrorName::ALL {
            assert!(page.contains(&format!("<code>{name}</code>")), "{name}");
        }
    }

    #[test]
    fn every_link_within_the_page_leads_somewhere() {
        let page = page();
        let links = page.split("href=\"#").skip(1);
        let targets: Vec<_> = links.filter_map(|rest| rest.split('"').next()).collect();
        assert!(targets.len() > 20, "{}", targets.len());
        for target in targets {
            let id = format!(" id=\"{target}\"");
            assert_eq!(page.matches(&id).count(), 1, "{target}");
        }
    }

    #[test]
    fn the_page_has_no_script_no_style_attribute_and_loads_nothing() {
        let page = page().to_lowercase();
        for forbidden in [
            "<script",
            " on",
            " style=",
            " src=",
            "<link",
            "<form",
            "javascript:",
        ] {
            let tags = page.split('<').filter_map(|rest| rest.split('>').next());
            let found = tags
                .filter(|tag| format!("<{tag}").contains(forbidden))
                .count();
            assert_eq!(found, 0, "{forbidden}");
        }
    }

    #[test]
    fn headings_go_down_one_step_at_a_time() {
        let page = page();
        let levels = page
            .split("<h")
            .skip(1)
            .filter_map(|rest| rest.chars().next()?.to_digit(10));
        let levels: Vec<_> = levels.collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
        assert!(
            levels.windows(2).all(|pair| pair[1] <= pair[0] + 1),
            "{levels:?}"
        );
    }

    #[test]
    fn texts_of_the_document_are_escaped() {
        assert_eq!(
            inline("a < `b & <c>` **\"d\"**"),
            "a &lt; <code>b &amp; &lt;c&gt;</code> <strong>&quot;d&quot;</strong>"
        );
    }
}
