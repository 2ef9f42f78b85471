//! What the program is as a process: no core dumps, errors on standard error, logs.

use crate::config::{Config, Faults, LogFormat};
use crate::log_file::LogFile;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use std::io::Write;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

/// A core dump would hold every key, and so would what a debugger of the same user reads.
pub(crate) fn forbid_core_dumps() {
    // The limit alone does not stop a core pattern that pipes into a program (core(5)); a process
    // that is not dumpable makes no core at all, and cannot be traced by its own user (prctl(2)).
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // It can only fail where the limit is already lower than nothing.
    let _ = setrlimit(Resource::Core, none);
}

/// Raises the soft limit of open files to the hard one: connections, database and uploads each
/// take some, and the usual 1,024 is older than all of them.
pub(crate) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it is refused, the old limit goes on to hold.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Exit code of a command that found faults in the configuration.
pub(crate) const CONFIGURATION: u8 = 7;

/// Prints an error with its causes and gives the exit code of a failure. The faults of a
/// configuration have a line each, and a code of their own: to try again is no use.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(faults) = error.downcast_ref::<Faults>() {
        for line in faults.lines() {
            say(line);
        }
        say(&format!("error: {}", faults.count()));
        return ExitCode::from(CONFIGURATION);
    }
    say(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

/// One line on standard error, for people.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Starts logging to standard error or to the file that the configuration names. The file is
/// written as long as what is returned lives.
pub(crate) fn start_logging(config: &Config) -> anyhow::Result<Option<LogFile>> {
    let log = &config.log;
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| anyhow::anyhow!("log.level `{}`: {error}", log.level))?;
    let file = log.file.as_deref().map(|file| config.path(file));
    let file = file.map(|path| LogFile::open(&path)).transpose()?;
    let to = match &file {
        Some(file) => BoxMakeWriter::new(file.lines()),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(to);
    match log.format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init()?,
        LogFormat::Json => registry.with(layer.json()).try_init()?,
    }
    Ok(file)
}
