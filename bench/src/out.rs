//! The one place that writes to the terminal: results on stdout, progress on stderr.

use std::io::{self, Write};

/// Writes one line of the result.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Says what is being done. That it cannot be said is no reason to stop.
pub(crate) fn note(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}
