//! What a JWT says once its signature is good (RFC 7519 §4): dates, issuer, audience, subject,
//! session. Which key verified it is not known in here, nor is the present.

use std::time::Duration;

use serde_json::{Map, Value};
use strongroom_core::caller::SESSION_ID_BYTES_MAX;
use strongroom_core::{Caller, Session, SessionKind, Subject, UnixMillis};

use crate::{Refused, Rules, json};

/// 9999-12-31T23:59:59Z. A date beyond it is milliseconds taken for seconds, or worse.
const SECONDS_MAX: u64 = 253_402_300_799;

/// Claims of the types they must have; nothing is compared with anything yet.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) dates: Dates,
    issuer: Option<String>,
    audience: Vec<String>,
    subject: Subject,
    session_id: Option<String>,
}

impl Claims {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Refused> {
        let mut claims = json::object(payload).ok_or(Refused::Claims)?;
        Ok(Self {
            dates: Dates {
                expires_at: date(&claims, "exp")?,
                not_before: date(&claims, "nbf")?,
                issued_at: date(&claims, "iat")?,
            },
            issuer: string(&mut claims, "iss").map_err(|NotText| Refused::Issuer)?,
            audience: audience(claims.remove("aud")),
            subject: string(&mut claims, "sub")
                .ok()
                .flatten()
                .and_then(|sub| Subject::parse(&sub))
                .ok_or(Refused::Subject)?,
            session_id: string(&mut claims, "session_id").map_err(|NotText| Refused::SessionId)?,
        })
    }

    /// Holds `iss` and `aud` against what a source demands, if it does.
    pub(crate) fn fit(&self, iss: Option<&str>, aud: Option<&str>) -> Result<(), Refused> {
        if iss.is_some() && self.issuer.as_deref() != iss {
            return Err(Refused::Issuer);
        }
        if aud.is_some_and(|aud| !self.audience.iter().any(|named| named == aud)) {
            return Err(Refused::Audience);
        }
        Ok(())
    }

    pub(crate) fn subject(&self) -> Subject {
        self.subject
    }

    /// The caller whom these claims name when the source called `source` verified them.
    pub(crate) fn into_caller(self, source: &str) -> Result<Caller, Refused> {
        let session_id = self.session_id.unwrap_or_default();
        if session_id.len() > SESSION_ID_BYTES_MAX || session_id.chars().any(char::is_control) {
            return Err(Refused::SessionId);
        }
        let issuer = self.issuer.unwrap_or_default();
        let (kind, id) = match self.subject {
            Subject::User => (SessionKind::User, &session_id),
            Subject::Application => (SessionKind::Application, &issuer),
            Subject::Developer => (SessionKind::Developer, &session_id),
        };
        let session = Session::new(kind, source, id).map_err(|_| Refused::SessionId)?;
        Ok(Caller {
            subject: self.subject,
            session,
            session_id_claim: session_id,
        })
    }
}

/// The claims that the present is held against, anew at each use of the JWT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dates {
    pub(crate) expires_at: Option<UnixMillis>,
    not_before: Option<UnixMillis>,
    issued_at: Option<UnixMillis>,
}

impl Dates {
    /// Live from `nbf` until before `exp`, both with leeway.
    ///
    /// A revoked session's row is kept for [`Rules::lifetime_max_s`], so no JWT may outlive it:
    /// `exp` must not be further off than that, neither from now nor from `iat`. Without the
    /// second half a JWT of long life would be refused today, yet accepted on its last day, when
    /// the row is gone. Under [`Rules::allow_unbounded`] rows are kept for ever, and neither
    /// half applies.
    pub(crate) fn check(&self, now: UnixMillis, rules: &Rules) -> Result<(), Refused> {
        let leeway = rules.leeway_s.saturating_mul(1000);
        let lifetime = rules
            .lifetime_max_s
            .saturating_mul(1000)
            .saturating_add(leeway);
        match self.expires_at {
            None if !rules.allow_unbounded => return Err(Refused::NoExpiry),
            Some(exp) if now >= exp.plus(leeway) => return Err(Refused::Expired),
            Some(exp) if !rules.allow_unbounded => {
                let from = self.issued_at.map_or(now, |iat| iat.min(now));
                if exp > from.plus(lifetime) {
                    return Err(Refused::Lifetime);
                }
            }
            _ => {}
        }
        if self.not_before.is_some_and(|nbf| nbf > now.plus(leeway)) {
            return Err(Refused::NotYetValid);
        }
        Ok(())
    }

    /// Whether the JWT cannot be accepted again at `now` or later.
    pub(crate) fn over(&self, now: UnixMillis, rules: &Rules) -> bool {
        self.check(now, rules) == Err(Refused::Expired)
    }
}

/// A `NumericDate` (RFC 7519 §2): seconds, perhaps with a fraction. A claim that is present but
/// not such a number is refused, never taken for absent.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixMillis>, Refused> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let since_1970 = match (value.as_u64(), value.as_f64()) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, Some(seconds)) => Duration::try_from_secs_f64(seconds).map_err(|_| Refused::Date)?,
        _ => return Err(Refused::Date),
    };
    if since_1970.as_secs() > SECONDS_MAX {
        return Err(Refused::Date);
    }
    let millis = u64::try_from(since_1970.as_millis()).map_err(|_| Refused::Date)?;
    Ok(Some(UnixMillis(millis)))
}

/// A claim that is present, but not a string.
struct NotText;

fn string(claims: &mut Map<String, Value>, name: &str) -> Result<Option<String>, NotText> {
    match claims.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(NotText),
    }
}

/// A string or an array of strings (RFC 7519 §4.1.3); anything else names nobody.
fn audience(value: Option<Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            let text = |value| {
                if let Value::String(text) = value {
                    Some(text)
                } else {
                    None
                }
            };
            several
                .into_iter()
                .map(text)
                .collect::<Option<_>>()
                .unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
