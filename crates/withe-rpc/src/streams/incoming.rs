//! Streams that the other side writes.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::handles::Handles;
use super::ready::StreamWaker;
use crate::assembly::Partial;
use crate::budget::Budget;
use crate::codec::put_unsigned;
use crate::frame::{self, Kind, Violation, flag};
use crate::outbox::Outbox;
use crate::unread::UnreadHandles;
use crate::{CallError, Chunk, HandleRef, Limits, PipeReader, PipeWriter, StreamKind, pipe};

/// How many elements of a kind are asked for before they are wanted. Of a future nothing is: whether it is
/// read at all is for its reader to say.
fn window(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Bytes => 256 << 10,
        StreamKind::Items => 16,
        StreamKind::Units => 1_024,
        StreamKind::Future | StreamKind::Signal => 0,
    }
}

/// A stream that the other side writes.
///
/// Its number is in use until both were seen: its end, from there, and that nothing more is wanted, from
/// here. So there is one CLOSE for each, and an entry without a writer is one that waits for the end.
pub(super) struct Incoming {
    /// None once that has ended.
    pub(super) session: Option<u32>,
    kind: StreamKind,
    writer: Option<PipeWriter>,
    /// Elements that were asked for and have not come. An element that comes in a chunk with others is
    /// not split off, so there may come more than that.
    granted: i64,
    /// The part of a chunk that has arrived, and the number of its elements.
    partial: Option<(usize, Partial)>,
    ended: bool,
    closed: bool,
    waker: (Arc<StreamWaker>, Waker),
}

/// The contents of one DATA frame.
pub(super) struct Came<'a> {
    pub(super) flags: u8,
    pub(super) count: usize,
    pub(super) handles: Vec<HandleRef>,
    pub(super) streams: Vec<PipeReader>,
    pub(super) bytes: &'a [u8],
}

impl Incoming {
    /// `None` if the budget has not enough left for its pipe.
    pub(super) fn new(
        session: Option<u32>,
        kind: StreamKind,
        waker: (Arc<StreamWaker>, Waker),
        budget: &Arc<Budget>,
        unread: &Arc<UnreadHandles>,
    ) -> Option<(Self, PipeReader)> {
        let unread = match kind {
            StreamKind::Items | StreamKind::Future => session.map(|session| unread.of(session)),
            // No handles are in these.
            StreamKind::Bytes | StreamKind::Units | StreamKind::Signal => None,
        };
        let (writer, reader) = pipe::metered(kind, window(kind), budget, unread)?;
        let entry = Self {
            session,
            kind,
            writer: Some(writer),
            granted: 0,
            partial: None,
            ended: false,
            closed: false,
            waker,
        };
        Some((entry, reader))
    }

