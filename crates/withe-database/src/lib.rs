//! A redb file that comes back when its disk does.
//!
//! After one I/O error redb refuses everything until the file is opened again, since it no longer knows what is on the
//! disk. A disk that was full for a second would so stop a store until its process is started again. And redb trusts
//! what it reads: damage in a file makes it panic. [`DatabaseFile`] is between redb and those who keep things in a file:
//!
//! * When an operation fails for the file's sake, the file is closed, and opened again by those who need it next, after
//!   waits that grow. Committed data are there; the operation that failed is not repeated, as nobody knows whether it
//!   was done.
//! * Damage is found when a file is opened ([`Builder::set_check_integrity_on_open`]), and is an error, also where redb
//!   panics.
//! * A file is made only where there is none. An empty one has lost what was in it.
//!
//! Reopening in redb itself, below its storage, was rejected: only a new [`Database`] reads again what it has cached.

mod error;
mod open;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(doc)]
use redb::Builder;
use redb::Database;
use withe_rpc::BackOff;

pub use error::{DatabaseError, OpenError};
use open::Opener;

/// Waits before the file is opened again. The first is short: a disk may have been full for a moment.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(5),
};

/// A file with tables. All operations block for as long as the disk does.
pub struct DatabaseFile {
    opener: Opener,
    state: Mutex<FileState>,
}

enum FileState {
    Open(Arc<Database>),
    /// An operation failed: why, how often in a row, and when the file is opened again.
    Failed {
        why: String,
        failures: u32,
        again: Instant,
    },
}

impl DatabaseFile {
    /// Opens the file at `path`, or makes it if there is none. `make_tables` is called whenever it was opened; it has
    /// to make the tables that are not there. At most `cache` bytes of the file are kept in memory.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or made, is another process's, or is damaged.
    pub fn open(
        path: &Path,
        cache: usize,
        make_tables: fn(&Database) -> Result<(), redb::Error>,
    ) -> Result<Self, OpenError> {
        Self::with(Opener::new(path, cache, make_tables))
    }

    fn with(opener: Opener) -> Result<Self, OpenError> {
        let database = opener.open(true)?;
        Ok(Self {
            opener,
            state: Mutex::new(FileState::Open(Arc::new(database))),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.opener.path()
    }

    /// Does something with the database, which is opened again before, if an earlier operation failed and it is time.
    ///
    /// # Errors
    ///
    /// If it fails. A transaction that failed has changed nothing, but if its commit failed, it may have.
    pub fn run<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let database = self.database()?;
        // A panic leaves things half done in the database only, which is not used again.
        let done = catch_unwind(AssertUnwindSafe(|| work(&database)));
        let error = match done {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => DatabaseError::of(self.path(), error),
            Err(_) => DatabaseError::Damaged(self.path().into()),
        };
        if error.is_of_file() {
            self.failed(&database, &error.to_string());
        }
        Err(error)
    }

    /// Whether it can be used now.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub fn check(&self) -> Result<(), DatabaseError> {
        self.database().map(drop)
    }

    fn database(&self) -> Result<Arc<Database>, DatabaseError> {
        let mut state = self.state();
        let (why, failures, again) = match &*state {
            FileState::Open(database) => return Ok(database.clone()),
            FileState::Failed {
                why,
                failures,
                again,
            } => (why, *failures, *again),
        };
        if Instant::now() < again {
            return Err(DatabaseError::Unavailable {
                path: self.path().into(),
                why: why.clone(),
            });
        }
        match self.opener.open(false) {
            Ok(database) => {
                tracing::warn!("`{}` is used again", self.path().display());
                let database = Arc::new(database);
                *state = FileState::Open(database.clone());
                Ok(database)
            }
            Err(why) => {
                let why = why.to_string();
                let failures = failures.saturating_add(1);
                *state = FileState::Failed {
                    why: why.clone(),
                    failures,
                    again: Instant::now() + AGAIN.after(failures),
                };
                Err(DatabaseError::Unavailable {
                    path: self.path().into(),
                    why,
                })
            }
        }
    }

    /// Gives up a database that failed. The file is closed when the last operation that has it ends.
    fn failed(&self, database: &Arc<Database>, why: &str) {
        let mut state = self.state();
        // Another operation may have found out before, and it may be open again.
        if !matches!(&*state, FileState::Open(open) if Arc::ptr_eq(open, database)) {
            return;
        }
        tracing::error!("{why}; the file is closed, and opened again when it is needed");
        let failed = std::mem::replace(
            &mut *state,
            FileState::Failed {
                why: why.into(),
                failures: 1,
                again: Instant::now() + AGAIN.after(1),
            },
        );
        drop(state);
        drop(failed);
    }

    fn state(&self) -> MutexGuard<'_, FileState> {
        // The state is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for DatabaseFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DatabaseFile").field(&self.path()).finish()
    }
}

#[cfg(test)]
mod tests;
