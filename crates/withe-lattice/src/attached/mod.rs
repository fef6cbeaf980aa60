//! An embedded lattice that is in another process of the same machine, reached through a Unix socket.
//!
//! Every operation is a call of the invocation protocol, whose client makes a connection again when one is lost.
//! Watches, subscriptions and served subjects are asked for again then; operations under way fail.

mod follow;
mod link;
mod protocol;
mod server;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use follow::Follower;
use link::{AGAIN, AttachedLink, not_asked};
use protocol::{Ask, Done, EntryKind, Follow};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use withe_rpc::unix::UnixConnector;
use withe_rpc::{Client, Connect as _, PipeReader};

#[cfg(fuzzing)]
pub use server::session;
pub use server::{Serving, serve};

use crate::backlog::{Changes, Recent};
use crate::error::{Cause, Unreachable};
use crate::feed::Feed;
use crate::{Entry, Expect, Lattice, LatticeError, Messages, Requests, Watch, digest, keys};

/// The longest that a request may take.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests that wait for one who serves them. More have no answer.
const WAITING: usize = 64;

/// An embedded lattice that another process serves. Dropped, its watches and what it serves end.
pub struct Attached {
    name: String,
    link: Arc<AttachedLink>,
    /// The tasks that keep the connection and follow streams. They end with this value.
    tasks: Mutex<JoinSet<()>>,
}

impl Attached {
    /// Attaches to the lattice that is served at a socket.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Unreachable`] if nobody serves there, [`LatticeError::Refused`] if it is another version.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Self, LatticeError> {
        let socket = socket.as_ref();
        // The client would wait for a server to come, and a process that attaches is to know that there is none.
        probe(socket).await?;
        let client = Client::new(Arc::new(UnixConnector::new(socket)), protocol::limits());
        let link = Arc::new(AttachedLink {
            session: client.link(protocol::link_request()).session(),
            connected: watch::Sender::new(false),
        });
        let (name, presence) = link.greet().await?;
        link.connected.send_replace(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(link.clone(), name.clone(), presence));
        Ok(Self {
            name,
            link,
            tasks: Mutex::new(tasks),
        })
    }

    async fn ask(&self, ask: Ask) -> Result<Done, LatticeError> {
        self.link.ask(ask).await
    }

    /// Asks for something of which nothing comes but that it is done.
    async fn order(&self, ask: Ask) -> Result<(), LatticeError> {
        self.ask(ask).await.map(drop)
    }

    /// Something that goes on: begins it now, and again whenever there is another connection.
    async fn follow(&self, what: Follow, follower: Follower) -> Result<(), LatticeError> {
        let (_, stream) = self.link.begin(&what).await?;
        let following = follow::follow(self.link.clone(), what, stream, follower);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(following);
        Ok(())
    }

    async fn list_in(&self, table: EntryKind, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        keys::check_prefix(prefix)?;
        entries(self.ask(Ask::List(table, prefix.into())).await?)
    }

    async fn put_in(
        &self,
        table: EntryKind,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        keys::check(key)?;
        keys::check_value(key, &value)?;
        match self.ask(Ask::Put(table, key.into(), value, expect)).await? {
            Done::Revision(revision) => Ok(revision),
            _ => Err(not_asked()),
        }
    }

    async fn watch_in(&self, table: EntryKind, prefix: &str) -> Result<Watch, LatticeError> {
        keys::check_prefix(prefix)?;
        let (feed, watch) = Feed::new(Changes::default());
        let what = Follow::Watch(table, prefix.into());
        self.follow(what, Follower::watch(feed)).await?;
        Ok(watch)
    }
}

/// Fails at once if nobody serves there.
async fn probe(socket: &Path) -> Result<(), LatticeError> {
    match UnixConnector::new(socket).connect().await {
        Ok(_) => Ok(()),
        Err(e) => match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Err(Unreachable::Nobody(socket.into()).into())
            }
            _ => Err(Unreachable::At {
                at: socket.display().to_string(),
                why: Cause::new(e),
            }
            .into()),
        },
    }
}

/// Sees to it that there is a connection, for as long as anybody wants one.
async fn keep(link: Arc<AttachedLink>, name: String, mut presence: PipeReader) {
    loop {
        // Nothing is told there: it ends with the connection.
        while let Ok(Some(_)) = follow::next(&mut presence).await {}
        link.connected.send_replace(false);
        presence = loop {
            match link.greet().await {
                Ok((found, presence)) if found == name => break presence,
                Ok((found, _)) => {
                    tracing::warn!(found, name, "another lattice is served where ours was");
                }
                Err(e) => tracing::trace!(error = %e, "the lattice is not back"),
            }
            sleep(AGAIN).await;
        };
        link.connected.send_replace(true);
    }
}

fn entries(done: Done) -> Result<Vec<Entry>, LatticeError> {
    match done {
        Done::Entries(entries) => Ok(entries),
        _ => Err(not_asked()),
    }
}

#[async_trait]
impl Lattice for Attached {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError> {
        keys::check(key)?;
        let entries = entries(self.ask(Ask::Get(key.into())).await?)?;
        Ok(entries.into_iter().next())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.list_in(EntryKind::Entries, prefix).await
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        self.put_in(EntryKind::Entries, key, value, expect).await
    }

    async fn put_lease(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        self.put_in(EntryKind::Leases, key, value, expect).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.list_in(EntryKind::Leases, prefix).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        keys::check(key)?;
        self.order(Ask::Delete(key.into(), expect)).await
    }

    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError> {
        keys::check(key)?;
        self.order(Ask::DeleteLease(key.into())).await
    }

    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(EntryKind::Entries, prefix).await
    }

    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(EntryKind::Leases, prefix).await
    }

    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError> {
        digest::check(digest, &blob)?;
        self.order(Ask::PutBlob(digest.into(), blob)).await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        // The other end has checked that it is what its digest says.
        match self.ask(Ask::Blob(digest.into())).await? {
            Done::Bytes(blob) => Ok(Some(blob)),
            Done::Nothing => Ok(None),
            _ => Err(not_asked()),
        }
    }

    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError> {
        self.order(Ask::DeleteBlob(digest.into())).await
    }

    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError> {
        keys::check(subject)?;
        self.order(Ask::Publish(subject.into(), message)).await
    }

    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError> {
        keys::check_prefix(prefix)?;
        let (feed, messages) = Feed::new(Recent::new());
        let what = Follow::Subscribe(prefix.into());
        self.follow(what, Follower::Messages(feed)).await?;
        Ok(messages)
    }

    async fn request(
        &self,
        subject: &str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, LatticeError> {
        keys::check(subject)?;
        // Nobody waits for longer than a day.
        let limit = timeout.min(DAY).as_millis() as u64;
        match self
            .ask(Ask::Request(subject.into(), message, limit))
            .await?
        {
            Done::Bytes(answer) => Ok(answer),
            _ => Err(not_asked()),
        }
    }

    async fn serve(&self, subject: &str) -> Result<Requests, LatticeError> {
        keys::check(subject)?;
        let (served, requests) = mpsc::channel(WAITING);
        let what = Follow::Serve(subject.into());
        self.follow(what, Follower::Requests(served)).await?;
        Ok(requests)
    }

    fn is_connected(&self) -> bool {
        *self.link.connected.borrow()
    }

    fn nats(&self) -> Option<async_nats::Client> {
        None
    }
}
