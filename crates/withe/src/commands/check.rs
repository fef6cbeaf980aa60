//! `withe check`: everything that is wrong with an application.

use withe_linker::input::Surroundings;

use super::application::{LinkedApplication, LinkedHow, load_application};
use super::application_args::{ApplicationArgs, Start};
use super::input_args::{InputArgs, Timings};
use super::link_args::LinkArgs;
use crate::Outcome;
use crate::render::json;
use crate::render::units::count;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe check                                          the application in this folder
  withe check shop.yaml
  withe check cart.wasm --link prices.wasm             the same without a manifest
  withe check shop.yaml --json | jq '.[] | select(.severity == \"error\")'";

/// Report everything that is wrong with an application.
///
/// Reads the manifest and every component in it, resolves and checks each link, and shows all
/// problems at once. Nothing is compiled or started. The exit code is 1 if there are errors.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    #[command(flatten)]
    defaults: LinkArgs,
    /// Print the diagnostics as a JSON list, with lines and columns, on standard output.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    inputs: InputArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let how = LinkedHow {
        defaults: args.defaults,
        surroundings: Surroundings::Unknown,
        timings: Timings::default(),
    };
    let application = load_application(
        "check",
        &args.application,
        Start::LOOKED_AT,
        &args.inputs,
        how,
        terminal,
    )?;
    let application = match application {
        Ok(application) => application,
        Err(outcome) => return Ok(outcome),
    };
    args.inputs.say_timings(&application.timings, terminal);
    if args.json {
        let (source, found) = (&application.loaded.source, &application.linked.diagnostics);
        terminal.print_json(&json::diagnostics(source, found))?;
    } else {
        terminal.say(&application.report(terminal, None));
    }
    if application.linked.diagnostics.has_errors() {
        return Ok(Outcome::Problems);
    }
    if !args.json {
        terminal.print(&praise(&application))?;
    }
    Ok(Outcome::Done)
}

fn praise(application: &LinkedApplication) -> String {
    let (components, links) = application
        .linked
        .plan
        .as_ref()
        .map_or((0, 0), |plan| (plan.components.len(), plan.links.len()));
    format!(
        "{}: {} and {}, no errors\n",
        application.loaded.source.path.display(),
        count(components, "component", "components"),
        count(links, "link", "links"),
    )
}
