//! Every key of the configuration, with its default. `strongroom.example.toml` explains them.

use super::admin::AdminSection;
use super::credentials::CredentialSection;
use super::faults::Checks;
use super::http::{self, SimpleSection};
use super::jwks::{self, JwksSection};
use super::log_level;
use super::s3::S3Section;
use super::units::{Size, Span};
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use strongroom_core::Subject;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Directory of the file; set after reading.
    #[serde(skip)]
    pub(crate) dir: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) master_key_file: PathBuf,
    pub(crate) shutdown_s: u64,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) api: ApiSection,
    pub(crate) s3: S3Section,
    pub(crate) key_source: Vec<KeySource>,
    pub(crate) jwks: JwksSection,
    pub(crate) session: SessionSection,
    pub(crate) grants: GrantsSection,
    pub(crate) urls: UrlsSection,
    pub(crate) tokens: TokensSection,
    pub(crate) records: RecordsSection,
    pub(crate) audit: AuditSection,
    pub(crate) sweep: SweepSection,
    pub(crate) log: LogSection,
    pub(crate) admin: AdminSection,
    pub(crate) client: ClientSection,
    pub(crate) simple: SimpleSection,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiSection {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) docs: bool,
    pub(crate) host_names: Vec<String>,
    pub(crate) tls: Option<TlsSection>,
    pub(crate) hsts_max_age: Span,
    pub(crate) body_bytes_max: Size,
    pub(crate) body_time_max: Span,
    pub(crate) header_bytes_max: Size,
    pub(crate) headers_max: usize,
    pub(crate) uri_bytes_max: Size,
    pub(crate) header_time_max: Span,
    pub(crate) handshake_time_max: Span,
    pub(crate) handshakes_max: usize,
    pub(crate) idle_max: Span,
    pub(crate) write_idle_max: Span,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_client_max: usize,
    pub(crate) requests_max: usize,
    pub(crate) queue_time_max: Span,
}

/// Certificate chain and private key of a listener, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSection {
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

/// A subject, as the configuration spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SubjectName {
    User,
    Application,
    Developer,
}

