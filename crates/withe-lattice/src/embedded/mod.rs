//! The lattice of one machine, without a server.
//!
//! [`Embedded`] is within one process; [`serve`] lets other processes of the machine join through a Unix
//! socket, which they do as [`Attached`](crate::Attached). Its state is in memory or in a file, where entries and blobs
//! outlive the process; leases are those of processes, and end with this one.

mod file;
mod meeting;
mod table;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use file::File;
use meeting::Meeting;
use table::EntryTable;
use tokio::time::{Instant, sleep_until};

pub use crate::attached::{Serving, serve};

use crate::blob::{check_size, check_whole};
use crate::{
    Entry, Expect, LEASE, Lattice, LatticeError, MAX_BLOB, Messages, Requests, Watch, digest, keys,
};

/// A lattice within this process. Clones of it are the same lattice.
#[derive(Clone)]
pub struct Embedded {
    store: Arc<Store>,
    lease: Duration,
    max_blob: usize,
}

struct Store {
    name: String,
    /// Held over a whole change, so that the file's order of changes is the memory's.
    changing: Mutex<()>,
    state: Mutex<Contents>,
    file: Option<File>,
}

#[derive(Default)]
struct Contents {
    revision: u64,
    entries: EntryTable,
    leases: EntryTable,
    /// Whether a task waits for leases to run out.
    sweeping: bool,
    meeting: Meeting,
    /// Empty if there is a file.
    blobs: HashMap<String, Bytes>,
}

impl Embedded {
    /// A lattice that is gone with its last clone.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Invalid`] if it cannot have this name.
    pub fn in_memory(name: &str) -> Result<Self, LatticeError> {
        keys::check_name("lattice", name)?;
        Ok(Self::of(name, Contents::default(), None))
    }

    /// A lattice whose entries and blobs are kept in a file, which is made if it is not there. One process
    /// at a time can have it open.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Storage`] if the file cannot be used, [`LatticeError::Invalid`] if the lattice
    /// cannot have this name.
    pub fn open(name: &str, path: impl AsRef<Path>) -> Result<Self, LatticeError> {
        keys::check_name("lattice", name)?;
        let (file, stored) = File::open(path.as_ref(), name)?;
        let mut state = Contents {
            revision: stored.revision,
            ..Contents::default()
        };
        for entry in stored.entries {
            state.entries.put(entry, None);
        }
        Ok(Self::of(name, state, Some(file)))
    }

    fn of(name: &str, state: Contents, file: Option<File>) -> Self {
        Self {
            store: Arc::new(Store {
                name: name.into(),
                changing: Mutex::new(()),
                state: Mutex::new(state),
                file,
            }),
            lease: LEASE,
            max_blob: MAX_BLOB,
        }
    }

    /// The same lattice, where leases put through this value live for `lease` and not for [`LEASE`].
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The same lattice, where no blob is put or got through this value that has more bytes than `most`, and not
    /// than [`MAX_BLOB`].
    #[must_use]
    pub fn with_max_blob(self, most: usize) -> Self {
        Self {
            max_blob: most,
            ..self
        }
    }

    /// Does work that may do I/O, to its end even if the caller goes away.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, LatticeError> + Send + 'static,
    ) -> Result<T, LatticeError> {
        if self.store.file.is_none() {
            return work(&self.store);
        }
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(LatticeError::storage)?
    }
}

impl Contents {
    /// Counts on; what comes of it may fail, and then that revision never was.
    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

impl Store {
    fn state(&self) -> MutexGuard<'_, Contents> {
        // Every change of the state is whole before anything that could fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: String, value: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        let _changing = self.changing();
        let revision = {
            let mut state = self.state();
            state.entries.expect(&key, expect, Instant::now())?;
            state.next_revision()
        };
        let entry = Entry {
            key,
            value,
            revision,
        };
        // Readers go on meanwhile, and see it when it is safe.
        if let Some(file) = &self.file {
            file.put(&entry)?;
        }
        self.state().entries.put(entry, None);
        Ok(revision)
    }

    fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        let _changing = self.changing();
        let now = Instant::now();
        let revision = {
            let mut state = self.state();
            state.entries.expect(key, expect, now)?;
            if state.entries.get(key, now).is_none() {
                return Ok(());
            }
            state.next_revision()
        };
        if let Some(file) = &self.file {
            file.remove(key, revision)?;
        }
        self.state().entries.remove(key);
        Ok(())
    }

    /// Keeps a blob, unless it is there and whole.
    fn put_blob(&self, digest: String, blob: Bytes, most: usize) -> Result<(), LatticeError> {
        let large = check_size(blob.len() as u64, most);
        large.map_err(|why| LatticeError::blob(&digest, why))?;
        let found = match &self.file {
            Some(file) => file.blob(&digest, |found| check_whole(&digest, found, most))?,
            // Memory does not go bad.
            None => self.state().blobs.contains_key(&digest).then_some(Ok(())),
        };
        match found {
            Some(Ok(())) => return Ok(()),
            Some(Err(why)) => tracing::warn!(digest, %why, "a damaged blob is replaced"),
            None => {}
        }
        match &self.file {
            Some(file) => file.put_blob(&digest, &blob)?,
            None => drop(self.state().blobs.insert(digest, blob)),
        }
        Ok(())
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes leases as they run out, as long as there are any.
async fn sweep(store: Weak<Store>) {
    loop {
        let next = match store.upgrade() {
            None => return,
            Some(store) => {
                let mut state = store.state();
                match state.leases.expire(Instant::now()) {
                    Some(next) => next,
                    None => {
                        state.sweeping = false;
                        return;
                    }
                }
            }
        };
        // A lease that is put meanwhile may be a shorter one: look again before long.
        let soon = Instant::now() + LEASE / 12;
        sleep_until(next.min(soon)).await;
    }
}

#[async_trait]
impl Lattice for Embedded {
    fn name(&self) -> &str {
        &self.store.name
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError> {
        keys::check(key)?;
        Ok(self.store.state().entries.get(key, Instant::now()))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        keys::check_prefix(prefix)?;
        Ok(self.store.state().entries.list(prefix, Instant::now()))
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        keys::check(key)?;
        keys::check_value(key, &value)?;
        let key = key.to_owned();
        self.on_disk(move |store| store.put(key, value, expect))
            .await
    }

    async fn put_lease(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        keys::check(key)?;
        keys::check_value(key, &value)?;
        let mut state = self.store.state();
        let now = Instant::now();
        state.leases.expect(key, expect, now)?;
        let revision = state.next_revision();
        let entry = Entry {
            key: key.into(),
            value,
            revision,
        };
        state.leases.put(entry, Some(now + self.lease));
        if !state.sweeping {
            state.sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(&self.store)));
        }
        Ok(revision)
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        keys::check_prefix(prefix)?;
        Ok(self.store.state().leases.list(prefix, Instant::now()))
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        keys::check(key)?;
        let key = key.to_owned();
        self.on_disk(move |store| store.delete(&key, expect)).await
    }

    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError> {
        keys::check(key)?;
        self.store.state().leases.remove(key);
        Ok(())
    }

    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError> {
        keys::check_prefix(prefix)?;
        Ok(self.store.state().entries.watch(prefix, Instant::now()))
    }

    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError> {
        keys::check_prefix(prefix)?;
        Ok(self.store.state().leases.watch(prefix, Instant::now()))
    }

    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError> {
        digest::check(digest, &blob)?;
        let digest = digest.to_owned();
        let most = self.max_blob;
        self.on_disk(move |store| store.put_blob(digest, blob, most))
            .await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        let digest = digest.to_owned();
        let most = self.max_blob;
        self.on_disk(move |store| {
            let check = |blob: &[u8]| check_whole(&digest, blob, most);
            let blob = match &store.file {
                Some(file) => file.blob(&digest, |blob| {
                    check(blob).map(|()| Bytes::copy_from_slice(blob))
                })?,
                None => {
                    let blob = store.state().blobs.get(&digest).cloned();
                    blob.map(|blob| check(&blob).map(|()| blob))
                }
            };
            let blob = blob.transpose();
            blob.map_err(|why| LatticeError::blob(&digest, why))
        })
        .await
    }

    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError> {
        let digest = digest.to_owned();
        self.on_disk(move |store| match &store.file {
            Some(file) => Ok(file.remove_blob(&digest)?),
            None => {
                store.state().blobs.remove(&digest);
                Ok(())
            }
        })
        .await
    }

    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError> {
        keys::check(subject)?;
        self.store.state().meeting.publish(subject, &message);
        Ok(())
    }

    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError> {
        keys::check_prefix(prefix)?;
        Ok(self.store.state().meeting.listen(prefix))
    }

    async fn request(
        &self,
        subject: &str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, LatticeError> {
        keys::check(subject)?;
        let server = self.store.state().meeting.server(subject);
        let Some(server) = server else {
            return Err(LatticeError::NobodyServes(subject.into()));
        };
        meeting::ask(server, subject, message, timeout).await
    }

    async fn serve(&self, subject: &str) -> Result<Requests, LatticeError> {
        keys::check(subject)?;
        Ok(self.store.state().meeting.serve(subject))
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn nats(&self) -> Option<async_nats::Client> {
        None
    }
}
