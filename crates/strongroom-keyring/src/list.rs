//! A numbered list of secrets of one kind, one of them current, each prepared for use once.
//!
//! ```text
//! list = current u32 ‖ count u16 ‖ count × ( number u32 ‖ created at u64 ‖ secret(32) )
//! ```
//!
//! Numbers start at 1 and rise; the current one is in the list.

use crate::Error;
use rand_core::CryptoRng;
use strongroom_core::UnixMillis;
use strongroom_core::derive::{KekKey, RootKey, TokenRefKey};
use strongroom_core::reader::Reader;
use strongroom_core::secret::{AuditKey, Kek, RootSecret, SECRET_BYTES, SigningSeed};

/// Most keys of one kind: a KEK a day for two years and more.
pub(crate) const COUNT_MAX: usize = 1024;
/// Bytes of current and count.
const HEAD_BYTES: usize = 4 + 2;
/// Bytes of one entry.
const ENTRY_BYTES: usize = 4 + 8 + SECRET_BYTES;

/// A secret that a keyring keeps in a list.
pub(crate) trait Listed: Sized {
    /// What the secret becomes when it is prepared.
    type Key;

    fn generate(rng: &mut impl CryptoRng) -> Self;
    fn from_slice(bytes: &[u8]) -> Option<Self>;
    fn expose(&self) -> &[u8; SECRET_BYTES];
    fn prepare(&self, number: u32) -> Self::Key;
}

macro_rules! listed {
    ($secret:ty, $key:ty, $prepare:expr) => {
        impl Listed for $secret {
            type Key = $key;

            fn generate(rng: &mut impl CryptoRng) -> Self {
                Self::generate(rng)
            }

            fn from_slice(bytes: &[u8]) -> Option<Self> {
                Self::from_slice(bytes)
            }

            fn expose(&self) -> &[u8; SECRET_BYTES] {
                self.expose()
            }

            fn prepare(&self, number: u32) -> $key {
                let prepare: fn(u32, &Self) -> $key = $prepare;
                prepare(number, self)
            }
        }
    };
}

listed!(RootSecret, RootKey, RootKey::new);
listed!(Kek, KekKey, KekKey::new);
listed!(AuditKey, TokenRefKey, |_, secret| TokenRefKey::new(secret));
listed!(SigningSeed, (), |_, _| ());

struct Entry<S: Listed> {
    number: u32,
    created_at: UnixMillis,
    secret: S,
    key: S::Key,
}

impl<S: Listed> Entry<S> {
    fn new(number: u32, created_at: UnixMillis, secret: S) -> Self {
        Self {
            number,
            created_at,
            key: secret.prepare(number),
            secret,
        }
    }
}

pub(crate) struct List<S: Listed> {
    // INVARIANT: numbers rise strictly and `current` is an index into `entries`.
    entries: Vec<Entry<S>>,
    current: usize,
}

impl<S: Listed> List<S> {
    /// A list of one, number 1.
    pub(crate) fn generate(now: UnixMillis, rng: &mut impl CryptoRng) -> Self {
        Self {
            entries: vec![Entry::new(1, now, S::generate(rng))],
            current: 0,
        }
    }

    /// Adds a secret, makes it current and returns its number.
    pub(crate) fn rotate(
        &mut self,
        now: UnixMillis,
        rng: &mut impl CryptoRng,
    ) -> Result<u32, Error> {
        let last = self.entries.last().map_or(0, |entry| entry.number);
        let number = last.checked_add(1).ok_or(Error::Full)?;
        if self.entries.len() >= COUNT_MAX {
            return Err(Error::Full);
        }
        self.current = self.entries.len();
        self.entries.push(Entry::new(number, now, S::generate(rng)));
        Ok(number)
    }

    pub(crate) fn key(&self, number: u32) -> Option<&S::Key> {
        let at = self
            .entries
            .binary_search_by_key(&number, |entry| entry.number)
            .ok()?;
        Some(&self.entries[at].key)
    }

    pub(crate) fn current_number(&self) -> u32 {
        self.entries[self.current].number
    }

    pub(crate) fn current_key(&self) -> &S::Key {
        &self.entries[self.current].key
    }

    pub(crate) fn current_secret(&self) -> &S {
        &self.entries[self.current].secret
    }

    /// Number, time of making and key of each, in order of number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, UnixMillis, &S::Key)> {
        self.entries
            .iter()
            .map(|entry| (entry.number, entry.created_at, &entry.key))
    }

    pub(crate) fn encoded_len(&self) -> usize {
        HEAD_BYTES + ENTRY_BYTES * self.entries.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let count = u16::try_from(self.entries.len()).map_err(|_| Error::Full)?;
        out.extend_from_slice(&self.current_number().to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.number.to_be_bytes());
            out.extend_from_slice(&entry.created_at.0.to_be_bytes());
            out.extend_from_slice(entry.secret.expose());
        }
        Ok(())
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let current = reader.u32()?;
        let count = usize::from(reader.u16()?);
        if count > COUNT_MAX {
            return Err(Error::Malformed);
        }
        let mut entries: Vec<Entry<S>> = Vec::with_capacity(count);
        for _ in 0..count {
            let number = reader.u32()?;
            if number <= entries.last().map_or(0, |entry| entry.number) {
                return Err(Error::Malformed);
            }
            let created_at = reader.millis()?;
            let secret = S::from_slice(reader.bytes(SECRET_BYTES)?).ok_or(Error::Malformed)?;
            entries.push(Entry::new(number, created_at, secret));
        }
        let current = entries
            .binary_search_by_key(&current, |entry| entry.number)
            .map_err(|_| Error::Malformed)?;
        Ok(Self { entries, current })
    }
}
