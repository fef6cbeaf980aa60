//! The process that has the lattice: serves those that are attached to it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use withe_rpc::unix::UnixListener;
use withe_rpc::{Duplex, Listener};

use super::wire::{self, Answer, Ask, Done, Frame, Say, Table};
use super::{QUEUE, WRITE};
use crate::{Lattice, LatticeError, SharedLattice};

/// The most processes that are attached at a time.
const CONNECTIONS: usize = 256;

/// The most that one of them may have under way at a time: operations, watches and the like.
const UNDER_WAY: usize = 1_024;

/// The most requests that one of them has to answer at a time.
const TO_ANSWER: usize = 256;

/// A lattice that other processes of this machine can attach to. Dropped, they no longer can, and those that
/// are lose their connection.
#[derive(Debug)]
pub struct Serving {
    /// Ends with this value.
    _task: JoinSet<()>,
}

/// Serves a lattice at a Unix socket, which only this user can connect to. The socket of a process that has
/// gone is replaced.
///
/// # Errors
///
/// [`LatticeError::Storage`] if the socket cannot be made, as when another process serves it.
pub async fn serve(
    lattice: impl Lattice,
    socket: impl AsRef<Path>,
) -> Result<Serving, LatticeError> {
    let socket = socket.as_ref();
    let listener = UnixListener::bind(socket).await.map_err(|e| {
        LatticeError::Storage(format!("cannot listen at `{}`: {e}", socket.display()))
    })?;
    let mut task = JoinSet::new();
    task.spawn(accept(listener, Arc::new(lattice)));
    Ok(Serving { _task: task })
}

async fn accept(mut listener: UnixListener, lattice: SharedLattice) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok(duplex) => _ = connections.spawn(connection(duplex, lattice.clone())),
                Err(e) => {
                    // Such as too many open files: it may pass.
                    tracing::warn!(error = %e, "cannot accept a connection to the lattice");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(duplex: Duplex, lattice: SharedLattice) {
    let (reader, writer) = duplex.into_halves();
    let (answers, to_write) = mpsc::channel(QUEUE);
    let hello = Answer::Hello {
        version: wire::VERSION,
        lattice: lattice.name().into(),
    };
    let mut connection = Connection {
        lattice,
        peer: Peer {
            answers,
            replies: Arc::default(),
        },
        under_way: JoinSet::new(),
        handles: HashMap::new(),
    };
    connection.peer.say(hello, Bytes::new()).await;
    // Whichever ends first ends the other, and with the connection all that is under way.
    let ended = tokio::select! {
        ended = connection.read(reader) => ended,
        ended = write_all(writer, to_write) => ended,
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection to the lattice fails");
    }
}

/// Writes frames as they come, many at once where there are many.
pub(super) async fn write_all<T: serde::Serialize>(
    writer: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame<T>>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    while let Some(frame) = frames.recv().await {
        let is_last = frames.is_empty();
        let written = timeout(WRITE, write_one(&mut writer, &frame, is_last)).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    }
    Ok(())
}

async fn write_one<T: serde::Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    frame: &Frame<T>,
    is_last: bool,
) -> io::Result<()> {
    wire::write(writer, frame).await?;
    if is_last {
        writer.flush().await?;
    }
    Ok(())
}

/// Who is attached.
#[derive(Clone)]
struct Peer {
    answers: mpsc::Sender<Frame<Answer>>,
    /// Who waits for replies to requests.
    replies: Arc<Mutex<Replies>>,
}

/// By what it serves, and the request's number there.
type Replies = HashMap<(u64, u64), oneshot::Sender<Bytes>>;

impl Peer {
    /// Says something. If it cannot be heard any more, the connection ends by itself.
    async fn say(&self, head: Answer, body: Bytes) {
        _ = self.answers.send(Frame { head, body }).await;
    }

    async fn done(&self, id: u64, result: Result<(Done, Bytes), LatticeError>) {
        let (result, body) = match result {
            Ok((done, body)) => (Ok(done), body),
            Err(e) => (Err(e), Bytes::new()),
        };
        self.say(Answer::Done { id, result }, body).await;
    }

    fn replies(&self) -> MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Connection {
    lattice: SharedLattice,
    peer: Peer,
    under_way: JoinSet<()>,
    /// What is under way, by its number.
    handles: HashMap<u64, AbortHandle>,
}

impl Connection {
    async fn read(&mut self, reader: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut reader = BufReader::new(reader);
        while let Some(Frame { head, body }) = wire::read::<Say>(&mut reader).await? {
            match head {
                Say::Ask { id, ask } => self.begin(id, ask, body).await,
                Say::End { id } => {
                    if let Some(handle) = self.handles.remove(&id) {
                        handle.abort();
                    }
                }
                Say::Reply {
                    id,
                    number,
                    is_answered,
                } => {
                    let waiting = self.peer.replies().remove(&(id, number));
                    if let (Some(waiting), true) = (waiting, is_answered) {
                        // Who asked may have gone.
                        _ = waiting.send(body);
                    }
                }
            }
        }
        Ok(())
    }

