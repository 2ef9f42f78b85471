//! A JWK Set (RFC 7517 §5): the keys that an issuer publishes.
//!
//! The set is judged as a whole, its keys one by one: what is not for this vault is passed over,
//! since an issuer may publish keys for others beside it. Where the text comes from, and how long
//! it may be, is the caller's business.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Error, PublicKey, json};

/// The keys of a set that can be used, and how many cannot.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// In the order in which they stand there, each once. Several may have one `kid`, as when an
    /// issuer has a key of each algorithm under one name; a JWT may then be signed by any of them.
    pub keys: Vec<PublicKey>,
    /// Entries of unknown or unsupported types, for encryption, or damaged.
    pub skipped: usize,
    /// Entries with a private or secret key. They are not used, and the key behind them must be
    /// taken as known to everybody.
    pub private: usize,
}

impl KeySet {
    /// Reads a whole set. Members other than `keys` say nothing.
    ///
    /// It is [`Error::Jwks`] if it is no JSON object whose members are unique at every depth, has
    /// no array `keys`, or more than `keys_max` entries, whatever they are.
    pub fn parse(text: &[u8], keys_max: usize) -> Result<Self, Error> {
        let set = json::object(text).ok_or(Error::Jwks("not a JSON object with unique members"))?;
        let entries = set.get("keys").and_then(Value::as_array);
        let entries = entries.ok_or(Error::Jwks("`keys` is no array"))?;
        if entries.len() > keys_max {
            return Err(Error::Jwks("more keys than are allowed"));
        }
        let mut found = Self {
            keys: Vec::new(),
            skipped: 0,
            private: 0,
        };
        let mut known = BTreeSet::new();
        for entry in entries {
            let key = entry.as_object().map(PublicKey::from_members);
            match key {
                Some(Ok(key)) if known.insert((key.thumbprint(), key.kid().map(str::to_owned))) => {
                    found.keys.push(key);
                }
                Some(Ok(_)) => {}
                Some(Err(Error::PrivateKey)) => found.private += 1,
                Some(Err(_)) | None => found.skipped += 1,
            }
        }
        Ok(found)
    }
}
