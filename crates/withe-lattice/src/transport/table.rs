//! The connections of one side: which message is for which, and what becomes of those that are for none.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_nats::{Client, StatusCode, Subscriber};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use withe_rpc::{Duplex, KeepAlive};

use super::connection::{Connection, Subjects, halves};
use super::flow::WINDOW;
use super::message::{Message, VERSION};

/// The most connections that hosts may have to one.
const CONNECTIONS: usize = 4_096;

/// The interval between checks of whether the connection to NATS was made anew.
const LOOK: Duration = Duration::from_secs(1);

/// The broker says that a peer is gone when something is sent to it; this is how often something is.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    after: Duration::from_secs(4),
    answer: Duration::from_secs(4),
};

/// The connections of one side, by their ids.
///
/// The listener or connector keeps the table, and so does every connection. With the last of them the task
/// ends that passes messages on.
pub(super) struct ConnectionTable {
    client: Client,
    entries: Mutex<HashMap<String, TableEntry>>,
    _task: JoinSet<()>,
}

enum TableEntry {
    /// The connection is asked for and not yet accepted.
    Opening(Subjects, oneshot::Sender<io::Result<Arc<Connection>>>),
    Open(Arc<Connection>),
}

impl ConnectionTable {
    /// The connections whose messages come there, and a task that passes those on. With `accept`,
    /// connections that others ask for are passed to it.
    pub(super) fn new(
        client: Client,
        messages: Subscriber,
        accept: Option<mpsc::Sender<Duplex>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|table| {
            let mut task = JoinSet::new();
            task.spawn(pass_on(table.clone(), client.clone(), messages, accept));
            Self {
                client,
                entries: Mutex::default(),
                _task: task,
            }
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Notes that a connection is asked for; what comes of it is received.
    pub(super) fn expect(
        &self,
        id: String,
        subjects: Subjects,
    ) -> oneshot::Receiver<io::Result<Arc<Connection>>> {
        let (sender, receiver) = oneshot::channel();
        self.entries()
            .insert(id, TableEntry::Opening(subjects, sender));
        receiver
    }

    pub(super) fn remove(&self, id: &str) {
        self.entries().remove(id);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, TableEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &str) -> Option<Arc<Connection>> {
        match self.entries().get(id)? {
            TableEntry::Open(connection) => Some(connection.clone()),
            TableEntry::Opening(..) => None,
        }
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        let entries = self.entries();
        let open = entries.values().filter_map(|entry| match entry {
            TableEntry::Open(connection) => Some(connection.clone()),
            TableEntry::Opening(..) => None,
        });
        open.collect()
    }

    /// A connection that was asked for is accepted, or is not.
    fn opened(&self, id: &str, outcome: io::Result<u64>) {
        let mut entries = self.entries();
        if let Some(TableEntry::Open(_)) | None = entries.get(id) {
            return;
        }
        let Some((id, TableEntry::Opening(subjects, asked))) = entries.remove_entry(id) else {
            return;
        };
        let outcome = outcome.map(|window| {
            let connection = Arc::new(Connection::new(subjects, window));
            // The first messages may arrive before the caller of `connect` wakes.
            entries.insert(id, TableEntry::Open(connection.clone()));
            connection
        });
        // The caller may have gone; then it takes itself out of the table.
        _ = asked.send(outcome);
    }

    /// Ends all that there are.
    fn end(&self, text: &str) {
        for connection in self.all() {
            connection.fail(io::ErrorKind::NotConnected, text);
        }
        self.entries().clear();
    }
}

/// Both directions of a connection, for the protocol.
pub(super) fn duplex(
    id: String,
    connection: Arc<Connection>,
    table: Arc<ConnectionTable>,
) -> Duplex {
    let client = table.client().clone();
    // The table is kept by it, too.
    let forget = Box::new(move || table.remove(&id));
    let (reader, writer) = halves(connection, client, forget);
    Duplex::of_halves(reader, writer).with_keep_alive(KEEP_ALIVE)
}

/// Passes messages to connections, until the client ends.
async fn pass_on(
    table: Weak<ConnectionTable>,
    client: Client,
    mut messages: Subscriber,
    accept: Option<mpsc::Sender<Duplex>>,
) {
    let connects = || client.statistics().connects.load(Ordering::Relaxed);
    let mut last = connects();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                // Without it this task ends.
                let Some(table) = table.upgrade() else { return };
                match message {
                    Some(message) => take(&table, message, accept.as_ref()),
                    None => return table.end("the connection to NATS is closed"),
                }
            }
            _ = look.tick() => {
                let now = connects();
                if now != last {
                    last = now;
                    // Messages may have been lost, also ones that no other follows.
                    for connection in table.upgrade().iter().flat_map(|table| table.all()) {
                        connection.probe(&client);
                    }
                }
            }
        }
    }
}

