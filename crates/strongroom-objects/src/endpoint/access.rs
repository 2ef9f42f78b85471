//! Which credential may touch which bucket.
//!
//! The vault's bucket belongs to the vault's own credential alone, which may touch nothing else.
//! Every other bucket belongs to the name of the credential that made it.

use crate::{Error, S3Credential};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_s3::bucket_name;
use strongroom_s3::sigv4::Signer;
use strongroom_s3::verify::Credential;

/// Longest name of a credential.
const NAME_BYTES_MAX: usize = 64;
/// Shortest and longest access key id (AWS, IAM `AccessKey`).
const ACCESS_KEY_ID_BYTES: std::ops::RangeInclusive<usize> = 3..=128;

/// All credentials.
pub(crate) struct Access {
    by_id: HashMap<String, Entry>,
}

struct Entry {
    credential: Arc<Credential>,
    who: Who,
}

/// Who signed a request.
pub(super) enum Who {
    /// The vault.
    Vault,
    /// An application with a credential of its own.
    Client(Client),
}

/// An application.
pub(super) struct Client {
    /// Owner of its buckets.
    pub(super) name: String,
    /// It may store objects without a customer key.
    pub(super) server_keyed: bool,
    patterns: Vec<String>,
    vault_bucket: String,
}

impl Client {
    /// Whether it may make and use buckets of this name.
    pub(super) fn may(&self, bucket: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => bucket.starts_with(prefix),
            None => bucket == pattern,
        };
        bucket != self.vault_bucket && self.patterns.iter().any(fits)
    }
}

impl Access {
    /// The vault's credential and those of the configuration, whose faults are refused.
    pub(crate) fn new(
        region: &str,
        vault_bucket: &str,
        vault: &Arc<Credential>,
        credentials: Vec<S3Credential>,
    ) -> Result<Self, Error> {
        let mut by_id = HashMap::new();
        let entry = Entry {
            credential: Arc::clone(vault),
            who: Who::Vault,
        };
        by_id.insert(vault.access_key_id.clone(), entry);
        let mut server_keyed = HashMap::new();
        for credential in credentials {
            check(&credential, vault_bucket)?;
            let name = credential.name.clone();
            let before = server_keyed.insert(name, credential.server_keyed);
            if before.is_some_and(|before| before != credential.server_keyed) {
                return Err(bad(&credential.name, "is server_keyed once and once not"));
            }
            let id = credential.access_key_id;
            let entry = Entry {
                credential: Arc::new(Credential {
                    access_key_id: id.clone(),
                    signer: Signer::new(region.to_owned(), credential.secret),
                }),
                who: Who::Client(Client {
                    name: credential.name.clone(),
                    server_keyed: credential.server_keyed,
                    patterns: credential.buckets,
                    vault_bucket: vault_bucket.to_owned(),
                }),
            };
            if by_id.insert(id, entry).is_some() {
                return Err(bad(&credential.name, "has an access key id that is taken"));
            }
        }
        Ok(Self { by_id })
    }

    /// Of an access key id.
    pub(super) fn find(&self, access_key_id: &str) -> Option<Arc<Credential>> {
        let entry = self.by_id.get(access_key_id)?;
        Some(Arc::clone(&entry.credential))
    }

    /// Of an access key id.
    pub(super) fn who(&self, access_key_id: &str) -> Option<&Who> {
        self.by_id.get(access_key_id).map(|entry| &entry.who)
    }

    /// Buckets that are to be there from the start, and their owners.
    pub(crate) fn named_buckets(&self) -> Vec<(String, String)> {
        let clients = self.by_id.values().filter_map(|entry| match &entry.who {
            Who::Client(client) => Some(client),
            Who::Vault => None,
        });
        let mut named: Vec<_> = clients
            .flat_map(|client| {
                let whole = client.patterns.iter().filter(|name| !name.ends_with('*'));
                whole.map(|name| (name.clone(), client.name.clone()))
            })
            .collect();
        named.sort();
        named.dedup();
        named
    }
}

