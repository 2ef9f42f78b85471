//! One entry: its fields and its exact line.

use std::fmt;
use strongroom_core::{SessionRef, Subject, TokenRef, UnixMillis};

/// Names one request in answers, logs and entries. Unique, not secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub [u8; 16]);

/// Lower-case hexadecimal, 32 characters.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0x0f)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What the gate decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The act follows.
    Allow,
    /// Nothing follows.
    Deny,
    /// An act that was allowed failed afterwards.
    Failed,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Failed => "failed",
        }
    }
}

/// Which rule decided. The caller never sees it; the auditor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The subject may or may not do this, whatever the token.
    Subject,
    /// The session holds, or does not hold, a live grant.
    Grant,
    /// No record: unknown or deleted token.
    Unknown,
    /// The token's own time is over.
    Expired,
    /// The session was revoked.
    Revoked,
    /// The record or a row beside it failed authentication.
    Forged,
    /// The token has no metadata.
    NoMetadata,
    /// The store failed after the decision.
    Store,
    /// The sweeper removes what expired or was never uploaded.
    Sweep,
    /// An operator accepted the system clock as it is.
    Clock,
    /// An operator asked for it on the vault's machine.
    Operator,
    /// An operator accepted that what was deleted since a backup is there again.
    Resurrection,
}

impl Rule {
    fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Grant => "grant",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Forged => "forged",
            Self::NoMetadata => "no_metadata",
            Self::Store => "store",
            Self::Sweep => "sweep",
            Self::Clock => "clock",
            Self::Operator => "operator",
            Self::Resurrection => "resurrection",
        }
    }
}

/// One decision. Everything in it is safe to show an auditor.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Vault time.
    pub at: UnixMillis,
    /// The request; `None` for the vault's own acts.
    pub request: Option<RequestId>,
    /// Who; `None` for the vault's own acts.
    pub subject: Option<Subject>,
    /// Whose session.
    pub session: Option<SessionRef>,
    /// What was asked for, in the words of the route.
    pub action: &'static str,
    /// The token's reference, if the request named one.
    pub token: Option<TokenRef>,
    /// The session that a grant is set or verified for.
    pub target: Option<SessionRef>,
    /// The outcome.
    pub decision: Decision,
    /// The reason.
    pub rule: Rule,
    /// The record's row version that the decision was made on.
    pub row: Option<u64>,
}

impl Entry {
    /// An operator's act, which no request stands behind.
    pub fn of_operator(at: UnixMillis, action: &'static str, rule: Rule) -> Self {
        Self {
            at,
            request: None,
            subject: None,
            session: None,
            action,
            token: None,
            target: None,
            decision: Decision::Allow,
            rule,
            row: None,
        }
    }

    /// Appends the entry's line, its newline included.
    ///
    /// Every field is a number, a fixed word or hexadecimal, so nothing needs escaping.
    pub(crate) fn write_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"at":"#);
        push_number(out, self.at.0);
        if let Some(id) = self.request {
            push_hex(out, "request", &id.0);
        }
        if let Some(subject) = self.subject {
            push_word(out, "subject", subject.as_str());
        }
        if let Some(session) = self.session {
            push_hex(out, "session", session.as_bytes());
        }
        push_word(out, "action", self.action);
        if let Some(token) = self.token {
            push_hex(out, "token", token.as_bytes());
        }
        if let Some(target) = self.target {
            push_hex(out, "target", target.as_bytes());
        }
        push_word(out, "decision", self.decision.as_str());
        push_word(out, "rule", self.rule.as_str());
        if let Some(row) = self.row {
            out.extend_from_slice(br#","row":"#);
            push_number(out, row);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
}

fn push_word(out: &mut Vec<u8>, key: &str, word: &str) {
    push_key(out, key);
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

fn push_hex(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    push_key(out, key);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 0x0f)]);
    }
    out.push(b'"');
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        // INVARIANT: `rest % 10` is below 10.
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_with_the_stated_fields() {
        let entry = Entry {
            at: UnixMillis(1_700_000_000_123),
            request: Some(RequestId([0xab; 16])),
            subject: Some(Subject::User),
            session: Some(SessionRef([1; 32])),
            action: "detokenize",
            token: Some(TokenRef([2; 16])),
            target: None,
            decision: Decision::Deny,
            rule: Rule::Grant,
            row: Some(0),
        };
        let mut line = Vec::new();
        entry.write_line(&mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(json["at"], 1_700_000_000_123_u64);
        assert_eq!(json["request"], "ab".repeat(16));
        assert_eq!(json["subject"], "user");
        assert_eq!(json["session"], "01".repeat(32));
        assert_eq!(json["action"], "detokenize");
        assert_eq!(json["token"], "02".repeat(16));
        assert_eq!(json["decision"], "deny");
        assert_eq!(json["rule"], "grant");
        assert_eq!(json["row"], 0);
        assert_eq!(json.as_object().unwrap().len(), 9);
    }

    #[test]
    fn a_request_id_is_its_bytes_in_hex() {
        assert_eq!(RequestId([0x0f; 16]).to_string(), "0f".repeat(16));
    }
}
