//! `withe graph`: an application as a picture, or as text that other programs draw.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use withe_linker::input::Surroundings;

use super::application::{LinkedHow, load_application};
use super::application_args::{ApplicationArgs, Start};
use super::input_args::{InputArgs, Timings};
use super::link_args::LinkArgs;
use crate::Outcome;
use crate::graph::{GraphView, dot, html, mermaid, svg};
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe graph                                 the application in this folder
  withe graph shop.yaml -o shop.html
  withe graph cart.wasm --link prices.wasm -o cart.svg
  withe graph shop.yaml --format dot | dot -Tpng > shop.png
  withe graph shop.yaml                       Mermaid, for a README";

/// Draw an application: its parts, its links, and how each is bound.
///
/// Providers are round, components are boxes. A link has what it carries and its binding. What is wrong stands where it
/// is wrong, in red: then the picture shows what is declared, as there is no plan. Nothing is compiled or started.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    #[command(flatten)]
    defaults: LinkArgs,
    /// How it is written. Without this, as the name of the file ends that it is written to; else as `mermaid`.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The file that it is written to, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    inputs: InputArgs,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Dot,
    Mermaid,
    Svg,
    Html,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "dot" | "gv" => Self::Dot,
            "mmd" | "mermaid" => Self::Mermaid,
            "svg" => Self::Svg,
            "html" | "htm" => Self::Html,
            _ => return None,
        })
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let how = LinkedHow {
        defaults: args.defaults,
        surroundings: Surroundings::Unknown,
        timings: Timings::default(),
    };
    let application = load_application(
        "graph",
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
    let found = &application.linked.diagnostics;
    let consequence = Some("the graph shows what is declared");
    terminal.say(&application.report(terminal, consequence));
    let Some(declared) = &application.loaded.application else {
        return Ok(Outcome::Problems);
    };
    let graph = match &application.linked.plan {
        Some(plan) => GraphView::of_plan(plan, declared, found),
        None => GraphView::of_application(declared, found),
    };
    let by_name = || args.output.as_deref().and_then(Format::of);
    let text = match args.format.or_else(by_name).unwrap_or(Format::Mermaid) {
        Format::Dot => dot(&graph),
        Format::Mermaid => mermaid(&graph),
        Format::Svg => svg(&graph),
        Format::Html => html(&graph),
    };
    match &args.output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("cannot write `{}`", path.display()))?,
        None => terminal.print(&text)?,
    }
    Ok(match application.linked.plan {
        Some(_) => Outcome::Done,
        None => Outcome::Problems,
    })
}
