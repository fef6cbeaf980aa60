//! Sorts the messages for the invocations of a connection.
//!
//! A connection has one wildcard subscription; each invocation is a number behind its prefix. Each message
//! is put where the invocation's number and the rest of the subject say, and waits there to be taken. Only
//! paths that the function's type has are kept: v1 also ends some that carry nothing.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use tokio::time::timeout;
use withe_rpc::CallError;

use super::limits::Limits;

/// The cost of a waiting message besides its bytes.
const OVERHEAD: usize = 64;

/// The invocations of a connection for which something may come.
#[derive(Debug)]
pub(crate) struct Mailbox {
    limits: Limits,
    next: AtomicU64,
    /// Bytes that came and were not taken.
    unread: AtomicUsize,
    open: Mutex<OpenExchanges>,
}

#[derive(Debug, Default)]
struct OpenExchanges {
    exchanges: HashMap<u64, Weak<Exchange>>,
    /// Why nothing can come any more.
    closed: Option<CallError>,
}

/// Which side of an invocation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailboxSide {
    /// The side that invokes, and gets results.
    Client,
    /// The side that is invoked, and gets parameters.
    Server,
}

impl MailboxSide {
    /// The token before the paths of what it gets.
    fn receives(self) -> &'static str {
        match self {
            Self::Client => "results",
            Self::Server => "params",
        }
    }
}

impl Mailbox {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            next: AtomicU64::new(0),
            unread: AtomicUsize::new(0),
            open: Mutex::default(),
        }
    }

    /// Begins to take what comes for a new invocation: the values, and the streams at `paths`.
    pub(crate) fn open(
        self: &Arc<Self>,
        side: MailboxSide,
        paths: &[String],
    ) -> (Arc<Exchange>, Readers) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let root = Channel::new(String::new(), self.limits.payload);
        let streams = paths
            .iter()
            .map(|path| Channel::new(path.clone(), self.limits.stream));
        let exchange = Arc::new(Exchange {
            id,
            side,
            mailbox: self.clone(),
            state: Mutex::new(ExchangeState {
                accepted: None,
                heard: false,
                waits: None,
                channels: std::iter::once(root).chain(streams).collect(),
            }),
        });
        let mut open = lock(&self.open);
        match open.closed.clone() {
            Some(why) => exchange.fail(&why),
            None => _ = open.exchanges.insert(id, Arc::downgrade(&exchange)),
        }
        drop(open);
        let reader = |index| ChannelReader {
            exchange: exchange.clone(),
            index,
        };
        let readers = Readers {
            root: reader(0),
            streams: (1..=paths.len()).map(reader).collect(),
        };
        (exchange, readers)
    }

    /// Puts `message` where it belongs. `rest` is its subject behind the connection's prefix.
    pub(crate) fn deliver(&self, rest: usize, message: Message) {
        let Some(rest) = message.subject.as_str().get(rest..) else {
            return;
        };
        let (number, suffix) = rest.split_once('.').unwrap_or((rest, ""));
        let Ok(id) = number.parse() else { return };
        let exchange = lock(&self.open).exchanges.get(&id).and_then(Weak::upgrade);
        // One that has ended wants nothing any more.
        let Some(exchange) = exchange else { return };
        exchange.hear();
        match suffix.strip_prefix(exchange.side.receives()) {
            Some("") => exchange.receive("", message.payload),
            Some(path) if path.starts_with('.') => exchange.receive(&path[1..], message.payload),
            None if suffix.is_empty() => exchange.accept(message),
            _ => {}
        }
    }

    /// Fails all that waits, and all that will.
    pub(crate) fn close(&self, why: CallError) {
        let mut open = lock(&self.open);
        let exchanges = std::mem::take(&mut open.exchanges);
        open.closed = Some(why.clone());
        drop(open);
        for exchange in exchanges.values().filter_map(Weak::upgrade) {
            exchange.fail(&why);
        }
    }

    fn hold(&self, bytes: usize) -> bool {
        let limit = self.limits.unread;
        let held = self
            .unread
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes).filter(|sum| *sum <= limit)
            });
        held.is_ok()
    }

    fn release(&self, bytes: usize) {
        self.unread.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One invocation, for which something may come as long as this is held.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The token behind the connection's prefix.
    pub(crate) id: u64,
    side: MailboxSide,
    mailbox: Arc<Mailbox>,
    state: Mutex<ExchangeState>,
}

