//! The streams and futures of a connection.
//!
//! Each has one side that writes and one that reads. The writing side took the readable end of a pipe out of
//! a payload ([`outgoing`]); the reading side made a pipe for it, and put the readable end into the payload
//! that it passed on ([`incoming`]). Demand at that end becomes credit for the writing side.
//!
//! No stream has a task. Pipes wake a [waker](ready) of ours, which notes the stream as ready and raises the
//! connection's signal; the connection's driver then serves what is ready, as long as there is room
//! to write.

mod handles;
mod incoming;
mod outgoing;
mod ready;
mod serving;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use handles::Handles;
use incoming::Incoming;
use outgoing::Outgoing;
use ready::{Ready, StreamSlot};

use crate::budget::Budget;
use crate::frame::{Failure, Kind, Part, StreamRef, Violation};
use crate::outbox::{Outbox, Signal};
use crate::table::{Slab, Table};
use crate::unread::UnreadHandles;
use crate::{CallError, Limits, PipeReader};

/// The side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The number of the stream with this index that is written by this side.
    fn id(self, index: u32) -> u32 {
        index << 1 | u32::from(self == Self::Client)
    }

    /// The index of the stream with this number, if it is written by this side.
    fn index(self, id: u32) -> Option<u32> {
        (self.id(id >> 1) == id).then_some(id >> 1)
    }
}

/// The streams and futures of a connection.
pub(crate) struct Streams {
    side: Side,
    state: Mutex<StreamsState>,
    ready: Arc<Ready>,
    /// How many there are, of both directions.
    open: AtomicUsize,
    /// For bytes that arrived and nobody has read yet.
    budget: Arc<Budget>,
    /// Handles in those bytes whose reader has gone.
    unread: Arc<UnreadHandles>,
    limits: Limits,
}

struct StreamsState {
    outgoing: Slab<Outgoing>,
    incoming: Table<Incoming>,
    ended: Option<CallError>,
    /// Readers whose streams were let go, also those in elements that were not sent. They are dropped where nothing is
    /// locked: what they keep may be the end of a session of another connection, or of this one.
    gone: Vec<PipeReader>,
}

