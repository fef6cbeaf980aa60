//! `withe doctor`: what of this machine may get in the way.

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::doctor::{Finding, Level, lattice, look};
use crate::render::table::table;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe doctor
  withe doctor --lattice nats://10.0.0.1:4222     and whether that can be reached
  withe doctor --json | jq '.[] | select(.level == \"problem\")'";

/// Look at what of this machine may get in the way, and say what mends it.
///
/// Folders, limits, the port 8080, the tools that components are built with, and, with `--lattice` or `WITHE_LATTICE`,
/// whether the lattice can be reached. A tool that is not there is a note, for few need all. Exits with 1 if there is a
/// problem.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let found = block_on(async {
        let mut found = look().await;
        if args.lattice.lattice.is_some() {
            let connected = args.lattice.connect().await;
            found.push(lattice(connected.as_ref().map(|_| ())));
        }
        Ok(found)
    })?;
    if args.json {
        terminal.print_json(&found)?;
    } else {
        terminal.print(&render(&found))?;
    }
    let is_ill = found.iter().any(|finding| finding.level == Level::Problem);
    Ok(match is_ill {
        true => Outcome::Problems,
        false => Outcome::Done,
    })
}

/// The findings, for people: a table, and below it the remedies.
fn render(found: &[Finding]) -> String {
    let name = |level| match level {
        Level::Fine => "fine",
        Level::Note => "note",
        Level::Problem => "PROBLEM",
    };
    let rows: Vec<_> = found
        .iter()
        .map(|finding| {
            [
                finding.what.to_owned(),
                name(finding.level).to_owned(),
                finding.found.clone(),
            ]
        })
        .collect();
    let mut text = table(["WHAT", "IS", "FOUND"], &rows);
    let mends = found
        .iter()
        .filter_map(|finding| Some((finding.what, finding.mend.as_ref()?)));
    let mends: String = mends
        .map(|(what, mend)| format!("{what}: {mend}\n"))
        .collect();
    if !mends.is_empty() {
        text += &format!("\n{mends}");
    }
    text
}