#[derive(Debug)]
struct ExchangeState {
    /// The other side's inbox, or why there is none.
    accepted: Option<Result<Subject, CallError>>,
    /// Whether anything has come from the other side.
    heard: bool,
    /// Wakes who waits for either.
    waits: Option<Waker>,
    channels: Vec<Channel>,
}

/// The messages at one path.
#[derive(Debug)]
struct Channel {
    path: String,
    limit: usize,
    queue: VecDeque<Bytes>,
    held: usize,
    /// How it ended.
    end: Option<Result<(), CallError>>,
    reader: Option<Waker>,
}

impl Channel {
    fn new(path: String, limit: usize) -> Self {
        Self {
            path,
            limit,
            queue: VecDeque::new(),
            held: 0,
            end: None,
            reader: None,
        }
    }

    /// Ends it, and returns by how many bytes less it holds.
    fn fail(&mut self, why: CallError) -> usize {
        self.queue.clear();
        self.end = Some(Err(why));
        std::mem::take(&mut self.held)
    }
}

impl Exchange {
    /// Notes that something has come, whatever it is.
    fn hear(&self) {
        let mut state = lock(&self.state);
        if state.heard {
            return;
        }
        state.heard = true;
        let waker = state.waits.take();
        drop(state);
        wake(waker);
    }

    /// Takes the other side's answer to the invocation itself.
    fn accept(&self, message: Message) {
        let accepted = match (message.status, message.reply) {
            (None, Some(inbox)) => Ok(inbox),
            (Some(StatusCode::NO_RESPONDERS), _) => Err(CallError::Unreachable(
                "nobody on the lattice serves the function".into(),
            )),
            (Some(StatusCode::TIMEOUT), _) => Err(CallError::Deadline),
            (Some(status), _) => {
                let text = message.description.unwrap_or_default();
                let text = format!("the broker answered with status {status} {text}");
                Err(CallError::Unreachable(text.trim_end().to_owned()))
            }
            (None, None) => Err(CallError::Unreachable(
                "what answered does not speak `wrpc.0.0.1`: it named no inbox".into(),
            )),
        };
        let mut state = lock(&self.state);
        state.accepted.get_or_insert(accepted);
        let waker = state.waits.take();
        drop(state);
        wake(waker);
    }

    fn receive(&self, path: &str, bytes: Bytes) {
        let mut state = lock(&self.state);
        let Some(channel) = state.channels.iter_mut().find(|c| c.path == path) else {
            return;
        };
        if channel.end.is_some() {
            return;
        }
        if bytes.is_empty() {
            channel.end = Some(Ok(()));
        } else {
            let cost = bytes.len() + OVERHEAD;
            let held = channel.held + cost;
            if held > channel.limit + OVERHEAD || !self.mailbox.hold(cost) {
                let text = format!("{} bytes wait to be read, which is too many", held);
                self.mailbox
                    .release(channel.fail(CallError::Exhausted(text)));
            } else {
                channel.held = held;
                channel.queue.push_back(bytes);
            }
        }
        let waker = channel.reader.take();
        drop(state);
        wake(waker);
    }

    /// Ends all of it that has not ended.
    fn fail(&self, why: &CallError) {
        let mut state = lock(&self.state);
        state.accepted.get_or_insert(Err(why.clone()));
        state.heard = true;
        let mut wakers = vec![state.waits.take()];
        for channel in &mut state.channels {
            if channel.end.is_none() {
                channel.end = Some(Err(why.clone()));
            }
            wakers.push(channel.reader.take());
        }
        drop(state);
        wakers.into_iter().for_each(wake);
    }

