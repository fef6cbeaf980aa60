//! Shows what this command runs to the outside: metrics to be fetched, traces that are sent.

mod metrics;
mod traces;

use std::net::SocketAddr;

use withe_host::HostOptions;

use tokio::net::TcpListener;
use withe_lattice::SharedLattice;
use withe_node::Node;

use crate::terminal::Terminal;
pub(crate) use metrics::{Endpoint, Readiness};
pub(crate) use traces::{Exporter, TraceArgs};

use crate::ui::{Page, Served, UiArgs};

/// How what runs here can be watched.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ObserveArgs {
    /// Serve metrics to Prometheus at this address, on `/metrics`; on `/livez` that the host is there, and on `/readyz`
    /// whether it takes requests: not before it has started, nor once it ends.
    #[arg(long, value_name = "ADDRESS", help_heading = "Watching")]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) traces: TraceArgs,
    #[command(flatten)]
    pub(crate) ui: UiArgs,
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

    /// Takes the address of the page, if there is to be one.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub(crate) async fn listen_for_page(&self) -> anyhow::Result<Option<TcpListener>> {
        match self.ui.ui {
            Some(address) => Page::listen(address).await.map(Some),
            None => Ok(None),
        }
    }

    /// Serves the page of a host that has joined `lattice`, if there is to be one, and says where.
    ///
    /// # Errors
    ///
    /// If it cannot be served.
    pub(crate) fn serve_page(
        &self,
        listener: Option<TcpListener>,
        lattice: SharedLattice,
        node: &Node,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<Page>> {
        let Some(listener) = listener else {
            return Ok(None);
        };
        let served = Served {
            lattice,
            calls: self.ui.ui_allow_calls.then(|| node.calls()),
            names: self.ui.ui_names.clone(),
        };
        let page = Page::serve(listener, served)?;
        page.say(terminal);
        Ok(Some(page))
    }
}
