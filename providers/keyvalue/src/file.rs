//! A file, kept by redb.
//!
//! An acknowledged write stays written, even if the process is killed: every
//! transaction is synced to the disk before its calls return. A sync takes milliseconds, so one
//! thread collects what is asked for meanwhile and commits it together: a hundred callers wait for
//! one sync, not for a hundred. Reads see the last commit and run beside it.
//!
//! A disk that fails costs what was under way: [`DatabaseFile`] opens the file again.
//!
//! A file can be opened once, so all links of this process that name it share it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::{fmt, io};

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use withe_database::{DatabaseError, DatabaseFile, OpenError};

use crate::changes::{ChangedKeys, Watch, Watchers};
use crate::store::{PAGE, Store, StoreError, add, cursor_after, key_before};

/// Bucket and key; value.
const ENTRIES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("entries");
/// Pages of the file that are kept in memory, in bytes.
const CACHE: usize = 64 << 20;
/// Writes that may wait for the writer; more callers wait for a place.
const QUEUE: usize = 1024;
/// The most writes in one transaction.
const BATCH: usize = 1024;

/// The files that are open in this process, by absolute path.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<FileStore>>>> = LazyLock::new(Mutex::default);

/// A file of buckets.
pub(crate) struct FileStore {
    database: Arc<DatabaseFile>,
    /// None once it is being closed.
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
    watchers: Arc<Watchers>,
}

struct Write {
    bucket: String,
    change: Change,
    done: oneshot::Sender<Result<Outcome, StoreError>>,
}

enum Change {
    Set(Vec<(String, Vec<u8>)>),
    Delete(Vec<String>),
    Increment {
        key: String,
        delta: i64,
        least: i64,
    },
    Swap {
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    },
}

enum Outcome {
    Done,
    Sum(i64),
    Swapped(bool),
}

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot make `{}` absolute: {source}", path.display())]
    Absolute { path: PathBuf, source: io::Error },
    /// The path is that of the root.
    #[error("`path` is `{}`, which cannot be a file", .0.display())]
    NoFile(PathBuf),
    #[error("cannot make the folder `{}`: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "`{}` is in use by another process; stop it, or give one of them another `path`",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("cannot open the file of keys and values: {0}")]
    Open(#[source] OpenError),
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl FileStore {
    /// Opens the file at `path`, making it and the folders above it if need be. Blocks.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, in words that say what to do.
    pub(crate) fn open(path: &str) -> Result<Arc<Self>, FileError> {
        let path = resolve(Path::new(path))?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, store| store.strong_count() > 0);
        if let Some(store) = open.get(&path).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let opened = DatabaseFile::open(&path, CACHE, make_tables);
        let database = Arc::new(opened.map_err(|why| match why {
            OpenError::InUse(path) => FileError::InUse(path),
            other => FileError::Open(other),
        })?);
        let (writes, queue) = mpsc::channel(QUEUE);
        let watchers = Arc::new(Watchers::default());
        let writer = {
            let (database, watchers) = (database.clone(), watchers.clone());
            std::thread::Builder::new()
                .name("keyvalue-writer".into())
                .spawn(move || write_all(&database, queue, &watchers))
                .map_err(FileError::Thread)?
        };
        let writes = Some(writes);
        let store = Arc::new(Self {
            database,
            writes,
            writer: Some(writer),
            watchers,
        });
        open.insert(path, Arc::downgrade(&store));
        Ok(store)
    }

    async fn write(&self, bucket: &str, change: Change) -> Result<Outcome, StoreError> {
        let closed = || StoreError::Failed("the file of keys and values is closed".into());
        let (done, outcome) = oneshot::channel();
        let writes = self.writes.as_ref().ok_or_else(closed)?;
        let write = Write {
            bucket: bucket.to_owned(),
            change,
            done,
        };
        writes.send(write).await.map_err(|_| closed())?;
        let lost = |_| StoreError::Lost("the file of keys and values was closed".into());
        outcome.await.map_err(lost)?
    }

    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&redb::ReadOnlyTable<(&str, &str), &[u8]>) -> Result<T, redb::Error>
            + Send
            + 'static,
    {
        let database = self.database.clone();
        let read =
            move || database.run(|database| read(&database.begin_read()?.open_table(ENTRIES)?));
        spawn_blocking(read)
            .await
            .map_err(|e| StoreError::Failed(e.to_string()))?
            .map_err(|e| StoreError::Failed(fault(&e)))
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        // The writer ends when nobody can send to it any more; it first commits what it was sent.
        self.writes = None;
        if let Some(writer) = self.writer.take() {
            // A panic there was reported when it happened.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileStore")
            .field(&self.database.path())
            .finish()
    }
}

