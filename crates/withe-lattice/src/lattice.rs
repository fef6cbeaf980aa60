//! The trait of lattices, and the messages of those who meet there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Change, Entry, Expect, LatticeError};

/// How long a lease lives that is not renewed. Renew it three times as often.
pub const LEASE: Duration = Duration::from_secs(6);

/// A lattice, as one of those who meet there has it. Every method ends within a bounded time by itself.
///
/// Keys are words of `[a-zA-Z0-9_=-]` joined by `.`, none of them empty; a *prefix* is some of a key's first
/// words, joined alike (`hosts` is a prefix of `hosts.N1`, and not of `hostsfile.N1`); the empty prefix is
/// one of every key.
///
/// Values are of any size up to [`MAX_VALUE`](crate::MAX_VALUE): where they are kept is the lattice's business.
#[async_trait]
pub trait Lattice: Send + Sync + 'static {
    /// The lattice's name: lattices of different names share nothing.
    fn name(&self) -> &str;

    /// The entry of a key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError>;

    /// All entries with this prefix, by key.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError>;

    /// Puts an entry; returns its revision.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Conflict`] if the entry is not as `expect` says.
    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, LatticeError>;

    /// Puts an entry that is gone [`LEASE`] after it was last put. Keys of leases and of other entries are
    /// apart: a lease is read by [`leases`](Self::leases) and [`watch_leases`](Self::watch_leases) only.
    async fn put_lease(&self, key: &str, value: Bytes, expect: Expect)
    -> Result<u64, LatticeError>;

    /// All leases with this prefix that have not run out, by key.
    async fn leases(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError>;

    /// Removes an entry, if there is one.
    async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError>;

    /// Removes a lease, if there is one.
    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError>;

    /// Watches the entries with this prefix: first all that there are, then
    /// [`Change::Synced`], then every change. The watch goes on over losses of the connection: what is there then
    /// is told again, and what went meanwhile is told as gone, before another `Synced`. An entry that is not there, and
    /// that nobody has removed, is [`Change::Lost`]; a removal may be told after that.
    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError>;

    /// The same of leases. A lease that runs out is told as gone; while there is no connection none runs
    /// out, for who renews it cannot be heard, and when there is one again each has its whole time to be
    /// renewed: until then it may be there for the watch and not for [`leases`](Self::leases).
    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError>;

    /// Keeps a blob under `digest`. One that is there already and whole is not sent again; one that is there and
    /// damaged is replaced. Where the digest is one that can be computed (`sha256:…`), the blob must have it.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Blob`] if it has more bytes than the lattice takes, [`LatticeError::Invalid`] if it is not
    /// what its digest says.
    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError>;

    /// The blob that is kept under `digest`. The recorded size is checked before anything is fetched, and no more bytes
    /// than that are kept.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Blob`] if it is damaged, or has more bytes than the lattice takes.
    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError>;

    /// Removes a blob, if it is there.
    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError>;

    /// Tells something to all that listen to `subject` now (keys' rules hold for it). Nobody need.
    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError>;

    /// Listens to all subjects with this prefix.
    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError>;

    /// Sends a request to a server of `subject`, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`LatticeError::NobodyServes`] if that is known, [`LatticeError::Timeout`] if none comes in time.
    async fn request(
        &self,
        subject: &str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, LatticeError>;

    /// Serves a subject: requests that come in, each to be answered once.
    async fn serve(&self, subject: &str) -> Result<Requests, LatticeError>;

    /// Whether the lattice can be reached now. Watches go on by themselves when it can again.
    fn is_connected(&self) -> bool;

    /// The connection to NATS, if the lattice is on NATS: for what is carried by its subjects.
    fn nats(&self) -> Option<async_nats::Client>;

    /// Whether hosts on other machines can join, and others than this user's processes read what is put.
    fn is_shared(&self) -> bool {
        self.nats().is_some()
    }
}

/// A lattice, shared.
pub type SharedLattice = Arc<dyn Lattice>;

/// Changes as they come; see [`Lattice::watch`]. `None` comes when the lattice was closed.
pub type Watch = tokio::sync::mpsc::Receiver<Change>;

/// Messages as they come. One who does not keep up loses the oldest.
pub type Messages = tokio::sync::mpsc::Receiver<Message>;

/// Requests as they come.
pub type Requests = tokio::sync::mpsc::Receiver<Request>;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
}

/// A request to be answered. Dropped, it is answered by nobody.
#[derive(Debug)]
pub struct Request {
    /// Its bytes.
    pub payload: Bytes,
    /// Takes the answer.
    pub answer: tokio::sync::oneshot::Sender<Bytes>,
}
