//! How much components log: so many bytes in a second, for a component, its application and the host.
//!
//! A line that is beyond one of the limits is dropped, and counted. Dropped lines are reported: once when dropping
//! begins, and with their number before the next line that is logged. A guest never waits for its log, and has no way
//! to learn that nobody reads it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::level::QuotaExceeded;

/// The moment from which seconds are counted.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The lines of one component that were dropped since one was logged.
#[derive(Debug, Default)]
pub(super) struct DroppedLines(AtomicU64);

/// The fate of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineFate {
    /// The line is logged, after so many were dropped.
    Logged { dropped: u64 },
    /// The line is dropped; if it is the first, why that is so.
    Dropped(Option<QuotaExceeded>),
}

impl DroppedLines {
    /// One more is dropped; whether it is the first.
    pub(super) fn add(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Begins anew, and returns how many there were.
    pub(super) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The second that it is.
pub(super) fn second() -> u64 {
    BEGAN.elapsed().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{HostQuota, ShareLimits};

    #[test]
    fn what_is_beyond_a_second_is_dropped_and_counted() {
        let shares = ShareLimits {
            log: 100,
            component: 50,
            application: 80,
            ..ShareLimits::default()
        };
        let quota = HostQuota::new(10, shares);
        let (loud, other) = (
            quota.account("shop", "loud"),
            quota.account("shop", "other"),
        );
        let logged = |dropped| LineFate::Logged { dropped };
        assert_eq!(loud.line_at(40, 1), logged(0));
        let LineFate::Dropped(Some(why)) = loud.line_at(40, 1) else {
            panic!("more than its share was logged");
        };
        let why = why.to_string();
        assert!(why.contains("component `loud` may have 50 bytes"), "{why}");
        assert!(why.contains("--max-log"), "{why}");
        assert_eq!(loud.line_at(40, 1), LineFate::Dropped(None));
        assert_eq!(
            other.line_at(40, 1),
            logged(0),
            "one does not drown the other"
        );
        let LineFate::Dropped(Some(why)) = other.line_at(10, 1) else {
            panic!("the application logs more than its share");
        };
        assert!(why.to_string().contains("application `shop`"), "{why}");
        assert_eq!(loud.line_at(40, 2), logged(2));
        assert_eq!(loud.line_at(10, 2), logged(0));
    }
}