/// The one name of the file, whose folder is made.
fn resolve(path: &Path) -> Result<PathBuf, FileError> {
    let path = std::path::absolute(path).map_err(|source| FileError::Absolute {
        path: path.into(),
        source,
    })?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(FileError::NoFile(path));
    };
    let folder = std::fs::create_dir_all(folder)
        .and_then(|()| folder.canonicalize())
        .map_err(|source| FileError::Folder {
            path: folder.into(),
            source,
        })?;
    Ok(folder.join(name))
}

/// A read of a table that was never made would be an error.
fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    Ok(transaction.commit()?)
}

/// Carries out writes until nobody can ask for more.
fn write_all(database: &DatabaseFile, mut queue: mpsc::Receiver<Write>, watchers: &Watchers) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        // A caller that has gone away was told nothing, or that time was over: the less of that is done after
        // all, the better.
        batch.retain(|write| !write.done.is_closed());
        if batch.is_empty() {
            continue;
        }
        let (changes, callers): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|w| ((w.bucket, w.change), w.done))
            .unzip();
        // Also where nobody watches: somebody may begin to before the changes are in the file.
        let mut changed = Vec::new();
        let mut stage = Stage::Changing;
        // Callers that have gone away are not told.
        match database.run(|database| commit(database, changes, &mut changed, &mut stage)) {
            Ok(outcomes) => {
                for (bucket, key) in &changed {
                    watchers.tell(bucket, [key.as_str()]);
                }
                for (done, outcome) in callers.into_iter().zip(outcomes) {
                    let _ = done.send(outcome);
                }
            }
            Err(e) => {
                let failed = failed_write(&e, stage);
                for done in callers {
                    let _ = done.send(Err(failed.clone()));
                }
            }
        }
    }
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// If it fails, all of it is undone.
    Changing,
    /// If it fails, the file may have it, or not.
    Committing,
}

/// Carries out `changes` in order and syncs them to the disk. A change that does not apply fails
/// alone; it has then changed nothing. The other changed keys are added to `changed`. `stage` says how far it came.
fn commit(
    database: &Database,
    changes: Vec<(String, Change)>,
    changed: &mut Vec<(String, String)>,
    stage: &mut Stage,
) -> Result<Vec<Result<Outcome, StoreError>>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut outcomes = Vec::with_capacity(changes.len());
    {
        let mut table = transaction.open_table(ENTRIES)?;
        for (bucket, change) in changes {
            let note = |key: &str| changed.push((bucket.clone(), key.to_owned()));
            outcomes.push(apply(&mut table, &bucket, change, note)?);
        }
    }
    *stage = Stage::Committing;
    transaction.commit()?;
    Ok(outcomes)
}

/// Carries out a change; `note` is told of each key that it has changed.
fn apply(
    table: &mut Table<'_, (&str, &str), &[u8]>,
    bucket: &str,
    change: Change,
    mut note: impl FnMut(&str),
) -> Result<Result<Outcome, StoreError>, redb::Error> {
    match change {
        Change::Set(pairs) => {
            for (key, value) in &pairs {
                table.insert((bucket, key.as_str()), value.as_slice())?;
                note(key);
            }
        }
        Change::Delete(keys) => {
            for key in &keys {
                if table.remove((bucket, key.as_str()))?.is_some() {
                    note(key);
                }
            }
        }
        Change::Increment { key, delta, least } => {
            let sum = {
                let stored = table.get((bucket, key.as_str()))?;
                add(stored.as_ref().map(|v| v.value()), delta, least)
            };
            if let Ok(sum) = sum {
                table.insert((bucket, key.as_str()), sum.to_string().as_bytes())?;
                note(&key);
            }
            return Ok(sum.map(Outcome::Sum));
        }
        Change::Swap {
            key,
            expected,
            value,
        } => {
            let same = {
                let stored = table.get((bucket, key.as_str()))?;
                stored.as_ref().map(|v| v.value()) == expected.as_deref()
            };
            if same {
                table.insert((bucket, key.as_str()), value.as_slice())?;
                note(&key);
            }
            return Ok(Ok(Outcome::Swapped(same)));
        }
    }
    Ok(Ok(Outcome::Done))
}

/// An error in words for a component, which need not know where its host keeps files. The log and the provider's health
/// say more.
fn fault(error: &DatabaseError) -> String {
    match error {
        DatabaseError::Io { source, .. } if is_full(source) => {
            "there is no room left for the file of keys and values".into()
        }
        DatabaseError::Io { .. } => "the file of keys and values failed".into(),
        DatabaseError::Damaged(_) => "the file of keys and values is damaged".into(),
        DatabaseError::Unavailable { .. } => {
            "the file of keys and values cannot be used now".into()
        }
        DatabaseError::Operation { source, .. } => source.to_string(),
    }
}

