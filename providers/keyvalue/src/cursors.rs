//! Cursors as components have them: a store's, with the bucket that it is of.
//!
//! A component that gives the cursor of one bucket to another, or makes one up, is told so by every backend; a
//! store alone would go on somewhere. The second draft's are texts and need no memory. Cursors of the first are
//! numbers, which a link remembers; they are bounded, so a component that never finishes its listings harms its own
//! link only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::store::StoreError;

/// The separator of a bucket's name and the store's cursor, and its escape in a name.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'/').add(b'%');

/// The cursor of `bucket` whose store says `cursor`.
pub(crate) fn of_bucket(bucket: &str, cursor: &str) -> String {
    format!("{}/{cursor}", utf8_percent_encode(bucket, ESCAPED))
}

/// The store's own part of a cursor that [`of_bucket`] made.
///
/// # Errors
///
/// [`StoreError::Cursor`] if `cursor` is no cursor of `bucket`.
pub(crate) fn in_bucket(bucket: &str, cursor: &str) -> Result<String, StoreError> {
    let (name, cursor) = cursor.split_once('/').ok_or(StoreError::Cursor)?;
    match utf8_percent_encode(bucket, ESCAPED).to_string() == name {
        true => Ok(cursor.to_owned()),
        false => Err(StoreError::Cursor),
    }
}

/// Cursors of one link that are remembered.
const CURSORS: usize = 1024;

/// One link's cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Mutex<CursorTable>);

#[derive(Debug, Default)]
struct CursorTable {
    known: HashMap<u64, String>,
    /// The cursors, oldest first.
    ages: VecDeque<u64>,
    last: u64,
}

impl Cursors {
    fn table(&self) -> MutexGuard<'_, CursorTable> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a cursor.
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
    fn a_cursor_is_of_its_bucket() {
        for bucket in ["a", "", "a/b", "a%2Fb", "ä"] {
            let cursor = of_bucket(bucket, "key:x/y");
            assert_eq!(in_bucket(bucket, &cursor).as_deref(), Ok("key:x/y"));
            for other in ["b", "a/", "a/b/key:x", "%", "made up"] {
                assert_eq!(in_bucket(other, &cursor), Err(StoreError::Cursor));
            }
        }
        assert_eq!(in_bucket("a", "made up"), Err(StoreError::Cursor));
    }

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
