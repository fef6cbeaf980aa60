//! How long clients may take over what is under way.
//!
//! A client that reads a response slowly, or not at all, holds on to the component's instance, which cannot end before
//! its body does. Nobody asks for the body meanwhile: HTTP/2 waits for the client to open its window, HTTP/1.1 for the
//! socket. So a body cannot look at a clock of its own, and the connection does ([`Transfers::sweep`]).
//!
//! Only the time counts in which the client is waited for. The limit is the time that all transferred bytes take at
//! the least rate, and a budget beyond that: so a large download may take hours, and a stream of events be silent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// How slow a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes a second; 0 for as slow as it likes.
    pub(crate) rate: u64,
    /// How long it may be waited for beyond what the rate allows.
    pub(crate) budget: Duration,
}

impl Pace {
    /// How long a client may have been waited for that has transferred so much; `None` for as long as it likes.
    pub(crate) fn allows(&self, bytes: u64) -> Option<Duration> {
        if self.rate == 0 {
            return None;
        }
        // Seconds are few, even at one byte a second; milliseconds would be enough, too.
        let at_rate = Duration::from_secs(bytes / self.rate);
        Some(self.budget.saturating_add(at_rate))
    }
}

/// How long somebody has been waited for.
#[derive(Debug, Default)]
pub(crate) struct Waited {
    before: Duration,
    since: Option<Instant>,
}

impl Waited {
    /// The client is waited for from now on, unless it is already.
    pub(crate) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The client has done what it was waited for.
    pub(crate) fn end(&mut self) {
        if let Some(since) = self.since.take() {
            self.before += since.elapsed();
        }
    }

    /// How long it has been waited for this time.
    pub(crate) fn current(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(crate) fn in_all(&self) -> Duration {
        self.before + self.current()
    }

    /// When it will have been waited for so long; `None` if it is not waited for, or that is never.
    pub(crate) fn until(&self, in_all: Duration) -> Option<Instant> {
        self.since?.checked_add(in_all.saturating_sub(self.before))
    }
}

/// Something under way whose client may be too slow.
pub(crate) trait Transfer: Send + Sync {
    /// Gives it up if its client has been too slow.
    fn check(&self, now: Instant);
}

/// The transfers under way on one connection.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<Vec<Weak<dyn Transfer>>>);

impl Transfers {
    pub(crate) fn add(&self, transfer: &Arc<impl Transfer + 'static>) {
        let transfer: Weak<dyn Transfer> = Arc::downgrade(transfer) as Weak<dyn Transfer>;
        let mut all = self.lock();
        // Transfers that have ended go at the latest when there would have to be more room.
        if all.len() == all.capacity() {
            all.retain(|transfer| transfer.strong_count() > 0);
        }
        all.push(transfer);
    }

    /// Whether there may be any.
    pub(crate) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Gives up those whose clients have been too slow.
    pub(crate) fn sweep(&self) {
        let all: Vec<_> = {
            let mut all = self.lock();
            all.retain(|transfer| transfer.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        let now = Instant::now();
        for transfer in all {
            transfer.check(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Transfer>>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_time_counts_in_which_somebody_is_waited_for() {
        let pace = Pace {
            rate: 100,
            budget: Duration::from_secs(30),
        };
        let mut waited = Waited::default();
        waited.begin();
        tokio::time::advance(Duration::from_secs(20)).await;
        waited.end();
        tokio::time::advance(Duration::from_secs(1000)).await;
        waited.begin();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(waited.in_all(), Duration::from_secs(25));
        let end = waited.until(pace.allows(0).unwrap()).unwrap();
        assert_eq!(end - Instant::now(), Duration::from_secs(5));
        assert_eq!(pace.allows(1000), Some(Duration::from_secs(40)));
        assert_eq!(Pace { rate: 0, ..pace }.allows(0), None);
    }
}
