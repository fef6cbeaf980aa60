//! `withe completions`: completion scripts for shells.

use clap_complete::Shell;

use crate::Outcome;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  source <(withe completions bash)
  withe completions zsh > ~/.zfunc/_withe
  withe completions fish > ~/.config/fish/completions/withe.fish";

/// Print a script that completes this command's arguments in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script for `command`, which is this one with all subcommands.
pub(crate) fn run(
    args: &Args,
    mut command: clap::Command,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "withe", &mut script);
    terminal.print(&String::from_utf8(script)?)?;
    Ok(Outcome::Done)
}
