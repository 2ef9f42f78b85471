//! Medians and quartiles of refusals, by what was asked and why it was refused.

use serde::Serialize;

use super::{Kind, QUESTIONS, Sample};
use crate::stats::percentile;

/// How long refusals took.
#[derive(Serialize)]
pub(crate) struct Refusals {
    /// How the vault was prepared.
    setting: String,
    /// Calls, all with one and the same answer.
    calls: usize,
    /// One line for each subject, route and kind of token.
    asked_again: Vec<Line>,
    /// The same for the first time that the vault's process was asked for each token.
    asked_first: Vec<Line>,
}

/// Latencies of one kind of refusal, in microseconds.
#[derive(Serialize)]
struct Line {
    question: String,
    kind: &'static str,
    calls: usize,
    p25_us: f64,
    median_us: f64,
    p75_us: f64,
    /// The median less that of unknown tokens.
    difference_us: f64,
}

pub(super) fn figures(setting: String, samples: &[Sample]) -> Refusals {
    let mut asked_again = Vec::new();
    for question in QUESTIONS {
        let name = format!("{} {}", question.subject, question.route);
        let of = |sample: &&Sample| sample.question == question && !sample.first;
        asked_again.extend(lines(&name, &samples.iter().filter(of)));
    }
    let first = samples.iter().filter(|sample| sample.first);
    Refusals {
        setting,
        calls: samples.len(),
        asked_again,
        asked_first: lines("all", &first),
    }
}

fn lines<'a>(question: &str, samples: &(impl Iterator<Item = &'a Sample> + Clone)) -> Vec<Line> {
    let mut unknown_us = 0.0;
    let line = |kind| {
        let of = samples.clone().filter(|sample| sample.kind == kind);
        let mut sorted: Vec<u32> = of.map(|sample| sample.ns).collect();
        sorted.sort_unstable();
        let us = |per_mille| f64::from(percentile(&sorted, per_mille)) / 1e3;
        if kind == Kind::Unknown {
            unknown_us = us(500);
        }
        Line {
            question: question.to_owned(),
            kind: kind.as_str(),
            calls: sorted.len(),
            p25_us: us(250),
            median_us: us(500),
            p75_us: us(750),
            difference_us: us(500) - unknown_us,
        }
    };
    let lines = Kind::ALL.into_iter().map(line);
    lines.filter(|line| line.calls > 0).collect()
}

impl Refusals {
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("\nrefusals, {}", self.setting),
            format!("{} calls, all with one answer", self.calls),
        ];
        let parts = [
            ("tokens asked for before", &self.asked_again),
            ("tokens asked for the first time", &self.asked_first),
        ];
        for (title, figures) in parts {
            lines.push(format!("{title}:"));
            lines.push(format!(
                "{:<24} {:<14} {:>6} {:>9} {:>9} {:>9} {:>11}",
                "asked", "token", "calls", "p25 us", "median us", "p75 us", "to unknown"
            ));
            lines.extend(figures.iter().map(Line::text));
        }
        lines
    }
}

impl Line {
    fn text(&self) -> String {
        format!(
            "{:<24} {:<14} {:>6} {:>9.1} {:>9.1} {:>9.1} {:>+11.1}",
            self.question,
            self.kind,
            self.calls,
            self.p25_us,
            self.median_us,
            self.p75_us,
            self.difference_us
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_compared_with_unknown_tokens() {
        let sample = |kind, ns| Sample {
            question: QUESTIONS[0],
            kind,
            first: false,
            ns,
        };
        let samples = [
            sample(Kind::Expired, 7_000),
            sample(Kind::Unknown, 4_000),
            sample(Kind::Expired, 9_000),
            sample(Kind::Expired, 8_000),
        ];
        let refusals = figures(String::new(), &samples);
        let differences: Vec<_> = refusals
            .asked_again
            .iter()
            .map(|line| (line.kind, line.calls, line.difference_us))
            .collect();
        assert_eq!(differences, [("unknown", 1, 0.0), ("expired", 3, 4.0)]);
        assert!(refusals.asked_first.is_empty());
    }
}
