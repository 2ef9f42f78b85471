//! The verifier, and the issuers that it gets keys from.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use strongroom_core::UnixMillis;
use strongroom_core::time::Clock;
use strongroom_session::{Refused, Verified, Verifier};

use crate::pace::Chance;
use crate::remote::Remote;
use crate::{Error, JwksUrl, Limits};

/// Who publishes the keys of one key source.
pub struct Issuer {
    /// Name of the key source, one that the verifier has with `fetched`.
    pub source: String,
    /// Where the keys are.
    pub url: JwksUrl,
    /// PEM certificates of who vouches for the issuer's, *instead of* the system's authorities.
    pub ca_pem: Option<Vec<u8>>,
}

/// All key sources: those whose keys stay, and those whose keys are fetched.
pub struct KeySources {
    verifier: Verifier,
    remotes: Vec<Remote>,
    seed: u64,
}

impl KeySources {
    /// Checks the certificates; nothing is fetched before [`KeySources::run`]. `seed` spreads the
    /// times of fetches, and need not be secret.
    pub fn new(
        verifier: Verifier,
        issuers: Vec<Issuer>,
        limits: Limits,
        seed: u64,
    ) -> Result<Self, Error> {
        let remotes = issuers
            .into_iter()
            .map(|issuer| Remote::new(issuer, limits));
        Ok(Self {
            verifier,
            remotes: remotes.collect::<Result<_, _>>()?,
            seed,
        })
    }

    /// Who is calling, if the JWT is good now.
    ///
    /// A JWT whose key is known is answered at once, as by [`Verifier::verify`]. One that would be
    /// good if only its key were known waits for one fetch of the sources that could have it, for
    /// at most [`Limits::timeout`]; if they were asked shortly before, it is refused at once. So
    /// JWTs with made-up keys cause one fetch per [`Limits::fetch_interval_min`] and source, and
    /// make nobody else wait.
    pub async fn verify(&self, jwt: &str, clock: &dyn Clock) -> Result<Arc<Verified>, Refused> {
        let now = clock.now();
        match self.verifier.verify(jwt, now) {
            Err(Refused::Algorithm | Refused::Signature | Refused::Stale)
                if !self.remotes.is_empty() =>
            {
                // In a box, as almost no request comes here.
                Box::pin(self.verify_with_new_keys(jwt, now, clock)).await
            }
            outcome => outcome,
        }
    }

    async fn verify_with_new_keys(
        &self,
        jwt: &str,
        now: UnixMillis,
        clock: &dyn Clock,
    ) -> Result<Arc<Verified>, Refused> {
        let lacking = self.verifier.lacking_key(jwt, now);
        let asked = self
            .remotes
            .iter()
            .filter(|remote| lacking.contains(&remote.source()));
        let mut fetches = pin!(asked.map(Remote::ask).collect::<FuturesUnordered<_>>());
        // An issuer that is slow must not keep back what another has brought.
        while let Some(ended) = fetches.next().await {
            if ended && let Ok(verified) = self.verifier.verify(jwt, clock.now()) {
                return Ok(verified);
            }
        }
        self.verifier.verify(jwt, clock.now())
    }

    /// One sentence for each source that cannot do its part now; see [`Verifier::faults`].
    pub fn faults(&self, now: UnixMillis) -> Vec<String> {
        self.verifier.faults(now)
    }

    /// Fetches keys, now and for ever. Until this runs, sources without keys of their own verify
    /// nothing.
    pub async fn run(&self, clock: &dyn Clock) {
        let mut seeds = Chance(self.seed);
        let runs = self.remotes.iter().map(|remote| {
            let chance = Chance(u64::from(seeds.draw()));
            remote.run(&self.verifier, clock, chance)
        });
        join_all(runs).await;
    }
}

#[cfg(test)]
mod tests;