    async fn begin(&mut self, id: u64, ask: Ask, body: Bytes) {
        while self.under_way.try_join_next().is_some() {}
        self.handles.retain(|_, handle| !handle.is_finished());
        if self.under_way.len() >= UNDER_WAY {
            let text = format!("a process has more than {UNDER_WAY} things under way");
            return self.peer.done(id, Err(LatticeError::Refused(text))).await;
        }
        let (lattice, peer) = (self.lattice.clone(), self.peer.clone());
        let task = self.under_way.spawn(async move {
            if let Err(e) = carry_out(&lattice, &peer, id, ask, body).await {
                peer.done(id, Err(e)).await;
            }
        });
        // It may be asked for twice when the connection was lost between.
        if let Some(same) = self.handles.insert(id, task) {
            same.abort();
        }
    }
}

async fn carry_out(
    lattice: &SharedLattice,
    peer: &Peer,
    id: u64,
    ask: Ask,
    body: Bytes,
) -> Result<(), LatticeError> {
    let nothing = |()| (Done::Nothing, Bytes::new());
    let bytes = |bytes: Option<Bytes>| match bytes {
        Some(bytes) => (Done::Bytes, bytes),
        None => (Done::Nothing, Bytes::new()),
    };
    let revision = |revision| (Done::Revision(revision), Bytes::new());
    let done = match ask {
        Ask::Get { key } => {
            let entry = lattice.get(&key).await?;
            wire::part_entries(entry.as_slice())
        }
        Ask::List { table, prefix } => {
            let entries = match table {
                Table::Entries => lattice.list(&prefix).await?,
                Table::Leases => lattice.leases(&prefix).await?,
            };
            wire::part_entries(&entries)
        }
        Ask::Put { table, key, expect } => revision(match table {
            Table::Entries => lattice.put(&key, body, expect).await?,
            Table::Leases => lattice.put_lease(&key, body, expect).await?,
        }),
        Ask::Delete { key, expect } => nothing(lattice.delete(&key, expect).await?),
        Ask::DeleteLease { key } => nothing(lattice.delete_lease(&key).await?),
        Ask::PutBlob { digest } => nothing(lattice.put_blob(&digest, body).await?),
        Ask::Blob { digest } => bytes(lattice.blob(&digest).await?),
        Ask::DeleteBlob { digest } => nothing(lattice.delete_blob(&digest).await?),
        Ask::Publish { subject } => nothing(lattice.publish(&subject, body).await?),
        Ask::Request {
            subject,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            bytes(Some(lattice.request(&subject, body, limit).await?))
        }
        Ask::Watch { table, prefix } => return watch(lattice, peer, id, table, &prefix).await,
        Ask::Subscribe { prefix } => return subscribe(lattice, peer, id, &prefix).await,
        Ask::Serve { subject } => return serve_subject(lattice, peer, id, &subject).await,
    };
    peer.done(id, Ok(done)).await;
    Ok(())
}

async fn watch(
    lattice: &SharedLattice,
    peer: &Peer,
    id: u64,
    table: Table,
    prefix: &str,
) -> Result<(), LatticeError> {
    let mut changes = match table {
        Table::Entries => lattice.watch(prefix).await?,
        Table::Leases => lattice.watch_leases(prefix).await?,
    };
    peer.done(id, Ok((Done::Nothing, Bytes::new()))).await;
    while let Some(change) = changes.recv().await {
        let (change, body) = wire::part_change(change);
        peer.say(Answer::Change { id, change }, body).await;
    }
    Ok(())
}

async fn subscribe(
    lattice: &SharedLattice,
    peer: &Peer,
    id: u64,
    prefix: &str,
) -> Result<(), LatticeError> {
    let mut messages = lattice.subscribe(prefix).await?;
    peer.done(id, Ok((Done::Nothing, Bytes::new()))).await;
    while let Some(message) = messages.recv().await {
        let subject = message.subject;
        peer.say(Answer::Message { id, subject }, message.payload)
            .await;
    }
    Ok(())
}

async fn serve_subject(
    lattice: &SharedLattice,
    peer: &Peer,
    id: u64,
    subject: &str,
) -> Result<(), LatticeError> {
    let mut requests = lattice.serve(subject).await?;
    peer.done(id, Ok((Done::Nothing, Bytes::new()))).await;
    let mut number = 0;
    while let Some(request) = requests.recv().await {
        number += 1;
        {
            let mut replies = peer.replies();
            replies.retain(|_, waiting| !waiting.is_closed());
            if replies.len() >= TO_ANSWER {
                // Dropped, it is known to have no answer.
                continue;
            }
            replies.insert((id, number), request.answer);
        }
        peer.say(Answer::Request { id, number }, request.payload)
            .await;
    }
    Ok(())
}