    /// Whether its number can be used again.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.closed
    }

    /// Asks for what is wanted at the pipe's other end, or says that nothing is.
    pub(super) fn grant(&mut self, id: u32, out: &Outbox) {
        self.waker.0.reset();
        let mut cx = Context::from_waker(&self.waker.1);
        loop {
            let Some(writer) = &mut self.writer else {
                return;
            };
            // While there is credit, small additions wait until they make half a window.
            let known = match usize::try_from(self.granted) {
                Ok(0) | Err(_) => 0,
                Ok(granted) => granted + window(self.kind) / 2,
            };
            match writer.poll_demand_above(&mut cx, known) {
                Poll::Pending => return,
                Poll::Ready(Err(_)) => return self.close(id, out),
                Poll::Ready(Ok(demand)) => {
                    let target = i64::try_from(demand).unwrap_or(i64::MAX);
                    let n = target.saturating_sub(self.granted);
                    let n = u32::try_from(n).unwrap_or(u32::MAX);
                    self.granted = self.granted.saturating_add(i64::from(n));
                    out.push(|bytes| {
                        frame::write(bytes, Kind::Credit, 0, id, |body| {
                            put_unsigned(body, u64::from(n));
                        });
                    });
                    // A demand beyond what one frame can say is not asked for twice in a row.
                    if n == u32::MAX {
                        return;
                    }
                }
            }
        }
    }

    /// Says that nothing more is wanted.
    fn close(&mut self, id: u32, out: &Outbox) {
        self.writer = None;
        if !self.closed {
            self.closed = true;
            out.push_empty(Kind::Close, id);
        }
    }

    /// The other side has ended it.
    pub(super) fn end(&mut self, id: u32, how: Result<(), CallError>, out: &Outbox) {
        self.ended = true;
        match (self.writer.take(), how) {
            (Some(writer), Ok(())) => writer.finish(),
            (Some(writer), Err(why)) => writer.fail(why),
            (None, _) => {}
        }
        self.close(id, out);
    }

    /// Its reader is told of a failure.
    pub(super) fn fail(&mut self, why: CallError) {
        if let Some(writer) = self.writer.take() {
            writer.fail(why);
        }
    }

    /// Its session has ended.
    pub(super) fn abandon(&mut self, id: u32, why: CallError, out: &Outbox) {
        self.session = None;
        self.fail(why);
        self.close(id, out);
    }

    /// Takes a part that arrived.
    pub(super) fn take(
        &mut self,
        id: u32,
        came: Came<'_>,
        budget: &Budget,
        limits: &Limits,
        out: &Outbox,
        handles: &dyn Handles,
    ) -> Result<(), Violation> {
        let (more, end) = (came.flags & flag::MORE != 0, came.flags & flag::END != 0);
        let (count, mut partial) = match self.partial.take() {
            Some(partial) => partial,
            None => {
                self.spend(id, &came)?;
                (came.count, Partial::default())
            }
        };
        let mut taken = came.handles.clone();
        let failure = match self.take_handles(&came.handles, handles) {
            Ok(()) => partial
                .add(budget, limits, came.handles, came.streams, came.bytes)
                .err(),
            Err(why) => {
                taken.clear();
                Some(why)
            }
        };
        if failure.is_some() || self.writer.is_none() {
            // Whichever side is at fault, nobody will see the chunk.
            let mut lost = partial.take(budget).handles;
            if failure.is_some() {
                lost.extend(taken);
            }
            if let Some(session) = self.session {
                handles.discard(session, &lost);
            }
            if let Some(why) = failure {
                self.fail(why);
                self.close(id, out);
            }
        } else if more {
            self.partial = Some((count, partial));
        } else {
            self.pass_on(count, partial, budget, handles);
        }
        if end {
            self.end(id, Ok(()), out);
        }
        Ok(())
    }

    /// Counts the elements of a chunk that begins.
    fn spend(&mut self, id: u32, came: &Came<'_>) -> Result<(), Violation> {
        let count = i64::try_from(came.count).unwrap_or(i64::MAX);
        let more = came.flags & flag::MORE != 0;
        let broken = match self.kind {
            StreamKind::Bytes => more || count > self.granted || came.count != came.bytes.len(),
            StreamKind::Units => more || count > self.granted || !came.bytes.is_empty(),
            StreamKind::Items => count > 0 && self.granted <= 0,
            StreamKind::Future | StreamKind::Signal => count > 1 || count > self.granted,
        };
        if broken {
            return Err(Violation::protocol(format!(
                "{count} elements with {} bytes on stream {id}, for which {} were asked",
                came.bytes.len(),
                self.granted
            )));
        }
        self.granted -= count;
        Ok(())
    }

    fn take_handles(&self, came: &[HandleRef], handles: &dyn Handles) -> Result<(), CallError> {
        match self.session {
            Some(session) if !came.is_empty() => handles.came(session, came),
            _ => Ok(()),
        }
    }

    fn pass_on(&mut self, count: usize, partial: Partial, budget: &Budget, handles: &dyn Handles) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let payload = partial.take(budget);
        let lost = payload.handles.clone();
        if writer.send(Chunk { count, payload }).is_err()
            && let Some(session) = self.session
        {
            handles.discard(session, &lost);
        }
    }
}
