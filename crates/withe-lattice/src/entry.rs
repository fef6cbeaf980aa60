//! Entries: keys and values, and what happens to them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The most bytes of a value. Far more than anybody writes: it keeps one that is damaged from taking all memory.
pub const MAX_VALUE: usize = 512 << 20;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// Its revision: greater than that of every change of the same key before it.
    pub revision: u64,
}

/// How an entry must be for a change of it to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Any way.
    Any,
    /// Not there.
    Absent,
    /// There, with this revision.
    Revision(u64),
}

/// Something that happened to an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Put.
    Put(Entry),
    /// Gone: removed, or a lease that ran out.
    Gone {
        /// Its key.
        key: String,
    },
    /// Not there any more, though nobody has removed it: whatever kept it has lost its data.
    Lost {
        /// Its key.
        key: String,
    },
    /// All that was there when the watch began, or began again, has been told.
    Synced,
}
