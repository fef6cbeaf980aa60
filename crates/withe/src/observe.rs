//! What is seen from outside of what this command runs: metrics to be fetched, traces that are sent.

mod metrics;
mod traces;

use std::net::SocketAddr;

use withe_host::HostOptions;

use crate::terminal::Terminal;
pub(crate) use metrics::{Endpoint, Readiness};
pub(crate) use traces::{Exporter, TraceArgs};

/// How what runs here can be watched.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Watching")]
pub(crate) struct ObserveArgs {
    /// Serve metrics to Prometheus at this address, on `/metrics`; on `/livez` that the host is there, and on `/readyz`
    /// whether it takes requests: not before it has started, nor once it ends.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) traces: TraceArgs,
}

impl ObserveArgs {
    /// Serves metrics of a host, if that is asked for, and says where.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub(crate) async fn serve(
        &self,
        options: &HostOptions,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<Endpoint>> {
        let Some(address) = self.metrics else {
            return Ok(None);
        };
        let endpoint = Endpoint::start(address, options.counts.clone()).await?;
        terminal.say(&format!("metrics are at {}\n", endpoint.url()));
        Ok(Some(endpoint))
    }
}
