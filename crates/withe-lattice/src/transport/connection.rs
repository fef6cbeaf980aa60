//! A connection, and its two halves as streams of bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use async_nats::message::OutboundMessage;
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures::{FutureExt, Sink};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flow::Flow;
use super::message::{self, At, HEADER, Message};

/// A connection that is open, as its end here has it.
pub(super) struct Connection {
    subjects: Subjects,
    state: Mutex<FlowState>,
}

/// Where messages go, and what comes back if nobody is there.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    pub(super) to: Subject,
    /// The subject to which the other end sends, and on which the broker reports that the other end is gone.
    pub(super) from: Subject,
}

struct FlowState {
    flow: Flow,
    /// Why the connection does not go on. The other side is told when it fails, and again by an answer to whatever
    /// it sends.
    failed: Option<(io::ErrorKind, String)>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl FlowState {
    fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }

    fn wake(&mut self) {
        let waiting = [self.reader.take(), self.writer.take()];
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Subjects {
    fn message(&self, payload: Bytes) -> OutboundMessage {
        OutboundMessage {
            subject: self.to.clone(),
            reply: Some(self.from.clone()),
            payload,
            headers: None,
        }
    }

    /// Sends something unless that would have to wait, for what may as well be lost; says whether it did.
    pub(super) fn try_send(&self, client: &Client, message: &Message) -> bool {
        let (to, from) = (self.to.clone(), self.from.clone());
        let sending = client.publish_with_reply(to, from, message.to_bytes());
        // A task that has used up its budget must not make the send seem to wait.
        let sent = tokio::task::coop::unconstrained(sending).now_or_never();
        matches!(sent, Some(Ok(())))
    }
}

impl Connection {
    pub(super) fn new(subjects: Subjects, window: u64) -> Self {
        Self {
            subjects,
            state: Mutex::new(FlowState {
                flow: Flow::new(window),
                failed: None,
                reader: None,
                writer: None,
            }),
        }
    }

    /// Takes a message, and answers it if it needs that.
    pub(super) fn receive(&self, client: &Client, message: Message) {
        let mut state = self.state();
        if let Some((_, reason)) = &state.failed {
            // The other side may not know: what told it can be lost, or it was away when this side failed. A reset
            // is never answered, so that two sides that failed fall silent.
            if !matches!(message, Message::Reset { .. }) {
                let reason = reason.clone();
                self.subjects.try_send(client, &Message::Reset { reason });
            }
            return;
        }
        let taken = match message {
            Message::Data { at, bytes } => state.flow.data(at, bytes),
            Message::End { at } => state.flow.end(at),
            Message::Ack { at } => state.flow.at(at),
            Message::Probe { at } => {
                let taken = state.flow.at(at);
                if taken.is_ok() {
                    self.tell_here(client, &mut state, |at| Message::Ack { at });
                }
                taken
            }
            Message::Reset { reason } => {
                let text = format!("the other side has ended the connection: {reason}");
                state.failed = Some((io::ErrorKind::ConnectionReset, text));
                Ok(())
            }
            // A repeated greeting changes nothing.
            Message::Hello { .. } | Message::Accept { .. } => Ok(()),
        };
        if let Err(broken) = taken {
            let reason = broken.to_string();
            state.failed = Some((io::ErrorKind::ConnectionAborted, reason.clone()));
            self.subjects.try_send(client, &Message::Reset { reason });
        }
        state.wake();
    }

    /// Ends the connection, for a reason that the other side knows or learns when it sends something.
    pub(super) fn fail(&self, kind: io::ErrorKind, text: &str) {
        let mut state = self.state();
        state.failed.get_or_insert_with(|| (kind, text.into()));
        state.wake();
    }

    /// Asks the other side where it is: what was lost shows then.
    pub(super) fn probe(&self, client: &Client) {
        let mut state = self.state();
        if state.failed.is_none() {
            self.tell_here(client, &mut state, |at| Message::Probe { at });
        }
    }

    /// Says where we are; nobody else can send anything between.
    fn tell_here(&self, client: &Client, state: &mut FlowState, message: fn(At) -> Message) {
        let at = state.flow.here();
        if self.subjects.try_send(client, &message(at)) {
            state.flow.was_told(at);
        }
    }

    fn state(&self) -> MutexGuard<'_, FlowState> {
        // Its counts are whole after every step of them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a connection from its table.
pub(super) type Forget = Box<dyn Fn() + Send + Sync>;

/// The halves of a connection. The connection ends, and is forgotten, when both halves are gone.
pub(super) fn halves(
    connection: Arc<Connection>,
    client: Client,
    forget: Forget,
) -> (Reader, Writer) {
    let ends = Arc::new(Ends {
        connection,
        client: client.clone(),
        forget,
    });
    let reader = Reader {
        ends: ends.clone(),
        client: client.clone(),
    };
    (reader, Writer { ends, client })
}

/// The state that the halves share.
struct Ends {
    connection: Arc<Connection>,
    client: Client,
    forget: Forget,
}

impl Drop for Ends {
    fn drop(&mut self) {
        (self.forget)();
        let state = self.connection.state();
        let is_over = state.flow.has_sent_end() && state.flow.is_at_end();
        if state.failed.is_none() && !is_over {
            let reason = "it is not used any more".into();
            let subjects = &self.connection.subjects;
            subjects.try_send(&self.client, &Message::Reset { reason });
        }
    }
}

pub(super) struct Reader {
    ends: Arc<Ends>,
    client: Client,
}

impl Reader {
    /// Tells the other side what was read, if it needs to know.
    fn acknowledge(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = &self.ends.connection;
        if !connection.state().flow.owes_ack() {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.client).poll_ready(cx)).map_err(io::Error::other)?;
        let mut state = connection.state();
        let at = state.flow.here();
        // Sent before anything else is counted.
        let message = connection.subjects.message(Message::Ack { at }.to_bytes());
        let sent = Pin::new(&mut self.client).start_send(message);
        state.flow.was_told(at);
        Poll::Ready(sent.map_err(io::Error::other))
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_done = {
            let mut state = self.ends.connection.state();
            // Bytes that arrived before a failure are read before the failure is returned.
            let is_done = state.flow.read(buffer) || state.flow.is_at_end();
            if !is_done {
                state.check()?;
                state.reader = Some(cx.waker().clone());
            }
            is_done
        };
        // If it has to wait, this is called again: by the reader, or when there is room.
        if let Poll::Ready(Err(e)) = self.acknowledge(cx) {
            return Poll::Ready(Err(e));
        }
        if is_done {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

pub(super) struct Writer {
    ends: Arc<Ends>,
    client: Client,
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let writer = &mut *self;
        let connection = &writer.ends.connection;
        {
            let mut state = connection.state();
            state.check()?;
            if state.flow.has_sent_end() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if state.flow.room() == 0 {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        ready!(Pin::new(&mut writer.client).poll_ready(cx)).map_err(io::Error::other)?;
        let largest = writer.client.max_payload().saturating_sub(HEADER);
        let mut state = connection.state();
        // There is at least the room that there was.
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let n = wanted.min(state.flow.room()).min(largest);
        if n == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut payload = message::data(state.flow.send(n), n);
        for slice in slices {
            let left = HEADER + n - payload.len();
            payload.extend_from_slice(&slice[..slice.len().min(left)]);
        }
        // Sent before anything else is counted.
        let message = connection.subjects.message(payload.freeze());
        let sent = Pin::new(&mut writer.client).start_send(message);
        Poll::Ready(sent.map(|()| n).map_err(io::Error::other))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The client's task sends what it has as soon as there is no more.
        Poll::Ready(self.ends.connection.state().check())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let writer = &mut *self;
        let connection = &writer.ends.connection;
        ready!(Pin::new(&mut writer.client).poll_ready(cx)).map_err(io::Error::other)?;
        let mut state = connection.state();
        state.check()?;
        let Some(at) = state.flow.send_end() else {
            return Poll::Ready(Ok(()));
        };
        let message = connection.subjects.message(Message::End { at }.to_bytes());
        let sent = Pin::new(&mut writer.client).start_send(message);
        Poll::Ready(sent.map_err(io::Error::other))
    }
}
