//! One number beside its goal: what tables and the plot are made of.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::stats::median;

/// What one scenario comes down to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// What it is counted in; `×` for a ratio.
    pub(crate) unit: String,
    /// Largest value that is good; none for what is only reported.
    pub(crate) goal: Option<f64>,
    /// Each round's value.
    pub(crate) rounds: Vec<f64>,
}

impl Figure {
    /// The rounds' median, unless a round was too short to tell.
    pub(crate) fn value(&self) -> Option<f64> {
        median(&self.rounds).filter(|value| value.is_finite())
    }

    fn verdict(&self) -> String {
        match (self.value(), self.goal) {
            (Some(value), Some(goal)) if value <= goal => "met".to_owned(),
            (Some(value), Some(goal)) => format!("missed by {:.0} %", (value / goal - 1.0) * 100.0),
            (None, Some(_)) => "too short to tell".to_owned(),
            (_, None) => String::new(),
        }
    }

    /// The figure as text for people.
    pub(crate) fn line(&self) -> String {
        let value = self.value().map_or("none".to_owned(), number);
        let Some(goal) = self.goal else {
            return format!("{}: {value} {}", self.name, self.unit);
        };
        let (goal, verdict) = (number(goal), self.verdict());
        format!(
            "{}: {value} {}, goal {goal}: {verdict}",
            self.name, self.unit
        )
    }
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        ..0.1 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The table of `docs/performance.md`.
pub(crate) fn markdown(figures: &[Figure]) -> Vec<String> {
    let mut lines = vec![
        "| what | goal | median | rounds | |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for figure in figures {
        let unit = &figure.unit;
        let goal = figure
            .goal
            .map_or(String::new(), |goal| format!("≤ {} {unit}", number(goal)));
        let value = figure
            .value()
            .map_or(String::new(), |value| format!("**{}**", number(value)));
        let rounds: Vec<_> = figure.rounds.iter().map(|round| number(*round)).collect();
        let (name, rounds, verdict) = (&figure.name, rounds.join(" "), figure.verdict());
        lines.push(format!(
            "| {name} | {goal} | {value} {unit} | {rounds} | {verdict} |"
        ));
    }
    lines
}

/// The figures that an earlier run wrote with `--out`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Figure>> {
    #[derive(Deserialize)]
    struct Saved {
        figures: Vec<Figure>,
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let saved: Saved = serde_json::from_slice(&text)
        .with_context(|| format!("{} holds no figures", path.display()))?;
    Ok(saved.figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(goal: Option<f64>) -> Figure {
        Figure {
            name: "it".to_owned(),
            unit: "ms".to_owned(),
            goal,
            rounds: vec![3.0, 150.0, 12.0],
        }
    }

    #[test]
    fn the_median_is_compared_with_the_goal() {
        assert_eq!(figure(Some(12.0)).line(), "it: 12.0 ms, goal 12.0: met");
        assert_eq!(
            figure(Some(8.0)).line(),
            "it: 12.0 ms, goal 8.00: missed by 50 %"
        );
        assert_eq!(figure(None).line(), "it: 12.0 ms");
    }

    #[test]
    fn a_table_has_a_row_for_each_figure() {
        let lines = markdown(&[figure(Some(12.0))]);
        assert_eq!(
            lines[2],
            "| it | ≤ 12.0 ms | **12.0** ms | 3.00 150 12.0 | met |"
        );
    }
}
