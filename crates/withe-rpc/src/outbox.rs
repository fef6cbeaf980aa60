//! Writes frames: those of many calls with one write, and large payloads a chunk at a time.
//!
//! A sender appends its frame to the queue. The first to ask for a write does it: a call that is alone does so
//! itself, at once; where many are under way each only wakes the connection's driver, which comes to run when
//! all of them have appended theirs. Two locks keep the two apart: appending never waits for a write.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use crate::HandleRef;
use crate::frame::{self, Kind, MAX_BODY, MAX_REFS, StreamRef, flag};

/// Up to here, bytes are copied behind the frame's head; larger ones are written from where they are.
pub(crate) const COPY: usize = 4 << 10;

/// How much of large payloads is taken for one round of writing. Frames appended meanwhile go out behind it.
const ROUND: usize = 256 << 10;

/// How much may wait to be written before streams are not served: so much that the transport is kept
/// busy, and so little that calls are not kept waiting.
pub(crate) const STREAMS_AHEAD: usize = 256 << 10;

/// Slices of one write.
const SLICES: usize = 16;

/// A buffer larger than this is not kept for the next frames.
const KEPT: usize = 256 << 10;

/// Wakes a connection's driver.
#[derive(Debug, Default)]
pub(crate) struct Signal(Notify);

impl Signal {
    pub(crate) fn raise(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn raised(&self) {
        self.0.notified().await;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
    }
}

/// The writing half of a connection.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    io: Mutex<Io>,
    /// Raised when the driver has something to do; also by the transport, when it can take more.
    signal: Arc<Signal>,
    waker: Waker,
    /// Bytes of the queue that were written.
    written: AtomicU64,
    failed: OnceLock<String>,
    room: Notify,
    bound: usize,
}

/// Frames to be written.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes in `pieces`.
    len: usize,
    /// Bytes that were ever in `pieces`.
    appended: u64,
    /// Payloads that go on in further frames.
    bulks: VecDeque<Bulk>,
    /// Bytes in `bulks`.
    bulk_len: usize,
    /// A buffer to be used again.
    spare: Vec<u8>,
}

/// Bytes to be written.
enum Piece {
    /// Frames, or heads of frames.
    Frames(Vec<u8>),
    /// A part of a payload.
    Bytes(Bytes),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Frames(frames) => frames,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The rest of a payload that does not fit one frame.
struct Bulk {
    /// The call that it is of.
    id: u32,
    rest: Bytes,
}

struct Io {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that were written.
    offset: usize,
}

/// The header fields of a frame with a payload.
pub(crate) struct Envelope {
    pub(crate) kind: Kind,
    /// Besides [`flag::MORE`].
    pub(crate) flags: u8,
    pub(crate) id: u32,
}

impl Outbox {
    /// `bound` is how many bytes may wait before [`Outbox::room`] does.
    pub(crate) fn new(
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        signal: Arc<Signal>,
        bound: usize,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            io: Mutex::new(Io {
                writer,
                pieces: VecDeque::new(),
                offset: 0,
            }),
            waker: Waker::from(signal.clone()),
            signal,
            written: AtomicU64::new(0),
            failed: OnceLock::new(),
            room: Notify::new(),
            bound,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what `write` writes.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        // A sender that outlives the connection may still append.
        if self.failed().is_none() {
            self.queue().append(write);
        }
    }

    /// Appends a frame without a body.
    pub(crate) fn push_empty(&self, kind: Kind, id: u32) {
        self.push(|out| frame::write(out, kind, 0, id, |_| {}));
    }

    /// Appends a frame that carries a payload, and what it takes of further ones: for the handles and
    /// streams at once, for the bytes as they can be written. Returns where in all that was ever
    /// appended it begins.
    pub(crate) fn push_payload(
        &self,
        envelope: &Envelope,
        head: impl FnOnce(&mut Vec<u8>),
        handles: &[HandleRef],
        streams: &[StreamRef],
        bytes: Bytes,
    ) -> u64 {
        self.queue()
            .append_payload(envelope, head, handles, streams, bytes)
    }

    /// Appends a frame of a payload that the caller cuts; `bytes` fit into it.
    pub(crate) fn push_whole(
        &self,
        envelope: &Envelope,
        head: impl FnOnce(&mut Vec<u8>),
        bytes: Bytes,
    ) {
        self.queue().append_whole(envelope, head, bytes);
    }

    /// Forgets what was not put into frames yet of a call's payload.
    pub(crate) fn withdraw(&self, id: u32) {
        let mut queue = self.queue();
        if let Some(i) = queue.bulks.iter().position(|bulk| bulk.id == id)
            && let Some(bulk) = queue.bulks.remove(i)
        {
            queue.bulk_len -= bulk.rest.len();
        }
    }

