//! The streams that their pipes have woken.
//!
//! Streams that the peer writes have a queue of their own, because messages about them are ordered: a reader that is
//! dropped before a call is made, or answered, is closed before it. Two components in one store see that so, too.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    queues: Mutex<Queues>,
    /// How many of the other side's streams were woken and not served. The driver counts down with the streams still
    /// locked, so that nobody finds none while one is about to be served.
    incoming: AtomicUsize,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Queues {
    incoming: VecDeque<u32>,
    outgoing: VecDeque<u32>,
}

impl Ready {
    pub(super) fn new(signal: Arc<Signal>) -> Self {
        Self {
            queues: Mutex::default(),
            incoming: AtomicUsize::new(0),
            signal,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Nothing panics while the lock is held.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next stream to be served. To be called with the streams locked; [`Ready::served`] follows.
    pub(super) fn next(&self) -> Option<StreamSlot> {
        let mut queues = self.lock();
        match queues.incoming.pop_front() {
            Some(index) => Some(StreamSlot::Incoming(index)),
            None => queues.outgoing.pop_front().map(StreamSlot::Outgoing),
        }
    }

    /// As [`Ready::next`], of the streams that the other side writes.
    pub(super) fn next_incoming(&self) -> Option<u32> {
        self.lock().incoming.pop_front()
    }

    /// Notes that one of the other side's streams was served.
    pub(super) fn served(&self) {
        self.incoming.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many of the other side's streams wait to be served, or are being served.
    pub(super) fn incoming(&self) -> usize {
        self.incoming.load(Ordering::Acquire)
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let queues = std::mem::take(&mut *self.lock());
        (self.incoming).fetch_sub(queues.incoming.len(), Ordering::AcqRel);
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
        if self.noted.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut queues = self.ready.lock();
        match self.slot {
            StreamSlot::Incoming(index) => {
                // Counted before anybody can take it.
                self.ready.incoming.fetch_add(1, Ordering::AcqRel);
                queues.incoming.push_back(index);
            }
            StreamSlot::Outgoing(index) => queues.outgoing.push_back(index),
        }
        drop(queues);
        self.ready.signal.raise();
    }
}
