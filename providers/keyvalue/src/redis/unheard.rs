//! Reasons of watches that hear nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Why watches of a store hear nothing now, for its health: by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Unheard(Arc<Mutex<UnheardWatches>>);

#[derive(Debug, Default)]
struct UnheardWatches {
    last: u64,
    reasons: BTreeMap<u64, String>,
}

impl Unheard {
    fn with<T>(&self, f: impl FnOnce(&mut UnheardWatches) -> T) -> T {
        // Nothing panics while it is held.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why one of the watches hears nothing, if one does not.
    pub(super) fn reason(&self) -> Option<String> {
        self.with(|watches| watches.reasons.values().next().cloned())
    }

    /// A place for one more watch.
    pub(super) fn place(&self) -> UnheardPlace {
        let number = self.with(|watches| {
            watches.last += 1;
            watches.last
        });
        UnheardPlace {
            unheard: self.clone(),
            number,
        }
    }
}

/// Where a watch says why it hears nothing, for as long as it is there.
pub(super) struct UnheardPlace {
    unheard: Unheard,
    number: u64,
}

impl UnheardPlace {
    pub(super) fn say(&self, why: String) {
        self.unheard
            .with(|watches| watches.reasons.insert(self.number, why));
    }

    pub(super) fn clear(&self) {
        self.unheard
            .with(|watches| watches.reasons.remove(&self.number));
    }
}

impl Drop for UnheardPlace {
    fn drop(&mut self) {
        self.clear();
    }
}
