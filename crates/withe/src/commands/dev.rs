//! `withe dev`: builds and runs an application while it is worked at.
//!
//! The command is `withe up --build --watch` under a shorter name: it has no way of its own to run an application.

use std::path::PathBuf;

use clap::{Args as _, FromArgMatches as _};

use super::application_file::{ApplicationFile, HERE};
use super::up;
use crate::Outcome;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe dev                        the application in this folder
  withe dev shop.yaml --ui 7171    with a page that shows what it does
  withe dev shop -- --listen 127.0.0.1:9000";

/// Build and run an application, and do so again whenever something changes.
///
/// Builds what the manifest says how to build, runs the application until Ctrl-C, and watches the manifest, its components and
/// what they are built from. A part that changed is built and replaces what runs, while requests under way finish on the old one. A mistake
/// is reported with its place, and what runs goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A manifest, a component, or a folder that has one manifest.
    #[arg(value_name = "APP|DIR", default_value = HERE, value_parser = ApplicationFile)]
    application: PathBuf,
    /// Serve a page at this address, or at this port of this machine, that shows what runs.
    #[arg(long, value_name = "ADDRESS")]
    ui: Option<String>,
    /// Options of `withe up`.
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let file = args.application.clone();
    let command = up::Args::augment_args(clap::Command::new("withe dev").no_binary_name(true));
    let mut given = vec![file.into_os_string(), "--build".into(), "--watch".into()];
    given.extend((args.ui.iter()).map(|address| format!("--ui={address}").into()));
    given.extend(args.options.iter().map(Into::into));
    let matches = command.try_get_matches_from(given);
    let up = matches.and_then(|matches| up::Args::from_arg_matches(&matches));
    match up {
        Ok(up) => up::run(&up, terminal),
        Err(error) => error.exit(),
    }
}
