//! `withe down`: ends an application of a lattice.

use withe_node::desired;

use super::key_args::KeyArgs;
use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe down shop --lattice nats://10.0.0.1:4222
  withe down shop --lattice nats://10.0.0.1:4222 --key ci.key";

/// End an application of a lattice, on all its hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application's name.
    #[arg(value_name = "APP")]
    application: String,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    lattice: LatticeArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let key = args.key.read()?;
    block_on(async {
        let lattice = args.lattice.connect().await?;
        args.key.warn(&*lattice, terminal).await?;
        let name = &args.application;
        if desired::delete_application(&*lattice, name, key.as_ref()).await? {
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
