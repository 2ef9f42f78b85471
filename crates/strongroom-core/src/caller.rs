//! Who is calling: a verified subject and its session.

use std::fmt;

/// What a verified JWT's `sub` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A person in a browser, in the application's session.
    User,
    /// The application's back end.
    Application,
    /// A developer's tool.
    Developer,
}

impl Subject {
    /// The word in the JWT's `sub`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Application => "application",
            Self::Developer => "developer",
        }
    }

    /// From the word in the JWT's `sub`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "application" => Some(Self::Application),
            "developer" => Some(Self::Developer),
            _ => None,
        }
    }
}

/// The kind byte of a session, which keeps the three name spaces apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// Named by the JWT's `session_id`.
    User = 1,
    /// Named by the JWT's `iss`, or empty.
    Application = 2,
    /// Named by the JWT's `session_id`.
    Developer = 3,
}

/// Longest session id in bytes.
pub const SESSION_ID_BYTES_MAX: usize = 256;

/// Longest name of a key source in bytes.
pub const ISSUER_BYTES_MAX: usize = 256;

/// A session id that is empty where it must not be, too long, or holds a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 1 to 256 bytes of UTF-8 without control characters")]
pub struct BadSessionId;

/// A session is a triple, never a joined string.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Session {
    kind: SessionKind,
    issuer: String,
    id: String,
}

impl Session {
    /// Checks lengths and the id's characters; only an application's id may be empty.
    pub fn new(kind: SessionKind, issuer: &str, id: &str) -> Result<Self, BadSessionId> {
        let empty_allowed = kind == SessionKind::Application;
        if id.len() > SESSION_ID_BYTES_MAX
            || issuer.len() > ISSUER_BYTES_MAX
            || (id.is_empty() && !empty_allowed)
            || id.chars().any(char::is_control)
        {
            return Err(BadSessionId);
        }
        Ok(Self {
            kind,
            issuer: issuer.to_owned(),
            id: id.to_owned(),
        })
    }

    /// Which name space the id belongs to.
    pub fn kind(&self) -> SessionKind {
        self.kind
    }

    /// The configured name of the key source that verified the JWT.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The id within kind and issuer.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?}, {:?}, [REDACTED])", self.kind, self.issuer)
    }
}

/// A caller whose credentials were verified.
#[derive(Clone)]
pub struct Caller {
    /// What the caller may speak as.
    pub subject: Subject,
    /// Whose grants it uses.
    pub session: Session,
    /// `session_id` of the JWT as it came, empty without one: what the session hash is made of.
    pub session_id_claim: String,
}

impl Caller {
    /// The configured name of the key source that verified the caller.
    pub fn issuer(&self) -> &str {
        self.session.issuer()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("subject", &self.subject)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_session_id() {
        let session = Session::new(SessionKind::User, "default", "marked-id").unwrap();
        let caller = Caller {
            subject: Subject::User,
            session,
            session_id_claim: "marked-id".to_owned(),
        };
        assert!(!format!("{caller:?}").contains("marked-id"));
    }

    #[test]
    fn a_session_id_is_1_to_256_bytes_without_control_characters() {
        let user = |id: &str| Session::new(SessionKind::User, "default", id);
        assert!(user("42").is_ok());
        assert!(user(&"x".repeat(256)).is_ok());
        for bad in ["", "a\nb", "\u{7f}", &"x".repeat(257)] {
            assert_eq!(user(bad), Err(BadSessionId), "{bad:?}");
        }
        assert!(Session::new(SessionKind::Application, "default", "").is_ok());
    }
}
