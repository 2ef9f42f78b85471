//! What is made from the command line's own description: completions and manual pages.

use crate::Cli;
use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::Write;
use std::path::PathBuf;

/// Print completions for a shell
///
/// For bash: `strongroom completions bash > /etc/bash_completion.d/strongroom`. For zsh, a file
/// `_strongroom` in a directory of `$fpath`; for fish, `strongroom.fish` in
/// `~/.config/fish/completions`.
#[derive(Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "strongroom", &mut text);
        std::io::stdout().write_all(&text)?;
        Ok(())
    }
}

/// Print the manual page, or write the pages of all commands into a directory
#[derive(Args)]
pub(crate) struct Man {
    /// Where; one page a command, as in /usr/local/share/man/man1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(dir) = &self.dir else {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text)?;
            std::io::stdout().write_all(&text)?;
            return Ok(());
        };
        let shown = || dir.display().to_string();
        std::fs::create_dir_all(dir).with_context(shown)?;
        clap_mangen::generate_to(Cli::command(), dir).with_context(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_described_without_contradiction() {
        Cli::command().debug_assert();
    }
}
