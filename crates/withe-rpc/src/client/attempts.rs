//! When an endpoint, or what is served there, is tried again after it has failed.

use std::time::{Duration, Instant};

use crate::{BackOff, clock};

/// The pauses of those who wait for this endpoint and no other.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(10),
    most: Duration::from_secs(1),
};

/// How many times as long those keep away who can go elsewhere.
const AWAY: u32 = 10;

/// How long a connection has to last for what went before to be forgotten.
const STEADY: Duration = Duration::from_secs(1);

/// Counts the failed attempts since the last success.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    failures: u32,
    last: Instant,
    /// Whether those who can go elsewhere do so.
    avoided: bool,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            failures: 0,
            last: clock::now(),
            avoided: false,
        }
    }
}

impl Attempts {
    /// One has failed.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.avoid();
    }

    /// One takes so long that others do not wait for it.
    pub(super) fn avoid(&mut self) {
        self.last = clock::now();
        self.avoided = true;
    }

    /// One has succeeded. Whether the success lasts shows only in [`lost`](Self::lost).
    pub(super) fn succeeded(&mut self) {
        self.avoided = false;
    }

    /// A connection that had succeeded has ended.
    pub(super) fn lost(&mut self, lasted: Duration) {
        if lasted >= STEADY {
            self.failures = 0;
            self.avoid();
        } else {
            // Otherwise an endpoint that accepts and hangs up would be asked without a pause.
            self.failed();
        }
    }

    /// When those may try again who can go nowhere else.
    pub(super) fn not_before(&self) -> Instant {
        self.last + PAUSES.after(self.failures)
    }

    /// When those may try again who can go elsewhere; none if they need not keep away.
    pub(super) fn away_until(&self) -> Option<Instant> {
        self.avoided
            .then(|| self.last + AWAY * PAUSES.after(self.failures.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long who can go nowhere else, and who can, keep away.
    fn pauses(attempts: &Attempts) -> (Duration, Option<Duration>) {
        let since = |at: Instant| at.duration_since(attempts.last);
        (
            since(attempts.not_before()),
            attempts.away_until().map(since),
        )
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let mut attempts = Attempts::default();
        assert_eq!(pauses(&attempts), (ms(0), None));
        for n in [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000] {
            attempts.failed();
            assert_eq!(pauses(&attempts), (ms(n), Some(ms(10 * n))));
        }
        for _ in 0..100 {
            attempts.failed();
        }
        attempts.succeeded();
        assert_eq!(attempts.away_until(), None);
    }

    #[test]
    fn only_a_connection_that_lasted_makes_up_for_failures() {
        let mut attempts = Attempts::default();
        attempts.failed();
        attempts.succeeded();
        attempts.lost(ms(1));
        assert_eq!(pauses(&attempts), (ms(20), Some(ms(200))));
        attempts.succeeded();
        attempts.lost(STEADY);
        // A caller that has no other replica tries again at once.
        assert_eq!(pauses(&attempts), (ms(0), Some(ms(100))));
    }
}
