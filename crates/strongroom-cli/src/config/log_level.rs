//! `log.level`: a level, or a tracing filter.

use super::faults::Checks;
use super::reader::{closest, hint};
use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A word alone would be taken for a target with every level of detail, so that a misspelled
/// level logs everything of nothing; here a target needs its level.
pub(super) fn check(text: &str, checks: &mut Checks) {
    let key = &["log.level"];
    let words = text.split(',').map(str::trim);
    let words: Vec<_> = words.filter(|word| !word.contains(['=', '['])).collect();
    let is_level = |word: &&str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    if let Some(word) = words.into_iter().find(|word| !is_level(word)) {
        let meant = hint(closest(word, LEVELS));
        let levels = LEVELS.join(", ");
        let message = format!("one of {levels} is wanted, or a filter as in \"info,hyper=warn\"");
        checks.require(false, key, message + &meant);
        return;
    }
    if let Err(error) = EnvFilter::try_new(text) {
        checks.require(false, key, format!("no tracing filter: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(level: &str) -> String {
        let mut checks = Checks::default();
        check(level, &mut checks);
        checks.told().join("\n")
    }

    #[test]
    fn levels_and_filters_are_taken() {
        for level in [
            "info",
            "TRACE",
            "off",
            "warn,strongroom_api=debug",
            "strongroom=trace",
            "[request{action=tokenize}]=debug,info",
        ] {
            assert_eq!(said(level), "", "{level}");
        }
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for (level, expected) in [
            ("inof", "did you mean `info`?"),
            ("", "one of off, error"),
            ("loud", "one of off, error"),
            ("info,,", "one of off, error"),
            ("strongroom=loud", "no tracing filter"),
            ("[request", "no tracing filter"),
        ] {
            let said = said(level);
            assert!(said.contains(expected), "{level}: {said}");
        }
    }
}
