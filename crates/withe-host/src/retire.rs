//! What a plan leaves behind when another takes its place. Instances that began under it go on, and call what it
//! linked them to: that ends when nobody can need it any more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use withe_provider::{LinkId, Provider};
use withe_runtime::Graph;

use crate::providers::RunningProvider;
use crate::workers::Workers;

/// How often it is looked whether anybody needs a graph.
const LOOK: Duration = Duration::from_millis(50);

/// A link that its provider is to let go.
pub(crate) struct LeftLink {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) id: LinkId,
    /// Whether the provider calls over it, and is not called.
    pub(crate) is_source: bool,
}

/// What is left.
#[derive(Default)]
pub(crate) struct Left {
    /// Links of providers that go on.
    pub(crate) links: Vec<LeftLink>,
    pub(crate) providers: Vec<RunningProvider>,
    pub(crate) workers: Option<Workers>,
}

/// Who may need what is left.
pub(crate) struct Users {
    /// The units of the plan that was replaced.
    pub(crate) graph: Weak<Graph>,
    /// Whether other hosts called something of it: of their instances nothing is known here.
    pub(crate) others: bool,
    /// The longest that is waited for them.
    pub(crate) grace: Duration,
    /// True when nobody is waited for any more.
    pub(crate) hurry: watch::Receiver<bool>,
}

impl Left {
    /// Ends what calls components, waits for those who may need the rest, and ends that.
    pub(crate) async fn end(self, mut users: Users) {
        let grace = users.grace;
        let (sources, targets): (Vec<_>, Vec<_>) =
            self.links.into_iter().partition(|link| link.is_source);
        let (callers, others): (Vec<_>, Vec<_>) =
            (self.providers.into_iter()).partition(|provider| !provider.endpoints().is_empty());
        tokio::join!(delete(sources, grace), stop(callers, grace), users.finish());
        if let Some(graph) = users.graph.upgrade() {
            // What was called since then may be kept by it again.
            graph.retire().await;
        }
        // They call the rest until they have ended.
        if let Some(workers) = self.workers {
            workers.stop(grace).await;
        }
        tokio::join!(delete(targets, grace), stop(others, grace));
    }
}

impl Users {
    /// Waits until there are none, or they have had their time.
    async fn finish(&mut self) {
        let over = Instant::now() + self.grace;
        let finished = async {
            if self.others {
                sleep_until(over).await;
            }
            while self.graph.strong_count() > 0 && Instant::now() < over {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = finished => {}
            // What it returns holds a lock.
            () = async { drop(self.hurry.wait_for(|hurry| *hurry).await) } => {}
        }
    }
}

async fn delete(links: Vec<LeftLink>, grace: Duration) {
    let links = links.iter();
    join_all(links.map(|link| link.provider.link_deleted(link.id, grace))).await;
}

/// Stops providers, all at the same time.
pub(crate) async fn stop(providers: Vec<RunningProvider>, grace: Duration) {
    join_all(providers.into_iter().map(|p| p.stop(grace))).await;
}
