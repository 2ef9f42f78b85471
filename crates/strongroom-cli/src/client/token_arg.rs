//! A token on the command line, or on standard input, where other users cannot see it.

use super::exit::Failure;
use clap::Args;
use std::io::Read;
use strongroom_core::Token;

/// Longest input that is read for a token; white space around it is fine.
const INPUT_BYTES_MAX: u64 = 1024;

/// The token that a command is about.
#[derive(Args)]
pub(crate) struct TokenArg {
    /// The token, or `-` to read it from standard input (other users of this machine can see
    /// the command line in /proc)
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    token: String,
}

impl TokenArg {
    /// Reads and checks the token; what is refused is not repeated.
    pub(crate) fn read(&self) -> anyhow::Result<Token> {
        if self.token != "-" {
            return parse(&self.token);
        }
        let mut text = String::new();
        let read = std::io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut text);
        read.map_err(|_| Failure::usage("no token could be read from standard input"))?;
        parse(text.trim())
    }
}

fn parse(text: &str) -> anyhow::Result<Token> {
    Token::parse(text).map_err(|error| Failure::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_not_repeated() {
        let token = TokenArg {
            token: "4111111111111111".into(),
        };
        let error = token.read().unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "a token is `lunasec-` followed by a UUID"
        );
    }
}
