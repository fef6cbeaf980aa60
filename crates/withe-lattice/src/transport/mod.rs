//! The `nats` transport: connections between hosts that cannot reach each other, only the same broker.
//!
//! A host listens on one subject for each of its connections, all of them under one subscription; who
//! connects has a subscription for all the connections it opens. Each message names the other's subject as the
//! one to answer to, so that the broker says at once when nobody is there.
//!
//! A connection is a reliable stream of bytes in each direction, or it ends: see `flow`. One write becomes one message
//! where it fits, so a small call is one message there and one back. The connection survives a loss of the connection
//! to NATS if no message was lost with it.
//!
//! **Trust.** Messages are not trusted: every client that may publish on a lattice's subjects can open a connection,
//! and every client that may subscribe reads it. Hosts have TLS in it ([`withe_rpc::secure`]). Ids of connections are
//! random, so that no member ends those of others by chance.

mod connection;
mod flow;
mod message;
mod table;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, rustls};
use connection::Subjects;
use flow::WINDOW;
use message::{Message, VERSION};
use table::ConnectionTable;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::timeout;
use withe_rpc::{BoxFuture, Connect, Duplex, Listener};

use crate::{LatticeError, keys, names};

/// How long a host may take to accept a connection.
const ACCEPT: Duration = Duration::from_secs(5);

/// Connections that wait to be accepted.
const BACKLOG: usize = 128;

/// Accepts the connections to a host. Dropped, it takes no more; those that there are go on until
/// their ends are dropped too.
pub struct NatsListener {
    accepted: mpsc::Receiver<Duplex>,
    host: String,
    _table: Arc<ConnectionTable>,
}

impl NatsListener {
    /// Listens for connections to a host.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Invalid`] if the lattice or the host cannot have such a name,
    /// [`LatticeError::Unreachable`].
    pub async fn bind(client: Client, lattice: &str, host: &str) -> Result<Self, LatticeError> {
        check_names(lattice, host)?;
        let subject = names::calls(lattice, host) + ".*";
        let messages = subscribe(&client, subject).await?;
        let (accept, accepted) = mpsc::channel(BACKLOG);
        Ok(Self {
            accepted,
            host: host.into(),
            _table: ConnectionTable::new(client, messages, Some(accept)),
        })
    }
}

impl Listener for NatsListener {
    async fn accept(&mut self) -> io::Result<Duplex> {
        match self.accepted.recv().await {
            Some(duplex) => Ok(duplex),
            None => {
                // There is nothing to wait for any more, and who asks again need not do so at once.
                tracing::error!(host = self.host, "the connection to NATS is closed");
                std::future::pending().await
            }
        }
    }
}

/// Connects to a host.
///
/// One for each client and lattice is made with [`new`](Self::new), and those for other hosts of it with
/// [`to`](Self::to): they have one subscription between them.
#[derive(Clone)]
pub struct NatsConnector {
    outgoing: Arc<OutgoingConnections>,
    lattice: String,
    host: String,
}

/// All connections that are opened with one client.
struct OutgoingConnections {
    client: Client,
    /// Made with the first connection.
    inbox: OnceCell<Inbox>,
}

struct Inbox {
    /// The prefix of the subjects of all connections.
    prefix: String,
    table: Arc<ConnectionTable>,
}

impl NatsConnector {
    /// A connector to a host, which need not be there yet.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Invalid`] if the lattice or the host cannot have such a name.
    pub fn new(client: Client, lattice: &str, host: &str) -> Result<Self, LatticeError> {
        check_names(lattice, host)?;
        let inbox = OnceCell::new();
        Ok(Self {
            outgoing: Arc::new(OutgoingConnections { client, inbox }),
            lattice: lattice.into(),
            host: host.into(),
        })
    }

    /// A connector to another host of the lattice.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Invalid`] if the host cannot have such a name.
    pub fn to(&self, host: &str) -> Result<Self, LatticeError> {
        check_names(&self.lattice, host)?;
        Ok(Self {
            host: host.into(),
            ..self.clone()
        })
    }

    async fn open(&self) -> io::Result<Duplex> {
        let inbox = self.outgoing.inbox().await.map_err(io::Error::other)?;
        let id = random_id()?;
        let subjects = Subjects {
            to: format!("{}.{id}", names::calls(&self.lattice, &self.host)).into(),
            from: format!("{}.{id}", inbox.prefix).into(),
        };
        let opening = Opening {
            id: &id,
            subjects: &subjects,
            table: &inbox.table,
        };
        let opened = inbox.table.expect(id.clone(), subjects.clone());
        let hello = Message::Hello {
            version: VERSION,
            window: WINDOW,
        };
        let client = &self.outgoing.client;
        let sent = timeout(ACCEPT, async {
            let (to, from) = (subjects.to.clone(), subjects.from.clone());
            let sent = client.publish_with_reply(to, from, hello.to_bytes());
            sent.await.map_err(io::Error::other)?;
            opened.await.map_err(io::Error::other)?
        });
        let connection = sent.await.map_err(|_| {
            let text = format!("it does not answer in {ACCEPT:?}");
            io::Error::new(io::ErrorKind::TimedOut, text)
        })??;
        // From here on the connection sees to that.
        std::mem::forget(opening);
        Ok(table::duplex(id.clone(), connection, inbox.table.clone()))
    }
}

/// A connection that is being opened; taken back when nobody waits for it any more.
struct Opening<'a> {
    id: &'a str,
    subjects: &'a Subjects,
    table: &'a ConnectionTable,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.table.remove(self.id);
        let reason = "it is not asked for any more".into();
        let reset = Message::Reset { reason };
        self.subjects.try_send(self.table.client(), &reset);
    }
}

impl OutgoingConnections {
    async fn inbox(&self) -> Result<&Inbox, LatticeError> {
        let make = async {
            let prefix = self.client.new_inbox();
            let messages = subscribe(&self.client, format!("{prefix}.*")).await?;
            let table = ConnectionTable::new(self.client.clone(), messages, None);
            Ok(Inbox { prefix, table })
        };
        self.inbox.get_or_try_init(|| make).await
    }
}

impl fmt::Display for NatsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host `{}` over NATS", self.host)
    }
}

impl Connect for NatsConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(self.open())
    }
}

fn check_names(lattice: &str, host: &str) -> Result<(), LatticeError> {
    keys::check_name("lattice", lattice)?;
    keys::check_name("host", host)?;
    Ok(())
}

async fn subscribe(
    client: &Client,
    subject: String,
) -> Result<async_nats::Subscriber, LatticeError> {
    let subscribed = client.subscribe(subject).await;
    subscribed.map_err(LatticeError::unreachable)
}

/// An id that nobody guesses: 128 random bits.
fn random_id() -> io::Result<String> {
    let mut bits = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random
        .fill(&mut bits)
        .map_err(|_| io::Error::other("no random numbers"))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}
