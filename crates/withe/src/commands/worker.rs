//! `withe worker`: a process that serves a component to the host that started it.

use crate::Outcome;
use crate::known_secrets::known_secrets;
use crate::observe::{Exporter, TraceArgs};
use crate::running::block_on;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    traces: TraceArgs,
    /// The service that its traces are of: its host.
    #[arg(long, default_value = "withe")]
    service: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let exporter = Exporter::new(&args.traces, &args.service, None)?;
    let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
    let served = withe_host::worker::run(input, output, exporter.tracer(), known_secrets());
    let result = block_on(async { Ok(served.await?) });
    exporter.finish();
    result.map(|()| Outcome::Done)
}
