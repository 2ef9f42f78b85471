//! One issuer's fetches, in turn: on time, again after a failure, and when a request asks for one.
//!
//! Only one fetch of an issuer is ever under way. Requests wait for it, never for one another.

use std::time::Duration;

use strongroom_core::time::Clock;
use strongroom_session::{KeySet, Verifier};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::fetch::{Fault, Fetched, Fetcher};
use crate::pace::{self, Chance};
use crate::{Error, Issuer, Limits};

/// An issuer whose keys are fetched for one key source.
pub(crate) struct Remote {
    source: String,
    fetcher: Fetcher,
    limits: Limits,
    asked: Notify,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy)]
struct Phase {
    fetching: bool,
    /// Counts fetches that have ended, well or not.
    ended: u64,
    /// When a request may next have a fetch begun.
    askable_from: Instant,
}

impl Remote {
    pub(crate) fn new(issuer: Issuer, limits: Limits) -> Result<Self, Error> {
        let phase = Phase {
            fetching: false,
            ended: 0,
            askable_from: Instant::now(),
        };
        Ok(Self {
            fetcher: Fetcher::new(issuer.url, issuer.ca_pem.as_deref(), limits)?,
            source: issuer.source,
            limits,
            asked: Notify::new(),
            phase: watch::Sender::new(phase),
        })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Waits for the fetch that is under way, or for one that is begun for this request, but no
    /// longer than a fetch may take. False if no fetch has ended since: also at once, if the last
    /// one began less than `fetch_interval_min` ago.
    pub(crate) async fn ask(&self) -> bool {
        let mut phase = self.phase.subscribe();
        let seen = *phase.borrow_and_update();
        if !seen.fetching {
            if Instant::now() < seen.askable_from {
                return false;
            }
            self.asked.notify_one();
        }
        let ended = phase.wait_for(|phase| phase.ended != seen.ended);
        matches!(timeout(self.limits.timeout, ended).await, Ok(Ok(_)))
    }

    /// Fetches for ever, each time putting what came into `verifier`.
    pub(crate) async fn run(&self, verifier: &Verifier, clock: &dyn Clock, mut chance: Chance) {
        let mut failures = 0_u32;
        loop {
            let askable_from = Instant::now() + self.limits.fetch_interval_min;
            self.phase.send_modify(|phase| {
                phase.fetching = true;
                phase.askable_from = askable_from;
            });
            let pause = match self.refresh(verifier, clock, failures > 0).await {
                Ok(max_age) => {
                    failures = 0;
                    pace::after_success(&self.limits, max_age, chance.draw())
                }
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    self.report_fault(&fault, failures);
                    pace::after_failure(&self.limits, failures, chance.draw())
                }
            };
            self.phase.send_modify(|phase| {
                phase.fetching = false;
                phase.ended += 1;
            });
            self.rest(Instant::now() + pause).await;
        }
    }

    /// Until then, or until a request asks that may.
    async fn rest(&self, until: Instant) {
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.asked.notified() => {
                    // Whoever asked while the last fetch was about to begin was answered by it.
                    if Instant::now() >= self.phase.borrow().askable_from {
                        return;
                    }
                }
            }
        }
    }

    async fn refresh(
        &self,
        verifier: &Verifier,
        clock: &dyn Clock,
        failed_before: bool,
    ) -> Result<Option<Duration>, Fault> {
        // Before they are fetched: keys are never older than they are taken for.
        let asked_at = clock.now();
        let Fetched { set, max_age } = self.fetcher.fetch().await?;
        self.report_keys(&set);
        let (usable, skipped) = (set.keys.len(), set.skipped);
        let stale_max_ms = u64::try_from(self.limits.stale_max.as_millis()).unwrap_or(u64::MAX);
        let changed = verifier.put_keys(&self.source, set.keys, asked_at.plus(stale_max_ms))?;
        if changed || failed_before {
            let (source, url) = (&self.source, self.fetcher.url());
            tracing::info!(source, %url, usable, skipped, "keys fetched");
        }
        Ok(max_age)
    }

    fn report_keys(&self, set: &KeySet) {
        let (source, url) = (&self.source, self.fetcher.url());
        if set.private > 0 {
            tracing::error!(
                source,
                %url,
                private = set.private,
                "the issuer publishes private keys; they are not used, and whoever has read them \
                 can sign with them"
            );
        }
        if set.keys.is_empty() {
            tracing::warn!(source, %url, skipped = set.skipped, "no key of the issuer can be used");
        }
    }

    fn report_fault(&self, fault: &Fault, failures: u32) {
        let (source, url) = (&self.source, self.fetcher.url());
        let error = causes(fault);
        tracing::warn!(source, %url, error, failures, "keys could not be fetched; it is tried again");
    }
}

/// An error with what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
