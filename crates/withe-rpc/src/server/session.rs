//! A session, as the server keeps it: which handles the caller holds, and what still runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::served::ServedSession;
use crate::{CallError, HandleRef, guard};

/// A caller's relation to what it calls over one link.
pub(super) struct Session {
    pub(super) served: Arc<dyn ServedSession>,
    pub(super) link: u32,
    state: Mutex<SessionState>,
}

#[derive(Default)]
struct SessionState {
    /// Resources given out to the caller and not yet returned.
    given: HashMap<u32, Given>,
    /// How many were ever given out.
    count: u64,
    /// Calls that were begun and not finished.
    running: usize,
    ended: bool,
}

struct Given {
    /// When, in the order of the session.
    order: u64,
    /// Calls that it is lent to.
    lent: u32,
    /// Whether it is to be dropped when it is lent to none any more.
    dropped: bool,
}

/// The handles that a call has borrowed.
#[derive(Debug)]
#[must_use = "they are lent until the session is told that the call has finished"]
pub(super) struct Lent(Vec<u32>);

/// Why handles were not given out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotGiven {
    /// Nobody is there any more to take them.
    Ended,
    /// They should not have been.
    Error(CallError),
}

impl From<CallError> for NotGiven {
    fn from(why: CallError) -> Self {
        Self::Error(why)
    }
}

