//! Examples, written by the types that write the real answers.

use serde::Serialize;
use serde_json::Value;
use strongroom_wire::answer::{Done, SignedHeaders};
use strongroom_wire::{
    Download, ErrorName, GrantValidity, Metadata, MetadataAnswer, Upload, envelope,
};

pub(super) const TOKEN: &str = "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8";
const REQUEST_ID: &str = "8e2c2fb34fbd1f9a0000000000000017";
const OBJECT: &str = "https://objects.vault.example.org/strongroom/0d7c2f3a9b1e";
const SIGNATURE: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=6f1d";

fn value<T: Serialize>(data: &T) -> Value {
    let body = envelope::success(data).unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

fn signed(more: &[(&str, &str)]) -> SignedHeaders {
    let always = [
        ("host", "objects.vault.example.org"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        (
            "x-amz-server-side-encryption-customer-key",
            "VGhpcyBleGFtcGxlIGtleSBvcGVucyBubyB2YWx1ZSE=",
        ),
        (
            "x-amz-server-side-encryption-customer-key-md5",
            "bPuYd3SPpBb5mmvIxqFwpg==",
        ),
    ];
    let all = always.iter().chain(more);
    all.map(|(name, text)| ((*name).to_owned(), (*text).into()))
        .collect()
}

pub(super) fn upload() -> Value {
    value(&Upload {
        token_id: TOKEN.into(),
        upload_url: format!("{OBJECT}?{SIGNATURE}&X-Amz-Expires=900").into(),
        headers: signed(&[("if-none-match", "*")]),
    })
}

pub(super) fn download() -> Value {
    value(&Download {
        download_url: format!("{OBJECT}?{SIGNATURE}&X-Amz-Expires=60").into(),
        headers: signed(&[]),
    })
}

pub(super) fn validity(valid: bool) -> Value {
    value(&GrantValidity { valid })
}

pub(super) fn metadata() -> Value {
    let text = r#"{"dataType":"string","customFields":{"note":"passport"}}"#;
    Metadata::parse(text)
        .map(|metadata| value(&MetadataAnswer { metadata }))
        .unwrap_or_default()
}

pub(super) fn done() -> Value {
    value(&Done {})
}

pub(super) fn empty() -> Value {
    serde_json::from_str(envelope::SUCCESS_WITHOUT_DATA).unwrap_or_default()
}

pub(super) fn failure(name: ErrorName) -> Value {
    let body = envelope::failure(name, message(name), REQUEST_ID);
    serde_json::from_slice(&body).unwrap_or_default()
}

/// A text as the vault writes it; the others are named by the route.
fn message(name: ErrorName) -> &'static str {
    match name {
        ErrorName::InvalidRequest => "`tokenId`: a token is `lunasec-` followed by a UUID",
        ErrorName::InvalidDuration => "a duration is more than 0 and at most 3600 s",
        ErrorName::NotAuthenticated => "the credentials are not valid",
        ErrorName::SessionMismatch => "`lunasec-session-hash` belongs to another session",
        ErrorName::NotAllowed => "this subject may not use this route",
        ErrorName::NoSuchToken => "no such token",
        ErrorName::NoSuchRoute => "no route has this path",
        ErrorName::MethodNotAllowed => "this route takes POST",
        ErrorName::Timeout => "the body did not arrive in time",
        ErrorName::OnHold => "the token is on hold",
        ErrorName::IdempotencyConflict => "the idempotency key was used with another request",
        ErrorName::TooLarge => "the body is larger than 131072 bytes",
        ErrorName::UnsupportedMediaType => {
            "a request authenticated by cookie is `application/json`"
        }
        ErrorName::WrongHost => "the host is none of this vault's names",
        ErrorName::TooManyRequests => "too many requests",
        ErrorName::Internal => "the vault failed; its log has the cause under the request id",
        ErrorName::Unavailable => "the vault cannot serve now; try again later",
    }
}
