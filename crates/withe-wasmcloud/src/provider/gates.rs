//! Holds a component's calls back for the moment in which its link to a provider is replaced.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;
use withe_provider::LinkId;

/// One gate for all links between a provider and a component, for they are changed together.
#[derive(Default)]
pub(super) struct Gates {
    links: Mutex<HashMap<LinkId, Gate>>,
}

struct Gate {
    component: Arc<str>,
    /// Calls hold it shared; a change of the link holds it alone.
    open: Arc<RwLock<()>>,
}

impl Gates {
    /// Makes the gate of a link to `component`.
    pub(super) fn add(&self, link: LinkId, component: &str) {
        let mut links = self.lock();
        let known = links.values().find(|gate| *gate.component == *component);
        let gate = match known {
            Some(gate) => Gate {
                component: gate.component.clone(),
                open: gate.open.clone(),
            },
            None => Gate {
                component: component.into(),
                open: Arc::default(),
            },
        };
        links.insert(link, gate);
    }

    pub(super) fn remove(&self, link: LinkId) {
        self.lock().remove(&link);
    }

    /// Waits until the link's gate is open, and keeps it open. A link without a gate has nothing to wait for.
    pub(super) async fn pass(&self, link: LinkId) -> Option<OwnedRwLockReadGuard<()>> {
        let open = self.lock().get(&link)?.open.clone();
        Some(open.read_owned().await)
    }

    /// Closes the gates of `components` until what this returns is dropped. One stays open that calls hold
    /// for longer than `limit`.
    pub(super) async fn close(
        &self,
        components: &BTreeSet<&str>,
        limit: Duration,
    ) -> Vec<OwnedRwLockWriteGuard<()>> {
        let gates: HashMap<Arc<str>, _> = (self.lock().values())
            .filter(|gate| components.contains(&*gate.component))
            .map(|gate| (gate.component.clone(), gate.open.clone()))
            .collect();
        let closing = gates
            .into_values()
            .map(|open| timeout(limit, open.write_owned()));
        let closed = futures::future::join_all(closing).await;
        closed.into_iter().flatten().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Gate>> {
        // Nothing panics while the lock is held.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn calls_of_a_component_wait_and_those_of_others_do_not() {
        let gates = Gates::default();
        for (link, component) in [(1, "cart"), (2, "cart"), (3, "shop")] {
            gates.add(LinkId(link), component);
        }
        let closed = gates.close(&["cart"].into(), LIMIT).await;
        assert_eq!(closed.len(), 1);
        for link in [1, 2] {
            assert!(gates.pass(LinkId(link)).now_or_never().is_none());
        }
        assert!(gates.pass(LinkId(3)).now_or_never().flatten().is_some());
        assert!(matches!(gates.pass(LinkId(4)).now_or_never(), Some(None)));
        drop(closed);
        assert!(gates.pass(LinkId(2)).now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn a_call_that_takes_long_does_not_stand_in_the_way() {
        let gates = Gates::default();
        gates.add(LinkId(1), "cart");
        let call = gates.pass(LinkId(1)).await;
        let closed = gates.close(&["cart"].into(), Duration::ZERO).await;
        assert!(closed.is_empty());
        // Nothing is left of the attempt.
        assert!(gates.pass(LinkId(1)).now_or_never().flatten().is_some());
        drop(call);
    }
}
