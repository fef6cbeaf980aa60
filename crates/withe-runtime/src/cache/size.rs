//! How much compiled code is kept: what was not used for longest goes.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use withe_files::PrivateFolder;

/// The most that is kept, in bytes and in entries. Both are exceeded by what is written between two looks.
const MOST_BYTES: u64 = 4 << 30;
const MOST_ENTRIES: usize = 4_096;
/// The folder is looked through at the first entry that a process writes, and after so many bytes or entries.
const LOOK_BYTES: u64 = 256 << 20;
const LOOK_ENTRIES: usize = 256;
/// How old a file is whose writing has certainly ended.
const UNFINISHED: Duration = Duration::from_secs(60 * 60);

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
        remove_oldest(folder, MOST_BYTES, MOST_ENTRIES);
    }
}

/// Removes entries until no more are left than that. Another process may do the same; then more go.
pub(super) fn remove_oldest(folder: &PrivateFolder, most_bytes: u64, most_entries: usize) {
    let Ok(found) = fs::read_dir(folder.path()) else {
        return;
    };
    let mut entries = Vec::new();
    for entry in found.flatten() {
        // Whatever has no such name is not ours to remove.
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Ok(about) = entry.metadata() else {
            continue;
        };
        let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if is_name(name) {
            entries.push((used, about.len(), entry.path()));
        } else if PrivateFolder::is_unfinished(name)
            && used.elapsed().is_ok_and(|age| age > UNFINISHED)
        {
            _ = fs::remove_file(entry.path());
        }
    }
    entries.sort();
    let mut bytes: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
    let mut left = entries.len();
    for (_, size, path) in entries {
        if bytes <= most_bytes && left <= most_entries {
            break;
        }
        _ = fs::remove_file(path);
        bytes -= size;
        left -= 1;
    }
}

fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}
