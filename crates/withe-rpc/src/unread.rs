//! Resource handles in elements that came and that nobody read.
//!
//! A reader may go while elements wait in its pipe: in any thread, and also when the stream has ended and its number is another's.
//! So a pipe knows by itself where handles go that nobody read, and the connection's driver has them dropped. Keeping the stream's
//! number in use until all was read was the other way, and would have had whoever reads late hold numbers of the other side.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::HandleRef;
use crate::outbox::Signal;

/// The unread handles of a connection.
pub(crate) struct UnreadHandles {
    state: Mutex<UnreadState>,
    /// Whether any session was ever asked for: most connections carry no handles in streams, and lock nothing.
    is_used: AtomicBool,
    /// Raised when some wait.
    signal: Arc<Signal>,
}

#[derive(Default)]
struct UnreadState {
    /// How often a session with this number has ended: numbers are used again, and an old pipe must not drop what a new session has.
    ended: HashMap<u32, u32>,
    waiting: Vec<Lost>,
}

/// Handles of a session that nobody read.
pub(crate) struct Lost {
    pub(crate) session: u32,
    pub(crate) handles: Vec<HandleRef>,
}

impl UnreadHandles {
    pub(crate) fn new(signal: Arc<Signal>) -> Self {
        Self {
            state: Mutex::default(),
            is_used: AtomicBool::new(false),
            signal,
        }
    }

    fn lock(&self) -> MutexGuard<'_, UnreadState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the handles go that come for a session through one pipe.
    pub(crate) fn of(self: &Arc<Self>, session: u32) -> UnreadInPipe {
        self.is_used.store(true, Ordering::Release);
        UnreadInPipe {
            session,
            ended: *self.lock().ended.entry(session).or_default(),
            all: self.clone(),
        }
    }

    /// Whether any session was ever asked for.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Whether some wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_used() && !self.lock().waiting.is_empty()
    }

    /// Takes those that wait.
    pub(crate) fn take(&self) -> Vec<Lost> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// A session has ended, and all that it held with it.
    pub(crate) fn end(&self, session: u32) {
        let mut state = self.lock();
        if let Some(ended) = state.ended.get_mut(&session) {
            *ended = ended.wrapping_add(1);
            state.waiting.retain(|lost| lost.session != session);
        }
    }
}

/// Where the handles go that nobody read in one pipe.
pub(crate) struct UnreadInPipe {
    session: u32,
    /// The count of sessions with this number that had ended before.
    ended: u32,
    all: Arc<UnreadHandles>,
}

impl std::fmt::Debug for UnreadInPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UnreadInPipe").field(&self.session).finish()
    }
}

impl UnreadInPipe {
    /// Has handles dropped, unless their session has ended.
    pub(crate) fn discard(&self, handles: Vec<HandleRef>) {
        if handles.is_empty() {
            return;
        }
        let mut state = self.all.lock();
        if state.ended.get(&self.session) != Some(&self.ended) {
            return;
        }
        state.waiting.push(Lost {
            session: self.session,
            handles,
        });
        drop(state);
        self.all.signal.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handles(ids: &[u32]) -> Vec<HandleRef> {
        let ids = ids.iter();
        ids.map(|&id| HandleRef { id, own: true }).collect()
    }

    #[test]
    fn a_pipe_drops_nothing_of_a_later_session() {
        let all = Arc::new(UnreadHandles::new(Arc::default()));
        let (old, other) = (all.of(3), all.of(4));
        old.discard(handles(&[1]));
        other.discard(handles(&[2]));
        all.end(3);
        old.discard(handles(&[5]));
        let new = all.of(3);
        new.discard(handles(&[6]));
        let lost = all.take().into_iter();
        let lost: Vec<_> = lost.map(|lost| (lost.session, lost.handles)).collect();
        assert_eq!(lost, [(4, handles(&[2])), (3, handles(&[6]))]);
        assert!(all.take().is_empty());
    }
}
