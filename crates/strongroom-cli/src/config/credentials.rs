//! `[[s3.credential]]`: who else may use the S3 endpoint, and which buckets.

use super::faults::Checks;
use super::s3::S3Section;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use strongroom_s3::bucket_name;

/// Longest name.
const NAME_BYTES_MAX: usize = 64;
/// Longest access key id (AWS, IAM `AccessKey`).
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// Longest beginning of a bucket's name; a whole one has at most 63 bytes.
const PREFIX_BYTES_MAX: usize = 62;

/// One credential. Two of one name belong to one owner, as while a key is being replaced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialSection {
    /// Owner of the buckets that it makes.
    pub(crate) name: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key_file: PathBuf,
    /// Names that it may make and use; a trailing `*` stands for any ending.
    #[serde(default = "every_bucket")]
    pub(crate) buckets: Vec<String>,
    /// Whether it may leave encryption to the vault's own key.
    #[serde(default)]
    pub(crate) server_keyed: bool,
}

fn every_bucket() -> Vec<String> {
    vec!["*".into()]
}

/// What types alone cannot say.
pub(super) fn check(s3: &S3Section, checks: &mut Checks) {
    let mut ids = HashSet::from([s3.access_key_id.as_str()]);
    let mut owners = HashMap::new();
    for (index, credential) in s3.credential.iter().enumerate() {
        let at = |key: &str| format!("s3.credential {} {key}", index + 1);
        let name = &credential.name;
        checks.require(
            is_name(name),
            &[&at("name")],
            format!("1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 - _ . are wanted"),
        );
        let id = credential.access_key_id.as_str();
        checks.require(
            is_access_key_id(id),
            &[&at("access_key_id")],
            format!("3 to {ACCESS_KEY_ID_BYTES_MAX} of A-Z a-z 0-9 _ are wanted"),
        );
        checks.require(
            ids.insert(id),
            &[&at("access_key_id")],
            "stands there already, in another credential or as s3.access_key_id",
        );
        let server_keyed = *owners.entry(name).or_insert(credential.server_keyed);
        checks.require(
            server_keyed == credential.server_keyed,
            &[&at("server_keyed"), &at("name")],
            "not the same in all credentials of this name",
        );
        check_buckets(&credential.buckets, &s3.bucket, &at("buckets"), checks);
    }
}

fn check_buckets(buckets: &[String], vaults: &str, key: &str, checks: &mut Checks) {
    checks.require(
        !buckets.is_empty(),
        &[key],
        "at least one is wanted, or none of the key for every bucket",
    );
    for (index, pattern) in buckets.iter().enumerate() {
        let key = format!("{key} {}", index + 1);
        let shown = pattern.escape_debug();
        checks.require(
            pattern != vaults,
            &[&key, "s3.bucket"],
            format!("`{shown}` is s3.bucket, which is the vault's own"),
        );
        checks.require(
            is_bucket(pattern),
            &[&key],
            format!("`{shown}` is no bucket name, nor the beginning of one with a `*` after it"),
        );
    }
}

fn is_bucket(pattern: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    match pattern.strip_suffix('*') {
        Some(start) => {
            start.len() <= PREFIX_BYTES_MAX
                && start.bytes().all(allowed)
                && !start.starts_with(['-', '.'])
        }
        None => bucket_name::is_valid(pattern),
    }
}

/// Names stand in XML and in logs as they are.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_access_key_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (3..=ACCESS_KEY_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about these tables, `name` and `access_key_id` first.
    fn said(tables: &[(&str, &str, &str)]) -> String {
        let tables = tables.iter().map(|(name, id, more)| {
            format!(
                "[[credential]]\nname = {name:?}\naccess_key_id = {id:?}\n\
                 secret_access_key_file = \"s\"\n{more}\n"
            )
        });
        let section: S3Section = toml::from_str(&tables.collect::<String>()).unwrap();
        let mut checks = Checks::default();
        check(&section, &mut checks);
        checks.told().join("\n")
    }

    #[test]
    fn credentials_have_every_bucket_and_no_server_keys_unless_they_say_so() {
        let text = "[[credential]]\nname = \"a\"\naccess_key_id = \"AAA\"\n\
                    secret_access_key_file = \"s\"\n";
        let section: S3Section = toml::from_str(text).unwrap();
        assert_eq!(section.credential[0].buckets, ["*"]);
        assert!(!section.credential[0].server_keyed);
    }

    #[test]
    fn sound_credentials_are_taken() {
        let buckets = "buckets = [\"backup\", \"back*\", \"*\", \"a.b-c\", \"stronger\", \"s*\"]";
        assert_eq!(said(&[("a", "AAA", buckets)]), "");
        assert_eq!(
            said(&[("a", "AAA", ""), ("b", "BBB", "server_keyed = true")]),
            ""
        );
        assert_eq!(
            said(&[("a", "AAA", ""), ("a", "BBB", "")]),
            "",
            "a key that is replaced"
        );
    }

    #[test]
    fn impossible_credentials_are_refused_with_their_key() {
        for (tables, expected) in [
            (&[("", "AAA", "")] as &[_], "s3.credential 1 name"),
            (&[("a\n", "AAA", "")], "1 name"),
            (&[("a&b", "AAA", "")], "1 name"),
            (&[("a", "AA", "")], "1 access_key_id"),
            (&[("a", "A/A", "")], "1 access_key_id"),
            (&[("a", "STRONGROOM", "")], "1 access_key_id"),
            (&[("a", "AAA", ""), ("b", "AAA", "")], "2 access_key_id"),
            (
                &[("a", "AAA", ""), ("a", "BBB", "server_keyed = true")],
                "2 server_keyed",
            ),
            (&[("a", "AAA", "buckets = []")], "1 buckets"),
            (&[("a", "AAA", "buckets = [\"strongroom\"]")], "vault's own"),
            (&[("a", "AAA", "buckets = [\"ab\"]")], "1 buckets"),
            (&[("a", "AAA", "buckets = [\"Upper\"]")], "1 buckets"),
            (&[("a", "AAA", "buckets = [\"a*b\"]")], "1 buckets"),
            (&[("a", "AAA", "buckets = [\"a**\"]")], "1 buckets"),
            (&[("a", "AAA", "buckets = [\"-abc\"]")], "1 buckets"),
            (&[("a", "AAA", "buckets = [\"\"]")], "1 buckets"),
        ] {
            let said = said(tables);
            assert!(said.contains(expected), "{tables:?}: {said}");
        }
    }
}
