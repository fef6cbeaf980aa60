//! Turns of those who change the same thing.
//!
//! A caller that changes one thing waits for none that changes another: there is a lock for each thing, which is there while
//! somebody waits for it or has it. A fixed number of locks, by hash, was rejected: one change that takes long, since others
//! write the same thing elsewhere, would hold up others that have nothing to do with it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::MutexGuard;

/// Whose turn it is, for each thing.
pub(crate) struct Turns<K: Eq + Hash>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// A place among those who want to change `thing`, until it is dropped.
    pub(crate) fn queue<'a>(&'a self, thing: &'a K) -> Place<'a, K> {
        // Nothing panics while the map is locked.
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = locks.entry(thing.clone()).or_default().clone();
        Place {
            turns: self,
            thing,
            lock,
        }
    }
}

/// A place in a queue.
pub(crate) struct Place<'a, K: Eq + Hash> {
    turns: &'a Turns<K>,
    thing: &'a K,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<K: Eq + Hash> Place<'_, K> {
    /// Waits for those before.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().await
    }
}

impl<K: Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut locks = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one's; others come only while the map is locked.
        if Arc::strong_count(&self.lock) <= 2 {
            locks.remove(self.thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn only_the_same_thing_is_waited_for_and_nothing_stays() {
        let turns = Turns::default();
        let (one, same, other) = (turns.queue(&"a"), turns.queue(&"a"), turns.queue(&"b"));
        let turn = one.turn().now_or_never().unwrap();
        assert!(same.turn().now_or_never().is_none());
        assert!(other.turn().now_or_never().is_some());
        drop(turn);
        drop(one);
        // A caller that comes waits for those that are there.
        let turn = same.turn().now_or_never().unwrap();
        let late = turns.queue(&"a");
        assert!(late.turn().now_or_never().is_none());
        drop(turn);
        drop((late, other, same));
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
