//! Answers: XML documents, refusals and headers.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_s3::S3Error;
use strongroom_s3::checksum::Value;
use strongroom_s3::xml::Writer;

const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// A refusal; to HEAD without a body.
pub(super) fn refused(error: &S3Error, request_id: &str, head: bool) -> Response {
    let body = if head {
        Body::empty()
    } else {
        Body::from(error.xml(request_id))
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = error.status();
    answer.headers_mut().insert(header::CONTENT_TYPE, XML);
    answer
}

/// An answer that is a document, filled in by `fill`.
pub(super) fn document(root: &str, fill: impl FnOnce(&mut Writer)) -> Response {
    let mut xml = Writer::new();
    xml.root(root);
    fill(&mut xml);
    xml.close(root);
    of_xml(xml.finish())
}

/// An answer that is a document of the program's own text.
pub(super) fn fixed(root: &str, inner: &str) -> Response {
    let mut xml = Writer::new();
    xml.root(root);
    of_xml(format!("{}{inner}</{root}>", xml.finish()))
}

/// An answer with an XML text as it is.
pub(super) fn of_xml(text: String) -> Response {
    let mut answer = Response::new(Body::from(text));
    answer.headers_mut().insert(header::CONTENT_TYPE, XML);
    answer
}

/// An owner, who is known by the name of a credential.
pub(super) fn owner(xml: &mut Writer, element: &str, name: &str) {
    xml.open(element);
    xml.element("ID", name);
    xml.element("DisplayName", name);
    xml.close(element);
}

/// Inserts a header; a value that no header can hold is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

pub(super) fn etag(headers: &mut HeaderMap, etag: &str) {
    set(headers, header::ETAG, &quoted(etag));
}

/// An entity tag as it is shown.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The headers of an object's checksums, and of their type.
pub(super) fn checksums<'a>(headers: &mut HeaderMap, values: impl Iterator<Item = &'a Value>) {
    for value in values {
        let text = value.text();
        let kind = HeaderName::from_static("x-amz-checksum-type");
        headers.insert(kind, HeaderValue::from_static(type_of(&text)));
        set(
            headers,
            HeaderName::from_static(value.algorithm().header()),
            &text,
        );
    }
}

/// What a checksum is of: a composite one ends in the number of parts.
pub(super) fn type_of(text: &str) -> &'static str {
    if text.contains('-') {
        "COMPOSITE"
    } else {
        "FULL_OBJECT"
    }
}