fn bad(name: &str, why: &str) -> Error {
    Error::Config(format!("s3.credential `{name}` {why}"))
}

fn check(credential: &S3Credential, vault_bucket: &str) -> Result<(), Error> {
    let S3Credential {
        name,
        access_key_id,
        ..
    } = credential;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // Names stand in XML and in logs as they are.
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(bad(name, "needs a name of 1 to 64 letters, digits or -_."));
    }
    let id_fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !ACCESS_KEY_ID_BYTES.contains(&access_key_id.len()) || !access_key_id.bytes().all(id_fits) {
        return Err(bad(
            name,
            "needs an access_key_id of 3 to 128 letters or digits",
        ));
    }
    for pattern in &credential.buckets {
        let fits = match pattern.strip_suffix('*') {
            Some(prefix) => {
                let part = |byte: u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
                };
                prefix.len() <= 63 && prefix.bytes().all(part)
            }
            None => bucket_name::is_valid(pattern),
        };
        if !fits {
            return Err(bad(name, "has a bucket that is no name and no prefix*"));
        }
        if pattern == vault_bucket {
            return Err(bad(name, "may not have the vault's own bucket"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningSecret;

    fn credential(name: &str, id: &str, buckets: &[&str]) -> S3Credential {
        S3Credential {
            name: name.into(),
            access_key_id: id.into(),
            secret: SigningSecret::new("secret".into()),
            buckets: buckets.iter().map(|&one| one.to_owned()).collect(),
            server_keyed: false,
        }
    }

    fn access(credentials: Vec<S3Credential>) -> Result<Access, Error> {
        let vault = Credential {
            access_key_id: "VAULT".into(),
            signer: Signer::new("us-east-1".into(), SigningSecret::new("other".into())),
        };
        Access::new("us-east-1", "vault", &Arc::new(vault), credentials)
    }

    #[test]
    fn patterns_give_names_and_prefixes_but_never_the_vaults_bucket() {
        let access = access(vec![
            credential("a", "AAA", &["logs", "app-*"]),
            credential("b", "BBB", &["*"]),
            credential("b", "BBB2", &["*"]),
        ])
        .unwrap();
        let may = |id: &str, bucket: &str| match access.who(id) {
            Some(Who::Client(client)) => client.may(bucket),
            _ => false,
        };
        assert!(may("AAA", "logs") && may("AAA", "app-1") && may("AAA", "app-"));
        assert!(!may("AAA", "log") && !may("AAA", "logs1") && !may("AAA", "app"));
        assert!(may("BBB", "anything") && !may("BBB", "vault") && !may("AAA", "vault"));
        assert!(matches!(access.who("VAULT"), Some(Who::Vault)));
        assert!(access.who("CCC").is_none() && access.find("BBB2").is_some());
        assert_eq!(access.named_buckets(), [("logs".into(), "a".into())]);
    }

    #[test]
    fn faults_of_the_configuration_are_refused() {
        let mut rotated = credential("a", "AAA2", &["*"]);
        rotated.server_keyed = true;
        for credentials in [
            vec![credential("a", "VAULT", &["*"])],
            vec![
                credential("a", "AAA", &["*"]),
                credential("b", "AAA", &["*"]),
            ],
            vec![credential("a", "AAA", &["*"]), rotated],
            vec![credential("", "AAA", &["*"])],
            vec![credential("a<b", "AAA", &["*"])],
            vec![credential("a", "A", &["*"])],
            vec![credential("a", "A/B", &["*"])],
            vec![credential("a", "AAA", &["Upper"])],
            vec![credential("a", "AAA", &["a*b*"])],
            vec![credential("a", "AAA", &["vault"])],
        ] {
            assert!(matches!(access(credentials), Err(Error::Config(_))));
        }
    }
}
