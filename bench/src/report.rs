//! What was measured, as a table for people and as JSON for programs.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::figure::{self, Figure};
use crate::load::Round;
use crate::out;
use crate::refusals::Refusals;
use crate::stats::median;

/// Everything that one run measured.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The program's arguments.
    pub(crate) command: Vec<String>,
    /// The processor's name and how many cores there are.
    pub(crate) machine: String,
    /// Whether counts were so small that the figures mean nothing.
    pub(crate) smoke: bool,
    /// One for each measured scenario.
    pub(crate) scenarios: Vec<Scenario>,
    /// What they come down to.
    pub(crate) figures: Vec<Figure>,
}

/// One scenario's figures.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// CPU against the baseline, over requests.
    Requests(Requests),
    /// Syncs of each file for each tokenize.
    Syncs(Syncs),
    /// CPU and memory of streams.
    Bulk(Bulk),
    /// Latencies of refusals.
    Refusals(Refusals),
    /// What is one number.
    Single(Figure),
}

/// Interleaved rounds of requests against baseline and vault.
#[derive(Serialize)]
pub(crate) struct Requests {
    /// What was asked.
    pub(crate) name: String,
    /// Largest ratio that is good.
    pub(crate) goal: f64,
    /// How the vault was prepared.
    pub(crate) setting: String,
    /// Rounds that counted, baseline first.
    pub(crate) rounds: Vec<(Round, Round)>,
    /// Rounds with an answer other than 200.
    pub(crate) void_rounds: u32,
}

/// Sync calls under one number of clients.
#[derive(Serialize)]
pub(crate) struct Syncs {
    /// What was asked: `tokenize`, or `PUT`.
    pub(crate) what: &'static str,
    /// Connections in parallel.
    pub(crate) clients: usize,
    /// Largest number of syncs per file and answer that is good.
    pub(crate) goal: f64,
    /// Answers while syncs were counted.
    pub(crate) answers: u64,
    /// Sync calls by file.
    pub(crate) by_file: Vec<(String, u64)>,
}

/// One transfer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Transfer {
    /// The server's CPU seconds per 10^9 bytes.
    pub(crate) cpu_s_per_gb: f64,
    /// 10^9 bytes per second.
    pub(crate) gb_per_s: f64,
}

/// One transfer by each server.
#[derive(Serialize)]
pub(crate) struct BulkRound {
    /// By the server that keeps nothing.
    pub(crate) baseline: Transfer,
    /// By the one that stores and does nothing else; uploads only.
    pub(crate) floor: Option<Transfer>,
    /// By the vault.
    pub(crate) vault: Transfer,
}

/// Interleaved transfers in one direction.
#[derive(Serialize)]
pub(crate) struct Bulk {
    /// What was transferred, and which way.
    pub(crate) direction: String,
    /// Largest ratio that is good.
    pub(crate) goal: f64,
    /// Bytes of each transfer.
    pub(crate) bytes: u64,
    /// What was compared.
    pub(crate) rounds: Vec<BulkRound>,
    /// Anonymous memory of the vault before the first transfer.
    pub(crate) anonymous_kib_before: u64,
    /// The most anonymous memory seen while transferring.
    pub(crate) anonymous_kib_max: u64,
}

/// Most anonymous memory that is good while bytes stream.
const ANONYMOUS_KIB_GOAL: u64 = 64 * 1024;

impl Report {
    /// Writes the tables to stdout.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        out::line(&format!("machine: {}", self.machine))?;
        for line in self.scenarios.iter().flat_map(Scenario::lines) {
            out::line(&line)?;
        }
        out::line("")?;
        for line in figure::markdown(&self.figures) {
            out::line(&line)?;
        }
        if self.smoke {
            out::line("\nsmoke run: far too short for its figures to mean anything")?;
        }
        Ok(())
    }

    /// Writes everything as JSON.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(self).context("cannot write the report")?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Scenario {
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Requests(requests) => requests.lines(),
            Self::Syncs(syncs) => syncs.lines(),
            Self::Bulk(bulk) => bulk.lines(),
            Self::Refusals(refusals) => refusals.lines(),
            Self::Single(figure) => vec![figure.line()],
        }
    }

    /// What it comes down to; refusals have no goal.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        match self {
            Self::Requests(requests) => vec![requests.figure()],
            Self::Syncs(syncs) => vec![syncs.figure()],
            Self::Bulk(bulk) => bulk.figures(),
            Self::Refusals(_) => Vec::new(),
            Self::Single(figure) => vec![figure.clone()],
        }
    }
}

impl Requests {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("\n{} ({})", self.name, self.setting),
            format!(
                "{:>5} {:>9} {:>11} {:>9} {:>8} {:>8} {:>6}",
                "round", "server", "CPU us/req", "req/s", "p50 us", "p99 us", "others"
            ),
        ];
        for (index, (baseline, vault)) in self.rounds.iter().enumerate() {
            lines.push(round_line(index, "baseline", baseline));
            lines.push(round_line(index, "vault", vault));
        }
        let ratios = self.ratios();
        lines.push(format!("ratios: {}", listed(&ratios)));
        lines.push(verdict(median(&ratios), self.goal, "CPU ratio"));
        if self.void_rounds > 0 {
            lines.push(format!("void rounds: {}", self.void_rounds));
        }
        lines
    }

    fn figure(&self) -> Figure {
        Figure {
            name: self.name.clone(),
            unit: "×".to_owned(),
            goal: Some(self.goal),
            rounds: self.ratios(),
        }
    }

    fn ratios(&self) -> Vec<f64> {
        let ratio = |(baseline, vault): &(Round, Round)| {
            vault.cpu_us_per_request / baseline.cpu_us_per_request
        };
        self.rounds.iter().map(ratio).collect()
    }
}

