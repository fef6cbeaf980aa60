//! The leftovers of a plan that another replaces. Instances that began under it go on, and call what it linked
//! them to: that ends when nobody can need it any more.
//!
//! Replacing a plan, giving one up that was prepared, and shutting down end things here, and nowhere else, in the
//! order of calls: sources of requests, then the graph's instances, then workers (each after those that call it),
//! then the links and processes of providers. Each may still call what comes after it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use withe_runtime::Graph;

use super::providers::{HeldLink, RunningProvider};
use crate::serve::Served;
use crate::workers::Workers;

/// The interval between checks of whether anybody needs a graph.
const LOOK: Duration = Duration::from_millis(20);

/// The leftovers of a plan.
pub(crate) struct Left {
    pub(crate) links: Vec<HeldLink>,
    pub(crate) providers: Vec<Arc<RunningProvider>>,
    pub(crate) graph: Option<Arc<Graph>>,
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) workers: Option<Workers>,
}

/// How long what is left is waited for.
pub(crate) struct Patience {
    /// The longest.
    pub(crate) grace: Duration,
    /// Whether other hosts may go on to call what is left: of their instances nothing is known here.
    pub(crate) others: bool,
    /// Nobody is waited for any more when this is cancelled.
    pub(crate) hurry: CancellationToken,
}

impl Left {
    /// Ends what calls components, waits for those who may need the rest, and ends that.
    pub(crate) async fn end(self, patience: Patience) {
        let grace = patience.grace;
        let (sources, targets): (Vec<_>, Vec<_>) =
            (self.links.into_iter()).partition(|link| link.switch().is_some());
        let calls = |provider: &Arc<RunningProvider>| {
            provider.listens() || (sources.iter()).any(|link| Arc::ptr_eq(&link.provider, provider))
        };
        let (callers, others): (Vec<_>, Vec<_>) = self.providers.into_iter().partition(calls);
        let others_may_call = patience.others
            && (self.served.iter()).any(|served| served.plan.links.iter().any(|l| l.incoming));
        let graph = self.graph.as_ref().map(Arc::downgrade).unwrap_or_default();
        let unused = async {
            retire(self.graph.as_ref());
            drop((self.graph, self.served));
            patience.until_unused(&graph, others_may_call).await;
        };
        tokio::join!(end_sources(sources, callers, grace), unused);
        // They call the rest until they have ended.
        if let Some(workers) = self.workers {
            workers.stop(grace).await;
        }
        let targets = (targets.iter())
            .filter(|link| !others.iter().any(|p| Arc::ptr_eq(p, &link.provider)))
            .map(|link| link.delete(grace));
        let others = others.iter().map(|provider| provider.stop(grace));
        tokio::join!(join_all(targets), join_all(others));
    }
}

/// Ends links that start at providers, and those of the providers that end themselves with all of theirs.
async fn end_sources(sources: Vec<HeldLink>, callers: Vec<Arc<RunningProvider>>, grace: Duration) {
    let (ending, staying): (Vec<_>, Vec<_>) = sources
        .into_iter()
        .partition(|link| callers.iter().any(|p| Arc::ptr_eq(p, &link.provider)));
    let deleted = staying.iter().map(|link| link.delete(grace));
    let stopped = async {
        join_all(callers.iter().map(|provider| provider.stop(grace))).await;
        ending
            .iter()
            .filter_map(HeldLink::switch)
            .for_each(|switch| switch.end());
    };
    tokio::join!(join_all(deleted), stopped);
}

/// Lets a graph have no more instances than calls need. One that is called goes when its call ends.
fn retire(graph: Option<&Arc<Graph>>) {
    if let Some(graph) = graph {
        graph.retire();
    }
}

/// Waits until no call needs a graph, until `over` at the latest.
pub(crate) async fn unused(graph: &Weak<Graph>, over: Instant) {
    while graph.strong_count() > 0 && Instant::now() < over {
        sleep(LOOK).await;
    }
}

impl Patience {
    /// Waits until nobody needs a graph, or all have had their time.
    async fn until_unused(&self, graph: &Weak<Graph>, others_may_call: bool) {
        let over = Instant::now() + self.grace;
        let unused = async {
            if others_may_call {
                sleep_until(over).await;
            }
            unused(graph, over).await;
        };
        tokio::select! {
            () = unused => {}
            () = self.hurry.cancelled() => {}
        }
    }
}
