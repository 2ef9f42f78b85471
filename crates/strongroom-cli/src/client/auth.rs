//! `strongroom auth`: credentials for other programs. Nothing is sent to the vault.

use super::connect::{Connection, random_session_id};
use super::exit::{self, Failure};
use super::grant::positive_nanos;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;
use strongroom_client::Identity;

/// Subcommands of `auth`.
#[derive(Subcommand)]
pub(crate) enum AuthCommand {
    /// Print a JWT for the `authorization` header; whoever has it can use it until it expires
    Create(AuthCreate),
}

/// As whom the JWT speaks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SubjectArg {
    User,
    Application,
    Developer,
}

/// Arguments of `auth create`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct AuthCreate {
    /// As whom the JWT speaks
    #[arg(long, value_enum)]
    subject: SubjectArg,
    /// Session of the user or developer; a developer's is random without it, an application
    /// has none
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// How long it is valid, such as `15m`; whole seconds
    #[arg(long = "for", value_name = "DURATION", default_value = "15m")]
    ttl: String,
}

impl AuthCommand {
    /// Prints the JWT.
    pub(crate) fn run(self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let Self::Create(create) = self;
        let ttl = Duration::from_secs(positive_nanos(&create.ttl)? / 1_000_000_000);
        if ttl.is_zero() {
            return Err(Failure::usage(
                "a JWT must be valid for at least one second",
            ));
        }
        let identity = identity(create.subject, create.session)?;
        let now = connection.now();
        let jwt = connection.signer()?.mint(&identity, now, ttl)?;
        let expires_at = now.secs().saturating_add(ttl.as_secs());
        let json = json!({ "jwt": jwt.expose(), "expiresAt": expires_at });
        connection.output.result(&json.to_string(), jwt.expose())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn identity(subject: SubjectArg, session: Option<String>) -> anyhow::Result<Identity> {
    if session.as_deref() == Some("") {
        return Err(Failure::usage("a session cannot be empty"));
    }
    match (subject, session) {
        (SubjectArg::Application, None) => Ok(Identity::Application),
        (SubjectArg::Application, Some(_)) => Err(Failure::usage(
            "an application has no session: leave --session out",
        )),
        (SubjectArg::User, Some(id)) => Ok(Identity::User {
            session_id: id.into(),
        }),
        (SubjectArg::User, None) => Err(Failure::usage("a user needs --session SESSION")),
        (SubjectArg::Developer, Some(id)) => Ok(Identity::Developer {
            session_id: id.into(),
        }),
        (SubjectArg::Developer, None) => Ok(Identity::Developer {
            session_id: random_session_id()?,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_go_with_users_and_developers_only() {
        let some = || Some("s".to_owned());
        assert!(identity(SubjectArg::User, some()).is_ok());
        assert!(identity(SubjectArg::Developer, some()).is_ok());
        assert!(identity(SubjectArg::Developer, None).is_ok());
        assert!(identity(SubjectArg::Application, None).is_ok());
        assert!(identity(SubjectArg::Application, some()).is_err());
        assert!(identity(SubjectArg::User, None).is_err());
        assert!(identity(SubjectArg::User, Some(String::new())).is_err());
    }
}
