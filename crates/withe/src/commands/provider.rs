//! `withe provider`: the providers that come with the command.

use std::io;

use anyhow::{anyhow, bail};
use withe_provider::{Descriptor, process};

use crate::Outcome;
use crate::providers;
use crate::render::table::table;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe provider list
  withe provider describe keyvalue | jq -r '.wit[]'";

/// List and describe the providers that come with Withe, or run one as a process.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the providers, by the names that manifests use.
    List,
    /// Print what a provider is as JSON: its version, its WIT, and by what other names it is known.
    Describe {
        /// The provider's short name, such as `keyvalue`.
        name: String,
    },
    /// Run a provider for the host that started this process, which has it told what to do on standard
    /// input. People write `process: true` in a manifest in place of that.
    Run {
        /// The provider's short name, such as `keyvalue`.
        name: String,
    },
}

impl Args {
    /// Whether this is the process of a provider.
    pub(crate) fn is_process(&self) -> bool {
        matches!(self.action, Action::Run { .. })
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &args.action {
        Action::List => terminal.print(&list()?)?,
        Action::Describe { name } => {
            let mut text = Vec::new();
            process::describe(&find(name)?, &mut text)?;
            terminal.print(&String::from_utf8(text)?)?;
        }
        Action::Run { name } => {
            if io::IsTerminal::is_terminal(&io::stdin()) {
                bail!(
                    "a host runs providers: write `process: true` below its `image` in a manifest"
                );
            }
            process::serve(&find(name)?)?;
        }
    }
    Ok(Outcome::Done)
}

fn list() -> anyhow::Result<String> {
    let registry = providers::registry()?;
    let row = |d: &Descriptor| {
        [
            format!("withe:{}", d.name),
            d.version.to_owned(),
            d.summary.to_owned(),
        ]
    };
    let rows: Vec<_> = registry.iter().map(row).collect();
    Ok(table(["IMAGE", "VERSION", "WHAT IT DOES"], &rows))
}

fn find(name: &str) -> anyhow::Result<Descriptor> {
    let registry = providers::registry()?;
    let name = name.strip_prefix("withe:").unwrap_or(name);
    let found = registry.get(name).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = registry.iter().map(|d| format!("`{}`", d.name)).collect();
        anyhow!(
            "there is no provider `{name}`; there are {}",
            names.join(", ")
        )
    })
}