fn take(
    table: &Arc<ConnectionTable>,
    message: async_nats::Message,
    accept: Option<&mpsc::Sender<Duplex>>,
) {
    let subject = message.subject.as_str();
    let id = subject.rsplit_once('.').map_or(subject, |(_, id)| id);
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        let text = "the other side is gone: nobody listens there any more";
        match table.get(id) {
            Some(connection) => connection.fail(io::ErrorKind::ConnectionReset, text),
            None => {
                let nobody = "nobody serves it";
                table.opened(
                    id,
                    Err(io::Error::new(io::ErrorKind::ConnectionRefused, nobody)),
                );
            }
        }
        return;
    }
    let Some(read) = Message::read(message.payload) else {
        tracing::debug!(subject, "what comes is no message of a connection");
        return;
    };
    if let Some(connection) = table.get(id) {
        return connection.receive(&table.client, read);
    }
    let Some(to) = message.reply else { return };
    let subjects = Subjects {
        to,
        from: message.subject.clone(),
    };
    match (read, accept) {
        (Message::Hello { version, window }, Some(accept)) => {
            if let Err(reason) = begin(table, id, &subjects, version, window, accept) {
                let reset = Message::Reset {
                    reason: reason.into(),
                };
                subjects.try_send(&table.client, &reset);
            }
        }
        (Message::Accept { version, window }, None) => {
            table.opened(id, check(version).map(|()| window));
        }
        // Nothing is answered to this, or two sides would go on at it for ever.
        (Message::Reset { reason }, _) => {
            let refused = io::Error::new(io::ErrorKind::ConnectionRefused, reason);
            table.opened(id, Err(refused));
        }
        _ => {
            let reason = "there is no such connection".into();
            subjects.try_send(&table.client, &Message::Reset { reason });
        }
    }
}

fn check(version: u64) -> io::Result<()> {
    if version == VERSION {
        return Ok(());
    }
    let text = format!("it speaks version {version} of the transport, and this is {VERSION}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Accepts a connection, or says why not.
fn begin(
    table: &Arc<ConnectionTable>,
    id: &str,
    subjects: &Subjects,
    version: u64,
    window: u64,
    accept: &mpsc::Sender<Duplex>,
) -> Result<(), &'static str> {
    if check(version).is_err() {
        return Err("the host speaks another version of the transport");
    }
    let Ok(place) = accept.try_reserve() else {
        return Err("the host accepts no more connections now");
    };
    let connection = Arc::new(Connection::new(subjects.clone(), window));
    {
        let mut entries = table.entries();
        if entries.len() >= CONNECTIONS {
            return Err("the host has too many connections");
        }
        entries.insert(id.into(), TableEntry::Open(connection.clone()));
    }
    let answer = Message::Accept {
        version: VERSION,
        window: WINDOW,
    };
    subjects.try_send(&table.client, &answer);
    place.send(duplex(id.into(), connection, table.clone()));
    Ok(())
}
