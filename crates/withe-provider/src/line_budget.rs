//! How often something is logged that others can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The lines that may be logged at once.
const BURST: f64 = 50.0;
/// The lines that may be logged in a second from then on.
const RATE: f64 = 5.0;

/// A budget for lines of one kind, such as those about requests that failed: clients cause them, and could fill the log.
/// Lines beyond the budget are counted.
#[derive(Debug)]
pub struct LineBudget(Mutex<Spent>);

#[derive(Debug)]
struct Spent {
    left: f64,
    at: Instant,
    dropped: u64,
}

impl Default for LineBudget {
    fn default() -> Self {
        Self(Mutex::new(Spent {
            left: BURST,
            at: Instant::now(),
            dropped: 0,
        }))
    }
}

impl LineBudget {
    /// Whether one more line may be logged; if so, how many were not since the last that was.
    pub fn line(&self) -> Option<u64> {
        self.line_at(Instant::now())
    }

    fn line_at(&self, now: Instant) -> Option<u64> {
        // Nothing panics while the lock is held.
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(spent.at).as_secs_f64();
        spent.left = (spent.left + passed * RATE).min(BURST);
        spent.at = now;
        if spent.left < 1.0 {
            spent.dropped += 1;
            return None;
        }
        spent.left -= 1.0;
        Some(std::mem::take(&mut spent.dropped))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_beyond_the_budget_is_counted_and_told_with_the_next_line() {
        let budget = LineBudget::default();
        let now = Instant::now();
        let logged = (0..60).filter(|_| budget.line_at(now).is_some()).count();
        assert_eq!(logged, 50);
        let second = now + Duration::from_secs(1);
        assert_eq!(budget.line_at(second), Some(10));
        assert_eq!(budget.line_at(second), Some(0));
    }
}
