//! What the commands print: results to standard output, all else to standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};

/// How to print, from `--json` and `--quiet`.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints the one result of a command: a JSON object or a line; an empty line is none.
    pub(crate) fn result(self, json: &str, line: &str) -> io::Result<()> {
        let text = if self.json { json } else { line };
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Tells people something that scripts do not need.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Tells people what went wrong. If even that fails, there is nobody to tell.
    #[expect(clippy::unused_self, reason = "printing goes through this type alone")]
    pub(crate) fn error(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "strongroom: {text}");
    }

    /// A bar on standard error if that is a terminal, else a bar that draws nothing.
    pub(crate) fn progress(self, length_bytes: Option<u64>) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match length_bytes {
            Some(_) => "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{spinner} {bytes} {bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::with_draw_target(length_bytes, ProgressDrawTarget::stderr());
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

/// Replaces control characters, so that no server can steer the user's terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\u{9b}c\nd é"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}d é"
        );
    }
}
