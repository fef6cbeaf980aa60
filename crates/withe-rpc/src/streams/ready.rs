//! The streams that their pipes have woken.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::outbox::Signal;

/// A stream's place in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamSlot {
    Outgoing(u32),
    Incoming(u32),
}

/// The streams that their pipes have woken.
pub(super) struct Ready {
    pub(super) slots: Mutex<VecDeque<StreamSlot>>,
    pub(super) signal: Arc<Signal>,
}

impl Ready {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<StreamSlot>> {
        // Nothing panics while the lock is held.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waker(self: &Arc<Self>, slot: StreamSlot) -> (Arc<StreamWaker>, Waker) {
        let waker = Arc::new(StreamWaker {
            ready: self.clone(),
            slot,
            noted: AtomicBool::new(false),
        });
        (waker.clone(), Waker::from(waker))
    }
}

/// Notes a stream as ready, once until it is served.
pub(super) struct StreamWaker {
    ready: Arc<Ready>,
    slot: StreamSlot,
    noted: AtomicBool,
}

impl StreamWaker {
    /// The stream is being served.
    pub(super) fn reset(&self) {
        self.noted.store(false, Ordering::Release);
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.noted.swap(true, Ordering::AcqRel) {
            self.ready.lock().push_back(self.slot);
            self.ready.signal.raise();
        }
    }
}