impl Streams {
    /// `peer` is how many streams the other side takes.
    pub(crate) fn new(
        side: Side,
        peer: u32,
        limits: &Limits,
        budget: Arc<Budget>,
        signal: Arc<Signal>,
    ) -> Self {
        // The number of a stream is its index and one bit.
        let peer = peer.min(1 << 31);
        Self {
            side,
            state: Mutex::new(StreamsState {
                outgoing: Slab::new(peer),
                incoming: Table::new(limits.streams),
                ended: None,
                gone: Vec::new(),
            }),
            unread: Arc::new(UnreadHandles::new(signal.clone())),
            ready: Arc::new(Ready::new(signal)),
            open: AtomicUsize::new(0),
            budget,
            limits: limits.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, StreamsState> {
        // Pipes and handles are foreign code only in that they wake wakers, which do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are, of both directions.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Whether some of a session are open.
    pub(crate) fn has(&self, session: u32) -> bool {
        if self.open() == 0 {
            return false;
        }
        let StreamsState {
            outgoing,
            incoming,
            ended,
            ..
        } = &*self.lock();
        let outgoing = outgoing.ids().into_iter().filter_map(|i| outgoing.get(i));
        let incoming = incoming.ids().into_iter().filter_map(|i| incoming.get(i));
        let mut of = outgoing
            .map(|s| s.session)
            .chain(incoming.map(|s| s.session));
        ended.is_none() && of.any(|of| of == Some(session))
    }

    /// Gives numbers to the streams of a payload and has `push` append the frame that carries them, so
    /// that nothing about them can be appended before. The streams whose readers have gone are closed first.
    ///
    /// # Errors
    ///
    /// Returns an error when the peer takes no more streams, when the connection has ended, or when `push`
    /// fails. The streams are dropped then.
    pub(crate) fn send<T, E: From<CallError>>(
        &self,
        session: u32,
        readers: Vec<PipeReader>,
        out: &Outbox,
        push: impl FnOnce(&[StreamRef]) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.ready.incoming() > 0 {
            self.serve_all_incoming(&mut self.lock(), out);
        }
        if readers.is_empty() {
            return push(&[]);
        }
        let mut state = self.lock();
        let sent = self.send_in(&mut state, session, readers, push);
        let gone = std::mem::take(&mut state.gone);
        drop(state);
        drop(gone);
        sent
    }

    fn send_in<T, E: From<CallError>>(
        &self,
        state: &mut StreamsState,
        session: u32,
        readers: Vec<PipeReader>,
        push: impl FnOnce(&[StreamRef]) -> Result<T, E>,
    ) -> Result<T, E> {
        let refs = self.register(state, session, readers)?;
        let pushed = push(&refs);
        for stream in &refs {
            let index = stream.id >> 1;
            match pushed {
                // Whether they have something to send is seen when credit comes; but their end, now.
                Ok(_) => {
                    if let Some(entry) = state.outgoing.get(index) {
                        entry.wake();
                    }
                }
                Err(_) => self.forget_outgoing(state, index),
            }
        }
        pushed
    }

    fn register(
        &self,
        state: &mut StreamsState,
        session: u32,
        readers: Vec<PipeReader>,
    ) -> Result<Vec<StreamRef>, CallError> {
        if let Some(why) = state.ended.clone() {
            state.gone.extend(readers);
            return Err(why);
        }
        let mut refs = Vec::with_capacity(readers.len());
        let mut readers = readers.into_iter();
        while let Some(reader) = readers.next() {
            let kind = reader.kind();
            match state.outgoing.insert(Outgoing::new(session, reader)) {
                Ok(index) => {
                    if let Some(entry) = state.outgoing.get_mut(index) {
                        entry.waker = Some(self.ready.waker(StreamSlot::Outgoing(index)));
                    }
                    self.open.fetch_add(1, Ordering::AcqRel);
                    refs.push(StreamRef {
                        kind,
                        id: self.side.id(index),
                    });
                }
                Err(mut refused) => {
                    state.gone.extend(refused.rest());
                    for stream in refs {
                        self.forget_outgoing(state, stream.id >> 1);
                    }
                    state.gone.extend(readers);
                    return Err(CallError::Exhausted(
                        "the other side takes no more streams on this connection".into(),
                    ));
                }
            }
        }
        Ok(refs)
    }

    fn forget_outgoing(&self, state: &mut StreamsState, index: u32) {
        if let Some(mut entry) = state.outgoing.remove(index) {
            state.gone.extend(entry.rest());
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn forget_incoming(&self, state: &mut StreamsState, index: u32) {
        if state.incoming.remove(index).is_some() {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Makes pipes for streams that the other side has named in a payload.
    ///
    /// # Errors
    ///
    /// If a number is in use, too large, or not of that side's.
    pub(crate) fn accept(
        &self,
        session: Option<u32>,
        refs: &[StreamRef],
        out: &Outbox,
    ) -> Result<Vec<PipeReader>, Violation> {
        if refs.is_empty() {
            return Ok(Vec::new());
        }
        self.accept_in(&mut self.lock(), session, refs, out)
    }

    fn accept_in(
        &self,
        state: &mut StreamsState,
        session: Option<u32>,
        refs: &[StreamRef],
        out: &Outbox,
    ) -> Result<Vec<PipeReader>, Violation> {
        let mut readers = Vec::with_capacity(refs.len());
        for stream in refs {
            let index = self.side.other().index(stream.id).ok_or_else(|| {
                Violation::protocol(format!("stream {} is of the wrong side", stream.id))
            })?;
            if !state.incoming.is_vacant(index) {
                return Err(if index < state.incoming.limit() {
                    Violation::protocol(format!("stream {} is in use", stream.id))
                } else {
                    let limit = state.incoming.limit();
                    Violation::exhausted(format!("more than {limit} streams on the connection"))
                });
            }
            let waker = self.ready.waker(StreamSlot::Incoming(index));
            let made = Incoming::new(session, stream.kind, waker, &self.budget, &self.unread);
            let (mut entry, reader) = made.ok_or_else(|| {
                Violation::exhausted("the streams of the connection hold too much unread")
            })?;
            entry.grant(stream.id, out);
            // The stream's number was just checked to be free.
            _ = state.incoming.insert(index, entry);
            self.open.fetch_add(1, Ordering::AcqRel);
            readers.push(reader);
        }
        Ok(readers)
    }

    /// Serves one stream that is ready, or has handles dropped that nobody read; says whether there was something.
    pub(crate) fn serve_one(&self, out: &Outbox, handles: &dyn Handles) -> bool {
        if self.discard_unread(handles) {
            return true;
        }
        if self.open() == 0 {
            return false;
        }
        let mut state = self.lock();
        match self.ready.next() {
            Some(StreamSlot::Outgoing(index)) => {
                self.serve_outgoing(&mut state, index, out, handles);
            }
            Some(StreamSlot::Incoming(index)) => self.serve_incoming(&mut state, index, out),
            None => return false,
        }
        let gone = std::mem::take(&mut state.gone);
        drop(state);
        drop(gone);
        true
    }

    /// Has handles dropped whose readers have gone, which may be after their streams.
    fn discard_unread(&self, handles: &dyn Handles) -> bool {
        if !self.unread.is_waiting() {
            return false;
        }
        // Locked, so that no session ends and its number is another's meanwhile.
        let _streams = self.lock();
        for lost in self.unread.take() {
            handles.discard(lost.session, &lost.handles);
        }
        true
    }

    /// A CREDIT frame came.
    pub(crate) fn on_credit(&self, id: u32, n: u32) -> Result<(), Violation> {
        let mut state = self.lock();
        let entry = self
            .side
            .index(id)
            .and_then(|index| state.outgoing.get_mut(index))
            .ok_or_else(|| unknown(Kind::Credit, id))?;
        entry.credit = entry.credit.saturating_add(i64::from(n));
        entry.wake();
        Ok(())
    }

    /// A CLOSE frame came.
    pub(crate) fn on_close(&self, id: u32, out: &Outbox) -> Result<(), Violation> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let index = self
            .side
            .index(id)
            .ok_or_else(|| unknown(Kind::Close, id))?;
        let entry = state
            .outgoing
            .get_mut(index)
            .ok_or_else(|| unknown(Kind::Close, id))?;
        entry.close(id, out)?;
        state.gone.extend(entry.rest());
        if entry.is_over() {
            self.forget_outgoing(state, index);
        }
        let gone = std::mem::take(&mut state.gone);
        drop(guard);
        drop(gone);
        Ok(())
    }

    /// A DATA frame came.
    pub(crate) fn on_data(
        &self,
        id: u32,
        flags: u8,
        count: u32,
        part: Part<'_>,
        out: &Outbox,
        handles: &dyn Handles,
    ) -> Result<(), Violation> {
        let mut state = self.lock();
        let index = self.incoming_index(&state, Kind::Data, id)?;
        let session = state.incoming.get(index).and_then(|entry| entry.session);
        let nested = self.accept_in(&mut state, session, &part.streams, out)?;
        if let Some(entry) = state.incoming.get_mut(index) {
            let came = incoming::Came {
                flags,
                count: count as usize,
                handles: part.handles,
                streams: nested,
                bytes: part.bytes,
            };
            entry.take(id, came, &self.budget, &self.limits, out, handles)?;
            if entry.is_over() {
                self.forget_incoming(&mut state, index);
            }
        }
        Ok(())
    }

    /// A FAILED frame came.
    pub(crate) fn on_failed(&self, id: u32, why: Failure, out: &Outbox) -> Result<(), Violation> {
        let mut state = self.lock();
        let index = self.incoming_index(&state, Kind::Failed, id)?;
        if let Some(entry) = state.incoming.get_mut(index) {
            entry.end(id, Err(error(why)), out);
        }
        self.forget_incoming(&mut state, index);
        Ok(())
    }

    fn incoming_index(&self, state: &StreamsState, kind: Kind, id: u32) -> Result<u32, Violation> {
        self.side
            .other()
            .index(id)
            .filter(|index| state.incoming.get(*index).is_some())
            .ok_or_else(|| unknown(kind, id))
    }

    /// A session ends, and its streams with it.
    pub(crate) fn end_session(&self, session: u32, out: &Outbox) {
        if self.open() == 0 && !self.unread.is_used() {
            return;
        }
        let why = CallError::Unreachable("the session of the stream has ended".into());
        let mut guard = self.lock();
        self.unread.end(session);
        let state = &mut *guard;
        for index in state.outgoing.ids() {
            if let Some(entry) = state.outgoing.get_mut(index)
                && entry.session == Some(session)
            {
                entry.fail(self.side.id(index), &why, out);
                state.gone.extend(entry.rest());
                if entry.is_over() {
                    self.forget_outgoing(state, index);
                }
            }
        }
        for index in state.incoming.ids() {
            if let Some(entry) = state.incoming.get_mut(index)
                && entry.session == Some(session)
            {
                entry.abandon(self.side.other().id(index), why.clone(), out);
            }
        }
        let gone = std::mem::take(&mut state.gone);
        drop(guard);
        drop(gone);
    }

    /// The connection ends, and all streams with it.
    pub(crate) fn end(&self, why: &CallError) {
        let mut state = self.lock();
        state.ended = Some(why.clone());
        for index in state.incoming.ids() {
            if let Some(entry) = state.incoming.get_mut(index) {
                entry.fail(why.clone());
            }
            self.forget_incoming(&mut state, index);
        }
        for index in state.outgoing.ids() {
            self.forget_outgoing(&mut state, index);
        }
        let gone = std::mem::take(&mut state.gone);
        drop(state);
        drop(gone);
        self.ready.clear();
    }
}

fn unknown(kind: Kind, id: u32) -> Violation {
    Violation::protocol(format!("a frame of kind {kind:?} names no stream: {id}"))
}

/// The error that the end of a failed stream gets.
fn error(why: Failure) -> CallError {
    match why {
        Failure::Error(e) => e,
        Failure::Cancelled | Failure::Draining => {
            CallError::Unreachable("the stream was taken back".into())
        }
    }
}
