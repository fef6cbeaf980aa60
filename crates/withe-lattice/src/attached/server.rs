//! The process that has the lattice: serves those that are attached to it.

use std::collections::HashMap;
use std::future::{pending, poll_fn, ready};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use withe_rpc::unix::UnixListener;
use withe_rpc::{
    BoxFuture, CallContext, CallError, Chunk, LinkRequest, Payload, PipeWriter, Serve, ServedLink,
    ServedSession, StreamKind, pipe,
};

use super::protocol::{self, ASK, Ask, Done, EntryKind, FOLLOW, Failure, Follow, Told};
use crate::error::StorageError;
use crate::{Lattice, LatticeError, Request, SharedLattice};

/// The most requests that a process has to answer at a time.
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
    let listener = UnixListener::bind(socket).await;
    let listener = listener.map_err(|e| StorageError::Socket {
        path: socket.into(),
        why: Arc::new(e),
    })?;
    let door = Arc::new(Door(Arc::new(lattice)));
    let mut task = JoinSet::new();
    task.spawn(withe_rpc::serve(
        listener,
        door,
        protocol::limits(),
        pending(),
    ));
    Ok(Serving { _task: task })
}

/// The session that a process attached to `lattice` has, without the socket between.
#[cfg(fuzzing)]
pub fn session(lattice: SharedLattice) -> Arc<dyn ServedSession> {
    Door(lattice).session()
}

/// The target that processes attach to.
struct Door(SharedLattice);

impl Serve for Door {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        if request != protocol::link_request() {
            let text = "one side of the socket is another version of Withe";
            return Err(CallError::TypeMismatch(text.into()));
        }
        Ok(Arc::new(Self(self.0.clone())))
    }
}

impl ServedLink for Door {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Attachment {
            lattice: self.0.clone(),
            asked: Mutex::default(),
            followed: Mutex::default(),
        })
    }
}

/// A process that is attached.
struct Attachment {
    lattice: SharedLattice,
    /// The callers that wait for replies to requests, by random numbers: a reply to a request from an earlier
    /// connection never matches another's.
    asked: Mutex<HashMap<u64, oneshot::Sender<Bytes>>>,
    /// The tasks behind its streams. The protocol bounds how many streams there are.
    followed: Mutex<JoinSet<()>>,
}

impl ServedSession for Attachment {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            match function {
                ASK => {
                    let done = self.carry_out(protocol::read(&params)?).await;
                    protocol::write(&done.map_err(Failure::from))
                }
                FOLLOW => self.follow(protocol::read(&params)?).await,
                _ => Err(CallError::TypeMismatch("no such function".into())),
            }
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }
}

impl Attachment {
    async fn carry_out(&self, ask: Ask) -> Result<Done, LatticeError> {
        let lattice = &self.lattice;
        let nothing = |()| Done::Nothing;
        Ok(match ask {
            Ask::Get(key) => Done::Entries(lattice.get(&key).await?.into_iter().collect()),
            Ask::List(table, prefix) => Done::Entries(match table {
                EntryKind::Entries => lattice.list(&prefix).await?,
                EntryKind::Leases => lattice.leases(&prefix).await?,
            }),
            Ask::Put(table, key, value, expect) => Done::Revision(match table {
                EntryKind::Entries => lattice.put(&key, value, expect).await?,
                EntryKind::Leases => lattice.put_lease(&key, value, expect).await?,
            }),
            Ask::Delete(key, expect) => nothing(lattice.delete(&key, expect).await?),
            Ask::DeleteLease(key) => nothing(lattice.delete_lease(&key).await?),
            Ask::PutBlob(digest, blob) => nothing(lattice.put_blob(&digest, blob).await?),
            Ask::Blob(digest) => match lattice.blob(&digest).await? {
                Some(blob) => Done::Bytes(blob),
                None => Done::Nothing,
            },
            Ask::DeleteBlob(digest) => nothing(lattice.delete_blob(&digest).await?),
            Ask::Publish(subject, message) => nothing(lattice.publish(&subject, message).await?),
            Ask::Request(subject, message, limit) => {
                let limit = Duration::from_millis(limit);
                Done::Bytes(lattice.request(&subject, message, limit).await?)
            }
            Ask::Reply(number, answer) => {
                let waiting = self.asked().remove(&number);
                if let (Some(waiting), Some(answer)) = (waiting, answer) {
                    // The caller may have gone.
                    _ = waiting.send(answer);
                }
                Done::Nothing
            }
        })
    }

