//! The command line, and the counts that follow from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};

/// Measures the vault's CPU, syncs and memory against bare servers, as ratios in one run.
///
/// Nothing here asserts a time: figures are printed beside their goals. A run fails only when
/// an answer is not 200.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    /// Sizes and places.
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What to measure.
#[derive(Subcommand, Clone, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// CPU of detokenize against the echo server.
    Detokenize {
        /// When an audit entry counts as written; both when left out.
        #[arg(long)]
        durability: Option<Durability>,
    },
    /// CPU of tokenize against the echo server, with records already stored.
    Tokenize,
    /// Sync calls for each file and tokenize, counted by strace.
    Syncs,
    /// CPU and anonymous memory of one large upload and download.
    Bulk,
    /// Latencies of the ways in which a token is refused, compared with unknown ones.
    Refusals {
        /// When an audit entry counts as written; both when left out.
        #[arg(long)]
        durability: Option<Durability>,
    },
    /// Sync calls for each small PUT to the S3 endpoint.
    S3Put,
    /// CPU of listing 1,000 of many names against 1,000 of 1,000.
    S3List,
    /// CPU and anonymous memory of one large multipart upload and download.
    S3Bulk,
    /// Time from starting the vault to its first answers.
    Start,
    /// Memory of a vault that has nothing to do, also after a crowd has gone.
    Idle,
    /// Bytes of the program.
    Size,
    /// CPU of detokenize and tokenize against another program's read and write (`--peer`).
    Peer,
    /// All of them.
    All,
    /// Draws the figures that an earlier run wrote with `--out`, as SVG on standard output.
    Plot {
        /// What that run wrote.
        figures: PathBuf,
    },
}

/// The vault's `audit.durability`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// The answer does not wait for the disk.
    Buffered,
    /// The answer waits until the entry is on the disk.
    Durable,
}

impl Durability {
    /// The word in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Durable => "durable",
        }
    }
}

/// Sizes and places.
#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// The `strongroom` program [default: beside this program].
    #[arg(long, global = true)]
    pub(crate) vault: Option<PathBuf>,
    /// The `strongroom-bench-baseline` program [default: beside this program].
    #[arg(long, global = true)]
    pub(crate) baseline: Option<PathBuf>,
    /// `RustyVault`'s program, for the scenario of that name.
    #[arg(long, global = true)]
    pub(crate) peer: Option<PathBuf>,
    /// A directory on a real disk, in which the vaults' data is made and removed again.
    #[arg(long, global = true, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Where the figures are written as JSON.
    #[arg(long, global = true)]
    pub(crate) out: Option<PathBuf>,
    /// Leaves the vaults' data where it is, to look at it or to use it with `--data`.
    #[arg(long, global = true)]
    pub(crate) keep: bool,
    /// Tokenize only: a vault's directory that an earlier `--keep` left, instead of a new one.
    #[arg(long, global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Valid interleaved rounds.
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) rounds: u32,
    /// Seconds that each server is measured for in each round.
    #[arg(long, global = true, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) seconds: u32,
    /// Connections in parallel.
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) connections: u16,
    /// User sessions, spread over the connections.
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) sessions: u16,
    /// Tokens that are detokenized in turn.
    #[arg(long, global = true, default_value_t = 20_000)]
    pub(crate) tokens: u32,
    /// Records that are stored before tokenize is measured; names that are stored for s3-list.
    #[arg(long, global = true, default_value_t = 1_000_000)]
    pub(crate) records: u32,
    /// Refusals only: calls for each subject, route and kind of refusal.
    #[arg(long, global = true, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) calls: u32,
    /// Size of the large value in GiB.
    #[arg(long, global = true, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) gib: u32,
    /// Tiny counts: proves within seconds that the runner and the vault work together.
    #[arg(long, global = true)]
    pub(crate) smoke: bool,
}

/// The longest that rounds may take together, so that JWTs and grants outlive them.
const ROUNDS_S_MAX: u32 = 10 * 60;
/// Linux's magic number of tmpfs (statfs(2)).
const TMPFS_MAGIC: u64 = 0x0102_1994;
const MIB: u64 = 1024 * 1024;

/// What the scenarios read: the options with programs found and counts decided.
pub(crate) struct Settings {
    /// The `strongroom` program.
    pub(crate) vault: PathBuf,
    /// The bare servers' program.
    pub(crate) baseline: PathBuf,
    /// See [`Options::peer`].
    pub(crate) peer: Option<PathBuf>,
    /// An existing directory on a real disk.
    pub(crate) dir: PathBuf,
    /// See [`Options::keep`].
    pub(crate) keep: bool,
    /// See [`Options::data`].
    pub(crate) data: Option<PathBuf>,
    /// Valid rounds wanted.
    pub(crate) rounds: u32,
    /// Load before each measurement.
    pub(crate) warm_up: Duration,
    /// Length of each measurement.
    pub(crate) measured: Duration,
    /// Connections in parallel.
    pub(crate) connections: usize,
    /// User sessions.
    pub(crate) sessions: usize,
    /// Tokens to detokenize.
    pub(crate) tokens: u64,
    /// Records to store first.
    pub(crate) records: u64,
    /// See [`Options::calls`].
    pub(crate) calls: usize,
    /// Bytes of the large value.
    pub(crate) bulk_bytes: u64,
    /// Whether a void round ends the run.
    pub(crate) smoke: bool,
}

impl Settings {
    /// Finds the programs, checks the directory, decides the counts.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let rounds_s = options.rounds * 2 * (options.seconds + 1);
        if rounds_s > ROUNDS_S_MAX {
            bail!("the rounds would take {rounds_s} s, longer than a grant may be relied on");
        }
        let mut settings = Self {
            vault: program(options.vault.as_deref(), "strongroom")?,
            baseline: program(options.baseline.as_deref(), "strongroom-bench-baseline")?,
            peer: options.peer.clone(),
            dir: real_disk(&options.dir)?,
            keep: options.keep,
            data: options.data.clone(),
            rounds: options.rounds,
            warm_up: Duration::from_millis(500),
            measured: Duration::from_secs(options.seconds.into()),
            connections: options.connections.into(),
            sessions: options.sessions.into(),
            tokens: options.tokens.into(),
            records: options.records.into(),
            calls: usize::try_from(options.calls)?,
            bulk_bytes: u64::from(options.gib) * 1024 * MIB,
            smoke: options.smoke,
        };
        if options.smoke {
            settings.shrink();
        }
        Ok(settings)
    }

    fn shrink(&mut self) {
        self.rounds = 1;
        self.warm_up = Duration::from_millis(100);
        self.measured = Duration::from_millis(400);
        self.tokens = 128;
        self.records = 500;
        self.calls = 40;
        self.bulk_bytes = 8 * MIB + 12_345;
    }
}

fn program(given: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let path = given.map_or_else(|| own.with_file_name(name), Path::to_owned);
    path.canonicalize()
        .with_context(|| format!("there is no {}", path.display()))
}

fn real_disk(dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir
        .canonicalize()
        .with_context(|| format!("there is no directory {}", dir.display()))?;
    let system = rustix::fs::statfs(&path).context("cannot tell the file system")?;
    if u64::try_from(system.f_type).is_ok_and(|kind| kind == TMPFS_MAGIC) {
        bail!(
            "{} lies in memory; syncs there cost nothing",
            path.display()
        );
    }
    Ok(path)
}
