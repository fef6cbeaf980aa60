//! Instances that wait for another call.
//!
//! The one that came last goes first: its memory and its tables are in the processor's caches, while those that a queue
//! would hand out in turns are in none. The bottom of the stack is then never used again once a burst is over, so each
//! instance that comes lets two go that nobody wanted for a while. A lock is held for one push or pop.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most instances that are kept.
const MOST: usize = 256;
/// How long an instance is kept that nobody wants.
const UNWANTED: Duration = Duration::from_secs(10);

/// Idle instances of one unit, at most [`MOST`].
pub(crate) struct IdleStack<T>(Mutex<VecDeque<Idle<T>>>);

struct Idle<T> {
    instance: T,
    since: Instant,
}

impl<T> Default for IdleStack<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> IdleStack<T> {
    /// Takes the one that came last.
    pub(crate) fn pop(&self) -> Option<T> {
        Some(self.lock().pop_back()?.instance)
    }

    /// Keeps one more that comes `now`, if there are not enough.
    pub(crate) fn push(&self, instance: T, now: Instant) {
        let mut idle = self.lock();
        let mut unwanted = || {
            let first = idle.front()?;
            let long = now.saturating_duration_since(first.since) > UNWANTED;
            if long { idle.pop_front() } else { None }
        };
        let gone = (unwanted(), unwanted());
        let (instance, since) = (instance, now);
        let one_more = if idle.len() < MOST {
            idle.push_back(Idle { instance, since });
            None
        } else {
            Some(instance)
        };
        // Dropping an instance takes long, and must not hold the lock.
        drop(idle);
        drop((gone, one_more));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle<T>>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(idle: &IdleStack<usize>) -> Vec<usize> {
        std::iter::from_fn(|| idle.pop()).collect()
    }

    #[test]
    fn the_last_goes_first_and_no_more_are_kept_than_is_said() {
        let (idle, now) = (IdleStack::default(), Instant::now());
        (0..MOST + 3).for_each(|n| idle.push(n, now));
        assert!(all(&idle).into_iter().eq((0..MOST).rev()));
    }

    #[test]
    fn a_burst_that_is_over_goes_two_by_two() {
        let (idle, now) = (IdleStack::default(), Instant::now());
        (0..5).for_each(|n| idle.push(n, now));
        let later = now + UNWANTED + Duration::from_millis(1);
        assert_eq!(idle.pop(), Some(4));
        idle.push(4, later);
        assert_eq!(idle.pop(), Some(4));
        idle.push(4, later);
        assert_eq!(all(&idle), [4]);
    }
}