    async fn follow(self: Arc<Self>, follow: Follow) -> Result<Payload, CallError> {
        let (writer, reader) = pipe(StreamKind::Items, 0);
        let begun = self.begin(follow, writer).await;
        let begun = begun.map(|()| self.lattice.name()).map_err(Failure::from);
        Ok(Payload {
            streams: vec![reader],
            ..protocol::write(&begun)?
        })
    }

    async fn begin(self: &Arc<Self>, follow: Follow, to: PipeWriter) -> Result<(), LatticeError> {
        let lattice = &self.lattice;
        match follow {
            Follow::Presence => self.spawn(presence(to)),
            Follow::Watch(table, prefix) => {
                let changes = match table {
                    EntryKind::Entries => lattice.watch(&prefix).await?,
                    EntryKind::Leases => lattice.watch_leases(&prefix).await?,
                };
                self.spawn(tell(changes, to, |c| Some(Told::Change(c))));
            }
            Follow::Subscribe(prefix) => {
                let messages = lattice.subscribe(&prefix).await?;
                self.spawn(tell(messages, to, |m| Some(Told::Message(m))));
            }
            Follow::Serve(subject) => {
                let requests = lattice.serve(&subject).await?;
                // The attachment owns the task, so the task must not keep it.
                let attachment = Arc::downgrade(self);
                let ask = move |request| attachment.upgrade()?.asks(request);
                self.spawn(tell(requests, to, ask));
            }
        }
        Ok(())
    }

    /// A request for the process to answer; none if it has too many. Dropped, it is known to have no answer.
    fn asks(&self, request: Request) -> Option<Told> {
        let mut asked = self.asked();
        asked.retain(|_, waiting| !waiting.is_closed());
        if asked.len() >= TO_ANSWER {
            return None;
        }
        let number = fastrand::u64(..);
        asked.insert(number, request.answer);
        Some(Told::Request(number, request.payload))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        while followed.try_join_next().is_some() {}
        followed.spawn(task);
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Bytes>>> {
        // Nothing that is done to it stops halfway.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what comes, until there is no more or nobody reads. Nothing is taken before it is wanted, so that what
/// waits is put together where it comes from.
async fn tell<T, F>(mut from: mpsc::Receiver<T>, mut to: PipeWriter, told: F)
where
    F: Fn(T) -> Option<Told>,
{
    loop {
        if poll_fn(|cx| to.poll_demand(cx)).await.is_err() {
            return;
        }
        let item = tokio::select! {
            item = from.recv() => item,
            () = closed(&mut to) => return,
        };
        let Some(item) = item else {
            return to.finish();
        };
        let Some(told) = told(item) else { continue };
        match chunk(&told) {
            Ok(chunk) => {
                if to.send(chunk).is_err() {
                    return;
                }
            }
            Err(e) => return to.fail(e),
        }
    }
}

fn chunk(told: &impl Serialize) -> Result<Chunk, CallError> {
    let payload = protocol::write(told)?;
    Ok(Chunk { count: 1, payload })
}

async fn presence(mut to: PipeWriter) {
    closed(&mut to).await;
}

/// Waits until nobody reads any more.
async fn closed(to: &mut PipeWriter) {
    // More than this is never wanted, so that it ends with the reader only.
    _ = poll_fn(|cx| to.poll_demand_above(cx, usize::MAX)).await;
}
