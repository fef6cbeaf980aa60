//! An embedded lattice that is in another process of the same machine, reached through a Unix socket.
//!
//! What is asked for are calls of the invocation protocol, whose client makes connections again when they are
//! lost. What is to go on over that (watches, subscriptions, what is served) is asked for again then; operations
//! under way fail.

mod follow;
mod protocol;
mod server;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use follow::Follower;
use protocol::{ASK, Ask, Done, FOLLOW, Follow, Table};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use withe_rpc::unix::UnixConnector;
use withe_rpc::{CallContext, Client, PipeReader, Session};

pub use server::{Serving, serve};

use crate::backlog::{Changes, Recent};
use crate::feed::Feed;
use crate::{Entry, Expect, Lattice, LatticeError, Messages, Requests, Watch, digest, keys};

/// How long an operation may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long one may take that moves a value or a blob of any size.
const LONG: Duration = Duration::from_secs(60);

/// How long after it was refused something is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// The longest that a request may take.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests that wait for one who serves them. More have no answer.
const WAITING: usize = 64;

/// An embedded lattice that another process serves. Dropped, its watches and what it serves end.
pub struct Attached {
    name: String,
    link: Arc<Link>,
    /// What sees to the connection, and whatever goes on. Ends with this value.
    tasks: Mutex<JoinSet<()>>,
}

/// The way to the process that has the lattice.
struct Link {
    session: Session,
    /// Whether the lattice that we are attached to is served there.
    connected: watch::Sender<bool>,
}

impl Attached {
    /// Attaches to the lattice that is served at a socket.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Unreachable`] if nobody serves there, [`LatticeError::Refused`] if it is another version.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Self, LatticeError> {
        let socket = socket.as_ref();
        // The client would wait for somebody to come, and whoever attaches is to know that nobody is there.
        probe(socket).await?;
        let client = Client::new(Arc::new(UnixConnector::new(socket)), protocol::limits());
        let link = Arc::new(Link {
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

    async fn list_in(&self, table: Table, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        keys::check_prefix(prefix)?;
        entries(self.ask(Ask::List(table, prefix.into())).await?)
    }

    async fn put_in(
        &self,
        table: Table,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        keys::check(key)?;
        match self.ask(Ask::Put(table, key.into(), value, expect)).await? {
            Done::Revision(revision) => Ok(revision),
            _ => Err(not_asked()),
        }
    }

    async fn watch_in(&self, table: Table, prefix: &str) -> Result<Watch, LatticeError> {
        keys::check_prefix(prefix)?;
        let (feed, watch) = Feed::new(Changes::default());
        let what = Follow::Watch(table, prefix.into());
        self.follow(what, Follower::watch(feed)).await?;
        Ok(watch)
    }
}

impl Link {
    /// Asks for something and waits for what comes of it.
    async fn ask(&self, ask: Ask) -> Result<Done, LatticeError> {
        let limit = match &ask {
            Ask::PutBlob(..) | Ask::Blob(_) | Ask::Put(..) | Ask::Get(_) | Ask::List(..) => LONG,
            // The other end's time is up first, which says that it may have been received.
            Ask::Request(.., limit) => TIMEOUT + Duration::from_millis(*limit),
            _ => TIMEOUT,
        };
        self.connected().await?;
        let params = protocol::write(&ask).map_err(protocol::failed)?;
        let answer = self.session.call(ASK, params, within(limit)).await;
        let answer = answer.map_err(protocol::failed)?;
        protocol::read::<Result<Done, LatticeError>>(&answer).map_err(protocol::failed)?
    }

    /// Begins something that goes on; returns the lattice's name too.
    async fn begin(&self, what: &Follow) -> Result<(String, PipeReader), LatticeError> {
        self.connected().await?;
        self.call_follow(what).await
    }

    /// Makes sure that somebody is there; who, and a stream that ends with the connection.
    async fn greet(&self) -> Result<(String, PipeReader), LatticeError> {
        self.call_follow(&Follow::Presence).await
    }

    async fn call_follow(&self, what: &Follow) -> Result<(String, PipeReader), LatticeError> {
        let params = protocol::write(what).map_err(protocol::failed)?;
        let begun = self.session.call(FOLLOW, params, within(TIMEOUT)).await;
        let mut begun = begun.map_err(protocol::failed)?;
        let name: Result<String, LatticeError> =
            protocol::read(&begun).map_err(protocol::failed)?;
        Ok((name?, begun.streams.pop().ok_or_else(not_asked)?))
    }

    /// Waits until there is a connection, for as long as an operation may take.
    async fn connected(&self) -> Result<(), LatticeError> {
        let mut connected = self.connected.subscribe();
        match timeout(TIMEOUT, connected.wait_for(|connected| *connected)).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let gone = "the process that has it is gone";
                Err(LatticeError::Unreachable(gone.into()))
            }
        }
    }
}

fn within(limit: Duration) -> CallContext {
    CallContext {
        deadline: Instant::now() + limit,
        trace: None,
    }
}

/// Fails at once if nobody serves there.
async fn probe(socket: &Path) -> Result<(), LatticeError> {
    let at = |why: &dyn std::fmt::Display| {
        LatticeError::Unreachable(format!("`{}`: {why}", socket.display()))
    };
    match UnixStream::connect(socket).await {
        Ok(_) => Ok(()),
        Err(e) => match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Err(at(&"nobody serves a lattice there"))
            }
            _ => Err(at(&e)),
        },
    }
}

/// Sees to it that there is a connection, for as long as anybody wants one.
async fn keep(link: Arc<Link>, name: String, mut presence: PipeReader) {
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
        let entries = entries(self.ask(Ask::Get(key.into())).await?)?;
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
        self.order(Ask::Delete(key.into(), expect)).await
    }

    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError> {
        keys::check(key)?;
        self.order(Ask::DeleteLease(key.into())).await
    }

    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(Table::Entries, prefix).await
    }

    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(Table::Leases, prefix).await
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
