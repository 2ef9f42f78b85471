//! The way from a compact JWT to a caller: the cache, the sources' keys, then the claims.
//!
//! It does not know where keys come from, where the JWT travelled, or what the caller may do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use strongroom_core::{Caller, Subject, UnixMillis};

use crate::cache::{self, Cache};
use crate::claims::{Claims, Dates};
use crate::jws::{self, Jws};
use crate::{Error, PublicKey, Refused};

/// Longest name of a key source in characters.
const SOURCE_NAME_MAX: usize = 64;

/// Someone who signs JWTs: its keys, and for whom it may speak.
#[derive(Debug, Clone)]
pub struct KeySourceConfig {
    /// The issuer of every session that this source vouches for, such as `default`. One source
    /// for each service keeps the services' sessions apart.
    pub name: String,
    /// At least one. A key that two sources share needs an `iss` or `aud` that differs.
    pub keys: Vec<PublicKey>,
    /// What `sub` may be. A front end's identity provider is not to speak as the application.
    pub subjects: Vec<Subject>,
    /// What the claim `iss` must be, if anything.
    pub iss: Option<String>,
    /// What the claim `aud` must be or contain, if anything.
    pub aud: Option<String>,
}

/// The limits that every JWT is held to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Seconds that `exp` and `nbf` are stretched by, for clocks that differ.
    pub leeway_s: u64,
    /// Accept JWTs that never expire or live longer than `lifetime_max_s`. The rows of revoked
    /// sessions must then be kept for ever.
    pub allow_unbounded: bool,
    /// How many seconds `exp` may be ahead of the present, and of `iat` if there is one. The rows
    /// of revoked sessions are kept for this long.
    pub lifetime_max_s: u64,
    /// How many verified JWTs are remembered; 0 for none.
    pub cache_max: usize,
    /// Longest compact JWT in bytes. A longer one is refused before any work.
    pub jwt_bytes_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            leeway_s: 60,
            allow_unbounded: false,
            lifetime_max_s: 86_400,
            cache_max: 100_000,
            jwt_bytes_max: 8192,
        }
    }
}

/// A JWT that was verified, and by what. Only a [`Verifier`] makes one.
pub struct Verified {
    /// Whom the JWT names.
    pub caller: Caller,
    /// Lower-case hexadecimal SHA-1 of `session_id`, of the empty string without one: the header
    /// `lunasec-session-hash`. It detects a change of session, and is no secret.
    pub session_hash: [u8; 40],
    /// RFC 7638 thumbprint of the key that verified the signature.
    pub key_thumbprint: [u8; 32],
    dates: Dates,
}

impl Verified {
    /// [`Verified::session_hash`] as text.
    pub fn session_hash_str(&self) -> &str {
        // INVARIANT: only `hex` writes the field, so it is ASCII.
        str::from_utf8(&self.session_hash).unwrap_or_default()
    }

    /// The claim `exp`, without leeway: what the life of a cookie is cut to.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.dates.expires_at
    }

    #[cfg(test)]
    pub(crate) fn for_tests(expires_at: UnixMillis) -> Self {
        let payload = format!(r#"{{"sub":"application","exp":{}}}"#, expires_at.secs());
        let claims = Claims::parse(payload.as_bytes()).unwrap();
        let dates = claims.dates;
        let caller = claims.into_caller("test").unwrap();
        Self {
            caller,
            session_hash: [b'0'; 40],
            key_thumbprint: [0; 32],
            dates,
        }
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("session", &self.caller.session)
            .finish_non_exhaustive()
    }
}

/// Turns JWTs into callers. Shared by all threads.
pub struct Verifier {
    sources: Vec<Source>,
    rules: Rules,
    cache: Cache,
    /// Counts changes of any source's set of keys. A cached result holds in its own generation.
    generation: AtomicU64,
}

struct Source {
    name: String,
    keys: RwLock<Arc<[PublicKey]>>,
    subjects: Vec<Subject>,
    iss: Option<String>,
    aud: Option<String>,
}

impl Verifier {
    /// Checks names, keys and subjects. Names must differ; each source needs a key and a subject.
    pub fn new(sources: Vec<KeySourceConfig>, rules: Rules) -> Result<Self, Error> {
        if sources.is_empty() {
            return Err(Error::NoSources);
        }
        let mut names = BTreeSet::new();
        for source in &sources {
            check_source(source)?;
            if !names.insert(&source.name) {
                return Err(Error::DuplicateSource(source.name.clone()));
            }
        }
        let cache = Cache::new(rules.cache_max);
        let sources = sources.into_iter().map(Source::from).collect();
        Ok(Self {
            sources,
            rules,
            cache,
            generation: AtomicU64::new(0),
        })
    }

    /// Who is calling, if the JWT is good at `now`.
    ///
    /// A JWT that was seen before costs one SHA-256 and a look-up, and its dates are checked
    /// again; the answer is the same as without the cache. Revocation is not checked in here.
    pub fn verify(&self, jwt: &str, now: UnixMillis) -> Result<Arc<Verified>, Refused> {
        if jwt.len() > self.rules.jwt_bytes_max {
            return Err(Refused::TooLong);
        }
        let digest = sha256(jwt.as_bytes());
        // Read before the keys are: a set that changes meanwhile leaves the entry in the past.
        let generation = self.generation.load(Ordering::Acquire);
        if let Some(verified) = self.cache.get(&digest, generation) {
            verified.dates.check(now, &self.rules)?;
            return Ok(verified);
        }
        let verified = Arc::new(self.verify_anew(jwt, now)?);
        let over = |cached: &Verified| cached.dates.over(now, &self.rules);
        self.cache
            .put(digest, generation, Arc::clone(&verified), over);
        Ok(verified)
    }

