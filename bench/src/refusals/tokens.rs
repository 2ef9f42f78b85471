//! Tokens that are refused, for each reason.
//!
//! No route deletes a token, so deleted ones are made by a vault whose clock is hours behind,
//! expire there, and are removed by the sweeper once the clock is right.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use aws_lc_rs::rand;

use super::Kind;
use crate::load::{self, Target};
use crate::settings::Settings;
use crate::vault::{self, Vault};
use crate::{clock, out};

/// How far behind the clock is while deleted tokens are made. The sweeper looks at a row in the
/// hour after the row's time, so this is more than one.
const BEHIND_S: u64 = 3 * 60 * 60;
/// How long the sweeper may take.
const SWEEP_MAX: Duration = Duration::from_mins(2);
/// The shortest life of a token: a second, as an upload must fit into it.
const LIFE: Duration = Duration::from_secs(1);
const SHORT_LIVES: [(&str, &str); 2] = [
    ("STRONGROOM__TOKENS__LIFETIME", "1s"),
    ("STRONGROOM__URLS__UPLOAD", "1s"),
];

/// The tokens of each kind.
pub(super) struct Tokens {
    unknown: Vec<String>,
    unknown_too: Vec<String>,
    expired: Vec<String>,
    deleted: Vec<String>,
    not_granted: Vec<String>,
}

impl Tokens {
    pub(super) fn of(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Unknown => &self.unknown,
            Kind::UnknownToo => &self.unknown_too,
            Kind::Expired => &self.expired,
            Kind::Deleted => &self.deleted,
            Kind::NotGranted => &self.not_granted,
        }
    }
}

/// The library that moves a process's clock.
pub(super) fn faketime_library() -> Option<PathBuf> {
    let architectures = fs::read_dir("/usr/lib").ok()?;
    architectures
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
        .find(|path| path.is_file())
}

/// Has the vault make `each` tokens of each kind.
pub(super) async fn prepare(
    settings: &Settings,
    vault: &Vault,
    logs: &Path,
    library: &Path,
    each: usize,
) -> anyhow::Result<Tokens> {
    let maker = Maker {
        settings,
        vault,
        logs,
        each,
    };
    let deleted = maker.to_be_deleted(library).await?;
    let expired = maker.expired_while_others_are_swept().await?;
    let not_granted = maker.made(&[], clock::unix_s()).await?;
    Ok(Tokens {
        unknown: random(each)?,
        unknown_too: random(each)?,
        expired,
        deleted,
        not_granted,
    })
}

struct Maker<'a> {
    settings: &'a Settings,
    vault: &'a Vault,
    logs: &'a Path,
    each: usize,
}

impl Maker<'_> {
    async fn to_be_deleted(&self, library: &Path) -> anyhow::Result<Vec<String>> {
        let library = library.to_str().context("a path that is not UTF-8")?;
        let behind = format!("-{BEHIND_S}");
        let mut environment = vec![
            ("LD_PRELOAD", library),
            ("FAKETIME", behind.as_str()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
            ("STRONGROOM__SWEEP__CLAIM_GRACE", "0s"),
        ];
        environment.extend(SHORT_LIVES);
        self.made(&environment, clock::unix_s() - BEHIND_S).await
    }

    /// Makes the tokens that shall expire and waits until those that shall be deleted are.
    async fn expired_while_others_are_swept(&self) -> anyhow::Result<Vec<String>> {
        let mut environment = vec![
            ("STRONGROOM__SWEEP__EVERY", "1s"),
            // Keeps the sweeper from what expires now.
            ("STRONGROOM__SWEEP__CLAIM_GRACE", "24h"),
            ("STRONGROOM__LOG__LEVEL", "debug"),
        ];
        environment.extend(SHORT_LIVES);
        let server = self.vault.start_with(self.logs, &environment)?;
        let tokens = self.tokenize(&server, clock::unix_s()).await?;
        let since = clock::now();
        let wanted = format!("expired: {}", self.each);
        while !self.swept(&wanted)? || since.elapsed() < 2 * LIFE {
            if since.elapsed() > SWEEP_MAX {
                bail!("the sweeper did not remove what it should");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        server.stop()?;
        Ok(tokens)
    }

    fn swept(&self, wanted: &str) -> anyhow::Result<bool> {
        let log = fs::read_to_string(self.logs.join("vault.log"))?;
        let mut lines = log.lines().filter(|line| line.contains("sweep done"));
        Ok(lines.any(|line| line.contains(wanted)))
    }

    /// Tokens of other sessions than the one that asks, made by a vault that then ends.
    async fn made(&self, environment: &[(&str, &str)], now_s: u64) -> anyhow::Result<Vec<String>> {
        let server = self.vault.start_with(self.logs, environment)?;
        let tokens = self.tokenize(&server, now_s).await?;
        server.stop()?;
        Ok(tokens)
    }

    async fn tokenize(
        &self,
        server: &crate::server::Server,
        now_s: u64,
    ) -> anyhow::Result<Vec<String>> {
        out::note(&format!("making {} tokens", self.each));
        let mut sessions = self
            .vault
            .sessions_at("user", self.settings.sessions + 1, now_s)?;
        // The first session is the one that asks.
        sessions.jwts.remove(0);
        let address = server.address("api")?;
        let target = Target {
            pid: server.pid,
            address,
            lanes: vault::tokenize_lanes(&sessions, address, self.settings.connections),
        };
        let made = load::exactly(&target, self.each as u64, Some("tokenId")).await?;
        Ok(made.collected.into_iter().flatten().collect())
    }
}

/// Tokens that nobody made: random UUIDs (RFC 9562 §5.4, version 4).
fn random(count: usize) -> anyhow::Result<Vec<String>> {
    let token = |_| {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).ok().context("no randomness")?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = format!("{:032x}", u128::from_be_bytes(bytes));
        let groups = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        Ok(format!("lunasec-{}", groups.join("-")))
    };
    (0..count).map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_token_is_a_well_formed_one() {
        let tokens = random(2).unwrap();
        assert_ne!(tokens[0], tokens[1]);
        assert_eq!(tokens[0].len(), 44);
        assert_eq!(&tokens[0][22..23], "4");
    }
}
