//! `withe explain`: what a diagnostic's code means.

use anyhow::bail;

use crate::Outcome;
use crate::catalogue;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe explain W0101
  withe explain            every code there is";

/// Explain the code of a diagnostic.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The code, such as `W0101`; without it, all codes are listed.
    code: Option<String>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let all = catalogue::all();
    let Some(wanted) = &args.code else {
        let list: String = all
            .iter()
            .map(|info| format!("{}  {}\n", info.code.0, info.title))
            .collect();
        terminal.print(&list)?;
        return Ok(Outcome::Done);
    };
    match all
        .into_iter()
        .find(|info| info.code.0.eq_ignore_ascii_case(wanted))
    {
        Some(info) => terminal.print(&catalogue::section(info))?,
        None => bail!("there is no code `{wanted}`: `withe explain` lists those there are"),
    }
    Ok(Outcome::Done)
}