    /// The inbox of the other side, once it has accepted the invocation.
    ///
    /// # Errors
    ///
    /// Why it will not.
    pub(crate) async fn accepted(&self) -> Result<Subject, CallError> {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            match &state.accepted {
                Some(accepted) => Poll::Ready(accepted.clone()),
                None => {
                    state.waits = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Waits until something has come from the other side, or nothing can come any more.
    pub(crate) async fn heard(&self) {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.heard {
                return Poll::Ready(());
            }
            state.waits = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.mailbox.open).exchanges.remove(&self.id);
        let channels = &lock(&self.state).channels;
        self.mailbox.release(channels.iter().map(|c| c.held).sum());
    }
}

/// The ends from which what comes is taken.
#[derive(Debug)]
pub(crate) struct Readers {
    /// The values.
    pub(crate) root: ChannelReader,
    /// The streams, in the order of their paths.
    pub(crate) streams: Vec<ChannelReader>,
}

/// The end from which what comes at one path is taken. Dropped, it wants nothing more.
#[derive(Debug)]
pub(crate) struct ChannelReader {
    exchange: Arc<Exchange>,
    index: usize,
}

impl ChannelReader {
    /// The next piece, never empty; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, CallError>>> {
        let mut state = lock(&self.exchange.state);
        // Indices are those of the channels that the exchange was made with.
        let channel = &mut state.channels[self.index];
        if let Some(bytes) = channel.queue.pop_front() {
            let cost = bytes.len() + OVERHEAD;
            channel.held -= cost;
            self.exchange.mailbox.release(cost);
            return Poll::Ready(Some(Ok(bytes)));
        }
        match &channel.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(why)) => Poll::Ready(Some(Err(why.clone()))),
            None => {
                channel.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next piece, never empty; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), but fails if nothing comes for `idle`.
    pub(crate) async fn next_within(&mut self, idle: Duration) -> Option<Result<Bytes, CallError>> {
        timeout(idle, self.next())
            .await
            .unwrap_or_else(|_| Some(Err(silent(idle))))
    }

    /// How long it may be silent.
    pub(crate) fn idle(&self) -> Duration {
        self.exchange.mailbox.limits.idle
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// If it is more than a payload may be.
    pub(crate) async fn all(&mut self, first: Bytes) -> Result<Bytes, CallError> {
        let limit = self.exchange.mailbox.limits.payload;
        let mut whole: Option<Vec<u8>> = None;
        let mut first = Some(first).filter(|bytes| !bytes.is_empty());
        while let Some(piece) = self.next().await {
            let piece = piece?;
            // Most values come in one piece, which is not copied.
            match (&mut whole, first.take()) {
                (Some(whole), _) => whole.extend_from_slice(&piece),
                (None, Some(first)) => whole = Some([first, piece].concat()),
                (None, None) => first = Some(piece),
            }
            if whole.as_ref().is_some_and(|whole| whole.len() > limit) {
                return Err(CallError::Exhausted(format!(
                    "the values take more than {limit} bytes"
                )));
            }
        }
        Ok(whole.map(Bytes::from).or(first).unwrap_or_default())
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        let mut state = lock(&self.exchange.state);
        let gone = CallError::Unreachable("the reader of the stream has gone".into());
        let held = state.channels[self.index].fail(gone);
        self.exchange.mailbox.release(held);
    }
}

/// The error of a stream that is silent for too long.
pub(crate) fn silent(idle: Duration) -> CallError {
    CallError::Unreachable(format!(
        "nothing came over a stream for {} s",
        idle.as_secs_f32()
    ))
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while a lock is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::pin;

    fn message(subject: &str, payload: &'static [u8]) -> Message {
        Message {
            subject: subject.into(),
            reply: None,
            payload: Bytes::from_static(payload),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    fn mailbox(limits: Limits) -> Arc<Mailbox> {
        Arc::new(Mailbox::new(limits))
    }

    fn poll(reader: &mut ChannelReader) -> Poll<Option<Result<Bytes, CallError>>> {
        reader.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_comes_is_put_by_number_and_path() {
        let mailbox = mailbox(Limits::default());
        let (a, mut a_readers) = mailbox.open(MailboxSide::Client, &["0.0".into()]);
        let (b, mut b_readers) = mailbox.open(MailboxSide::Server, &[]);
        let send =
            |rest: String, payload| mailbox.deliver(2, message(&format!("x.{rest}"), payload));
        send(format!("{}.results.0.0", a.id), b"stream");
        send(format!("{}.results", a.id), b"values");
        // Paths that the type lacks, the other side's names, and subjects of no invocation.
        send(format!("{}.results.0", a.id), b"");
        send(format!("{}.params", a.id), b"no");
        send(format!("{}.resultsx", a.id), b"no");
        send("77.results".into(), b"no");
        send("..".into(), b"no");
        send(format!("{}.params", b.id), b"values");
        send(format!("{}.results", a.id), b"");
        let piece = |bytes| Poll::Ready(Some(Ok(Bytes::from_static(bytes))));
        assert_eq!(poll(&mut a_readers.root), piece(b"values"));
        assert_eq!(poll(&mut a_readers.root), Poll::Ready(None));
        assert_eq!(poll(&mut a_readers.streams[0]), piece(b"stream"));
        assert_eq!(poll(&mut a_readers.streams[0]), Poll::Pending);
        assert_eq!(poll(&mut b_readers.root), piece(b"values"));
        assert_eq!(mailbox.unread.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_not_taken_is_bounded_and_given_back() {
        let mailbox = mailbox(Limits {
            stream: 100,
            unread: 300,
            ..Limits::default()
        });
        let (exchange, mut readers) = mailbox.open(MailboxSide::Client, &["0".into(), "1".into()]);
        let send = |path: &str| {
            let subject = format!("{}.results.{path}", exchange.id);
            mailbox.deliver(0, message(&subject, &[7; 80]));
        };
        send("0");
        send("0");
        let end = poll(&mut readers.streams[0]);
        assert!(
            matches!(end, Poll::Ready(Some(Err(CallError::Exhausted(_))))),
            "{end:?}"
        );
        send("1");
        assert_eq!(mailbox.unread.load(Ordering::Relaxed), 80 + OVERHEAD);
        drop((exchange, readers));
        assert_eq!(mailbox.unread.load(Ordering::Relaxed), 0);
        assert!(lock(&mailbox.open).exchanges.is_empty());
    }

    #[test]
    fn whatever_comes_shows_that_the_other_side_is_there() {
        let mailbox = mailbox(Limits::default());
        // Also what carries nothing, and what the type does not have.
        for suffix in ["params", "params.0.7", "x"] {
            let (exchange, _readers) = mailbox.open(MailboxSide::Server, &[]);
            let (other, _readers) = mailbox.open(MailboxSide::Server, &[]);
            let mut heard = pin!(exchange.heard());
            assert!(heard.as_mut().now_or_never().is_none());
            mailbox.deliver(0, message(&format!("{}.{suffix}", exchange.id), b""));
            assert!(heard.now_or_never().is_some(), "{suffix}");
            assert!(other.heard().now_or_never().is_none());
        }
    }

    #[tokio::test]
    async fn answers_of_the_broker_say_why() {
        let mailbox = mailbox(Limits::default());
        let (exchange, _readers) = mailbox.open(MailboxSide::Client, &[]);
        let mut nobody = message(&exchange.id.to_string(), b"");
        nobody.status = Some(StatusCode::NO_RESPONDERS);
        mailbox.deliver(0, nobody);
        let accepted = exchange.accepted().await;
        assert!(
            matches!(accepted, Err(CallError::Unreachable(_))),
            "{accepted:?}"
        );

        let (served, _readers) = mailbox.open(MailboxSide::Server, &[]);
        let (exchange, mut readers) = mailbox.open(MailboxSide::Client, &[]);
        mailbox.close(CallError::Deadline);
        assert_eq!(exchange.accepted().await, Err(CallError::Deadline));
        served.heard().await;
        assert_eq!(
            readers.root.all(Bytes::new()).await,
            Err(CallError::Deadline)
        );
        let (later, _readers) = mailbox.open(MailboxSide::Client, &[]);
        assert_eq!(later.accepted().await, Err(CallError::Deadline));
    }

    #[tokio::test]
    async fn values_in_pieces_are_joined_up_to_the_limit() {
        let mailbox = mailbox(Limits {
            payload: 1_000,
            ..Limits::default()
        });
        let (exchange, mut readers) = mailbox.open(MailboxSide::Server, &[]);
        let subject = format!("{}.params", exchange.id);
        for piece in [&b"cd"[..], b"ef", b""] {
            mailbox.deliver(0, message(&subject, piece));
        }
        let all = readers.root.all(Bytes::from_static(b"ab")).await;
        assert_eq!(all.unwrap(), &b"abcdef"[..]);

        let (exchange, mut readers) = mailbox.open(MailboxSide::Server, &[]);
        let subject = format!("{}.params", exchange.id);
        mailbox.deliver(0, message(&subject, &[0; 800]));
        mailbox.deliver(0, message(&subject, b""));
        let all = readers.root.all(Bytes::from_static(&[0; 300])).await;
        assert!(matches!(all, Err(CallError::Exhausted(_))), "{all:?}");
    }
}
