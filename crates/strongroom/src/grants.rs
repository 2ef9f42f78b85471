//! Grants: the application lets a session open a token for a while.

use crate::{Error, Request, Vault};
use strongroom_core::grant::{self, Grant, UNLIMITED};
use strongroom_core::{Session, SessionKind, SessionRef, Token};
use strongroom_records::{GrantRow, Swap};

/// How often a lost race is tried again before the caller has to.
pub(crate) const TRIES: usize = 8;

/// Whose grant `/grant/set` and `/grant/verify` speak of.
pub enum GrantTarget<'a> {
    /// The caller's own application session.
    Own,
    /// A user session of the caller's issuer.
    User(&'a str),
}

impl Vault {
    /// Gives the target a grant for `duration_ms`, or for the default time, replacing any other.
    pub async fn set_grant(
        &self,
        request: &Request,
        token: &Token,
        target: &GrantTarget<'_>,
        duration_ms: Option<i64>,
    ) -> Result<(), Error> {
        let duration_ms = self.grant_duration(duration_ms)?;
        let target = self.target(request, target)?;
        let pass = self.gate.admit_for(request, token, Some(target)).await?;
        let state = pass.state();
        for _ in 0..TRIES {
            let held = self.gate.held(pass.record_id(), target, pass.now()).await;
            let held = held.map_err(|error| pass.failed(error))?;
            let held = held.ok_or_else(|| pass.failed(Error::NoSuchToken))?;
            let expected = held.grant.as_ref().map(|grant| grant.version);
            let expires_at = pass.now().plus(duration_ms);
            let grant = Grant {
                version: expected
                    .unwrap_or(0)
                    .checked_add(1)
                    .ok_or(Error::Contended)?,
                epoch: state.grant_epoch,
                granted_at: pass.now(),
                expires_at,
                uses_left: UNLIMITED,
                purpose: String::new(),
            };
            // A dead row must outlive the creator's own grant, which would otherwise revive.
            let keep_until = if state.creator == target {
                expires_at.max(state.creator_grant_ends_at)
            } else {
                expires_at
            };
            let bytes = self.gate.seal_grant(pass.record_id(), target, &grant)?;
            let row = GrantRow {
                version: grant.version,
                keep_until,
                bytes,
            };
            match self
                .records
                .put_grant(*pass.record_id(), target, expected, row)
                .await
            {
                Ok(Swap::Swapped) => return Ok(()),
                Ok(Swap::Lost) => {}
                Err(error) => return Err(pass.failed(error)),
            }
        }
        Err(pass.failed(Error::Contended))
    }

    /// Whether the target could open the token now. An unknown token is `false`, not an error.
    pub async fn verify_grant(
        &self,
        request: &Request,
        token: &Token,
        target: &GrantTarget<'_>,
    ) -> Result<bool, Error> {
        let target = self.target(request, target)?;
        let pass = match self.gate.admit_for(request, token, Some(target)).await {
            Ok(pass) => pass,
            Err(Error::NoSuchToken) => return Ok(false),
            Err(other) => return Err(other),
        };
        let held = self.gate.held(pass.record_id(), target, pass.now()).await;
        let Some(held) = held.map_err(|error| pass.failed(error))? else {
            return Ok(false);
        };
        let until = grant::live_until(pass.state(), &target, held.grant.as_ref(), pass.now());
        Ok(!held.revoked && until.is_some())
    }

    fn target(&self, request: &Request, target: &GrantTarget<'_>) -> Result<SessionRef, Error> {
        match target {
            GrantTarget::Own => Ok(request.session),
            GrantTarget::User(id) => {
                let issuer = request.verified.caller.issuer();
                let session = Session::new(SessionKind::User, issuer, id).map_err(|_| {
                    Error::Invalid(
                        "`sessionId` is 1 to 256 bytes of UTF-8 without control characters",
                    )
                })?;
                Ok(self.gate.session_ref(&session))
            }
        }
    }

    fn grant_duration(&self, asked_ms: Option<i64>) -> Result<u64, Error> {
        let Some(asked_ms) = asked_ms else {
            return Ok(self.rules.grant_default_ms);
        };
        u64::try_from(asked_ms)
            .ok()
            .filter(|ms| *ms > 0 && *ms <= self.rules.grant_max_ms)
            .ok_or(Error::InvalidDuration {
                max_s: self.rules.grant_max_ms / 1_000,
            })
    }
}
