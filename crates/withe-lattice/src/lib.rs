//! The lattice: where hosts meet.
//!
//! A lattice keeps a small ordered store of keys and values that can be watched, leases (entries that are
//! gone when whoever put them is), blobs, and messages between hosts. It knows nothing of applications:
//! what the keys mean is for those who use it.
//!
//! * [`embedded`]: one machine, without a server. Other processes of the machine are [`Attached`] to it.
//! * [`nats`]: any number of machines, on a NATS server with JetStream. [`names`] has all that it uses there.
//! * [`transport`]: connections between hosts through NATS, for the calls of components. They do not go
//!   through the lattice, but through the server that it is on.

mod attached;
mod backlog;
mod digest;
pub mod embedded;
mod error;
mod feed;
mod keys;
pub mod names;
pub mod nats;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use attached::Attached;
pub use embedded::Embedded;
pub use error::LatticeError;
pub use nats::Nats;

/// How long a lease lives that is not renewed. Renew it three times as often.
pub const LEASE: Duration = Duration::from_secs(6);

/// The largest value of an entry, in bytes: what is larger is a blob.
pub const MAX_VALUE: usize = 512 * 1024;

/// A lattice, as one of those who meet there has it. Every method ends within a bounded time by itself.
///
/// Keys are words of `[a-zA-Z0-9_=-]` joined by `.`, none of them empty; a *prefix* is some of a key's first
/// words, joined alike (`hosts` is a prefix of `hosts.N1`, and not of `hostsfile.N1`); the empty prefix is
/// one of every key.
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

    /// What happens to the entries with this prefix: first all that there are, then
    /// [`Change::Synced`], then every change. It goes on over losses of the connection: what is there then
    /// is told again, and what went meanwhile is told as gone, before another `Synced`.
    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError>;

    /// The same of leases. A lease that runs out is told as gone; while there is no connection none runs
    /// out, for who renews it cannot be heard, and when there is one again each has its whole time to be
    /// renewed: until then it may be there for the watch and not for [`leases`](Self::leases).
    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError>;

    /// Keeps a blob under `digest`. One that is there already is not sent again.
    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError>;

    /// The blob that is kept under `digest`.
    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError>;

    /// Removes a blob, if it is there.
    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError>;

    /// Tells something to all that listen to `subject` now (keys' rules hold for it). Nobody need.
    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError>;

    /// Listens to all subjects with this prefix.
    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError>;

    /// Asks whoever serves `subject`, and waits for the answer.
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
}

/// A lattice, shared.
pub type SharedLattice = Arc<dyn Lattice>;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// Its revision: greater than that of every change of the same key before it.
    pub revision: u64,
}

/// How an entry must be for a change of it to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// It may be anything.
    Any,
    /// It must not be there.
    Absent,
    /// It must be there with this revision.
    Revision(u64),
}

/// Something that happened to an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It was put.
    Put(Entry),
    /// It is gone: removed, or a lease that ran out.
    Gone {
        /// Its key.
        key: String,
    },
    /// All that was there when the watch began, or began again, has been told.
    Synced,
}

/// Changes as they come; see [`Lattice::watch`]. `None` comes when the lattice was closed.
pub type Watch = tokio::sync::mpsc::Receiver<Change>;

/// Messages as they come. One who does not keep up loses the oldest.
pub type Messages = tokio::sync::mpsc::Receiver<Message>;

/// Requests as they come.
pub type Requests = tokio::sync::mpsc::Receiver<Request>;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What it was published to.
    pub subject: String,
    /// What it says.
    pub payload: Bytes,
}

/// A request to be answered. Dropped, it is answered by nobody.
#[derive(Debug)]
pub struct Request {
    /// What it asks.
    pub payload: Bytes,
    /// Takes the answer.
    pub answer: tokio::sync::oneshot::Sender<Bytes>,
}
