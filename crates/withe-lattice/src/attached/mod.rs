//! An embedded lattice that is in another process of the same machine, reached through a Unix socket.
//!
//! A task has the connection, and makes it again when it is lost. What is to go on over that (watches,
//! subscriptions, what is served) is asked for again then; operations under way fail.

mod connection;
mod server;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connection::{Shared, Stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::{Ask, Done, Table};

pub use server::{Serving, serve};

use crate::backlog::{Changes, Recent};
use crate::feed::Feed;
use crate::{Entry, Expect, Lattice, LatticeError, Messages, Requests, Watch, digest, keys};

/// How long an operation may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long one may take that moves a blob.
const BLOB_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the other end may not take what is written to it.
const WRITE: Duration = Duration::from_secs(30);

/// Frames that wait to be written.
const QUEUE: usize = 16;

/// Requests that wait for one who serves them. More have no answer.
const WAITING: usize = 64;

/// An embedded lattice that another process serves. Dropped, its watches and what it serves end.
pub struct Attached {
    name: String,
    shared: Arc<Shared>,
    /// The task that has the connection. Ends with this value.
    _task: JoinSet<()>,
}

impl Attached {
    /// Attaches to the lattice that is served at a socket.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Unreachable`] if nobody serves there, [`LatticeError::Refused`] if it is another version.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Self, LatticeError> {
        let socket = socket.as_ref().to_owned();
        let open = timeout(TIMEOUT, connection::open(&socket)).await;
        let (name, first) = open.map_err(|_| {
            LatticeError::Unreachable(format!("`{}` does not answer", socket.display()))
        })??;
        let shared = Arc::new(Shared::default());
        let mut task = JoinSet::new();
        let keep = connection::keep(shared.clone(), socket, name.clone(), first);
        task.spawn(keep);
        shared.connected().await;
        Ok(Self {
            name,
            shared,
            _task: task,
        })
    }

    async fn ask(&self, ask: Ask, body: Bytes) -> Result<(Done, Bytes), LatticeError> {
        self.shared.ask(ask, body, TIMEOUT).await
    }

    /// Something that goes on: begins it now, if there is a connection, and again whenever there is another.
    async fn begin(&self, ask: Ask, stream: Stream) -> Result<(), LatticeError> {
        self.shared.begin(ask, stream, TIMEOUT).await
    }

    async fn list_in(&self, table: Table, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        keys::check_prefix(prefix)?;
        let prefix = prefix.into();
        entries(self.ask(Ask::List { table, prefix }, Bytes::new()).await?)
    }

    async fn put_in(
        &self,
        table: Table,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        keys::check(key)?;
        keys::check_value(key, &value)?;
        let key = key.into();
        match self.ask(Ask::Put { table, key, expect }, value).await? {
            (Done::Revision(revision), _) => Ok(revision),
            _ => Err(not_asked()),
        }
    }

    async fn watch_in(&self, table: Table, prefix: &str) -> Result<Watch, LatticeError> {
        keys::check_prefix(prefix)?;
        let prefix = prefix.into();
        let (feed, watch) = Feed::new(Changes::default());
        self.begin(Ask::Watch { table, prefix }, Stream::watch(feed))
            .await?;
        Ok(watch)
    }
}

fn entries((done, body): (Done, Bytes)) -> Result<Vec<Entry>, LatticeError> {
    match done {
        Done::Entries(heads) => wire::join_entries(heads, body).map_err(|_| not_asked()),
        _ => Err(not_asked()),
    }
}

/// The other end is not what it says it is.
fn not_asked() -> LatticeError {
    LatticeError::Unreachable("the answer is not to what was asked".into())
}

#[async_trait]
impl Lattice for Attached {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError> {
        keys::check(key)?;
        let key = key.into();
        let entries = entries(self.ask(Ask::Get { key }, Bytes::new()).await?)?;
        Ok(entries.into_iter().next())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.list_in(Table::Entries, prefix).await
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        self.put_in(Table::Entries, key, value, expect).await
    }

    async fn put_lease(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        self.put_in(Table::Leases, key, value, expect).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.list_in(Table::Leases, prefix).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        keys::check(key)?;
        let key = key.into();
        self.ask(Ask::Delete { key, expect }, Bytes::new()).await?;
        Ok(())
    }

    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError> {
        keys::check(key)?;
        let key = key.into();
        self.ask(Ask::DeleteLease { key }, Bytes::new()).await?;
        Ok(())
    }

    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(Table::Entries, prefix).await
    }

    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(Table::Leases, prefix).await
    }

    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError> {
        digest::check(digest, &blob)?;
        let digest = digest.into();
        let ask = Ask::PutBlob { digest };
        self.shared.ask(ask, blob, BLOB_TIMEOUT).await?;
        Ok(())
    }

    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        let ask = Ask::Blob {
            digest: digest.into(),
        };
        // The other end has checked that it is what its digest says.
        match self.shared.ask(ask, Bytes::new(), BLOB_TIMEOUT).await? {
            (Done::Bytes, blob) => Ok(Some(blob)),
            (Done::Nothing, _) => Ok(None),
            _ => Err(not_asked()),
        }
    }

    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError> {
        let digest = digest.into();
        self.ask(Ask::DeleteBlob { digest }, Bytes::new()).await?;
        Ok(())
    }

    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError> {
        keys::check(subject)?;
        let subject = subject.into();
        self.ask(Ask::Publish { subject }, message).await?;
        Ok(())
    }

    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError> {
        keys::check_prefix(prefix)?;
        let prefix = prefix.into();
        let (feed, messages) = Feed::new(Recent::new());
        self.begin(Ask::Subscribe { prefix }, Stream::Messages(feed))
            .await?;
        Ok(messages)
    }

    async fn request(
        &self,
        subject: &str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, LatticeError> {
        keys::check(subject)?;
        let ask = Ask::Request {
            subject: subject.into(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        // The other end's time is up first, which says that it may have been received.
        let limit = timeout + TIMEOUT;
        match self.shared.ask(ask, message, limit).await? {
            (Done::Bytes, answer) => Ok(answer),
            _ => Err(not_asked()),
        }
    }

    async fn serve(&self, subject: &str) -> Result<Requests, LatticeError> {
        keys::check(subject)?;
        let subject = subject.into();
        let (served, requests) = mpsc::channel(WAITING);
        self.begin(Ask::Serve { subject }, Stream::Requests(served))
            .await?;
        Ok(requests)
    }

    fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    fn nats(&self) -> Option<async_nats::Client> {
        None
    }
}
