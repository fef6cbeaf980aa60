//! A replica, as a route knows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::sleep_until;

use crate::client::attempts::Attempts;
use crate::client::endpoint::Client;
use crate::client::session::RemoteLink;
use crate::clock;
use crate::transport::BoxFuture;

/// One of those that a route may lead to.
#[derive(Clone)]
pub struct Replica {
    /// Identifies the replica among those of the target.
    pub id: String,
    /// The replica's name in messages.
    pub name: String,
    /// The process that it runs in. Where several routes lead to one process they are to share the client,
    /// which knows how many calls are in flight there, and whether it can be reached.
    pub client: Arc<Client>,
    /// How far away it is. The nearest of those that take calls get all of them.
    pub distance: Distance,
}

/// How far away a replica is. Behind a broker is farther than whatever can be reached directly, for there each
/// call takes two ways, and is lost with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    /// Whether calls go by way of a broker.
    pub brokered: bool,
    /// Where it is.
    pub place: Proximity,
}

/// Where a replica is, seen from its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proximity {
    /// On the same host.
    Host,
    /// On another host of the same machine.
    Machine,
    /// On another machine.
    Elsewhere,
}

/// A replica of a route.
pub(super) struct RouteEntry {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) distance: Distance,
    pub(super) link: Arc<RemoteLink>,
    /// Whether the route has it no more.
    removed: AtomicBool,
    refusals: Mutex<Refusals>,
}

/// The times that nothing was linked there, though the process could be reached.
#[derive(Default)]
struct Refusals {
    attempts: Attempts,
    why: Option<String>,
}

impl RouteEntry {
    pub(super) fn new(
        id: String,
        name: String,
        distance: Distance,
        link: Arc<RemoteLink>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            distance,
            link,
            removed: AtomicBool::new(false),
            refusals: Mutex::default(),
        })
    }

    /// Whether it stands for the same replica.
    pub(super) fn is(&self, replica: &Replica) -> bool {
        self.id == replica.id
            && self.distance == replica.distance
            && Arc::ptr_eq(self.client(), &replica.client)
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        self.link.client()
    }

    /// Calls in flight.
    pub(super) fn load(&self) -> usize {
        self.client().load.load(Ordering::Relaxed)
    }

    /// Counts a call for as long as it is there.
    pub(super) fn in_flight(&self) -> InFlight<'_> {
        self.client().load.fetch_add(1, Ordering::Relaxed);
        InFlight(self.client())
    }

    /// The route has it no more.
    pub(super) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        // Nothing panics while the lock is held.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is linked there.
    pub(super) fn refused(&self, why: String) {
        let mut refusals = self.refusals();
        refusals.attempts.failed();
        refusals.why = Some(why);
    }

    /// Whether nothing was linked there when that was asked last.
    pub(super) fn has_refused(&self) -> bool {
        self.refusals().why.is_some()
    }

    /// A call was answered there.
    pub(super) fn answered(&self) {
        *self.refusals() = Refusals::default();
    }

    /// Whether it is likely that calls get through. After it has refused, the first caller when it is time to
    /// try again is told so, and others are not until that has ended.
    pub(super) fn is_ready(&self) -> bool {
        if !self.client().is_ready() {
            return false;
        }
        let attempts = &mut self.refusals().attempts;
        match attempts.away_until() {
            None => true,
            Some(until) if until <= clock::now() => {
                attempts.avoid();
                true
            }
            Some(_) => false,
        }
    }

    /// Waits until it may be worth trying again; none if it never is.
    pub(super) fn again(self: Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        if self.client().is_closed() {
            return None;
        }
        let away_until = self.refusals().attempts.away_until();
        Some(Box::pin(async move {
            if !self.client().is_ready() {
                self.client().clone().attempted().await;
            } else if let Some(until) = away_until {
                sleep_until(until.into()).await;
            }
        }))
    }

    /// Why it takes no calls.
    pub(super) fn why_not(&self) -> String {
        let refused = self.refusals().why.clone();
        refused.unwrap_or_else(|| self.client().why_not())
    }
}

/// A call that is counted.
pub(super) struct InFlight<'a>(&'a Client);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}
