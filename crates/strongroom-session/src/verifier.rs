//! The way from a compact JWT to a caller: the cache, the sources' keys, then the claims.
//!
//! It does not know where keys come from, where the JWT travelled, or what the caller may do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use strongroom_core::{Caller, UnixMillis};

use crate::cache::{self, Cache};
use crate::claims::{Claims, Dates};
use crate::jws::{self, Jws};
use crate::source::{Fetched, Signer, Source};
use crate::{Error, KeySourceConfig, PublicKey, Refused};

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
    /// Where that key came from, if it is not one that stays.
    fetched: Option<Arc<Fetched>>,
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

    /// What changes with time alone, and is therefore checked at each use.
    fn check(&self, now: UnixMillis, rules: &Rules) -> Result<(), Refused> {
        check_fresh(self.fetched.as_ref(), now)?;
        self.dates.check(now, rules)
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
            fetched: None,
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

impl Verifier {
    /// Checks names, keys and subjects. Names must differ; each source needs a key, or that keys
    /// are fetched for it, and a subject.
    pub fn new(sources: Vec<KeySourceConfig>, rules: Rules) -> Result<Self, Error> {
        if sources.is_empty() {
            return Err(Error::NoSources);
        }
        let mut names = BTreeSet::new();
        for source in &sources {
            source.check()?;
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
    /// A JWT that was seen before costs one SHA-256 and a look-up, and its dates and the age of its
    /// key are checked again; the answer is the same as without the cache. Revocation is not
    /// checked in here.
    pub fn verify(&self, jwt: &str, now: UnixMillis) -> Result<Arc<Verified>, Refused> {
        if jwt.len() > self.rules.jwt_bytes_max {
            return Err(Refused::TooLong);
        }
        let digest = sha256(jwt.as_bytes());
        // Read before the keys are: a set that changes meanwhile leaves the entry in the past.
        let generation = self.generation.load(Ordering::Acquire);
        if let Some(verified) = self.cache.get(&digest, generation) {
            verified.check(now, &self.rules)?;
            return Ok(verified);
        }
        let verified = Arc::new(self.verify_anew(jwt, now)?);
        let over = |cached: &Verified| cached.dates.over(now, &self.rules);
        self.cache
            .put(digest, generation, Arc::clone(&verified), over);
        Ok(verified)
    }

    /// Puts `keys` in the place of those that were fetched for a source before; the ones it was
    /// configured with stay. They are used before `good_until`, and are refused from then on.
    ///
    /// When this returns, nothing that a removed key signed is accepted any more. If the set of
    /// keys has changed, the answer is true, and all cached JWTs are verified anew at their next
    /// use.
    pub fn put_keys(
        &self,
        source: &str,
        keys: Vec<PublicKey>,
        good_until: UnixMillis,
    ) -> Result<bool, Error> {
        let fetched = self
            .sources
            .iter()
            .find(|known| known.name == source)
            .and_then(Source::fetched)
            .ok_or_else(|| Error::UnknownSource(source.to_owned()))?;
        Ok(fetched.put(keys, good_until, || {
            self.generation.fetch_add(1, Ordering::Release);
        }))
    }

    /// Names of the sources that would accept a refused JWT if only they had its key, and whose
    /// keys, once fetched anew, may hold it: its header names no key that they have, or what they
    /// have is stale. None for a JWT that no key could save.
    ///
    /// Anybody can make such a JWT. How often it makes somebody fetch keys is the caller's to bound.
    pub fn lacking_key(&self, jwt: &str, now: UnixMillis) -> Vec<&str> {
        let sound = || {
            let jws = Jws::parse(jwt).ok()?;
            let claims = Claims::parse(&jws::decode(jws.payload).ok()?).ok()?;
            claims.dates.check(now, &self.rules).ok()?;
            Some((jws, claims))
        };
        if jwt.len() > self.rules.jwt_bytes_max {
            return Vec::new();
        }
        let Some((jws, claims)) = sound() else {
            return Vec::new();
        };
        self.sources
            .iter()
            .filter(|source| source.speaks_for(claims.subject()) && source.fit(&claims).is_ok())
            .filter(|source| source.may_lack_key(&jws, now))
            .map(|source| source.name.as_str())
            .collect()
    }

    /// One sentence for each source that cannot do its part now, for the operator: its keys have
    /// not come yet, are stale, or are none. It names the source and nothing else.
    pub fn faults(&self, now: UnixMillis) -> Vec<String> {
        let fault = |source: &Source| {
            let fetched = source.fetched()?;
            let what = if fetched.good_until() == UnixMillis::NEVER {
                "were not fetched yet"
            } else if !fetched.is_fresh(now) {
                "are stale"
            } else if fetched.keys().is_empty() {
                "are none that can be used"
            } else {
                return None;
            };
            Some(format!("the keys of key source `{}` {what}", source.name))
        };
        self.sources.iter().filter_map(fault).collect()
    }

    fn verify_anew(&self, jwt: &str, now: UnixMillis) -> Result<Verified, Refused> {
        let jws = Jws::parse(jwt)?;
        let signers = self.signers(&jws)?;
        let claims = Claims::parse(&jws::decode(jws.payload)?)?;
        let signer = only_fitting(&signers, &claims)?;
        check_fresh(signer.fetched, now)?;
        claims.dates.check(now, &self.rules)?;
        if !signer.source.speaks_for(claims.subject()) {
            return Err(Refused::SubjectNotAllowed);
        }
        let dates = claims.dates;
        let caller = claims.into_caller(&signer.source.name)?;
        let session_hash = session_hash(&caller.session_id_claim);
        Ok(Verified {
            caller,
            session_hash,
            key_thumbprint: signer.thumbprint,
            dates,
            fetched: signer.fetched.cloned(),
        })
    }

    /// The sources that have a key which verifies the signature; at least one.
    fn signers(&self, jws: &Jws<'_>) -> Result<Vec<Signer<'_>>, Refused> {
        let mut signers = Vec::new();
        let mut refusal = Refused::Algorithm;
        for source in &self.sources {
            match source.signer(jws) {
                Ok(signer) => signers.push(signer),
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

/// The one signer whose demands on `iss` and `aud` the claims meet.
fn only_fitting<'a, 'b>(
    signers: &'b [Signer<'a>],
    claims: &Claims,
) -> Result<&'b Signer<'a>, Refused> {
    let mut found = Err(Refused::Issuer);
    for signer in signers {
        match (signer.source.fit(claims), &found) {
            (Ok(()), Ok(_)) => return Err(Refused::Ambiguous),
            (Ok(()), Err(_)) => found = Ok(signer),
            (Err(_), Ok(_)) => {}
            (Err(refusal), Err(_)) => found = Err(refusal),
        }
    }
    found
}

/// `fetched` is where a key came from, if it is not one that stays.
fn check_fresh(fetched: Option<&Arc<Fetched>>, now: UnixMillis) -> Result<(), Refused> {
    if fetched.is_none_or(|keys| keys.is_fresh(now)) {
        Ok(())
    } else {
        Err(Refused::Stale)
    }
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
