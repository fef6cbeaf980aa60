//! The cursors of the first draft: numbers, where the stores' are texts.
//!
//! They are bounded: a component that never finishes its listings harms its own link only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Cursors of one link that are remembered.
const CURSORS: usize = 1024;

/// One link's cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    known: HashMap<u64, String>,
    /// The cursors, oldest first.
    ages: VecDeque<u64>,
    last: u64,
}

impl Cursors {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a store's cursor.
    pub(crate) fn add(&self, cursor: String) -> u64 {
        let mut table = self.table();
        if table.ages.len() >= CURSORS
            && let Some(oldest) = table.ages.pop_front()
        {
            table.known.remove(&oldest);
        }
        table.last += 1;
        let number = table.last;
        table.known.insert(number, cursor);
        table.ages.push_back(number);
        number
    }

    /// The cursor that has that number, if it is still known.
    pub(crate) fn get(&self, number: u64) -> Option<String> {
        self.table().known.get(&number).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_cursors_are_forgotten() {
        let cursors = Cursors::default();
        let first = cursors.add("first".into());
        assert_eq!(cursors.get(first).as_deref(), Some("first"));
        for n in 0..CURSORS {
            cursors.add(n.to_string());
        }
        assert_eq!(cursors.get(first), None);
        assert_eq!(cursors.table().known.len(), CURSORS);
    }
}
