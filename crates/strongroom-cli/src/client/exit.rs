//! Exit codes that a script can rely on, and the one place where a failure is reported.

use super::output::{Output, printable};
use serde_json::json;
use std::io;
use std::process::ExitCode;
use strongroom_client::Error;
use strongroom_wire::ErrorName;

/// For the `--help` of every command.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  any other failure
  2  wrong usage
  3  no such token, not granted, or no value was uploaded
  4  not authenticated or not allowed
  5  the vault is unavailable, retry later
  6  `grant verify`: no live grant
  7  the configuration has faults";

/// Exit code of `grant verify` without a live grant.
pub(crate) const NOT_VALID: u8 = 6;

/// Failures that are not the vault's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments make no sense; the text never repeats a secret one.
    #[error("{0}")]
    Usage(String),
    /// A signal ended the command.
    #[error("stopped")]
    Stopped,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
        Self::Usage(text.into()).into()
    }
}

/// Prints a failure once, as JSON if that was asked for, and returns its exit code.
pub(crate) fn report(error: &anyhow::Error, output: Output) -> ExitCode {
    // Whoever closed the pipe does not want to hear about it.
    if !is_broken_pipe(error) {
        let message = printable(&format!("{error:#}"));
        if output.is_json() {
            let client = error.downcast_ref::<Error>();
            let (name, id) = match client {
                Some(Error::Refused {
                    name, request_id, ..
                }) => (*name, request_id.as_deref()),
                _ => (None, None),
            };
            let error = json!({
                "name": name.map(ErrorName::as_str),
                "message": message,
                "status": client.and_then(Error::status),
                "requestId": id,
            });
            let _ = output.result(&json!({ "error": error }).to_string(), "");
        } else {
            output.error(&message);
        }
    }
    ExitCode::from(code(error))
}

/// The same for people alone.
pub(crate) fn tell(error: &anyhow::Error, output: Output) -> ExitCode {
    if !output.is_json() {
        output.error(&printable(&format!("{error:#}")));
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if let Some(Failure::Usage(_)) = error.downcast_ref() {
        return 2;
    }
    let Some(error) = error.downcast_ref::<Error>() else {
        return 1;
    };
    match error {
        Error::Refused {
            name: Some(ErrorName::NoSuchToken),
            ..
        }
        | Error::ObjectStore { status: 404, .. } => 3,
        Error::Refused {
            status: 401 | 403, ..
        } => 4,
        Error::BadUrl => 2,
        error if error.is_unavailable() => 5,
        _ => 1,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn refused(name: ErrorName) -> anyhow::Error {
        Error::Refused {
            name: Some(name),
            status: name.status(),
            message: String::new(),
            request_id: None,
            retry_after_s: None,
        }
        .into()
    }

    #[test]
    fn every_failure_has_its_documented_code() {
        for (name, expected) in [
            (ErrorName::NoSuchToken, 3),
            (ErrorName::NotAuthenticated, 4),
            (ErrorName::SessionMismatch, 4),
            (ErrorName::NotAllowed, 4),
            (ErrorName::Unavailable, 5),
            (ErrorName::TooManyRequests, 5),
            (ErrorName::Internal, 1),
            (ErrorName::NoSuchRoute, 1),
            (ErrorName::InvalidRequest, 1),
        ] {
            assert_eq!(code(&refused(name)), expected, "{name}");
        }
        assert_eq!(
            code(
                &Error::ObjectStore {
                    status: 404,
                    code: None
                }
                .into()
            ),
            3
        );
        assert_eq!(
            code(
                &Error::ObjectStore {
                    status: 403,
                    code: None
                }
                .into()
            ),
            1
        );
        assert_eq!(
            code(
                &Error::TimedOut {
                    host: String::new()
                }
                .into()
            ),
            5
        );
        assert_eq!(code(&Failure::usage("x")), 2);
        assert_eq!(code(&Failure::Stopped.into()), 1);
        assert_eq!(code(&io::Error::other("x").into()), 1);
    }

    #[test]
    fn context_does_not_hide_the_code() {
        let error = Err::<(), _>(refused(ErrorName::NoSuchToken)).context("while testing");
        assert_eq!(code(&error.unwrap_err()), 3);
    }

    #[test]
    fn a_closed_pipe_is_recognised() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(
            &anyhow::Error::from(pipe).context("while writing")
        ));
        assert!(!is_broken_pipe(&io::Error::other("x").into()));
    }
}
