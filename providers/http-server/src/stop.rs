//! A signal that is given once and can be waited for by many.
//!
//! Tokio-util's `CancellationToken` does the same, but takes a lock each time a waiter is polled,
//! and connections are polled for every request. Here a waiter takes a lock when it is first
//! polled, to register, and reads a flag after that. Relying on the first registration is sound
//! because a task's waker wakes the same task for as long as the task lives.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::sync::Notify;

/// The signal.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    given: AtomicBool,
    notify: Notify,
}

impl Stop {
    /// Gives it.
    pub(crate) fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Whether it was given.
    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// Waits for it. The future must stay in the task that first polls it.
    pub(crate) async fn wait(&self) {
        // Made before the flag is read: it is woken even if the signal comes in between.
        let mut notified = pin!(self.notify.notified());
        let mut registered = false;
        poll_fn(|cx| {
            if self.is_given() {
                return Poll::Ready(());
            }
            if registered {
                return Poll::Pending;
            }
            registered = true;
            notified.as_mut().poll(cx)
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn wakes_who_waits_and_passes_who_comes_late() {
        let stop = Arc::new(Stop::default());
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let stop = stop.clone();
                tokio::spawn(async move { stop.wait().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(!stop.is_given());
        stop.give();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        stop.wait().await;
    }
}
