//! The replicas of a link, and which of them calls go to.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::timeout_at;

use super::draw::two;
use super::replica::{Distance, Proximity, Replica, RouteEntry};
use crate::client::session::RemoteLink;
use crate::transport::BoxFuture;
use crate::{CallError, LinkRequest};

/// How a route may retry calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteRules {
    /// A call of which it is not known whether it took place is made again, if its parameters hold neither
    /// handles nor streams.
    pub idempotent: bool,
}

/// A link to a target that has replicas.
pub struct Route {
    pub(super) request: LinkRequest,
    pub(super) rules: RouteRules,
    /// Whether the replicas never change.
    pub(super) is_fixed: bool,
    replicas: watch::Sender<Replicas>,
}

/// The replicas that there are, the nearest first.
type Replicas = Vec<Arc<RouteEntry>>;

impl Route {
    /// A route that asks each replica for the link `request`. The route begins without replicas.
    pub fn new(request: LinkRequest, rules: RouteRules) -> Arc<Self> {
        Arc::new(Self {
            request,
            rules,
            is_fixed: false,
            replicas: watch::Sender::default(),
        })
    }

    /// A route to what a link leads to, and to nothing else ever.
    pub fn fixed(link: Arc<RemoteLink>) -> Arc<Self> {
        let distance = Distance {
            brokered: false,
            place: Proximity::Host,
        };
        let only = RouteEntry::new(String::new(), String::new(), distance, link.clone());
        Arc::new(Self {
            request: link.request().clone(),
            rules: RouteRules::default(),
            is_fixed: true,
            replicas: watch::Sender::new(vec![only]),
        })
    }

    /// Replaces the replicas; of several with the same id the first counts. One that was there before, with the
    /// same id, client and distance, keeps its sessions and what is known of it. Sessions on one that is there no
    /// more go to another with their next call, unless they hold resources or there is no other; what is
    /// under way goes on.
    pub fn set(&self, replicas: Vec<Replica>) {
        self.replicas.send_modify(|current| {
            let mut former = std::mem::take(current);
            let mut entries: Vec<Arc<RouteEntry>> = Vec::with_capacity(replicas.len());
            for replica in replicas {
                if entries.iter().any(|entry| entry.id == replica.id) {
                    continue;
                }
                let kept = former.iter().position(|entry| entry.is(&replica));
                entries.push(match kept {
                    Some(i) => former.swap_remove(i),
                    None => self.entry(replica),
                });
            }
            former.iter().for_each(|entry| entry.remove());
            // Stable, so that the order says nothing else.
            entries.sort_by_key(|entry| entry.distance);
            *current = entries;
        });
    }

    fn entry(&self, replica: Replica) -> Arc<RouteEntry> {
        let link = replica.client.link(self.request.clone());
        RouteEntry::new(replica.id, replica.name, replica.distance, link)
    }

    /// How many replicas there are, whether calls get through to them or not.
    pub fn replicas(&self) -> usize {
        self.replicas.borrow().len()
    }

    /// How many of them calls go to by way of a broker.
    pub fn brokered(&self) -> usize {
        let replicas = self.replicas.borrow();
        replicas.iter().filter(|r| r.distance.brokered).count()
    }

    /// The best replica that calls are likely to get through to.
    pub(super) fn choose(&self) -> Option<Arc<RouteEntry>> {
        let replicas = self.replicas.borrow();
        let mut tiers = replicas.chunk_by(|a, b| a.distance == b.distance);
        tiers.find_map(|tier| self.choose_of(tier))
    }

    /// One of those that are equally far away.
    fn choose_of(&self, tier: &[Arc<RouteEntry>]) -> Option<Arc<RouteEntry>> {
        let chosen = match tier {
            [] => None,
            [only] => only.is_ready().then_some(only),
            _ => {
                let (a, b) = two(tier.len());
                match (tier[a].is_ready(), tier[b].is_ready()) {
                    (true, true) if tier[b].load() < tier[a].load() => Some(&tier[b]),
                    (true, _) => Some(&tier[a]),
                    (false, true) => Some(&tier[b]),
                    (false, false) => {
                        let (before, behind) = tier.split_at(a);
                        behind.iter().chain(before).find(|entry| entry.is_ready())
                    }
                }
            }
        };
        chosen.cloned()
    }

    /// Whether a call that one replica does not take can be made on another.
    pub(super) fn has_several(&self) -> bool {
        self.replicas.borrow().len() > 1
    }

    /// Whether there are replicas, and nothing is linked at any of them.
    pub(super) fn has_refused(&self) -> bool {
        let entries = self.replicas.borrow();
        !entries.is_empty() && entries.iter().all(|entry| entry.has_refused())
    }

    /// Waits until something has changed: replicas were replaced, or one can be tried again or was tried.
    ///
    /// # Errors
    ///
    /// If nothing has until the deadline.
    pub(super) async fn changed(&self, deadline: Instant) -> Result<(), CallError> {
        let mut replicas = self.replicas.subscribe();
        let entries = replicas.borrow_and_update().clone();
        let again = entries.into_iter().filter_map(|entry| entry.again());
        let mut changes: Vec<BoxFuture<'_, ()>> = again.collect();
        changes.push(Box::pin(async move {
            // The wait fails only if the route has gone, and `self` keeps the route.
            _ = replicas.changed().await;
        }));
        let one = poll_fn(|cx| {
            let is_over = changes.iter_mut().any(|c| c.as_mut().poll(cx).is_ready());
            if is_over {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let in_time = timeout_at(deadline.into(), one).await;
        in_time.map_err(|_| CallError::Unreachable(self.why_not()))
    }

    /// Why no replica takes calls.
    pub(super) fn why_not(&self) -> String {
        let mut entries = self.replicas.borrow().clone();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let target = &self.request.target;
        let why = |entry: &Arc<RouteEntry>| entry.why_not();
        match &entries[..] {
            [] => format!("`{target}` has no replica, and none came in time"),
            [only] if self.is_fixed => why(only),
            _ => {
                let each = entries.iter().map(|e| format!("`{}`: {}", e.name, why(e)));
                format!(
                    "of {} replicas of `{target}` none takes calls: {}",
                    entries.len(),
                    each.collect::<Vec<_>>().join("; ")
                )
            }
        }
    }
}
