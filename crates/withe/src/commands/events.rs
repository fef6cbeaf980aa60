//! `withe events`: what happens on a lattice, as it happens.

use withe_node::events::{Event, Told};
use withe_node::records::EVENTS;

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::interrupt::Interrupts;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe events
  withe events --lattice nats://10.0.0.1:4222 --json | jq 'select(.event == \"failed\")'";

/// Follow what happens on a lattice: hosts that come and go, deployments, links made and remade.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print each event as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    block_on(async {
        let mut interrupts = Interrupts::new()?;
        let lattice = args.lattice.connect().await?;
        let mut messages = lattice.subscribe(EVENTS).await?;
        terminal.say(&format!(
            "following the lattice `{}`; Ctrl-C ends it\n",
            lattice.name()
        ));
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = interrupts.next() => return Ok(Outcome::Done),
            };
            let Some(message) = message else {
                anyhow::bail!("the lattice was closed");
            };
            // An older command may not know the events of newer hosts.
            let Ok(told) = serde_json::from_slice::<Told>(&message.payload) else {
                continue;
            };
            if args.json {
                terminal.print(&(serde_json::to_string(&told)? + "\n"))?;
            } else {
                terminal.print(&line(&told))?;
            }
        }
    })
}

/// `12:00:00.000  east-1  shop: linked by plan 3 (4 links)`
fn line(told: &Told) -> String {
    let what = describe(&told.event);
    let seconds = told.time / 1_000 % 86_400;
    format!(
        "{:02}:{:02}:{:02}.{:03}  {}  {what}\n",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        told.time % 1_000,
        told.host
    )
}

/// An event, for people.
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::Joined => "joined the lattice".to_owned(),
        Event::Leaving => "leaves the lattice".to_owned(),
        Event::HostGone { name, id } => format!("host `{name}` ({id}) is gone"),
        Event::Controls => "decides where parts run from now on".to_owned(),
        Event::Deployed {
            application,
            number,
            unplaced,
        } => {
            let mut text = format!("`{application}`: plan {number} was made");
            for why in unplaced {
                text += &format!("; {why}");
            }
            text
        }
        Event::Linked {
            application,
            number,
            links,
        } => format!("`{application}`: linked by plan {number} ({links} links)"),
        Event::Failed { application, why } => format!("`{application}` failed: {why}"),
        Event::Ignored { application, why } => format!("`{application}`: ignored: {why}"),
        Event::Untrusted { record, why } => format!("the record `{record}` is ignored: {why}"),
        Event::Lost { application } => {
            format!("`{application}`: the lattice has lost it; what runs of it goes on")
        }
        Event::Stopped { application } => format!("`{application}`: ended"),
    }
}
