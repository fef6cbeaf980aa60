//! The connection to the process that has the lattice, and what goes on over more than one of them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::server::write_all;
use super::wire::{self, Answer, Ask, Done, Frame, Say};
use super::{QUEUE, TIMEOUT};
use crate::backlog::{Changes, Recent};
use crate::feed::Feed;
use crate::{Change, Entry, LatticeError, Message, Request};

/// The first pause before connecting is tried again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often it is seen to whether anybody still reads what streams bring.
const SWEEP: Duration = Duration::from_millis(500);

/// What comes of something that was asked.
type Outcome = Result<(Done, Bytes), LatticeError>;

/// What the connection's task and those who use it share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    connected: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// Takes what is to be written, while there is a connection.
    writer: Option<mpsc::Sender<Frame<Say>>>,
    last_id: u64,
    asked: HashMap<u64, oneshot::Sender<Outcome>>,
    streams: HashMap<u64, (Ask, Stream)>,
}

/// Something that goes on.
pub(super) enum Stream {
    Watch {
        feed: Feed<Changes>,
        /// What there is, until all of it has come.
        there: Option<BTreeMap<String, Entry>>,
    },
    Messages(Feed<Recent>),
    Requests(mpsc::Sender<Request>),
}

impl Stream {
    pub(super) fn watch(feed: Feed<Changes>) -> Self {
        Self::Watch {
            feed,
            there: Some(BTreeMap::new()),
        }
    }

    fn is_unread(&self) -> bool {
        match self {
            Self::Watch { feed, .. } => feed.is_unread(),
            Self::Messages(feed) => feed.is_unread(),
            Self::Requests(served) => served.is_closed(),
        }
    }

    fn begin_again(&mut self) {
        if let Self::Watch { there, .. } = self {
            *there = Some(BTreeMap::new());
        }
    }

    fn change(&mut self, change: Change) {
        let Self::Watch { feed, there } = self else {
            return;
        };
        match (there.as_mut(), change) {
            (Some(there), Change::Put(entry)) => {
                there.insert(entry.key.clone(), entry);
            }
            (Some(there), Change::Gone { key }) => {
                there.remove(&key);
            }
            (_, Change::Synced) => {
                let entries = there.take().unwrap_or_default().into_values();
                feed.tell(|changes| changes.all(entries.collect()));
            }
            (None, Change::Put(entry)) => feed.tell(|changes| changes.put(entry)),
            (None, Change::Gone { key }) => feed.tell(|changes| changes.gone(&key)),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done to it stops halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Asks for something and waits for what comes of it.
    pub(super) async fn ask(&self, ask: Ask, body: Bytes, limit: Duration) -> Outcome {
        let asked = timeout(limit, async {
            let id = self.next_id().await;
            self.send(id, ask, body).await
        });
        asked.await.unwrap_or_else(|_| Err(self.too_late(limit)))
    }

    /// Begins something that goes on, and waits until it has begun.
    pub(super) async fn begin(
        &self,
        ask: Ask,
        stream: Stream,
        limit: Duration,
    ) -> Result<(), LatticeError> {
        let begun = timeout(limit, async {
            let id = self.next_id().await;
            self.state().streams.insert(id, (ask.clone(), stream));
            let begun = self.send(id, ask, Bytes::new()).await;
            if begun.is_err() {
                self.state().streams.remove(&id);
            }
            begun.map(drop)
        });
        begun.await.unwrap_or_else(|_| Err(self.too_late(limit)))
    }

    fn too_late(&self, limit: Duration) -> LatticeError {
        LatticeError::Unreachable(if self.is_connected() {
            format!("no answer in {limit:?}")
        } else {
            "the process that has it is gone".into()
        })
    }

    /// Waits until there is a connection.
    pub(super) async fn connected(&self) {
        let mut connected = self.connected.subscribe();
        // The sender is here, so it does not go.
        _ = connected.wait_for(|connected| *connected).await;
    }

    /// A number for something, once there is a connection.
    async fn next_id(&self) -> u64 {
        self.connected().await;
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    async fn send(&self, id: u64, ask: Ask, body: Bytes) -> Outcome {
        let lost = || LatticeError::Unreachable("the connection is lost".into());
        let (answer, answered) = oneshot::channel();
        let writer = {
            let mut state = self.state();
            let Some(writer) = state.writer.clone() else {
                return Err(lost());
            };
            state.asked.insert(id, answer);
            writer
        };
        let _asked = Asked { shared: self, id };
        let head = Say::Ask { id, ask };
        let sent = writer.send(Frame { head, body }).await;
        sent.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }
}

/// That something is asked; forgotten when nobody waits for it.
struct Asked<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shared.state().asked.remove(&self.id);
    }
}

/// Both ways of an open connection.
pub(super) struct Open {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// Connects; returns the lattice's name too.
///
/// # Errors
///
/// [`LatticeError::Unreachable`] or, if the other end is another version, [`LatticeError::Refused`].
pub(super) async fn open(socket: &Path) -> Result<(String, Open), LatticeError> {
    let at = |e: io::Error| {
        let why = match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "nobody serves a lattice there".into()
            }
            _ => e.to_string(),
        };
        LatticeError::Unreachable(format!("`{}`: {why}", socket.display()))
    };
    let (reader, writer) = UnixStream::connect(socket).await.map_err(at)?.into_split();
    let mut reader = BufReader::new(reader);
    let hello = wire::read::<Answer>(&mut reader).await.map_err(at)?;
    match hello.map(|frame| frame.head) {
        Some(Answer::Hello { version, lattice }) if version == wire::VERSION => {
            Ok((lattice, Open { reader, writer }))
        }
        Some(Answer::Hello { .. }) => Err(LatticeError::Refused(format!(
            "what serves `{}` is another version of Withe",
            socket.display()
        ))),
        _ => Err(at(wire::bad("no greeting"))),
    }
}

