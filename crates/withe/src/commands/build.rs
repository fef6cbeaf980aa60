//! `withe build`: builds the parts of an application, and checks how they fit.

use anyhow::Context as _;
use clap::error::ErrorKind;
use withe_linker::input::Surroundings;

use super::application::{LinkedApplication, LinkedHow, load_application};
use super::application_args::{ApplicationArgs, Start};
use super::input_args::{InputArgs, Timings};
use super::link_args::LinkArgs;
use crate::Outcome;
use crate::build::steps::steps;
use crate::build::{Built, build};
use crate::interrupt::Interrupts;
use crate::running::block_on;
use crate::terminal::Terminal;
use crate::usage::usage;

const EXAMPLES: &str = "\
Examples:
  withe build                        the application in this folder
  withe build shop.yaml
  withe build shop.yaml --force      also what has not changed";

/// Build the parts of an application, and check how they fit.
///
/// Runs the commands that `build:` of the manifest's components says, in the manifest's folder and beside each other, where
/// something has changed since they ran last. Then checks the application as `withe check` does. The exit code is 1 if a
/// command fails, or there are errors.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    #[command(flatten)]
    defaults: LinkArgs,
    /// Build everything, also what has not changed.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    inputs: InputArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.application.is_component() {
        let message = "a component is built already: give the manifest of an application";
        return Err(usage("build", ErrorKind::InvalidValue, message));
    }
    let Some(application) = load(args, terminal)? else {
        return Ok(Outcome::Problems);
    };
    let declared = application.loaded.application.clone();
    let Some(declared) = declared else {
        terminal.say(&application.report(terminal, Some("nothing was built")));
        return Ok(Outcome::Problems);
    };
    let steps = steps(&declared, &application.loaded.folder);
    if steps.is_empty() {
        terminal.say(
            "no component says how it is built: `build: {command: …}` in its properties does\n",
        );
    }
    let built = block_on(async {
        let mut interrupts = Interrupts::new().context("signals cannot be watched")?;
        tokio::select! {
            built = build(&steps, args.force, terminal) => Ok(Some(built)),
            () = interrupts.next() => Ok(None),
        }
    })?;
    let Some(Built {
        done,
        current,
        failed,
    }) = built
    else {
        terminal.say("interrupted\n");
        return Ok(Outcome::Problems);
    };
    if failed > 0 {
        return Ok(Outcome::Problems);
    }
    // The new artifacts are read anew.
    let Some(application) = load(args, terminal)? else {
        return Ok(Outcome::Problems);
    };
    args.inputs.say_timings(&application.timings, terminal);
    terminal.say(&application.report(terminal, None));
    if application.linked.diagnostics.has_errors() {
        return Ok(Outcome::Problems);
    }
    terminal.print(&format!(
        "{done} built, {current} unchanged; all of it fits\n"
    ))?;
    Ok(Outcome::Done)
}

fn load(args: &Args, terminal: &Terminal) -> anyhow::Result<Option<LinkedApplication>> {
    let how = LinkedHow {
        defaults: args.defaults,
        surroundings: Surroundings::Unknown,
        timings: Timings::default(),
    };
    let start = Start::LOOKED_AT;
    let loaded = load_application(
        "build",
        &args.application,
        start,
        &args.inputs,
        how,
        terminal,
    )?;
    Ok(loaded.ok())
}
