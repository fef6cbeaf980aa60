//! `withe down`: ends an application of a lattice.

use withe_node::desired;

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe down shop --lattice nats://10.0.0.1:4222";

/// End an application of a lattice, on all its hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application's name.
    #[arg(value_name = "APP")]
    application: String,
    #[command(flatten)]
    lattice: LatticeArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    block_on(async {
        let lattice = args.lattice.connect().await?;
        let name = &args.application;
        if desired::delete_application(&*lattice, name).await? {
            terminal.say(&format!("`{name}` ends\n"));
            return Ok(Outcome::Done);
        }
        let all = desired::applications(&*lattice).await?;
        let known: Vec<_> = all
            .iter()
            .map(|app| format!("`{}`", app.record.name))
            .collect();
        let known = match known.as_slice() {
            [] => "no application".to_owned(),
            known => known.join(", "),
        };
        anyhow::bail!("there is no application `{name}` on the lattice; it has {known}")
    })
}
