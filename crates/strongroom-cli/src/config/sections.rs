//! Every key of the configuration, with its default. `strongroom.example.toml` explains them.

use super::admin::AdminSection;
use super::credentials::CredentialSection;
use super::s3::S3Section;
use super::units::{Size, Span};
use anyhow::{bail, ensure};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use strongroom_core::Subject;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Directory of the file; set after reading.
    #[serde(skip)]
    pub(crate) dir: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) master_key_file: PathBuf,
    pub(crate) shutdown_s: u64,
    pub(crate) api: ApiSection,
    pub(crate) s3: S3Section,
    pub(crate) key_source: Vec<KeySource>,
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
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiSection {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) tls: Option<TlsSection>,
    pub(crate) body_bytes_max: Size,
    pub(crate) body_time_max: Span,
    pub(crate) header_time_max: Span,
    pub(crate) write_idle_max: Span,
    pub(crate) connections_max: usize,
}

/// Certificate chain and private key of a listener, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSection {
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

/// A subject, as the configuration spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySource {
    pub(crate) name: String,
    pub(crate) public_key_files: Vec<PathBuf>,
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

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SessionSection {
    pub(crate) allow_unbounded: bool,
    pub(crate) leeway: Span,
    pub(crate) lifetime_max: Span,
    pub(crate) cache_max: usize,
    pub(crate) jwt_bytes_max: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrantsSection {
    pub(crate) default: Span,
    pub(crate) max: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UrlsSection {
    pub(crate) upload: Span,
    pub(crate) download: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokensSection {
    pub(crate) lifetime: Span,
    pub(crate) metadata_bytes_max: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecordsSection {
    pub(crate) cache: Size,
    pub(crate) page_cache: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    Durable,
    Buffered,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditSection {
    pub(crate) durability: Durability,
    pub(crate) queue_bytes_max: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SweepSection {
    pub(crate) every: Span,
    pub(crate) claim_grace: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientSection {
    pub(crate) url: Option<String>,
    pub(crate) signing_key_file: PathBuf,
    pub(crate) issuer: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
}

pub(super) const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const API_PORT: u16 = 37_766;
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
            api: ApiSection::default(),
            s3: S3Section::default(),
            key_source: Vec::new(),
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
        }
    }
}

impl Default for ApiSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(LOOPBACK, API_PORT),
            public_url: None,
            tls: None,
            body_bytes_max: Size::kib(128),
            body_time_max: Span::secs(10),
            header_time_max: Span::secs(10),
            write_idle_max: Span::secs(60),
            connections_max: 10_000,
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
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let (api, s3) = (&self.api, &self.s3);
        for (section, url, tls) in [
            ("api", &api.public_url, &api.tls),
            ("s3", &s3.public_url, &s3.tls),
        ] {
            let Some(url) = url else { continue };
            if strongroom_api::Origin::of(url).is_none() {
                bail!("{section}.public_url: an absolute http or https URL is wanted");
            }
            let plain = url
                .get(..5)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
            ensure!(
                !plain || tls.is_none(),
                "{section}.public_url: https, as {section}.tls is set"
            );
        }
        ensure!(
            self.grants.default.millis() > 0 && self.grants.default.0 <= self.grants.max.0,
            "grants.default: more than 0 and at most grants.max"
        );
        let lives = [
            ("urls.upload", self.urls.upload, 1, URL_LIFE_MAX_S),
            ("urls.download", self.urls.download, 5, DOWNLOAD_LIFE_MAX_S),
        ];
        for (key, life, least, most) in lives {
            let secs = life.0.as_secs();
            ensure!(
                (least..=most).contains(&secs),
                "{key}: {least} s to {most} s"
            );
        }
        ensure!(
            self.tokens.metadata_bytes_max.0 <= Size::kib(128).0,
            "tokens.metadata_bytes_max: at most 128 KiB"
        );
        ensure!(
            self.tokens.lifetime.millis() == 0 || self.tokens.lifetime.0 >= self.urls.upload.0,
            "tokens.lifetime: 0, or at least urls.upload"
        );
        self.s3.check()?;
        self.admin.check(&self.dir)?;
        ensure!(
            self.sweep.every.0.as_secs() >= 1,
            "sweep.every: at least 1 s"
        );
        Ok(())
    }

    /// The same with one more credential of the S3 endpoint, if it can be.
    pub(crate) fn with_credential(mut self, credential: CredentialSection) -> anyhow::Result<Self> {
        self.s3.credential.push(credential);
        self.check()?;
        Ok(self)
    }

    /// What a listener needs before it may serve anybody.
    pub(crate) fn check_listeners(&self, behind_proxy: bool) -> anyhow::Result<()> {
        let (api, s3) = (&self.api, &self.s3);
        for (section, listen, tls, url) in [
            ("api", api.listen.ip(), &api.tls, &api.public_url),
            ("s3", s3.listen.ip(), &s3.tls, &s3.public_url),
        ] {
            ensure!(
                listen.is_loopback() || tls.is_some() || behind_proxy,
                "{section}.listen: plain HTTP is spoken on loopback alone; set {section}.tls, or \
                 start with --behind-proxy behind a proxy that brings TLS"
            );
            ensure!(
                !listen.is_unspecified() || url.is_some(),
                "{section}.public_url: wanted, as clients cannot reach {listen} by that name"
            );
        }
        Ok(())
    }
}
