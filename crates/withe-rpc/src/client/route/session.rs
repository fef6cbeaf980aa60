//! Sessions of a route.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::replica::{Distance, RouteEntry};
use super::replicas::Route;
use crate::client::call::{Begun, NoResult};
use crate::client::session::{Session, function_index};
use crate::clock;
use crate::{CallContext, CallError, Payload};

/// How long connecting to a replica may take where there are others.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a target is waited for that no replica serves, though all could be asked. The target may be moving: the
/// news that a host begins or stops to serve it arrives a moment later.
const MOVING: Duration = Duration::from_secs(5);

/// How often a call is made again that may have taken place: should it be what ends processes, it does not
/// end all of them.
const REPEATS: usize = 2;

/// The session between one instance of a caller and its callee over a route. Dropped, it ends: calls are cancelled,
/// streams end, resources that it holds are dropped.
///
/// Its first call chooses a replica, and it stays there for as long as that takes calls, or it holds
/// resources there. A call that certainly was not begun is made on another replica; one of which that is
/// not known fails, unless the route is [idempotent](super::RouteRules::idempotent).
pub struct RouteSession {
    route: Arc<Route>,
    places: Mutex<Places>,
}

/// Where a session is.
#[derive(Default)]
struct Places {
    current: Option<Arc<ReplicaSession>>,
    /// Where it was, and where streams are still under way.
    former: Vec<Arc<ReplicaSession>>,
}

/// A session on a replica. The session ends with the last call and the last stream under way there.
struct ReplicaSession {
    replica: Arc<RouteEntry>,
    session: Session,
    /// Whether a call has returned.
    proven: AtomicBool,
}

impl Places {
    /// Lets the session begin anew, if it is still here and holds nothing; what is under way goes on.
    fn leave(&mut self, place: &Arc<ReplicaSession>) {
        if place.session.holds() {
            return;
        }
        let left = self.current.take_if(|current| Arc::ptr_eq(current, place));
        self.former.extend(left.filter(|p| p.session.has_streams()));
    }
}

impl Route {
    /// A session for one instance of the caller. Nothing is sent before its first call.
    pub fn session(self: &Arc<Self>) -> RouteSession {
        RouteSession::new(self.clone())
    }
}

impl RouteSession {
    fn new(route: Arc<Route>) -> Self {
        Self {
            route,
            places: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while the lock is held.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the function with this index in the link's request. Dropped, it cancels the call.
    ///
    /// # Errors
    ///
    /// How the callee failed; [`CallError::Deadline`]; [`CallError::Unreachable`] if no replica took the call until the
    /// deadline, or the connection was lost, which says so if the call may have taken place, and if
    /// resources of the session were lost with it; [`CallError::Unlinked`] if no replica serves the link for a while.
    pub async fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        let function = function_index(function)?;
        let mut params = params;
        let mut lost = 0;
        // When nothing was linked first, and what was said.
        let mut unlinked: Option<(Instant, CallError)> = None;
        loop {
            let Some(place) = self.place() else {
                match &unlinked {
                    Some((since, why)) if self.route.has_refused() => {
                        let until = context.deadline.min(*since + MOVING);
                        self.route.changed(until).await.map_err(|_| why.clone())?;
                    }
                    _ => self.route.changed(context.deadline).await?,
                }
                continue;
            };
            let called = {
                let _in_flight = place.replica.in_flight();
                let until = || self.until(&context);
                let called = place.session.try_call(function, params, &context, until);
                called.await
            };
            let no_result = match called {
                Ok(result) => return self.keep(result, &place),
                Err(no_result) => no_result,
            };
            let NoResult { why, begun, again } = no_result;
            let elsewhere = match begun {
                Begun::No => true,
                Begun::Perhaps => {
                    lost += 1;
                    self.route.rules.idempotent && lost <= REPEATS
                }
                Begun::Refused if self.route.is_fixed => false,
                Begun::Refused => {
                    place.replica.refused(why.to_string());
                    let (since, _) = unlinked.get_or_insert((clock::now(), why.clone()));
                    !place.proven.load(Ordering::Acquire) && clock::since(*since) < MOVING
                }
                Begun::Over => return Err(why),
            };
            self.lock().leave(&place);
            params = match again {
                Some(params) if elsewhere => params,
                _ => return Err(why),
            };
        }
    }

    /// How long a call waits for a connection.
    fn until(&self, context: &CallContext) -> Instant {
        if self.route.has_several() {
            context.deadline.min(clock::now() + PATIENCE)
        } else {
            context.deadline
        }
    }

    /// How far away the replica is that the session is on; none before its first call.
    pub fn distance(&self) -> Option<Distance> {
        let current = self.lock().current.clone();
        current.map(|place| place.replica.distance)
    }

    /// Drops a resource that a result has given to this session. Does not wait.
    pub fn drop_handle(&self, id: u32) {
        let current = self.lock().current.clone();
        if let Some(place) = current {
            place.session.drop_handle(id);
        }
    }

    /// Where the session is, or begins now; none if no replica is likely to take a call.
    fn place(&self) -> Option<Arc<ReplicaSession>> {
        let mut places = self.lock();
        places.former.retain(|place| place.session.has_streams());
        if let Some(place) = places.current.clone() {
            if place.session.is_adrift() {
                places.leave(&place);
            } else if !place.replica.is_removed() || place.session.holds() {
                return Some(place);
            } else {
                // The replica is about to go. But while there is no other it may as well be used.
                let Some(replica) = self.route.choose() else {
                    return Some(place);
                };
                places.leave(&place);
                return Some(Self::begin(&mut places, replica));
            }
        }
        let replica = self.route.choose()?;
        Some(Self::begin(&mut places, replica))
    }

    fn begin(places: &mut Places, replica: Arc<RouteEntry>) -> Arc<ReplicaSession> {
        let place = Arc::new(ReplicaSession {
            session: replica.link.session(),
            replica,
            proven: AtomicBool::new(false),
        });
        places.current.insert(place).clone()
    }

    /// Passes on a result, if the resources in it can be used, and sees to it that its streams go on.
    fn keep(&self, result: Payload, place: &Arc<ReplicaSession>) -> Result<Payload, CallError> {
        if !place.proven.swap(true, Ordering::AcqRel) {
            place.replica.answered();
        }
        if result.handles.is_empty() && result.streams.is_empty() {
            return Ok(result);
        }
        let mut places = self.lock();
        let current = places.current.as_ref();
        if current.is_some_and(|current| Arc::ptr_eq(current, place)) {
            return Ok(result);
        }
        if result.handles.is_empty() {
            places.former.push(place.clone());
            return Ok(result);
        }
        drop(places);
        for handle in &result.handles {
            place.session.drop_handle(handle.id);
        }
        Err(CallError::Unreachable(
            "the resources that the call returned were lost, for a later call has gone to another replica"
                .into(),
        ))
    }
}
