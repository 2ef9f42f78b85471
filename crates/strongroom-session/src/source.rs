//! A key source: whose JWTs are believed, for whom it may speak, and the keys it has now.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use strongroom_core::{Subject, UnixMillis};

use crate::claims::Claims;
use crate::jws::Jws;
use crate::{Error, PublicKey, Refused};

/// Longest name of a key source in characters.
const SOURCE_NAME_MAX: usize = 64;

/// Someone who signs JWTs: its keys, and for whom it may speak.
#[derive(Debug, Clone)]
pub struct KeySourceConfig {
    /// The issuer of every session that this source vouches for, such as `default`. One source
    /// for each service keeps the services' sessions apart.
    pub name: String,
    /// The keys that are known from the start and stay. At least one, unless keys are `fetched`.
    /// A key that two sources share needs an `iss` or `aud` that differs.
    pub keys: Vec<PublicKey>,
    /// Whether keys beside those come and go, by [`Verifier::put_keys`](crate::Verifier::put_keys).
    pub fetched: bool,
    /// What `sub` may be. A front end's identity provider is not to speak as the application.
    pub subjects: Vec<Subject>,
    /// What the claim `iss` must be, if anything.
    pub iss: Option<String>,
    /// What the claim `aud` must be or contain, if anything.
    pub aud: Option<String>,
}

impl KeySourceConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let length = self.name.chars().count();
        if !(1..=SOURCE_NAME_MAX).contains(&length) || self.name.chars().any(char::is_control) {
            return Err(Error::SourceName);
        }
        if self.keys.is_empty() && !self.fetched {
            return Err(Error::NoKeys(self.name.clone()));
        }
        if self.subjects.is_empty() {
            return Err(Error::NoSubjects(self.name.clone()));
        }
        Ok(())
    }
}

pub(crate) struct Source {
    pub(crate) name: String,
    keys: Vec<PublicKey>,
    fetched: Option<Arc<Fetched>>,
    subjects: Vec<Subject>,
    iss: Option<String>,
    aud: Option<String>,
}

/// The key of a source that verified a signature.
pub(crate) struct Signer<'a> {
    pub(crate) source: &'a Source,
    pub(crate) thumbprint: [u8; 32],
    /// Where it came from, if it is one of those that come and go.
    pub(crate) fetched: Option<&'a Arc<Fetched>>,
}

impl Source {
    /// The key that verifies the signature. Among the keys of the header's algorithm, those whose
    /// `kid` is the header's are tried alone, or all if there are none.
    pub(crate) fn signer(&self, jws: &Jws<'_>) -> Result<Signer<'_>, Refused> {
        let fetched = self.fetched_keys();
        let (fixed, fetched) = (
            Candidates::of(&self.keys, jws),
            Candidates::of(&fetched, jws),
        );
        if fixed.fitting().chain(fetched.fitting()).next().is_none() {
            return Err(Refused::Algorithm);
        }
        let by_name = fixed.have_name() || fetched.have_name();
        let signer = |thumbprint, fetched| Signer {
            source: self,
            thumbprint,
            fetched,
        };
        // A key that stays and is published too is one that stays.
        if let Some(thumbprint) = fixed.verify(by_name) {
            return Ok(signer(thumbprint, None));
        }
        let thumbprint = fetched.verify(by_name).ok_or(Refused::Signature)?;
        Ok(signer(thumbprint, self.fetched.as_ref()))
    }

    pub(crate) fn fit(&self, claims: &Claims) -> Result<(), Refused> {
        claims.fit(self.iss.as_deref(), self.aud.as_deref())
    }

    pub(crate) fn speaks_for(&self, subject: Subject) -> bool {
        self.subjects.contains(&subject)
    }

    pub(crate) fn fetched(&self) -> Option<&Fetched> {
        self.fetched.as_deref()
    }

    /// Whether new keys could verify what none of the present ones does: they are fetched, and
    /// none that is fresh has the header's `kid`.
    pub(crate) fn may_lack_key(&self, jws: &Jws<'_>, now: UnixMillis) -> bool {
        let Some(fetched) = &self.fetched else {
            return false;
        };
        if !fetched.is_fresh(now) {
            return true;
        }
        let fetched = self.fetched_keys();
        !Candidates::of(&self.keys, jws).have_name() && !Candidates::of(&fetched, jws).have_name()
    }

    fn fetched_keys(&self) -> Arc<[PublicKey]> {
        self.fetched
            .as_ref()
            .map_or_else(Arc::default, |fetched| fetched.keys())
    }
}

impl From<KeySourceConfig> for Source {
    fn from(config: KeySourceConfig) -> Self {
        Self {
            name: config.name,
            keys: config.keys,
            fetched: config.fetched.then(Arc::default),
            subjects: config.subjects,
            iss: config.iss,
            aud: config.aud,
        }
    }
}

/// The keys of one origin, before the header's algorithm and `kid` are held against them.
struct Candidates<'a> {
    keys: &'a [PublicKey],
    jws: &'a Jws<'a>,
}

impl<'a> Candidates<'a> {
    fn of(keys: &'a [PublicKey], jws: &'a Jws<'a>) -> Self {
        Self { keys, jws }
    }

    fn fitting(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys
            .iter()
            .filter(|key| key.algorithm() == self.jws.algorithm)
    }

    fn is_named(&self, key: &PublicKey) -> bool {
        self.jws.kid.is_some() && key.kid() == self.jws.kid.as_deref()
    }

    fn have_name(&self) -> bool {
        self.fitting().any(|key| self.is_named(key))
    }

    /// Thumbprint of the one that verifies, those of the header's `kid` alone if `by_name`.
    fn verify(&self, by_name: bool) -> Option<[u8; 32]> {
        self.fitting()
            .filter(|key| !by_name || self.is_named(key))
            .find(|key| key.verifies(self.jws.signed, &self.jws.signature))
            .map(PublicKey::thumbprint)
    }
}

/// Keys that come and go, and until when the present ones may be used.
#[derive(Default)]
pub(crate) struct Fetched {
    keys: RwLock<Arc<[PublicKey]>>,
    /// Milliseconds since 1970; 0 before the first keys came.
    good_until: AtomicU64,
}

impl Fetched {
    /// Until when the keys may be used; [`UnixMillis::NEVER`] before the first came.
    pub(crate) fn good_until(&self) -> UnixMillis {
        UnixMillis(self.good_until.load(Ordering::Acquire))
    }

    pub(crate) fn is_fresh(&self, now: UnixMillis) -> bool {
        now < self.good_until()
    }

    pub(crate) fn keys(&self) -> Arc<[PublicKey]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `keys` in the place of the present ones; if they are others, `changed` is called, and
    /// the answer is true.
    pub(crate) fn put(
        &self,
        keys: Vec<PublicKey>,
        good_until: UnixMillis,
        changed: impl FnOnce(),
    ) -> bool {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let others = names(&current) != names(&keys);
        *current = keys.into();
        if others {
            changed();
        }
        // Last: until then, keys that were stale and are gone now stay refused.
        self.good_until.store(good_until.0, Ordering::Release);
        others
    }
}

/// What a verification depends on: another `kid` may make another key the one that is tried.
fn names(keys: &[PublicKey]) -> BTreeSet<([u8; 32], Option<&str>)> {
    keys.iter()
        .map(|key| (key.thumbprint(), key.kid()))
        .collect()
}
