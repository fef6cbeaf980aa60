//! The subcommands: one file each.

pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod compose;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod host;
pub(crate) mod inspect;
mod lattice_args;
pub(crate) mod link;
mod link_args;
pub(crate) mod ping;
pub(crate) mod plan;
pub(crate) mod provider;
mod settle;
pub(crate) mod up;
pub(crate) mod worker;

use std::path::Path;

use withe_host::load::{self, LoadOptions, Loaded};
use withe_linker::input::{Placement, Surroundings};

use crate::Outcome;
use crate::cli::Command;
use crate::providers;
use crate::render::diagnostics;
use crate::terminal::Terminal;
use link_args::LinkArgs;

/// Carries out `command`.
///
/// # Errors
///
/// If it could not be carried out: a [`clap::Error`] where the command line makes no sense.
pub(crate) fn run(command: Command, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match command {
        Command::Inspect(args) => inspect::run(&args, terminal),
        Command::Compose(args) => compose::run(&args, terminal),
        Command::Check(args) => check::run(&args, terminal),
        Command::Plan(args) => plan::run(&args, terminal),
        Command::Up(args) => up::run(&args, terminal),
        Command::Down(args) => down::run(&args, terminal),
        Command::Host(args) => host::run(&args, terminal),
        Command::Get(args) => get::run(&args, terminal),
        Command::Link(args) => link::run(&args, terminal),
        Command::Ping(args) => ping::run(&args, terminal),
        Command::Events(args) => events::run(&args, terminal),
        Command::Call(args) => call::run(&args, terminal),
        Command::Explain(args) => explain::run(&args, terminal),
        Command::Completions(args) => completions::run(&args, terminal),
        Command::Provider(args) => provider::run(&args, terminal),
        Command::Worker(args) => worker::run(&args),
    }
}

/// Loads the application of the manifest `path`; `None` if it cannot even be read, which has been
/// said then.
fn load_application(
    path: &Path,
    defaults: LinkArgs,
    surroundings: Surroundings,
    terminal: &Terminal,
) -> anyhow::Result<Option<Loaded>> {
    let options = LoadOptions {
        host: withe_host::host_interfaces(),
        defaults: defaults.into(),
        placement: Placement {
            surroundings,
            ..Placement::default()
        },
        ..LoadOptions::default()
    };
    match load::load(path, &providers::registry()?, &options) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error) => {
            terminal.say(&diagnostics::single(terminal, &error.diagnostic()));
            Ok(None)
        }
    }
}
