//! The part of an embedded lattice that outlives the process: entries and blobs, in a `redb` file.

use std::path::Path;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use withe_database::{DatabaseError, DatabaseFile};

use crate::Entry;
use crate::error::{Cause, StorageError};

const ENTRIES: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("entries");
const BLOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("blobs");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const NAMES: TableDefinition<&str, &str> = TableDefinition::new("names");

/// Pages of the file that are kept in memory, in bytes.
const CACHE: usize = 64 << 20;

/// The last revision, in [`NUMBERS`].
const REVISION: &str = "revision";
/// The lattice's name, in [`NAMES`].
const LATTICE: &str = "lattice";

/// An open file. Every method does I/O and may take as long as the disk does.
pub(super) struct File {
    database: DatabaseFile,
}

/// The contents of the file.
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
    /// Returns an error when the file cannot be opened or read, or belongs to another process or
    /// lattice.
    pub(super) fn open(path: &Path, lattice: &str) -> Result<(Self, Stored), StorageError> {
        let database = DatabaseFile::open(path, CACHE, make_tables);
        let database = database.map_err(|e| StorageError::Open(Cause::new(e)))?;
        let file = Self { database };
        let read_all = |e| StorageError::Open(Cause::new(e));
        let found = file.claim(lattice).map_err(read_all)?;
        if found != lattice {
            return Err(StorageError::OtherLattice {
                path: path.into(),
                found,
                wanted: lattice.into(),
            });
        }
        let stored = file.read().map_err(read_all)?;
        Ok((file, stored))
    }

    /// The name of the lattice that owns the file: this one, if the file is new.
    fn claim(&self, lattice: &str) -> Result<String, DatabaseError> {
        self.database.run(|database| {
            let writing = database.begin_write()?;
            let found = {
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
        })
    }

    fn read(&self) -> Result<Stored, DatabaseError> {
        self.database.run(read)
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
        let written = self.database.run(|database| {
            let writing = database.begin_write()?;
            change(&writing)?;
            writing.open_table(NUMBERS)?.insert(REVISION, revision)?;
            Ok(writing.commit()?)
        });
        written.map_err(storage)
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn put_blob(&self, digest: &str, blob: &[u8]) -> Result<(), StorageError> {
        let written = self.database.run(|database| {
            let writing = database.begin_write()?;
            writing.open_table(BLOBS)?.insert(digest, blob)?;
            Ok(writing.commit()?)
        });
        written.map_err(storage)
    }

    /// Reads a blob where it is, if it is there.
    ///
    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn blob<T>(
        &self,
        digest: &str,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, StorageError> {
        let found = self.database.run(|database| {
            let reading = database.begin_read()?;
            let blob = reading.open_table(BLOBS)?.get(digest)?;
            Ok(blob.map(|blob| read(blob.value())))
        });
        found.map_err(storage)
    }

    /// # Errors
    ///
    /// [`StorageError::Other`]
    pub(super) fn remove_blob(&self, digest: &str) -> Result<(), StorageError> {
        let written = self.database.run(|database| {
            let writing = database.begin_write()?;
            writing.open_table(BLOBS)?.remove(digest)?;
            Ok(writing.commit()?)
        });
        written.map_err(storage)
    }
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(ENTRIES)?;
    writing.open_table(BLOBS)?;
    writing.open_table(NUMBERS)?;
    writing.open_table(NAMES)?;
    Ok(writing.commit()?)
}

fn read(database: &Database) -> Result<Stored, redb::Error> {
    let reading = database.begin_read()?;
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

fn storage(e: DatabaseError) -> StorageError {
    StorageError::Other(Cause::new(e))
}
