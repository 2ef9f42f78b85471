//! `[jwks]`: how the keys of `key_source.jwks_url` are fetched.

use super::faults::Checks;
use super::sections::KeySource;
use super::units::{Size, Span};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_jwks::JwksUrl;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JwksSection {
    pub(crate) stale_max: Span,
    pub(crate) refresh: Span,
    pub(crate) refresh_max: Span,
    pub(crate) fetch_interval_min: Span,
    pub(crate) timeout: Span,
    pub(crate) body_bytes_max: Size,
    pub(crate) keys_max: usize,
}

impl Default for JwksSection {
    fn default() -> Self {
        Self {
            stale_max: Span::secs(24 * 3_600),
            refresh: Span::secs(5 * 60),
            refresh_max: Span::secs(3_600),
            fetch_interval_min: Span::secs(30),
            timeout: Span::secs(5),
            body_bytes_max: Size::kib(64),
            keys_max: 32,
        }
    }
}

/// An issuer that is down longer than this is not coming back, and its keys are long replaced.
const STALE_MAX: Duration = Duration::from_hours(30 * 24);
/// Requests wait for a fetch, so it must not last.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// Each is tried for a JWT that names no key.
const KEYS_MAX: usize = 256;

impl JwksSection {
    /// What types alone cannot say.
    pub(super) fn check(&self, checks: &mut Checks) {
        let second = Duration::from_secs(1);
        checks.require(
            self.refresh.0 >= second && self.refresh.0 <= self.refresh_max.0,
            &["jwks.refresh", "jwks.refresh_max"],
            "1 s to jwks.refresh_max are wanted",
        );
        checks.require(
            self.refresh_max.0 <= self.stale_max.0,
            &["jwks.stale_max", "jwks.refresh_max"],
            "at least jwks.refresh_max is wanted",
        );
        checks.require(
            self.stale_max.0 <= STALE_MAX,
            &["jwks.stale_max"],
            "at most 30 days are wanted",
        );
        checks.require(
            self.fetch_interval_min.0 >= second && self.fetch_interval_min.0 <= self.refresh_max.0,
            &["jwks.fetch_interval_min", "jwks.refresh_max"],
            "1 s to jwks.refresh_max are wanted",
        );
        checks.require(
            self.timeout.0 >= second && self.timeout.0 <= TIMEOUT_MAX,
            &["jwks.timeout"],
            "1 s to 60 s are wanted",
        );
        checks.require(
            (Size::kib(1).0..=Size::mib(4).0).contains(&self.body_bytes_max.0),
            &["jwks.body_bytes_max"],
            "1KiB to 4MiB are wanted",
        );
        checks.require(
            (1..=KEYS_MAX).contains(&self.keys_max),
            &["jwks.keys_max"],
            format!("1 to {KEYS_MAX} are wanted"),
        );
    }
}

/// Where each source's keys come from.
pub(super) fn check_sources(sources: &[KeySource], checks: &mut Checks) {
    for (index, source) in sources.iter().enumerate() {
        let at = |key: &str| format!("key_source {} {key}", index + 1);
        let (files, url, ca) = (at("public_key_files"), at("jwks_url"), at("jwks_ca_file"));
        let Some(text) = &source.jwks_url else {
            checks.require(
                !source.public_key_files.is_empty(),
                &[&files, &url],
                "at least one is wanted, or jwks_url",
            );
            checks.require(
                source.jwks_ca_file.is_none(),
                &[&ca, &url],
                "of no use without jwks_url",
            );
            continue;
        };
        match JwksUrl::parse(text) {
            Err(error) => checks.require(false, &[&url], error.to_string()),
            Ok(parsed) => checks.require(
                parsed.is_https() || source.jwks_ca_file.is_none(),
                &[&ca, &url],
                "of no use, as jwks_url is plain http, where nobody has a certificate",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about one source with these lines.
    fn said(lines: &str) -> String {
        let text = format!("name = \"a\"\n{lines}\n");
        let source: KeySource = toml::from_str(&text).unwrap();
        let mut checks = Checks::default();
        check_sources(&[source], &mut checks);
        checks.told().join("\n")
    }

    #[test]
    fn keys_come_from_files_from_a_url_or_from_both() {
        let files = "public_key_files = [\"a.pem\"]";
        let url = "jwks_url = \"https://issuer.example/keys\"";
        let ca = "jwks_ca_file = \"ca.pem\"";
        for sound in [
            files,
            url,
            &format!("{files}\n{url}"),
            &format!("{url}\n{ca}"),
            "jwks_url = \"http://localhost:3000/keys\"",
        ] {
            assert_eq!(said(sound), "", "{sound}");
        }
        for (bad, expected) in [
            ("", "key_source 1 public_key_files"),
            ("public_key_files = []", "key_source 1 public_key_files"),
            (&format!("{files}\n{ca}"), "key_source 1 jwks_ca_file"),
            (
                "jwks_url = \"http://issuer.example/keys\"",
                "key_source 1 jwks_url: https",
            ),
            (
                "jwks_url = \"http://10.1.2.3/keys\"",
                "key_source 1 jwks_url: https",
            ),
            (
                "jwks_url = \"keys.json\"",
                "key_source 1 jwks_url: an absolute",
            ),
            (
                "jwks_url = \"https://u:p@issuer.example/\"",
                "key_source 1 jwks_url: no user",
            ),
            (
                &format!("jwks_url = \"http://localhost/\"\n{ca}"),
                "key_source 1 jwks_ca_file",
            ),
        ] {
            let said = said(bad);
            assert!(said.starts_with(expected), "{bad}: {said}");
        }
    }

    fn told(section: &JwksSection) -> String {
        let mut checks = Checks::default();
        section.check(&mut checks);
        checks.told().join("\n")
    }

    #[test]
    fn limits_out_of_range_are_refused_with_their_key() {
        for (lines, key) in [
            ("refresh = \"0\"", "jwks.refresh"),
            ("refresh = \"2h\"", "jwks.refresh"),
            ("stale_max = \"59m\"", "jwks.stale_max"),
            ("stale_max = \"31d\"", "jwks.stale_max"),
            ("fetch_interval_min = \"999ms\"", "jwks.fetch_interval_min"),
            ("fetch_interval_min = \"2h\"", "jwks.fetch_interval_min"),
            ("timeout = \"0\"", "jwks.timeout"),
            ("timeout = \"61s\"", "jwks.timeout"),
            ("body_bytes_max = \"1B\"", "jwks.body_bytes_max"),
            ("body_bytes_max = \"5MiB\"", "jwks.body_bytes_max"),
            ("keys_max = 0", "jwks.keys_max"),
            ("keys_max = 257", "jwks.keys_max"),
        ] {
            let section: JwksSection = toml::from_str(lines).unwrap();
            let said = told(&section);
            assert!(said.starts_with(key), "{lines}: {said}");
        }
        assert_eq!(told(&JwksSection::default()), "");
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let (ours, theirs) = (JwksSection::default(), strongroom_jwks::Limits::default());
        assert_eq!(
            (ours.stale_max.0, ours.refresh.0, ours.refresh_max.0),
            (theirs.stale_max, theirs.refresh, theirs.refresh_max)
        );
        assert_eq!(
            (ours.fetch_interval_min.0, ours.timeout.0),
            (theirs.fetch_interval_min, theirs.timeout)
        );
        assert_eq!(
            (ours.body_bytes_max.as_usize(), ours.keys_max),
            (theirs.body_bytes_max, theirs.keys_max)
        );
    }
}