    /// Puts `keys` in the place of the source's keys. No `keys` at all means that the source
    /// verifies nothing.
    ///
    /// When this returns, nothing that a removed key signed is accepted any more. If the set of
    /// thumbprints has changed, all cached JWTs are verified anew at their next use.
    pub fn replace_keys(&self, source: &str, keys: Vec<PublicKey>) -> Result<(), Error> {
        let source = self
            .sources
            .iter()
            .find(|known| known.name == source)
            .ok_or_else(|| Error::UnknownSource(source.to_owned()))?;
        let mut current = source.keys.write().unwrap_or_else(PoisonError::into_inner);
        let changed = thumbprints(&current) != thumbprints(&keys);
        *current = keys.into();
        if changed {
            self.generation.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    fn verify_anew(&self, jwt: &str, now: UnixMillis) -> Result<Verified, Refused> {
        let jws = Jws::parse(jwt)?;
        let signers = self.signers(&jws)?;
        let claims = Claims::parse(&jws::decode(jws.payload)?)?;
        let (source, key_thumbprint) = only_fitting(&signers, &claims)?;
        claims.dates.check(now, &self.rules)?;
        if !source.subjects.contains(&claims.subject()) {
            return Err(Refused::SubjectNotAllowed);
        }
        let dates = claims.dates;
        let caller = claims.into_caller(&source.name)?;
        let session_hash = session_hash(&caller.session_id_claim);
        Ok(Verified {
            caller,
            session_hash,
            key_thumbprint,
            dates,
        })
    }

    /// The sources that have a key which verifies the signature; at least one.
    fn signers(&self, jws: &Jws<'_>) -> Result<Vec<Signer<'_>>, Refused> {
        let mut signers = Vec::new();
        let mut refusal = Refused::Algorithm;
        for source in &self.sources {
            match source.signer(jws) {
                Ok(thumbprint) => signers.push((source, thumbprint)),
                Err(Refused::Signature) => refusal = Refused::Signature,
                Err(_) => {}
            }
        }
        if signers.is_empty() {
            Err(refusal)
        } else {
            Ok(signers)
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .collect();
        f.debug_struct("Verifier")
            .field("sources", &names)
            .finish_non_exhaustive()
    }
}

/// A source, and the thumbprint of its key that verified the signature.
type Signer<'a> = (&'a Source, [u8; 32]);

impl Source {
    /// The thumbprint of the key that verifies the signature. Among the keys of the header's
    /// algorithm, those whose `kid` is the header's are tried alone, or all if there are none.
    fn signer(&self, jws: &Jws<'_>) -> Result<[u8; 32], Refused> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let fits = |key: &&PublicKey| key.algorithm() == jws.algorithm;
        let named = |key: &PublicKey| jws.kid.is_some() && key.kid() == jws.kid.as_deref();
        if !keys.iter().any(|key| fits(&key)) {
            return Err(Refused::Algorithm);
        }
        let by_name = keys.iter().filter(fits).any(named);
        keys.iter()
            .filter(fits)
            .filter(|key| !by_name || named(key))
            .find(|key| key.verifies(jws.signed, &jws.signature))
            .map(PublicKey::thumbprint)
            .ok_or(Refused::Signature)
    }
}

impl From<KeySourceConfig> for Source {
    fn from(config: KeySourceConfig) -> Self {
        let KeySourceConfig {
            name,
            keys,
            subjects,
            iss,
            aud,
        } = config;
        Self {
            name,
            keys: RwLock::new(keys.into()),
            subjects,
            iss,
            aud,
        }
    }
}

/// The one signer whose demands on `iss` and `aud` the claims meet.
fn only_fitting<'a>(signers: &[Signer<'a>], claims: &Claims) -> Result<Signer<'a>, Refused> {
    let mut found = Err(Refused::Issuer);
    for &(source, thumbprint) in signers {
        match (
            claims.fit(source.iss.as_deref(), source.aud.as_deref()),
            &found,
        ) {
            (Ok(()), Ok(_)) => return Err(Refused::Ambiguous),
            (Ok(()), Err(_)) => found = Ok((source, thumbprint)),
            (Err(_), Ok(_)) => {}
            (Err(refusal), Err(_)) => found = Err(refusal),
        }
    }
    found
}

fn check_source(source: &KeySourceConfig) -> Result<(), Error> {
    let length = source.name.chars().count();
    if !(1..=SOURCE_NAME_MAX).contains(&length) || source.name.chars().any(char::is_control) {
        return Err(Error::SourceName);
    }
    if source.keys.is_empty() {
        return Err(Error::NoKeys(source.name.clone()));
    }
    if source.subjects.is_empty() {
        return Err(Error::NoSubjects(source.name.clone()));
    }
    Ok(())
}

fn thumbprints(keys: &[PublicKey]) -> BTreeSet<[u8; 32]> {
    keys.iter().map(PublicKey::thumbprint).collect()
}

fn sha256(bytes: &[u8]) -> cache::Digest {
    let mut out = cache::Digest::default();
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn session_hash(session_id: &str) -> [u8; 40] {
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, session_id.as_bytes());
    let text = hex::encode(sha1);
    let mut out = [b'0'; 40];
    out.copy_from_slice(text.as_bytes());
    out
}
