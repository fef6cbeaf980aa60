//! The applications that were read on this host.
//!
//! Deploying reads the application, the controller needs its declarations, and the host runs it: all three share
//! one reading. Records say which: two that are equal are of the same bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use withe_load::Loaded;

use crate::records::AppRecord;

/// The applications that were read, by name: of each the last.
#[derive(Default)]
pub(crate) struct Library(Mutex<HashMap<String, Read>>);

struct Read {
    record: AppRecord,
    loaded: Arc<Loaded>,
}

impl Library {
    /// Keeps what was read of `record`.
    pub(crate) fn keep(&self, record: AppRecord, loaded: Arc<Loaded>) {
        let read = Read { record, loaded };
        self.lock().insert(read.record.name.clone(), read);
    }

    /// The application read for `record`, if there is one.
    pub(crate) fn find(&self, record: &AppRecord) -> Option<Arc<Loaded>> {
        let all = self.lock();
        let read = all.get(&record.name)?;
        (read.record == *record).then(|| read.loaded.clone())
    }

    /// Keeps an application no longer.
    pub(crate) fn forget(&self, name: &str) {
        let gone = self.lock().remove(name);
        // Outside the lock: all the bytes of the application may go with it.
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Read>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
