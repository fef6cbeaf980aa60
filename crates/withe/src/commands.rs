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
mod input_args;
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
use std::sync::Arc;

use withe_linker::Linked;
use withe_linker::input::{Placement, Surroundings};
use withe_load::{LinkOptions, Loaded};

use crate::Outcome;
use crate::cli::Command;
use crate::providers;
use crate::render::diagnostics;
use crate::terminal::Terminal;
use input_args::{InputArgs, Timings};
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

/// An application that was read and linked.
struct LinkedApplication {
    loaded: Arc<Loaded>,
    options: LinkOptions,
    linked: Arc<Linked>,
    timings: Timings,
}

impl LinkedApplication {
    fn new(loaded: Loaded, options: LinkOptions) -> Self {
        Self::timed(loaded, options, Timings::default())
    }

    fn timed(loaded: Loaded, options: LinkOptions, timings: Timings) -> Self {
        let linked = timings.of("link", || loaded.link(&options));
        Self {
            loaded: Arc::new(loaded),
            options,
            linked,
            timings,
        }
    }

    /// All that is wrong with it or worth knowing, as text. `consequence` says what follows from errors.
    fn report(&self, terminal: &Terminal, consequence: Option<&str>) -> String {
        let (source, found) = (&self.loaded.source, &self.linked.diagnostics);
        diagnostics::report(terminal, source, found, consequence)
    }
}

/// Loads the application of the manifest `path` and links it; `None` if it cannot even be read, which has been
/// said then. What was read is kept as `inputs` say.
fn load_application(
    path: &Path,
    inputs: &InputArgs,
    defaults: LinkArgs,
    surroundings: Surroundings,
    terminal: &Terminal,
) -> anyhow::Result<Option<LinkedApplication>> {
    let options = LinkOptions {
        host: withe_host::host_interfaces(),
        called: Vec::new(),
        defaults: defaults.into(),
        placement: Placement {
            surroundings,
            ..Placement::default()
        },
    };
    let timings = Timings::default();
    let registry = providers::registry()?;
    match timings.of("read", || withe_load::load(path, &registry)) {
        Ok(loaded) => {
            inputs.save(&loaded, terminal)?;
            Ok(Some(LinkedApplication::timed(loaded, options, timings)))
        }
        Err(error) => {
            terminal.say(&diagnostics::single(terminal, &error.diagnostic()));
            Ok(None)
        }
    }
}