fn round_line(index: usize, server: &str, round: &Round) -> String {
    format!(
        "{:>5} {:>9} {:>11.2} {:>9.0} {:>8} {:>8} {:>6.2}",
        index + 1,
        server,
        round.cpu_us_per_request,
        round.requests_per_s,
        round.p50_us,
        round.p99_us,
        round.other_cores,
    )
}

impl Syncs {
    fn figure(&self) -> Figure {
        let answers = crate::stats::float(self.answers.max(1));
        let counts = self.by_file.iter().map(|(_, count)| *count);
        let most = crate::stats::float(counts.max().unwrap_or(0));
        Figure {
            name: format!("syncs per file and {}, {} clients", self.what, self.clients),
            unit: String::new(),
            goal: Some(self.goal),
            rounds: vec![most / answers],
        }
    }

    fn lines(&self) -> Vec<String> {
        let (clients, what) = (self.clients, self.what);
        let mut lines = vec![format!(
            "\nsyncs of {} times {what}, {clients} clients",
            self.answers
        )];
        let answers = crate::stats::float(self.answers.max(1));
        let mut most: f64 = 0.0;
        for (file, count) in &self.by_file {
            let each = crate::stats::float(*count) / answers;
            most = most.max(each);
            lines.push(format!("{count:>8} {each:>8.4} per {what}  {file}"));
        }
        let what = format!("syncs per file and {what}");
        lines.push(verdict(Some(most), self.goal, &what));
        lines
    }
}

impl Bulk {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("\n{} of {} bytes", self.direction, self.bytes),
            format!(
                "{:>5} {:>9} {:>9} {:>6}",
                "round", "server", "CPU s/GB", "GB/s"
            ),
        ];
        for (index, round) in self.rounds.iter().enumerate() {
            lines.push(transfer_line(index, "baseline", &round.baseline));
            if let Some(floor) = &round.floor {
                lines.push(transfer_line(index, "floor", floor));
            }
            lines.push(transfer_line(index, "vault", &round.vault));
        }
        let ratios = self.ratios(|round| Some((&round.vault, &round.baseline)));
        lines.push(format!("ratios: {}", listed(&ratios)));
        lines.push(verdict(median(&ratios), self.goal, "CPU ratio"));
        let of_floor = self.ratios(|round| Some((round.floor.as_ref()?, &round.baseline)));
        let to_floor = self.ratios(|round| Some((&round.vault, round.floor.as_ref()?)));
        if let (Some(of), Some(to)) = (median(&of_floor), median(&to_floor)) {
            lines.push(format!("floor / baseline: {} ({of:.3})", listed(&of_floor)));
            lines.push(format!("vault / floor: {} ({to:.3})", listed(&to_floor)));
        }
        let met = if self.anonymous_kib_max < ANONYMOUS_KIB_GOAL {
            "met"
        } else {
            "missed"
        };
        lines.push(format!(
            "anonymous memory: {} KiB before, {} KiB at most, goal below {ANONYMOUS_KIB_GOAL}: {met}",
            self.anonymous_kib_before, self.anonymous_kib_max
        ));
        lines
    }

    fn figures(&self) -> Vec<Figure> {
        let ratio = |name: String, goal, rounds| Figure {
            name,
            unit: "×".to_owned(),
            goal,
            rounds,
        };
        let direction = &self.direction;
        let mut figures = vec![ratio(
            direction.clone(),
            Some(self.goal),
            self.ratios(|round| Some((&round.vault, &round.baseline))),
        )];
        let to_floor = self.ratios(|round| Some((&round.vault, round.floor.as_ref()?)));
        if !to_floor.is_empty() {
            let name = format!("{direction}, against the least that storing costs");
            figures.push(ratio(name, None, to_floor));
        }
        figures.push(Figure {
            name: format!("anonymous memory, {direction}"),
            unit: "MiB".to_owned(),
            goal: Some(crate::stats::float(ANONYMOUS_KIB_GOAL) / 1024.0),
            rounds: vec![crate::stats::float(self.anonymous_kib_max) / 1024.0],
        });
        figures
    }

    /// CPU of the first transfer over that of the second, in the rounds that have both.
    fn ratios(&self, of: impl Fn(&BulkRound) -> Option<(&Transfer, &Transfer)>) -> Vec<f64> {
        let pairs = self.rounds.iter().filter_map(of);
        pairs
            .map(|(over, under)| over.cpu_s_per_gb / under.cpu_s_per_gb)
            .collect()
    }
}

fn transfer_line(index: usize, server: &str, transfer: &Transfer) -> String {
    format!(
        "{:>5} {:>9} {:>9.3} {:>6.2}",
        index + 1,
        server,
        transfer.cpu_s_per_gb,
        transfer.gb_per_s
    )
}

fn listed(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
    texts.join(" ")
}

fn verdict(value: Option<f64>, goal: f64, what: &str) -> String {
    match value.filter(|value| value.is_finite()) {
        None => format!("{what}: too short to tell"),
        Some(value) if value <= goal => format!("{what}: {value:.3}, goal {goal}: met"),
        Some(value) => format!("{what}: {value:.3}, goal {goal}: missed"),
    }
}
