//! `CORSConfiguration` as XML, with AWS's limits.

use super::Rule;
use crate::S3Error;
use crate::xml::{Element, MALFORMED, Writer, once};
use http::{HeaderName, Method};

/// Most rules (AWS).
const RULES_MAX: usize = 100;
/// Largest document (AWS).
const BYTES_MAX: usize = 64 << 10;
/// Longest name of a rule (AWS).
const ID_BYTES_MAX: usize = 255;
const METHODS: [Method; 5] = [
    Method::GET,
    Method::PUT,
    Method::HEAD,
    Method::POST,
    Method::DELETE,
];

fn invalid(message: String) -> S3Error {
    S3Error::text(400, "InvalidRequest", message)
}

pub(super) fn read(xml: &[u8]) -> Result<Vec<Rule>, S3Error> {
    let root = Element::parse(xml, BYTES_MAX, "CORSConfiguration")?;
    let mut rules = Vec::new();
    for child in root.children()? {
        if child.name != "CORSRule" {
            return Err(MALFORMED);
        }
        if rules.len() == RULES_MAX {
            return Err(invalid(format!(
                "The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules."
            )));
        }
        rules.push(read_rule(child)?);
    }
    if rules.is_empty() {
        return Err(MALFORMED);
    }
    Ok(rules)
}

fn read_rule(element: Element) -> Result<Rule, S3Error> {
    let mut rule = Rule::default();
    for child in element.children()? {
        let name = child.name.clone();
        let text = child.leaf()?.trim().to_owned();
        match name.as_str() {
            "ID" if text.len() <= ID_BYTES_MAX => once(&mut rule.id, text)?,
            "AllowedOrigin" => rule.origins.push(one_wildcard("AllowedOrigin", text)?),
            "AllowedHeader" => rule.headers.push(one_wildcard("AllowedHeader", text)?),
            "AllowedMethod" => rule.methods.push(method(&text)?),
            "ExposeHeader" => rule.expose.push(expose(text)?),
            "MaxAgeSeconds" => {
                let seconds = text.parse().map_err(|_| MALFORMED)?;
                once(&mut rule.max_age_s, seconds)?;
            }
            _ => return Err(MALFORMED),
        }
    }
    if rule.origins.is_empty() || rule.methods.is_empty() {
        return Err(MALFORMED);
    }
    Ok(rule)
}

fn one_wildcard(element: &str, text: String) -> Result<String, S3Error> {
    match text.matches('*').count() {
        _ if text.is_empty() => Err(MALFORMED),
        0 | 1 => Ok(text),
        _ => Err(invalid(format!(
            "{element} \"{text}\" can not have more than one wildcard."
        ))),
    }
}

fn method(text: &str) -> Result<Method, S3Error> {
    let known = METHODS.into_iter().find(|known| known == text);
    known.ok_or_else(|| {
        invalid(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {text}"
        ))
    })
}

fn expose(text: String) -> Result<String, S3Error> {
    if text.contains('*') {
        return Err(invalid(format!(
            "ExposeHeader \"{text}\" contains wildcard. We currently do not support wildcard for \
             ExposeHeader."
        )));
    }
    match HeaderName::try_from(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(invalid(format!(
            "ExposeHeader \"{text}\" contains invalid character."
        ))),
    }
}

pub(super) fn write(rules: &[Rule]) -> String {
    let mut xml = Writer::new();
    xml.root("CORSConfiguration");
    for rule in rules {
        xml.open("CORSRule");
        if let Some(id) = &rule.id {
            xml.element("ID", id);
        }
        for header in &rule.headers {
            xml.element("AllowedHeader", header);
        }
        for method in &rule.methods {
            xml.element("AllowedMethod", method.as_str());
        }
        for origin in &rule.origins {
            xml.element("AllowedOrigin", origin);
        }
        for header in &rule.expose {
            xml.element("ExposeHeader", header);
        }
        if let Some(seconds) = rule.max_age_s {
            xml.element("MaxAgeSeconds", &seconds.to_string());
        }
        xml.close("CORSRule");
    }
    xml.close("CORSConfiguration");
    xml.finish()
}
