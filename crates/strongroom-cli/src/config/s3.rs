//! `[s3]`: the object store and its endpoint.

use super::credentials::{self, CredentialSection};
use super::faults::Checks;
use super::sections::{HSTS_MAX_AGE, IDLE_MAX, LOOPBACK, TlsSection};
use super::units::{Size, Span};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

const S3_PORT: u16 = 37_767;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct S3Section {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) host_names: Vec<String>,
    pub(crate) tls: Option<TlsSection>,
    pub(crate) hsts_max_age: Span,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key_file: Option<PathBuf>,
    pub(crate) object_bytes_max: Size,
    pub(crate) disk_reserve: Size,
    pub(crate) transfers_max: usize,
    pub(crate) object_downloads_max: u32,
    pub(crate) body_idle: Span,
    pub(crate) body_rate_min: Size,
    pub(crate) header_bytes_max: Size,
    pub(crate) header_time_max: Span,
    pub(crate) handshake_time_max: Span,
    pub(crate) handshakes_max: usize,
    pub(crate) idle_max: Span,
    pub(crate) write_idle_max: Span,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_client_max: usize,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) inline_bytes_max: Size,
    pub(crate) uploads_max: u32,
    pub(crate) upload_life: Span,
    pub(crate) credential: Vec<CredentialSection>,
}

impl Default for S3Section {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(LOOPBACK, S3_PORT),
            public_url: None,
            host_names: Vec::new(),
            tls: None,
            hsts_max_age: HSTS_MAX_AGE,
            bucket: "strongroom".into(),
            region: "us-east-1".into(),
            access_key_id: "STRONGROOM".into(),
            secret_access_key_file: None,
            object_bytes_max: Size::gib(5),
            disk_reserve: Size::gib(1),
            transfers_max: 256,
            object_downloads_max: 16,
            body_idle: Span::secs(60),
            body_rate_min: Size::kib(1),
            header_bytes_max: Size::kib(32),
            header_time_max: Span::secs(10),
            handshake_time_max: Span::secs(10),
            handshakes_max: 500,
            idle_max: IDLE_MAX,
            write_idle_max: Span::secs(60),
            connections_max: 1_000,
            connections_per_client_max: 250,
            cors_origins: Vec::new(),
            inline_bytes_max: Size::kib(64),
            uploads_max: 1_000,
            upload_life: Span::secs(7 * 24 * 3_600),
            credential: Vec::new(),
        }
    }
}

impl S3Section {
    /// What types alone cannot say.
    pub(super) fn check(&self, checks: &mut Checks) {
        for (holds, key, message) in [
            (
                self.object_bytes_max.0 <= Size::gib(5 << 10).0,
                "s3.object_bytes_max",
                "at most 5120GiB",
            ),
            (
                self.body_idle.0.as_secs() >= 1,
                "s3.body_idle",
                "at least 1 s is wanted",
            ),
            (
                self.inline_bytes_max.0 <= Size::mib(1).0,
                "s3.inline_bytes_max",
                "at most 1MiB",
            ),
            (
                self.uploads_max >= 1,
                "s3.uploads_max",
                "at least 1 is wanted",
            ),
            (
                self.upload_life.0.as_secs() >= 1,
                "s3.upload_life",
                "at least 1 s is wanted",
            ),
            (
                self.object_downloads_max >= 1,
                "s3.object_downloads_max",
                "at least 1 is wanted",
            ),
            (
                self.body_rate_min.0 <= Size::gib(1).0,
                "s3.body_rate_min",
                "at most 1GiB",
            ),
        ] {
            checks.require(holds, &[key], message);
        }
        credentials::check(self, checks);
    }
}
