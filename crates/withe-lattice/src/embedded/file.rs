//! What of an embedded lattice outlives the process: entries and blobs, in a `redb` file.

use std::path::Path;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::Entry;
use crate::error::{Cause, StorageError};

const ENTRIES: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("entries");
const BLOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("blobs");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const NAMES: TableDefinition<&str, &str> = TableDefinition::new("names");

/// The last revision, in [`NUMBERS`].
const REVISION: &str = "revision";
/// The lattice's name, in [`NAMES`].
const LATTICE: &str = "lattice";

/// An open file. Every method does I/O and may take as long as the disk does.
pub(super) struct File {
    database: Database,
}

/// What was in the file.
pub(super) struct Stored {
    pub(super) entries: Vec<Entry>,
    /// Greater than or equal to every revision there was.
    pub(super) revision: u64,
}

impl File {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// It cannot be opened or read, is another process's, or another lattice's.
    pub(super) fn open(path: &Path, lattice: &str) -> Result<(Self, Stored), StorageError> {
        let at = |e: redb::Error| StorageError::Open {
            path: path.into(),
            why: Cause::new(e),
        };
        let database = Database::create(path).map_err(|e| at(e.into()))?;
        let file = Self { database };
        let found = file.claim(lattice).map_err(at)?;
        if found != lattice {
            return Err(StorageError::OtherLattice {
                path: path.into(),
                found,
                wanted: lattice.into(),
            });
        }
        let stored = file.read().map_err(at)?;
        Ok((file, stored))
    }

    /// Makes the tables; returns whose they are.
    fn claim(&self, lattice: &str) -> Result<String, redb::Error> {
        let writing = self.database.begin_write()?;
        let found = {
            writing.open_table(ENTRIES)?;
            writing.open_table(BLOBS)?;
            writing.open_table(NUMBERS)?;
            let mut names = writing.open_table(NAMES)?;
            let found = names.get(LATTICE)?.map(|name| name.value().to_owned());
            match found {
                Some(found) => found,
                None => {
                    names.insert(LATTICE, lattice)?;
                    lattice.to_owned()
                }
            }
        };
        writing.commit()?;
        Ok(found)
    }

    fn read(&self) -> Result<Stored, redb::Error> {
        let reading = self.database.begin_read()?;
        let revision = reading.open_table(NUMBERS)?.get(REVISION)?;
        let mut entries = Vec::new();
        for row in reading.open_table(ENTRIES)?.iter()? {
            let (key, row) = row?;
            let (revision, value) = row.value();
            entries.push(Entry {
                key: key.value().into(),
                value: Bytes::copy_from_slice(value),
                revision,
            });
        }
        Ok(Stored {
            entries,
            revision: revision.map_or(0, |number| number.value()),
        })
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]; then nothing has changed.
    pub(super) fn put(&self, entry: &Entry) -> Result<(), StorageError> {
        self.write(entry.revision, |writing| {
            let row = (entry.revision, &*entry.value);
            writing.open_table(ENTRIES)?.insert(&*entry.key, row)?;
            Ok(())
        })
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]; then nothing has changed.
    pub(super) fn remove(&self, key: &str, revision: u64) -> Result<(), StorageError> {
        self.write(revision, |writing| {
            writing.open_table(ENTRIES)?.remove(key)?;
            Ok(())
        })
    }

    fn write(
        &self,
        revision: u64,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StorageError> {
        let write = || {
            let writing = self.database.begin_write()?;
            change(&writing)?;
            writing.open_table(NUMBERS)?.insert(REVISION, revision)?;
            Ok(writing.commit()?)
        };
        write().map_err(storage)
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn put_blob(&self, digest: &str, blob: &[u8]) -> Result<(), StorageError> {
        let write = || {
            let writing = self.database.begin_write()?;
            writing.open_table(BLOBS)?.insert(digest, blob)?;
            Ok(writing.commit()?)
        };
        write().map_err(storage)
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn blob(&self, digest: &str) -> Result<Option<Bytes>, StorageError> {
        let read = || {
            let reading = self.database.begin_read()?;
            let blob = reading.open_table(BLOBS)?.get(digest)?;
            Ok(blob.map(|blob| Bytes::copy_from_slice(blob.value())))
        };
        read().map_err(storage)
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn has_blob(&self, digest: &str) -> Result<bool, StorageError> {
        let read = || {
            let reading = self.database.begin_read()?;
            Ok(reading.open_table(BLOBS)?.get(digest)?.is_some())
        };
        read().map_err(storage)
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn remove_blob(&self, digest: &str) -> Result<(), StorageError> {
        let write = || {
            let writing = self.database.begin_write()?;
            writing.open_table(BLOBS)?.remove(digest)?;
            Ok(writing.commit()?)
        };
        write().map_err(storage)
    }
}

fn storage(e: redb::Error) -> StorageError {
    StorageError::Other(Cause::new(e))
}
