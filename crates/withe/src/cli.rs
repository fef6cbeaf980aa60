//! The command line: what all subcommands share, and which there are.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::Outcome;
use crate::commands;
use crate::terminal::{ColorChoice, Terminal};
use crate::usage::{Expected, UsageError};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  withe new hello                      a component to begin with
  withe inspect cart.wasm              what a component imports and exports
  withe check shop.yaml                all that is wrong with an application
  withe plan shop.yaml                 how each of its links will be bound, and why
  withe up shop.yaml                   run it until Ctrl-C
  withe call add.wasm 'add(1, 2)'      call one export

The exit code is 0 when all is well, 1 when something is wrong, 2 for a wrong command line.";

/// Links WebAssembly components: checked like symbols, bound as cheaply as their placement allows.
#[derive(Debug, Parser)]
#[command(name = "withe", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every subcommand.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Colour in text for people: `auto` means on a terminal, unless `NO_COLOR` is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: ColorChoice,
    /// Show every problem: otherwise, of many of one kind, the first ten are shown and the rest counted.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) all_problems: bool,
    /// Log more; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// Log what FILTER selects, such as `warn,withe_runtime=debug`; the variable `WITHE_LOG` does the
    /// same.
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        value_parser = filter,
        help_heading = "Global options"
    )]
    pub(crate) log: Option<String>,
}

/// Checks `--log`.
fn filter(text: &str) -> Result<String, Expected> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err(Expected("a filter such as `warn,withe_runtime=debug`")),
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    New(commands::new::Args),
    Inspect(commands::inspect::Args),
    Compose(commands::compose::Args),
    Componentize(commands::componentize::Args),
    Wit(commands::wit::Args),
    Build(commands::build::Args),
    Check(commands::check::Args),
    Plan(commands::plan::Args),
    Graph(commands::graph::Args),
    Up(Box<commands::up::Args>),
    Dev(commands::dev::Args),
    Down(commands::down::Args),
    Push(commands::push::Args),
    Pull(commands::pull::Args),
    Lock(commands::lock::Args),
    Host(commands::host::Args),
    Lattice(commands::lattice::Args),
    Get(commands::get::Args),
    Link(commands::link::Args),
    Secrets(commands::secrets::Args),
    Ping(commands::ping::Args),
    Events(commands::events::Args),
    Ui(commands::ui::Args),
    Top(commands::top::Args),
    Call(commands::call::Args),
    Test(commands::test::Args),
    Doctor(commands::doctor::Args),
    Explain(commands::explain::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
    Provider(commands::provider::Args),
    /// Compiles a component for the host that started this process; not for people.
    #[command(hide = true)]
    CompileComponent,
    /// Becomes a program that reaches only some of the machine; not for people.
    #[command(hide = true)]
    Confine(commands::confine::Args),
    /// Serves a component to the host that started this process; not for people.
    #[command(hide = true)]
    Worker(commands::worker::Args),
}

impl Cli {
    /// Says that a command line makes no sense as clap says of one that has not the right form: with how the
    /// subcommand is used.
    pub(crate) fn refuse(usage: UsageError) -> clap::Error {
        let mut command = Self::command();
        command.build();
        let command = match command.find_subcommand_mut(&usage.subcommand) {
            Some(subcommand) => subcommand,
            None => &mut command,
        };
        command.error(usage.kind, usage.message)
    }
}

impl Command {
    /// Carries it out.
    ///
    /// # Errors
    ///
    /// If it could not be carried out: a [`UsageError`] where the command line makes no sense.
    pub(crate) fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        match self {
            Self::New(args) => commands::new::run(&args, terminal),
            Self::Inspect(args) => commands::inspect::run(&args, terminal),
            Self::Compose(args) => commands::compose::run(&args, terminal),
            Self::Componentize(args) => commands::componentize::run(&args, terminal),
            Self::Wit(args) => commands::wit::run(&args, terminal),
            Self::Build(args) => commands::build::run(&args, terminal),
            Self::Check(args) => commands::check::run(&args, terminal),
            Self::Plan(args) => commands::plan::run(&args, terminal),
            Self::Graph(args) => commands::graph::run(&args, terminal),
            Self::Up(args) => commands::up::run(&args, terminal),
            Self::Dev(args) => commands::dev::run(&args, terminal),
            Self::Down(args) => commands::down::run(&args, terminal),
            Self::Push(args) => commands::push::run(&args, terminal),
            Self::Pull(args) => commands::pull::run(&args, terminal),
            Self::Lock(args) => commands::lock::run(&args, terminal),
            Self::Host(args) => commands::host::run(&args, terminal),
            Self::Lattice(args) => commands::lattice::run(&args, terminal),
            Self::Get(args) => commands::get::run(&args, terminal),
            Self::Link(args) => commands::link::run(&args, terminal),
            Self::Secrets(args) => commands::secrets::run(&args, terminal),
            Self::Ping(args) => commands::ping::run(&args, terminal),
            Self::Events(args) => commands::events::run(&args, terminal),
            Self::Top(args) => commands::top::run(&args, terminal),
            Self::Ui(args) => commands::ui::run(&args, terminal),
            Self::Call(args) => commands::call::run(&args, terminal),
            Self::Test(args) => commands::test::run(args, terminal),
            Self::Doctor(args) => commands::doctor::run(&args, terminal),
            Self::Explain(args) => commands::explain::run(&args, terminal),
            Self::Completions(args) => commands::completions::run(&args, Cli::command(), terminal),
            Self::Man(args) => commands::man::run(&args, Cli::command(), terminal),
            Self::Provider(args) => commands::provider::run(&args, terminal),
            Self::CompileComponent => commands::compile_component::run(),
            Self::Confine(args) => commands::confine::run(args),
            Self::Worker(args) => commands::worker::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_examples() {
        let command = Cli::command();
        for subcommand in command.get_subcommands().filter(|s| !s.is_hide_set()) {
            let help = subcommand
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let call = format!("withe {}", subcommand.get_name());
            assert!(
                help.starts_with("Examples:") && help.contains(&call),
                "{call}: {help}"
            );
        }
    }
}
