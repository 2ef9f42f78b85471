//! The vault: its parts, its rules, and the first step of every request.

use crate::Error;
use crate::gate::{Action, Gate};
use crate::request::Request;
use std::sync::Arc;
use strongroom_audit::{Log, RequestId};
use strongroom_core::time::Clock;
use strongroom_keyring::Keyring;
use strongroom_objects::ObjectStore;
use strongroom_records::RecordStore;
use strongroom_session::Verified;
use tokio::sync::{Mutex, MutexGuard};

/// What a vault is made of. The keyring is given away for good: only the gate holds it.
pub struct Parts {
    /// Every long-lived secret.
    pub keyring: Keyring,
    /// Records, grants, revocations.
    pub records: Arc<dyn RecordStore>,
    /// Ciphertexts.
    pub objects: Arc<dyn ObjectStore>,
    /// The decision log.
    pub audit: Arc<Log>,
    /// Vault time.
    pub clock: Arc<dyn Clock>,
    /// Limits and lifetimes.
    pub rules: Rules,
}

/// Limits and lifetimes, all configurable.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Life of a grant that names no duration, the creator's included; milliseconds.
    pub grant_default_ms: u64,
    /// Longest grant; milliseconds.
    pub grant_max_ms: u64,
    /// Life of an upload URL; seconds.
    pub upload_life_s: u32,
    /// Longest life of a download URL; seconds.
    pub download_life_s: u32,
    /// Most bytes of a token's metadata as JSON text.
    pub metadata_bytes_max: usize,
    /// Most bytes of a value.
    pub object_bytes_max: u64,
    /// Life of a token; 0 for ever; milliseconds.
    pub token_life_ms: u64,
    /// How long after its URL expired an upload may still be running; milliseconds.
    pub claim_grace_ms: u64,
}

/// Shortest life of a download URL in seconds, whatever is left of the grant.
pub(crate) const DOWNLOAD_LIFE_MIN_S: u32 = 5;

impl Default for Rules {
    fn default() -> Self {
        Self {
            grant_default_ms: 15 * 60 * 1_000,
            grant_max_ms: 60 * 60 * 1_000,
            upload_life_s: 15 * 60,
            download_life_s: 60,
            metadata_bytes_max: 64 * 1024,
            object_bytes_max: 5 * 1024 * 1024 * 1024,
            token_life_ms: 0,
            claim_grace_ms: 24 * 60 * 60 * 1_000,
        }
    }
}

/// An open vault.
pub struct Vault {
    pub(crate) gate: Gate,
    pub(crate) records: Arc<dyn RecordStore>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Rules,
    /// Held while records and objects are removed together.
    pub(crate) removals: Mutex<()>,
}

/// Whether the vault can serve, and what keeps it from it.
#[derive(Debug, Default)]
pub struct Health {
    /// One sentence per fault, safe to show; empty in health.
    pub faults: Vec<&'static str>,
}

impl Vault {
    /// Puts the parts together, and makes sure that keyring and record store belong together.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let gate = Gate::new(
            parts.keyring,
            Arc::clone(&parts.records),
            parts.audit,
            Arc::clone(&parts.clock),
        )?;
        bind(&*parts.records, &gate).await?;
        Ok(Self {
            gate,
            records: parts.records,
            objects: parts.objects,
            clock: parts.clock,
            rules: parts.rules,
            removals: Mutex::default(),
        })
    }

    /// The sweeper removes nothing while this is held.
    pub async fn hold_removals(&self) -> MutexGuard<'_, ()> {
        self.removals.lock().await
    }

    /// The limits and lifetimes in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Checks that the verified subject may do `action` at all; a refusal is audited.
    pub async fn begin(
        &self,
        verified: Arc<Verified>,
        id: RequestId,
        action: Action,
    ) -> Result<Request, Error> {
        let session = self.gate.session_ref(&verified.caller.session);
        let request = Request {
            id,
            verified,
            session,
            action,
        };
        if action.allows(request.verified.caller.subject) {
            Ok(request)
        } else {
            self.gate.refuse_subject(&request).await
        }
    }

    /// What keeps the vault from serving, if anything.
    pub async fn health(&self) -> Health {
        let mut health = Health::default();
        if self.gate.audit_health().is_err() {
            health.faults.push("the audit log cannot be written");
        }
        if self.clock.behind_ms() > crate::clock::BEHIND_MS_MAX {
            health
                .faults
                .push("the system clock is behind the vault's time");
        }
        if self.records.mark(KEYRING_MARK).await.is_err() {
            health.faults.push("the record store does not answer");
        }
        health
    }
}

/// Notes vault id and keyring version in the record store, or refuses what does not fit.
async fn bind(records: &dyn RecordStore, gate: &Gate) -> Result<(), Error> {
    let id = gate.vault_id();
    match records.mark(VAULT_MARK).await? {
        Some(found) if found != id.as_bytes() => return Err(Error::ForeignStore),
        Some(_) => {}
        None => {
            let _ = records.swap_mark(VAULT_MARK, None, id.as_bytes()).await?;
        }
    }
    let version = gate.keyring_version();
    let seen = records.mark(KEYRING_MARK).await?;
    let seen_version = keyring_version_seen(seen.as_deref());
    if seen_version > version {
        return Err(Error::OldKeyring {
            version,
            seen: seen_version,
        });
    }
    if seen_version < version {
        let _ = records
            .swap_mark(KEYRING_MARK, seen.as_deref(), &version.to_be_bytes())
            .await?;
    }
    Ok(())
}

fn keyring_version_seen(mark: Option<&[u8]>) -> u64 {
    mark.and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// Mark in the record store: the vault it belongs to.
const VAULT_MARK: &str = "vault_id";

/// Mark in the record store: highest keyring version that was used with it.
const KEYRING_MARK: &str = "keyring_version";