    /// Bytes of frames that wait, and of payloads that are still to be put into frames.
    pub(crate) fn waiting(&self) -> usize {
        let queue = self.queue();
        queue.len + queue.bulk_len
    }

    /// Bytes of frames that wait.
    pub(crate) fn len(&self) -> usize {
        self.queue().len
    }

    /// Whether something waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.len == 0 && queue.bulks.is_empty()
    }

    /// Whether no more than the bound waits.
    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.bound
    }

    /// Waits until no more than the bound waits to be written. The wait ends when the connection does, or when
    /// the waiting future is dropped.
    pub(crate) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            // From here on no wake is missed.
            notified.as_mut().enable();
            if self.has_room() || self.failed().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// Where in all that was ever appended the written part ends.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Has the driver flush, after whatever else is ready to run.
    pub(crate) fn flush_soon(&self) {
        self.signal.raise();
    }

    /// Writes as much as the transport takes. The driver writes the rest when the transport takes more.
    pub(crate) fn flush(&self) {
        loop {
            let mut io = match self.io.try_lock() {
                Ok(io) => io,
                Err(TryLockError::Poisoned(e)) => e.into_inner(),
                // The holder of the lock looks at the queue again afterwards.
                Err(TryLockError::WouldBlock) => return,
            };
            let result = self.write(&mut io);
            drop(io);
            match result {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if self.is_empty() => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return self.fail(e.to_string()),
            }
        }
    }

    /// Writes until nothing is left.
    fn write(&self, io: &mut Io) -> Poll<io::Result<()>> {
        if self.failed().is_some() {
            // Frames appended after the failure are dropped with the connection.
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&self.waker);
        loop {
            if io.pieces.is_empty() && !self.stage(io) {
                return Pin::new(&mut io.writer).poll_flush(&mut cx);
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&io.pieces) {
                let skip = if used == 0 { io.offset } else { 0 };
                *slice = IoSlice::new(&piece.as_slice()[skip..]);
                used += 1;
            }
            let writer = Pin::new(&mut io.writer);
            let result = if used == 1 {
                writer.poll_write(&mut cx, &slices[0])
            } else {
                writer.poll_write_vectored(&mut cx, &slices[..used])
            };
            match result {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(n)) => self.advance(io, n),
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes what waits to be written; says whether there was something.
    fn stage(&self, io: &mut Io) -> bool {
        let mut queue = self.queue();
        queue.take_from_bulks();
        if queue.pieces.is_empty() {
            return false;
        }
        std::mem::swap(&mut queue.pieces, &mut io.pieces);
        let len = std::mem::take(&mut queue.len);
        drop(queue);
        if len >= self.bound {
            self.room.notify_waiters();
        }
        if len >= STREAMS_AHEAD {
            // Streams may wait for room, which the driver does not see if somebody else writes.
            self.signal.raise();
        }
        true
    }

    /// Notes that `n` bytes were written.
    fn advance(&self, io: &mut Io, n: usize) {
        self.written.fetch_add(n as u64, Ordering::AcqRel);
        io.offset += n;
        while let Some(piece) = io.pieces.front()
            && io.offset >= piece.as_slice().len()
        {
            io.offset -= piece.as_slice().len();
            if let Some(Piece::Frames(mut buffer)) = io.pieces.pop_front()
                && buffer.capacity() <= KEPT
            {
                buffer.clear();
                let mut queue = self.queue();
                if queue.spare.capacity() < buffer.capacity() {
                    queue.spare = buffer;
                }
            }
        }
    }

    /// Why nothing can be written any more.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Nothing is written from now on. The transport is let go of, however long the connection is
    /// remembered.
    pub(crate) fn fail(&self, why: String) {
        // The first reason is the one that counts.
        _ = self.failed.set(why);
        {
            // The holder of the lock is in the middle of a write, which does not block.
            let mut io = self.io.lock().unwrap_or_else(PoisonError::into_inner);
            io.pieces.clear();
            io.writer = Box::new(tokio::io::sink());
        }
        *self.queue() = Queue::default();
        self.room.notify_waiters();
        self.signal.raise();
    }

    /// Writes what is left and ends this direction. The caller bounds the wait.
    pub(crate) async fn shut_down(&self) {
        std::future::poll_fn(|cx| {
            let mut io = match self.io.try_lock() {
                Ok(io) => io,
                Err(TryLockError::Poisoned(e)) => e.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    // Somebody is in the middle of a write, which does not wait.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            };
            if self.failed().is_none() {
                // Readiness is told to the driver, so this asks for it itself.
                std::task::ready!(self.write_for(&mut io, cx));
            }
            // The stream ends whether or not the shutdown succeeds.
            Pin::new(&mut io.writer).poll_shutdown(cx).map(drop)
        })
        .await;
    }

    /// As [`Outbox::write`], for a task that is not the driver: once nobody else writes.
    fn write_for(&self, io: &mut Io, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if io.pieces.is_empty() && !self.stage(io) {
                return Poll::Ready(());
            }
            let Some(piece) = io.pieces.front() else {
                return Poll::Ready(());
            };
            let rest = &piece.as_slice()[io.offset..];
            match std::task::ready!(Pin::new(&mut io.writer).poll_write(cx, rest)) {
                Ok(n) if n > 0 => self.advance(io, n),
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl Queue {
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.pieces.back(), Some(Piece::Frames(_))) {
            let buffer = std::mem::take(&mut self.spare);
            self.pieces.push_back(Piece::Frames(buffer));
        }
        if let Some(Piece::Frames(buffer)) = self.pieces.back_mut() {
            let before = buffer.len();
            write(buffer);
            let n = buffer.len() - before;
            self.len += n;
            self.appended += n as u64;
        }
    }

    fn append_bytes(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.appended += bytes.len() as u64;
        self.pieces.push_back(Piece::Bytes(bytes));
    }

    fn append_whole(&mut self, envelope: &Envelope, head: impl FnOnce(&mut Vec<u8>), bytes: Bytes) {
        let Envelope { kind, flags, id } = *envelope;
        if bytes.len() <= COPY {
            self.append(|out| {
                frame::write(out, kind, flags, id, |body| {
                    head(body);
                    body.extend_from_slice(&bytes);
                });
            });
        } else {
            self.append(|out| frame::write_before(out, kind, flags, id, bytes.len(), head));
            self.append_bytes(bytes);
        }
    }

    fn append_payload(
        &mut self,
        envelope: &Envelope,
        head: impl FnOnce(&mut Vec<u8>),
        handles: &[HandleRef],
        streams: &[StreamRef],
        bytes: Bytes,
    ) -> u64 {
        let start = self.appended;
        let Envelope { kind, flags, id } = *envelope;
        // Few calls have more than this, and most have none.
        if handles.len() <= MAX_REFS && streams.len() <= MAX_REFS && bytes.len() <= COPY {
            self.append_whole(
                envelope,
                |body| {
                    head(body);
                    frame::put_refs(body, handles, streams);
                },
                bytes,
            );
            return start;
        }
        let mut handles = handles.chunks(MAX_REFS).peekable();
        let mut streams = streams.chunks(MAX_REFS).peekable();
        let mut refs = Vec::new();
        head(&mut refs);
        let mut kind = kind;
        let mut flags = flags;
        loop {
            let these = (handles.next(), streams.next());
            frame::put_refs(
                &mut refs,
                these.0.unwrap_or_default(),
                these.1.unwrap_or_default(),
            );
            if handles.peek().is_none() && streams.peek().is_none() {
                break;
            }
            self.append(|out| {
                frame::write(out, kind, flags | flag::MORE, id, |body| {
                    body.extend_from_slice(&refs);
                });
            });
            refs.clear();
            (kind, flags) = (Kind::Payload, 0);
        }
        let mut rest = bytes;
        let first = rest.split_to(rest.len().min(MAX_BODY - refs.len()));
        if !rest.is_empty() {
            flags |= flag::MORE;
            self.bulk_len += rest.len();
            self.bulks.push_back(Bulk { id, rest });
        }
        let envelope = Envelope { kind, flags, id };
        self.append_whole(&envelope, |body| body.extend_from_slice(&refs), first);
        start
    }

    /// Puts a round's worth of large payloads into frames, a frame of each in turn.
    fn take_from_bulks(&mut self) {
        let mut taken = 0;
        while taken < ROUND {
            let Some(mut bulk) = self.bulks.pop_front() else {
                break;
            };
            // A part without handles and streams takes two bytes.
            let n = bulk.rest.len().min(MAX_BODY - 2);
            let chunk = bulk.rest.split_to(n);
            let flags = if bulk.rest.is_empty() { 0 } else { flag::MORE };
            let envelope = Envelope {
                kind: Kind::Payload,
                flags,
                id: bulk.id,
            };
            self.append_whole(&envelope, |body| frame::put_refs(body, &[], &[]), chunk);
            self.bulk_len -= n;
            taken += n;
            if !bulk.rest.is_empty() {
                self.bulks.push_back(bulk);
            }
        }
    }
}