impl Session {
    pub(super) fn new(served: Arc<dyn ServedSession>, link: u32) -> Self {
        Self {
            served,
            link,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call with these handles: what is moved leaves the session, what is lent stays.
    ///
    /// # Errors
    ///
    /// If the caller does not hold one of them; nothing has changed then.
    pub(super) fn begin(&self, handles: &[HandleRef]) -> Result<Lent, CallError> {
        let mut state = self.lock();
        state.take(handles)?;
        let borrowed = handles.iter().filter(|h| !h.own).map(|h| h.id);
        let lent = Lent(borrowed.collect());
        for id in &lent.0 {
            if let Some(given) = state.given.get_mut(id) {
                given.lent += 1;
            }
        }
        state.running += 1;
        Ok(lent)
    }

    /// Takes handles that came in the elements of a stream, or with a call that is not begun.
    ///
    /// # Errors
    ///
    /// If the caller does not hold one of them; nothing has changed then.
    pub(super) fn take(&self, handles: &[HandleRef]) -> Result<(), CallError> {
        self.lock().take(handles)
    }

    /// Gives out handles.
    ///
    /// # Errors
    ///
    /// If the session has ended, or they cannot be given out.
    pub(super) fn give(&self, handles: &[HandleRef], limit: usize) -> Result<(), NotGiven> {
        let mut state = self.lock();
        if state.ended {
            return Err(NotGiven::Ended);
        }
        if state.given.len() + handles.len() > limit {
            return Err(NotGiven::Error(CallError::Exhausted(format!(
                "a session holds more than {limit} resource handles"
            ))));
        }
        for (i, handle) in handles.iter().enumerate() {
            let order = state.count;
            let wrong = if handle.own {
                let given = Given {
                    order,
                    lent: 0,
                    dropped: false,
                };
                match state.given.insert(handle.id, given) {
                    None => None,
                    Some(before) => {
                        state.given.insert(handle.id, before);
                        Some("is given out twice")
                    }
                }
            } else {
                Some("is lent by a result")
            };
            if let Some(wrong) = wrong {
                for handle in &handles[..i] {
                    state.given.remove(&handle.id);
                }
                return Err(NotGiven::Error(CallError::TypeMismatch(format!(
                    "the resource handle {} {wrong}",
                    handle.id
                ))));
            }
            state.count += 1;
        }
        Ok(())
    }

    /// The caller drops handles. Returns those to be dropped now: not those it does not hold, and not
    /// those that are lent to a call.
    pub(super) fn drop_handles(&self, ids: &[u32]) -> Vec<u32> {
        let mut state = self.lock();
        let mut now = Vec::with_capacity(ids.len());
        for id in ids {
            match state.given.get_mut(id) {
                Some(given) if given.lent > 0 => given.dropped = true,
                Some(_) => {
                    state.given.remove(id);
                    now.push(*id);
                }
                None => tracing::debug!(handle = id, "a handle is dropped that is not held"),
            }
        }
        now
    }

    /// A call has finished. Returns what is to be dropped now.
    pub(super) fn finish(&self, lent: Lent) -> Vec<u32> {
        let mut state = self.lock();
        state.running -= 1;
        let mut now = Vec::new();
        for id in lent.0 {
            if let Some(given) = state.given.get_mut(&id) {
                given.lent -= 1;
                if given.lent == 0 && given.dropped {
                    state.given.remove(&id);
                    now.push(id);
                }
            }
        }
        if state.ended && state.running == 0 {
            now.extend(state.drain());
        }
        now
    }

    /// The session ends. Returns what is to be dropped now; if calls still run, the last of them
    /// gets it from [`Session::finish`].
    pub(super) fn end(&self) -> Vec<u32> {
        let mut state = self.lock();
        state.ended = true;
        if state.running == 0 {
            state.drain()
        } else {
            Vec::new()
        }
    }

    /// Drops resources, one after the other, and lets go of the session.
    pub(super) async fn release(self: Arc<Self>, ids: Vec<u32>, limit: Duration) {
        for id in ids {
            let mut dropping = match guard::catch(|| self.served.clone().drop_handle(id)) {
                Ok(dropping) => dropping,
                Err(panic) => {
                    tracing::error!(handle = id, "dropping a resource {panic}");
                    continue;
                }
            };
            match timeout(limit, guard::caught(&mut dropping)).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => tracing::error!(handle = id, "dropping a resource {panic}"),
                Err(_) => tracing::warn!(handle = id, "dropping a resource takes too long"),
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.lock().given.len()
    }
}

impl SessionState {
    fn take(&mut self, handles: &[HandleRef]) -> Result<(), CallError> {
        let mut taken = Vec::new();
        let mut wrong = None;
        for handle in handles.iter().filter(|h| h.own) {
            match self.given.remove(&handle.id) {
                Some(given) if given.lent == 0 && !given.dropped => taken.push((handle.id, given)),
                other => {
                    // The resource is lent, or was never given out.
                    taken.extend(other.map(|given| (handle.id, given)));
                    wrong = Some(handle.id);
                    break;
                }
            }
        }
        let is_held = |id: &u32| self.given.get(id).is_some_and(|given| !given.dropped);
        let mut borrowed = handles.iter().filter(|h| !h.own).map(|h| h.id);
        if let Some(id) = wrong.or_else(|| borrowed.find(|id| !is_held(id))) {
            self.given.extend(taken);
            return Err(CallError::TypeMismatch(format!(
                "the resource handle {id} is not held by the caller"
            )));
        }
        Ok(())
    }

    /// Takes all that is left, in the order in which it was given out.
    fn drain(&mut self) -> Vec<u32> {
        let mut left: Vec<_> = self.given.drain().collect();
        left.sort_unstable_by_key(|(_, given)| given.order);
        left.into_iter().map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::BoxFuture;
    use crate::{CallContext, Payload};

    struct Nothing;
    impl ServedSession for Nothing {
        fn call(
            self: Arc<Self>,
            _: usize,
            _: Payload,
            _: CallContext,
        ) -> BoxFuture<'static, Result<Payload, CallError>> {
            Box::pin(async { Ok(Payload::default()) })
        }
        fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    fn session_with(ids: &[u32]) -> Session {
        let session = Session::new(Arc::new(Nothing), 0);
        session.give(&owned(ids), 100).unwrap();
        session
    }

    fn owned(ids: &[u32]) -> Vec<HandleRef> {
        ids.iter().map(|&id| HandleRef { id, own: true }).collect()
    }

    fn lent(ids: &[u32]) -> Vec<HandleRef> {
        ids.iter().map(|&id| HandleRef { id, own: false }).collect()
    }

    #[test]
    fn only_what_is_held_can_be_used() {
        let session = session_with(&[7, 8]);
        assert!(session.begin(&owned(&[9])).is_err());
        assert!(session.begin(&lent(&[9])).is_err());
        // Twice in one call, or moved and lent.
        assert!(session.begin(&owned(&[7, 7])).is_err());
        assert!(session.begin(&[owned(&[7]), lent(&[7])].concat()).is_err());
        // Nothing has changed by that.
        let both = session.begin(&lent(&[7, 8])).unwrap();
        assert_eq!(session.finish(both), []);
        let moved = session.begin(&owned(&[7])).unwrap();
        assert_eq!(session.finish(moved), []);
        assert!(session.begin(&lent(&[7])).is_err());
        assert_eq!(session.drop_handles(&[8, 8, 7]), [8]);
        assert!(session.begin(&lent(&[8])).is_err());
    }

    #[test]
    fn what_is_lent_is_dropped_when_it_is_back() {
        let session = session_with(&[7]);
        let first = session.begin(&lent(&[7])).unwrap();
        let second = session.begin(&lent(&[7])).unwrap();
        assert!(session.begin(&owned(&[7])).is_err());
        assert_eq!(session.drop_handles(&[7]), []);
        assert!(session.begin(&lent(&[7])).is_err());
        assert_eq!(session.finish(first), []);
        assert_eq!(session.finish(second), [7]);
        assert_eq!(session.held(), 0);
    }

    #[test]
    fn the_end_drops_what_is_left_in_order_once_nothing_runs() {
        let session = session_with(&[9, 3, 5]);
        session.drop_handles(&[3]);
        session.give(&owned(&[1]), 100).unwrap();
        let running = session.begin(&lent(&[5])).unwrap();
        assert_eq!(session.end(), []);
        assert_eq!(session.give(&owned(&[2]), 100), Err(NotGiven::Ended));
        assert_eq!(session.finish(running), [9, 5, 1]);
    }

    #[test]
    fn what_is_given_out_is_checked() {
        let session = session_with(&[7]);
        for wrong in [owned(&[7]), owned(&[8, 8]), lent(&[8]), owned(&[0; 100])] {
            assert!(matches!(session.give(&wrong, 100), Err(NotGiven::Error(_))));
        }
        assert_eq!(session.held(), 1);
    }
}