/// Keeps a connection: uses the first, and makes others whenever one is lost.
pub(super) async fn keep(shared: Arc<Shared>, socket: PathBuf, name: String, first: Open) {
    let mut next = Some(first);
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(open) = next.take() {
            pause = FIRST_PAUSE;
            if let Err(e) = run(&shared, open).await {
                tracing::debug!(error = %e, "the connection to the lattice fails");
            }
            shared.connected.send_replace(false);
            let mut state = shared.state();
            state.writer = None;
            // Who waits is told by that.
            state.asked.clear();
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match timeout(TIMEOUT, open(&socket)).await {
            Ok(Ok((found, open))) if found == name => next = Some(open),
            Ok(Ok((found, _))) => {
                tracing::warn!(found, name, "another lattice is served where ours was");
            }
            Ok(Err(e)) => tracing::trace!(error = %e, "the lattice is not back"),
            Err(_) => {}
        }
    }
}

/// Uses a connection until it ends.
async fn run(shared: &Arc<Shared>, open: Open) -> io::Result<()> {
    let (writer, to_write) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    {
        let mut state = shared.state();
        state.writer = Some(writer.clone());
        let mut again = Vec::new();
        for (&id, (ask, stream)) in &mut state.streams {
            stream.begin_again();
            let ask = ask.clone();
            again.push(Say::Ask { id, ask });
        }
        let writer = writer.clone();
        tasks.spawn(async move {
            for head in again {
                let body = Bytes::new();
                if writer.send(Frame { head, body }).await.is_err() {
                    return;
                }
            }
        });
    }
    shared.connected.send_replace(true);
    tokio::select! {
        ended = read(shared, open.reader, &writer, &mut tasks) => ended,
        ended = write_all(open.writer, to_write) => ended,
        () = sweep(shared, &writer) => Ok(()),
    }
}

async fn read(
    shared: &Shared,
    mut reader: impl AsyncRead + Unpin,
    writer: &mpsc::Sender<Frame<Say>>,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    while let Some(Frame { head, body }) = wire::read::<Answer>(&mut reader).await? {
        let mut state = shared.state();
        match head {
            Answer::Hello { .. } => return Err(wire::bad("two greetings")),
            Answer::Done { id, result } => {
                if let Some(asked) = state.asked.remove(&id) {
                    // Who asked may have gone.
                    _ = asked.send(result.map(|done| (done, body)));
                }
            }
            Answer::Change { id, change } => {
                if let Some((_, stream)) = state.streams.get_mut(&id) {
                    stream.change(wire::join_change(change, body));
                }
            }
            Answer::Message { id, subject } => {
                if let Some((_, Stream::Messages(feed))) = state.streams.get(&id) {
                    let payload = body;
                    feed.tell(|recent| recent.push(Message { subject, payload }));
                }
            }
            Answer::Request { id, number } => {
                let (answer, answered) = oneshot::channel();
                let payload = body;
                if let Some((_, Stream::Requests(served))) = state.streams.get(&id) {
                    // If it cannot be taken it is dropped, and that is told.
                    _ = served.try_send(Request { payload, answer });
                }
                while tasks.try_join_next().is_some() {}
                let writer = writer.clone();
                tasks.spawn(reply(writer, id, number, answered));
            }
        }
    }
    Ok(())
}

/// Sends the answer to a request once there is one, or that there will be none. Those to be answered are
/// bounded by the other end.
async fn reply(
    writer: mpsc::Sender<Frame<Say>>,
    id: u64,
    number: u64,
    answered: oneshot::Receiver<Bytes>,
) {
    let answer = answered.await.ok();
    let head = Say::Reply {
        id,
        number,
        is_answered: answer.is_some(),
    };
    let body = answer.unwrap_or_default();
    // Without a connection nobody waits for it.
    _ = writer.send(Frame { head, body }).await;
}

/// Ends what nobody reads any more.
async fn sweep(shared: &Shared, writer: &mpsc::Sender<Frame<Say>>) {
    loop {
        sleep(SWEEP).await;
        let unread: Vec<u64> = {
            let mut state = shared.state();
            let unread = state
                .streams
                .extract_if(|_, (_, stream)| stream.is_unread());
            unread.map(|(id, _)| id).collect()
        };
        for id in unread {
            let head = Say::End { id };
            let body = Bytes::new();
            if writer.send(Frame { head, body }).await.is_err() {
                return;
            }
        }
    }
}