impl From<SubjectName> for Subject {
    fn from(name: SubjectName) -> Self {
        match name {
            SubjectName::User => Self::User,
            SubjectName::Application => Self::Application,
            SubjectName::Developer => Self::Developer,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySource {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) public_key_files: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) jwks_url: Option<String>,
    #[serde(default)]
    pub(crate) jwks_ca_file: Option<PathBuf>,
    #[serde(default = "all_subjects")]
    pub(crate) subjects: Vec<SubjectName>,
    #[serde(default)]
    pub(crate) iss: Option<String>,
    #[serde(default)]
    pub(crate) aud: Option<String>,
}

fn all_subjects() -> Vec<SubjectName> {
    vec![
        SubjectName::User,
        SubjectName::Application,
        SubjectName::Developer,
    ]
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SessionSection {
    pub(crate) allow_unbounded: bool,
    pub(crate) leeway: Span,
    pub(crate) lifetime_max: Span,
    pub(crate) cache_max: usize,
    pub(crate) jwt_bytes_max: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrantsSection {
    pub(crate) default: Span,
    pub(crate) max: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UrlsSection {
    pub(crate) upload: Span,
    pub(crate) download: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokensSection {
    pub(crate) lifetime: Span,
    pub(crate) metadata_bytes_max: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecordsSection {
    pub(crate) cache: Size,
    pub(crate) page_cache: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    Durable,
    Buffered,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditSection {
    pub(crate) durability: Durability,
    pub(crate) queue_bytes_max: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SweepSection {
    pub(crate) every: Span,
    pub(crate) claim_grace: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientSection {
    pub(crate) url: Option<String>,
    pub(crate) signing_key_file: PathBuf,
    pub(crate) issuer: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
}

pub(super) const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const API_PORT: u16 = 37_766;
/// Two years, as browsers' lists of such hosts ask for.
pub(super) const HSTS_MAX_AGE: Span = Span::secs(730 * 24 * 3_600);
/// Longer than proxies keep unused connections, so that they are who closes them.
pub(super) const IDLE_MAX: Span = Span::secs(75);
/// Seven days, the longest a presigned URL may live (AWS, *Signature Version 4*).
const URL_LIFE_MAX_S: u64 = 7 * 24 * 3_600;

/// A released URL cannot be recalled, so it does not live longer than this.
const DOWNLOAD_LIFE_MAX_S: u64 = 60;

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            data_dir: "data".into(),
            master_key_file: "master.key".into(),
            shutdown_s: 30,
            trusted_proxies: Vec::new(),
            api: ApiSection::default(),
            s3: S3Section::default(),
            key_source: Vec::new(),
            jwks: JwksSection::default(),
            session: SessionSection::default(),
            grants: GrantsSection::default(),
            urls: UrlsSection::default(),
            tokens: TokensSection::default(),
            records: RecordsSection::default(),
            audit: AuditSection::default(),
            sweep: SweepSection::default(),
            log: LogSection::default(),
            admin: AdminSection::default(),
            client: ClientSection::default(),
            simple: SimpleSection::default(),
        }
    }
}

impl Default for ApiSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(LOOPBACK, API_PORT),
            public_url: None,
            docs: true,
            host_names: Vec::new(),
            tls: None,
            hsts_max_age: HSTS_MAX_AGE,
            body_bytes_max: Size::kib(128),
            body_time_max: Span::secs(10),
            header_bytes_max: Size::kib(16),
            headers_max: 64,
            uri_bytes_max: Size::kib(10),
            header_time_max: Span::secs(10),
            handshake_time_max: Span::secs(10),
            handshakes_max: 500,
            idle_max: IDLE_MAX,
            write_idle_max: Span::secs(60),
            connections_max: 10_000,
            connections_per_client_max: 1_000,
            requests_max: 1_000,
            queue_time_max: Span::secs(5),
        }
    }
}

impl Default for SessionSection {
    fn default() -> Self {
        Self {
            allow_unbounded: false,
            leeway: Span::secs(60),
            lifetime_max: Span::secs(24 * 3_600),
            cache_max: 100_000,
            jwt_bytes_max: Size::kib(8),
        }
    }
}

impl Default for GrantsSection {
    fn default() -> Self {
        Self {
            default: Span::secs(900),
            max: Span::secs(3_600),
        }
    }
}

impl Default for UrlsSection {
    fn default() -> Self {
        Self {
            upload: Span::secs(900),
            download: Span::secs(60),
        }
    }
}

impl Default for TokensSection {
    fn default() -> Self {
        Self {
            lifetime: Span::secs(0),
            metadata_bytes_max: Size::kib(64),
        }
    }
}

impl Default for RecordsSection {
    fn default() -> Self {
        Self {
            cache: Size::mib(64),
            page_cache: Size::mib(64),
        }
    }
}

impl Default for AuditSection {
    fn default() -> Self {
        Self {
            durability: Durability::Durable,
            queue_bytes_max: Size::mib(8),
        }
    }
}

impl Default for SweepSection {
    fn default() -> Self {
        Self {
            every: Span::secs(3_600),
            claim_grace: Span::secs(24 * 3_600),
        }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
            file: None,
        }
    }
}

impl Default for ClientSection {
    fn default() -> Self {
        Self {
            url: None,
            signing_key_file: "application.key.pem".into(),
            issuer: None,
            ca_file: None,
        }
    }
}

impl Config {
    /// A path of the configuration, relative to the file's own directory.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// A path below the data directory.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.path(&self.data_dir).join(name)
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, checks: &mut Checks) {
        let (api, s3) = (&self.api, &self.s3);
        check_url(checks, "api", api.public_url.as_deref(), api.tls.as_ref());
        check_url(checks, "s3", s3.public_url.as_deref(), s3.tls.as_ref());
        checks.require(
            self.grants.default.millis() > 0,
            &["grants.default"],
            "more than 0 is wanted",
        );
        checks.require(
            self.grants.default.0 <= self.grants.max.0,
            &["grants.default", "grants.max"],
            "at most grants.max is wanted",
        );
        let lives = [
            ("urls.upload", self.urls.upload, 1, URL_LIFE_MAX_S),
            ("urls.download", self.urls.download, 5, DOWNLOAD_LIFE_MAX_S),
        ];
        for (key, life, least, most) in lives {
            checks.require(
                (least..=most).contains(&life.0.as_secs()),
                &[key],
                format!("{least} s to {most} s are wanted"),
            );
        }
        checks.require(
            self.tokens.metadata_bytes_max.0 <= Size::kib(128).0,
            &["tokens.metadata_bytes_max"],
            "at most 128KiB",
        );
        checks.require(
            self.tokens.lifetime.millis() == 0 || self.tokens.lifetime.0 >= self.urls.upload.0,
            &["tokens.lifetime", "urls.upload"],
            "0 is wanted, or at least urls.upload",
        );
        self.s3.check(checks);
        http::check(self, checks);
        self.jwks.check(checks);
        jwks::check_sources(&self.key_source, checks);
        self.admin.check(&self.dir, checks);
        checks.require(
            self.sweep.every.0.as_secs() >= 1,
            &["sweep.every"],
            "at least 1 s is wanted",
        );
        log_level::check(&self.log.level, checks);
    }

    /// The same with one more credential of the S3 endpoint, if it can be.
    pub(crate) fn with_credential(mut self, credential: CredentialSection) -> anyhow::Result<Self> {
        self.s3.credential.push(credential);
        let mut checks = Checks::default();
        self.check(&mut checks);
        let faults = checks.told();
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(self)
    }

    /// What a listener needs before it may serve anybody.
    pub(crate) fn check_listeners(&self, behind_proxy: bool, checks: &mut Checks) {
        let (api, s3) = (&self.api, &self.s3);
        checks.require(
            !behind_proxy || !self.trusted_proxies.is_empty(),
            &["trusted_proxies"],
            "wanted with --behind-proxy, which serves nobody else",
        );
        for (section, listen, tls, url) in [
            ("api", api.listen.ip(), &api.tls, &api.public_url),
            ("s3", s3.listen.ip(), &s3.tls, &s3.public_url),
        ] {
            let key = |key: &str| format!("{section}.{key}");
            checks.require(
                listen.is_loopback() || tls.is_some() || behind_proxy,
                &[&key("listen"), &key("tls")],
                format!(
                    "plain HTTP is spoken on loopback alone; set {section}.tls, or set \
                     trusted_proxies and start with --behind-proxy behind a proxy that brings TLS"
                ),
            );
            checks.require(
                !listen.is_unspecified() || url.is_some(),
                &[&key("public_url"), &key("listen")],
                format!("wanted, as clients cannot reach {listen} by that name"),
            );
        }
    }
}

fn check_url(checks: &mut Checks, section: &str, url: Option<&str>, tls: Option<&TlsSection>) {
    let Some(url) = url else { return };
    let (key, tls_key) = (format!("{section}.public_url"), format!("{section}.tls"));
    checks.require(
        strongroom_api::Origin::of(url).is_some(),
        &[&key],
        "an absolute http or https URL is wanted",
    );
    let scheme = url.get(..5).unwrap_or_default();
    checks.require(
        tls.is_none() || !scheme.eq_ignore_ascii_case("http:"),
        &[&key, &tls_key],
        format!("https is wanted, as {tls_key} is set"),
    );
}
