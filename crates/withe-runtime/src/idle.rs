//! Instances that wait for another call.
//!
//! The one that came last goes first: its memory and its tables are in the processor's caches, while those that a queue
//! would hand out in turns are in none. A lock is held for one push or pop.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most instances that are kept.
const MOST: usize = 256;

/// Idle instances of one unit, at most [`MOST`].
pub(crate) struct IdleStack<T>(Mutex<Vec<T>>);

impl<T> Default for IdleStack<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> IdleStack<T> {
    /// Takes the one that came last.
    pub(crate) fn pop(&self) -> Option<T> {
        self.lock().pop()
    }

    /// Keeps one more; drops it if there are enough.
    pub(crate) fn push(&self, instance: T) {
        let mut idle = self.lock();
        if idle.len() < MOST {
            return idle.push(instance);
        }
        // Dropping an instance takes long, and must not hold the lock.
        drop(idle);
        drop(instance);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_goes_first_and_no_more_are_kept_than_is_said() {
        let idle = IdleStack::default();
        (0..MOST + 3).for_each(|n| idle.push(n));
        let taken: Vec<_> = std::iter::from_fn(|| idle.pop()).collect();
        assert!(taken.into_iter().eq((0..MOST).rev()));
    }
}
