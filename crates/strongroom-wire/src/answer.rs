//! What stands under `data` in a success, one type per route that has something to say.

use crate::schema::TokenText;
use crate::text::{Metadata, SecretText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Headers that belong to a signed URL; the client sends all of them except `host`.
pub type SignedHeaders = BTreeMap<String, SecretText>;

/// Answer of `/tokenize`: where to put the value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// The new token.
    #[schemars(with = "TokenText")]
    pub token_id: SecretText,
    /// Absolute URL, signed for one `PUT`.
    pub upload_url: SecretText,
    /// To be sent with the `PUT`.
    pub headers: SignedHeaders,
}

/// Answer of `/detokenize`: where to get the value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Download {
    /// Absolute URL, signed for `GET`.
    pub download_url: SecretText,
    /// To be sent with the `GET`.
    pub headers: SignedHeaders,
}

/// Answer of `/grant/verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantValidity {
    /// Whether a live grant exists; a missing and an expired one look the same.
    pub valid: bool,
}

/// Answer of `/metadata/get`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MetadataAnswer {
    /// The object as it was given to `/tokenize` or `/metadata/set`.
    pub metadata: Metadata,
}

/// Answer of `/grant/set` and `/metadata/set`: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}
