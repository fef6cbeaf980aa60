//! A file of tables opened, or made whole.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use crate::error::OpenError;

/// How long to wait for a file that this process has just closed: a read may still be finishing.
const CLOSING: Duration = Duration::from_millis(500);

/// Larger files are checked after a crash only, in bytes. Checking reads the whole file, about a second for this much.
const MOST_CHECKED: u64 = 1 << 30;

/// Makes a database of a file's backend: the [`FileBackend`] as it is, but in tests.
pub(crate) type Backend = fn(&redb::Builder, FileBackend) -> Result<Database, DatabaseError>;

/// How a file is opened, as often as needed.
pub(crate) struct Opener {
    path: PathBuf,
    cache: usize,
    make_tables: fn(&Database) -> Result<(), redb::Error>,
    pub(crate) backend: Backend,
}

impl Opener {
    pub(crate) fn new(
        path: &Path,
        cache: usize,
        make_tables: fn(&Database) -> Result<(), redb::Error>,
    ) -> Self {
        Self {
            path: path.into(),
            cache,
            make_tables,
            backend: |builder, file| builder.create_with_backend(file),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file; if there is none, it is made where that is `allowed`.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened. A file that is there has not been changed then.
    pub(crate) fn open(&self, allowed: bool) -> Result<Database, OpenError> {
        let io = |source| OpenError::Io {
            path: self.path.clone(),
            source,
        };
        match fs::metadata(&self.path) {
            Ok(found) if found.len() == 0 => return Err(OpenError::Empty(self.path.clone())),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound && allowed => return self.make(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Gone(self.path.clone()));
            }
            Err(e) => return Err(io(e)),
        }
        let give_up = Instant::now() + CLOSING;
        loop {
            match self.open_at(&self.path) {
                Err(OpenError::InUse(_)) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                opened => return opened,
            }
        }
    }

    /// Makes the file under another name, so that one that is there is never half made.
    fn make(&self) -> Result<Database, OpenError> {
        let io = |source| OpenError::Io {
            path: self.path.clone(),
            source,
        };
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let unfinished = self.path.with_file_name(name);
        _ = fs::remove_file(&unfinished);
        File::create_new(&unfinished).map_err(io)?;
        let made = self.open_at(&unfinished).and_then(|database| {
            // Another process that made one meanwhile keeps it.
            fs::hard_link(&unfinished, &self.path).map_err(io)?;
            Ok(database)
        });
        _ = fs::remove_file(&unfinished);
        match made {
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(OpenError::InUse(self.path.clone()))
            }
            made => made,
        }
    }

    fn open_at(&self, path: &Path) -> Result<Database, OpenError> {
        let open = || -> Result<Database, redb::Error> {
            let file = File::options().read(true).write(true).open(path)?;
            let mut builder = Database::builder();
            builder.set_cache_size(self.cache);
            let len = file.metadata()?.len();
            builder.set_check_integrity_on_open(len > 0 && len <= MOST_CHECKED);
            let database = (self.backend)(&builder, FileBackend::new(file)?)?;
            (self.make_tables)(&database)?;
            Ok(database)
        };
        let damaged = |why: &str| OpenError::Damaged {
            path: self.path.clone(),
            why: why.into(),
        };
        // Nothing is left of what panicked but the file, which is closed.
        let opened = catch_unwind(AssertUnwindSafe(open));
        let opened = opened.map_err(|_| damaged("redb could not make sense of it"))?;
        opened.map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => OpenError::InUse(self.path.clone()),
            redb::Error::Corrupted(why) => damaged(&why),
            // Redb so says that the first bytes are not those of its files, or that one ends too early.
            redb::Error::Io(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                damaged(&e.to_string())
            }
            redb::Error::Io(source) => OpenError::Io {
                path: self.path.clone(),
                source,
            },
            other => OpenError::Other {
                path: self.path.clone(),
                source: Box::new(other),
            },
        })
    }
}