/// The error of writes whose transaction failed at this stage.
fn failed_write(error: &DatabaseError, stage: Stage) -> StoreError {
    let fault = fault(error);
    match stage {
        Stage::Changing => StoreError::Failed(format!("{fault}; nothing was written")),
        Stage::Committing => StoreError::Lost(fault),
    }
}

/// Whether a disk failed for lack of room, or a limit was met.
fn is_full(error: &redb::Error) -> bool {
    let redb::Error::Io(why) = error else {
        return false;
    };
    matches!(
        why.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[async_trait::async_trait]
impl Store for FileStore {
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let bucket = bucket.to_owned();
        self.read(move |table| {
            keys.iter()
                .map(|key| {
                    let value = table.get((bucket.as_str(), key.as_str()))?;
                    Ok(value.map(|v| v.value().to_vec()))
                })
                .collect()
        })
        .await
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        let bucket = bucket.to_owned();
        self.read(move |table| Ok(table.get((bucket.as_str(), key.as_str()))?.is_some()))
            .await
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        self.write(bucket, Change::Set(pairs)).await.map(|_| ())
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        self.write(bucket, Change::Delete(keys)).await.map(|_| ())
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let change = Change::Increment { key, delta, least };
        match self.write(bucket, change).await? {
            Outcome::Sum(sum) => Ok(sum),
            Outcome::Done | Outcome::Swapped(_) => Err(mixed_up()),
        }
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        match self
            .write(
                bucket,
                Change::Swap {
                    key,
                    expected,
                    value,
                },
            )
            .await?
        {
            Outcome::Swapped(swapped) => Ok(swapped),
            Outcome::Done | Outcome::Sum(_) => Err(mixed_up()),
        }
    }

    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        Ok(self.watchers.add(bucket, changed))
    }

    async fn check(&self) -> Result<(), StoreError> {
        let database = self.database.clone();
        let checked = spawn_blocking(move || database.check()).await;
        let checked = checked.map_err(|e| StoreError::Failed(e.to_string()))?;
        checked.map_err(|e| StoreError::Failed(e.to_string()))
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let bucket = bucket.to_owned();
        let before = cursor.as_deref().map(key_before).transpose()?;
        let before = before.map(str::to_owned);
        self.read(move |table| {
            let start = before.as_deref().unwrap_or("");
            let mut page: Vec<String> = Vec::new();
            for entry in table.range((bucket.as_str(), start)..)? {
                let (key, _) = entry?;
                let (in_bucket, key) = key.value();
                if in_bucket != bucket {
                    break;
                }
                if before.as_deref() == Some(key) {
                    continue;
                }
                if page.len() == PAGE {
                    let next = page.last().map(|key| cursor_after(key));
                    return Ok((page, next));
                }
                page.push(key.to_owned());
            }
            Ok((page, None))
        })
        .await
    }
}

/// [`apply`] gives each change an outcome of its own sort.
fn mixed_up() -> StoreError {
    StoreError::Failed("the writer answered another question".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_that_nothing_was_written_once_it_may_be() {
        let full = DatabaseError::Io {
            path: "data.redb".into(),
            source: Box::new(redb::Error::Io(io::ErrorKind::StorageFull.into())),
        };
        let said = |stage| failed_write(&full, stage).to_string();
        assert_eq!(
            said(Stage::Changing),
            "there is no room left for the file of keys and values; nothing was written"
        );
        assert_eq!(
            said(Stage::Committing),
            "there is no room left for the file of keys and values; what was to be written may or may not be"
        );
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.redb");
        let database = DatabaseFile::open(&path, CACHE, make_tables).unwrap();
        let (writes, queue) = mpsc::channel(2);
        let mut outcomes = Vec::new();
        for key in ["gone", "waiting"] {
            let (done, outcome) = oneshot::channel();
            let write = Write {
                bucket: "b".into(),
                change: Change::Set(vec![(key.into(), b"v".to_vec())]),
                done,
            };
            assert!(writes.try_send(write).is_ok());
            outcomes.push(outcome);
        }
        outcomes.remove(0).close();
        drop(writes);
        write_all(&database, queue, &Watchers::default());
        assert!(matches!(
            outcomes.remove(0).blocking_recv(),
            Ok(Ok(Outcome::Done))
        ));
        let there = |key| {
            let read = database.run(|database| {
                let table = database.begin_read()?.open_table(ENTRIES)?;
                Ok(table.get(("b", key))?.is_some())
            });
            read.unwrap()
        };
        assert!(there("waiting") && !there("gone"));
    }
}
