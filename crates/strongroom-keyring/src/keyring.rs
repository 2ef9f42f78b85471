//! The opened keyring: a vault's secrets, prepared for use, by number.
//!
//! ```text
//! body = index secret(32) ‖ list of root secrets ‖ list of KEKs ‖ list of audit keys
//!        ‖ list of signing seeds
//! ```

use crate::list::List;
use crate::{Error, sealed};
use rand_core::CryptoRng;
use std::fmt;
use strongroom_core::derive::{IndexKey, KekKey, RootKey, TokenRefKey};
use strongroom_core::reader::Reader;
use strongroom_core::secret::{
    AuditKey, IndexSecret, Kek, MasterKey, RootSecret, SECRET_BYTES, SigningSeed,
};
use strongroom_core::{UnixMillis, VaultId};
use zeroize::Zeroizing;

/// A kind of secret that can be replaced while the older ones stay readable.
///
/// The index secret is none: it names things for the life of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The root secret; the new one is the next generation.
    Root,
    /// The key-encryption key of the outer layer of records.
    Kek,
    /// The key that makes token references.
    Audit,
    /// The seed of the Ed25519 key that signs receipts and certifies node keys.
    Signing,
}

/// A vault's secrets, opened. Its `Debug` shows the vault id and the version alone.
pub struct Keyring {
    vault_id: VaultId,
    version: u64,
    index_secret: IndexSecret,
    index: IndexKey,
    roots: List<RootSecret>,
    keks: List<Kek>,
    audit_keys: List<AuditKey>,
    signing_seeds: List<SigningSeed>,
}

impl Keyring {
    /// The keyring of a new vault: version 1, one random secret of each kind, all number 1.
    pub fn generate(vault_id: VaultId, now: UnixMillis, rng: &mut impl CryptoRng) -> Self {
        let index_secret = IndexSecret::generate(rng);
        Self {
            vault_id,
            version: 1,
            index: IndexKey::new(&index_secret),
            index_secret,
            roots: List::generate(now, rng),
            keks: List::generate(now, rng),
            audit_keys: List::generate(now, rng),
            signing_seeds: List::generate(now, rng),
        }
    }

    /// Opens a sealed keyring that must not be older than version `at_least`, the highest that
    /// this node has seen (0 if none).
    ///
    /// Refuses with [`Error::Sealed`], [`Error::Malformed`], [`Error::UnknownVersion`],
    /// [`Error::UnknownProvider`] or [`Error::RolledBack`].
    pub fn open(bytes: &[u8], master: &MasterKey, at_least: u64) -> Result<Self, Error> {
        let (head, body) = sealed::open(bytes, master)?;
        if head.version < at_least {
            return Err(Error::RolledBack {
                version: head.version,
                at_least,
            });
        }
        Self::decode(head.vault_id, head.version, &body)
    }

    /// Seals the keyring under a new file key, which the master key wraps.
    pub fn seal(&self, master: &MasterKey, rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        let head = sealed::Head {
            vault_id: self.vault_id,
            version: self.version,
        };
        sealed::seal(head, &self.encode()?, master, rng)
    }

    /// Adds a secret of one kind and makes it current; returns its number. The older ones stay.
    ///
    /// The keyring is one version higher afterwards and has to be written; see
    /// [`write`](crate::file::write). [`Error::Full`] if the list can take no more.
    pub fn rotate(
        &mut self,
        part: Part,
        now: UnixMillis,
        rng: &mut impl CryptoRng,
    ) -> Result<u32, Error> {
        let version = self.version.checked_add(1).ok_or(Error::Full)?;
        let number = match part {
            Part::Root => self.roots.rotate(now, rng),
            Part::Kek => self.keks.rotate(now, rng),
            Part::Audit => self.audit_keys.rotate(now, rng),
            Part::Signing => self.signing_seeds.rotate(now, rng),
        }?;
        self.version = version;
        Ok(number)
    }

    /// The vault's random name, for life.
    pub fn vault_id(&self) -> VaultId {
        self.vault_id
    }

    /// Raised by one with each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The key that names records and sessions, and makes the grant and store keys.
    pub fn index(&self) -> &IndexKey {
        &self.index
    }

    /// Root generation `generation`, if the keyring holds it.
    pub fn root(&self, generation: u32) -> Option<&RootKey> {
        self.roots.key(generation)
    }

    /// The root generation that new tokens take.
    pub fn current_root(&self) -> &RootKey {
        self.roots.current_key()
    }

    /// KEK `number`, if the keyring holds it.
    pub fn kek(&self, number: u32) -> Option<&KekKey> {
        self.keks.key(number)
    }

    /// The KEK that records are sealed under from now on.
    pub fn current_kek(&self) -> &KekKey {
        self.keks.current_key()
    }

    /// Number and time of making of every key of one kind, in order of number.
    pub fn numbers(&self, part: Part) -> Vec<(u32, UnixMillis)> {
        fn collect<K>(keys: impl Iterator<Item = (u32, UnixMillis, K)>) -> Vec<(u32, UnixMillis)> {
            keys.map(|(number, created_at, _)| (number, created_at))
                .collect()
        }
        match part {
            Part::Root => collect(self.roots.iter()),
            Part::Kek => collect(self.keks.iter()),
            Part::Audit => collect(self.audit_keys.iter()),
            Part::Signing => collect(self.signing_seeds.iter()),
        }
    }

    /// Number of the audit key that [`Self::current_token_ref_key`] was made of.
    pub fn current_audit_number(&self) -> u32 {
        self.audit_keys.current_number()
    }

    /// The key for token references in new audit entries.
    pub fn current_token_ref_key(&self) -> &TokenRefKey {
        self.audit_keys.current_key()
    }

    /// Audit key `number`, ready to make token references, if the keyring holds it.
    pub fn token_ref_key(&self, number: u32) -> Option<&TokenRefKey> {
        self.audit_keys.key(number)
    }

    /// Every audit key with its number: a search by token tries them all.
    pub fn token_ref_keys(&self) -> impl Iterator<Item = (u32, &TokenRefKey)> {
        self.audit_keys.iter().map(|(number, _, key)| (number, key))
    }

    /// Number of the seed that [`Self::signing_seed`] returns.
    pub fn current_signing_number(&self) -> u32 {
        self.signing_seeds.current_number()
    }

    /// Seed of the Ed25519 key that signs from now on (RFC 8032 §5.1.5).
    pub fn signing_seed(&self) -> &SigningSeed {
        self.signing_seeds.current_secret()
    }

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        // Reserved whole, so that growing leaves no copy of a secret behind.
        let len = SECRET_BYTES
            + self.roots.encoded_len()
            + self.keks.encoded_len()
            + self.audit_keys.encoded_len()
            + self.signing_seeds.encoded_len();
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        out.extend_from_slice(self.index_secret.expose());
        self.roots.encode(&mut out)?;
        self.keks.encode(&mut out)?;
        self.audit_keys.encode(&mut out)?;
        self.signing_seeds.encode(&mut out)?;
        Ok(out)
    }

    fn decode(vault_id: VaultId, version: u64, body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let index_secret =
            IndexSecret::from_slice(reader.bytes(SECRET_BYTES)?).ok_or(Error::Malformed)?;
        let keyring = Self {
            vault_id,
            version,
            index: IndexKey::new(&index_secret),
            index_secret,
            roots: List::decode(&mut reader)?,
            keks: List::decode(&mut reader)?,
            audit_keys: List::decode(&mut reader)?,
            signing_seeds: List::decode(&mut reader)?,
        };
        reader.end()?;
        Ok(keyring)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("vault_id", &self.vault_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
