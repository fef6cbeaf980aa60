//! How much compiled code is kept: what was not used for longest goes.

use std::sync::{Mutex, PoisonError};

use withe_files::PrivateFolder;

/// The most that is kept, in bytes and in entries. Both are exceeded by what is written between two looks.
const MOST_BYTES: u64 = 4 << 30;
const MOST_ENTRIES: usize = 4_096;
/// The folder is looked through at the first entry that a process writes, and after so many bytes or entries.
const LOOK_BYTES: u64 = 256 << 20;
const LOOK_ENTRIES: usize = 256;

/// The bytes written since the folder was looked through, if it was.
#[derive(Default)]
pub(super) struct Size(Mutex<Option<(u64, usize)>>);

impl Size {
    /// Counts an entry of so many bytes, and removes others if there are too many.
    pub(super) fn wrote(&self, folder: &PrivateFolder, bytes: u64) {
        {
            // A count is whole whatever panics.
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (sum, entries) = written.unwrap_or((LOOK_BYTES, LOOK_ENTRIES));
            let (sum, entries) = (sum.saturating_add(bytes), entries + 1);
            if sum < LOOK_BYTES && entries < LOOK_ENTRIES {
                *written = Some((sum, entries));
                return;
            }
            *written = Some((0, 0));
        }
        folder.remove_oldest(is_name, MOST_BYTES, MOST_ENTRIES);
    }
}

/// Whether a name is that of an entry.
pub(super) fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}
