//! One stream or future of a call, between its writer and its reader.
//!
//! A pipe moves chunks of encoded elements from one writer to one reader. The reader says how much it
//! wants, and the writer is asked for no more: with a capacity of 0 nothing is written before it is
//! wanted, as if both were one component; with a larger one that much is asked for ahead, which is what
//! hides the way over a wire.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::budget::Budget;
use crate::unread::UnreadInPipe;
use crate::{CallError, HandleRef, Payload};

/// The element kind of a stream or future, as far as moving it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// `stream<u8>`: a chunk is as many bytes as it has elements.
    Bytes,
    /// `stream<T>` of any other type: a chunk is its elements, one after the other, in the codec's
    /// encoding.
    Items,
    /// `stream`: its elements have no value and take no bytes.
    Units,
    /// `future<T>`: a stream of one element.
    Future,
    /// `future`: one element without a value.
    Signal,
}

impl StreamKind {
    /// Whether it carries exactly one element.
    pub fn is_future(self) -> bool {
        matches!(self, Self::Future | Self::Signal)
    }

    /// The number that stands for it on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Items => 1,
            Self::Units => 2,
            Self::Future => 3,
            Self::Signal => 4,
        }
    }

    /// The kind that `code` stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::Bytes,
            Self::Items,
            Self::Units,
            Self::Future,
            Self::Signal,
        ]
        .into_iter()
        .find(|kind| kind.code() == code)
    }
}

/// Some elements of a stream.
#[derive(Debug, Default)]
pub struct Chunk {
    /// How many.
    pub count: usize,
    /// Their values.
    pub payload: Payload,
}

/// About what a pipe takes up besides what is in it, in bytes.
const OVERHEAD: usize = 512;

/// The reader has gone: nothing more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the stream has gone")]
pub struct Closed;

/// Makes a pipe that asks for up to `capacity` elements before they are wanted.
pub fn pipe(kind: StreamKind, capacity: usize) -> (PipeWriter, PipeReader) {
    ends(kind, capacity, None, None)
}

/// Makes a pipe whose memory counts against a budget until its reader has gone, and whose handles go to `unread` if it goes
/// before it has read them; `None` if there is not enough of the budget left.
pub(crate) fn metered(
    kind: StreamKind,
    capacity: usize,
    budget: &Arc<Budget>,
    unread: Option<UnreadInPipe>,
) -> Option<(PipeWriter, PipeReader)> {
    budget.take(OVERHEAD).ok()?;
    Some(ends(kind, capacity, Some(budget.clone()), unread))
}

fn ends(
    kind: StreamKind,
    capacity: usize,
    budget: Option<Arc<Budget>>,
    unread: Option<UnreadInPipe>,
) -> (PipeWriter, PipeReader) {
    let shared = Arc::new(Pipe {
        kind,
        capacity,
        budget,
        unread,
        state: Mutex::default(),
    });
    (
        PipeWriter {
            shared: shared.clone(),
        },
        PipeReader {
            shared,
            kept: Vec::new(),
            inherited: Vec::new(),
        },
    )
}

#[derive(Debug)]
struct Pipe {
    kind: StreamKind,
    capacity: usize,
    budget: Option<Arc<Budget>>,
    unread: Option<UnreadInPipe>,
    state: Mutex<PipeState>,
}

#[derive(Debug, Default)]
struct PipeState {
    queue: VecDeque<Chunk>,
    /// Elements in the queue.
    queued: usize,
    /// Bytes that the queue counts against the budget.
    charged: usize,
    /// Elements that the reader waits for.
    wanted: usize,
    /// Whether it asks ahead of someone else, who may want more.
    ahead: bool,
    /// How the stream ended, once the writer is done.
    end: Option<Result<(), CallError>>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// Counts a chunk against the budget, and returns by how much. The chunk was counted while it arrived, so it fits.
    fn charge(&self, chunk: &Chunk) -> usize {
        match &self.budget {
            Some(budget) if budget.take(chunk.payload.cost()).is_ok() => chunk.payload.cost(),
            _ => 0,
        }
    }

    fn release(&self, charged: usize) {
        if let Some(budget) = &self.budget {
            budget.give_back(charged);
        }
    }

    fn lock(&self) -> MutexGuard<'_, PipeState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The end that is written to. Dropping it before [`PipeWriter::finish`] is a failure, which the reader
/// is told.
#[derive(Debug)]
pub struct PipeWriter {
    shared: Arc<Pipe>,
}

impl PipeWriter {
    /// The kind of elements that the pipe carries.
    pub fn kind(&self) -> StreamKind {
        self.shared.kind
    }

    /// How many elements may be written now; waits until it is at least one.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the reader has gone.
    pub fn poll_demand(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        self.poll_demand_above(cx, 0)
    }

    /// As [`PipeWriter::poll_demand`]; waits until more than `known` elements may be written.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the reader has gone.
    pub fn poll_demand_above(
        &mut self,
        cx: &mut Context<'_>,
        known: usize,
    ) -> Poll<Result<usize, Closed>> {
        let mut state = self.shared.lock();
        if state.reader_gone {
            return Poll::Ready(Err(Closed));
        }
        let demand = state.wanted.max(self.shared.capacity);
        match demand.saturating_sub(state.queued) {
            n if n > known => Poll::Ready(Ok(n)),
            _ => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether a write should be handed over whole though it has more elements than are wanted: the reader sends them on,
    /// and asks for no more than may be under way. Cut there, a write would end short of what its reader asked for.
    pub fn takes_whole_writes(&self) -> bool {
        self.shared.lock().ahead
    }

    /// Hands over a chunk. Empty ones are left out.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the reader has gone; the chunk is dropped then.
    pub fn send(&mut self, chunk: Chunk) -> Result<(), Closed> {
        let mut state = self.shared.lock();
        if state.reader_gone {
            return Err(Closed);
        }
        if chunk.count > 0 {
            state.queued += chunk.count;
            state.charged += self.shared.charge(&chunk);
            state.queue.push_back(chunk);
        }
        let waker = state.reader.take();
        drop(state);
        wake(waker);
        Ok(())
    }

    /// Whether the reader has gone.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().reader_gone
    }

    /// Ends the stream.
    pub fn finish(self) {
        self.end(Ok(()));
    }

    /// Ends the stream with a failure.
    pub fn fail(self, why: CallError) {
        self.end(Err(why));
    }

    fn end(&self, how: Result<(), CallError>) {
        let mut state = self.shared.lock();
        if state.end.is_none() {
            state.end = Some(how);
        }
        let waker = state.reader.take();
        drop(state);
        wake(waker);
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.end(Err(CallError::Unreachable(
            "the writer of the stream has gone".into(),
        )));
    }
}

/// The end that is read from. Dropping it tells the writer that nothing more is wanted.
#[derive(Debug)]
pub struct PipeReader {
    shared: Arc<Pipe>,
    /// Dropped with this end.
    kept: Vec<Arc<dyn Any + Send + Sync>>,
    /// Dropped with the last of this end and the ends that come out of it.
    inherited: Vec<Arc<dyn Any + Send + Sync>>,
}

impl PipeReader {
    /// The kind of elements that the pipe carries.
    pub fn kind(&self) -> StreamKind {
        self.shared.kind
    }

    /// Keeps the owner of the writer as long as this end is there. The owner is dropped after the writer was told that
    /// nothing more is wanted.
    pub fn keep(&mut self, what: Arc<dyn Any + Send + Sync>) {
        self.kept.push(what);
    }

    /// As [`PipeReader::keep`], for an owner that the streams in this one's elements have, too, as a session: the owner stays
    /// for as long as this end is there, or one that came out of it, however deep. A task that only writes this stream is
    /// for [`PipeReader::keep`]: a stream within would let the task run on when nobody reads it.
    pub fn keep_for_all(&mut self, what: Arc<dyn Any + Send + Sync>) {
        self.inherited.push(what);
    }

    /// The next chunk, `None` at the end. While it waits, the writer is asked for `want` elements; a chunk
    /// may have more where more was asked for ahead, or was wanted before.
    ///
    /// # Errors
    ///
    /// How the writer failed.
    pub fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Option<Result<Chunk, CallError>>> {
        let mut state = self.shared.lock();
        let result = match state.queue.pop_front() {
            Some(mut chunk) => {
                for inner in &mut chunk.payload.streams {
                    inner.inherited.extend_from_slice(&self.inherited);
                }
                state.queued -= chunk.count;
                let charged = chunk.payload.cost().min(state.charged);
                state.charged -= charged;
                self.shared.release(charged);
                state.wanted = 0;
                Poll::Ready(Some(Ok(chunk)))
            }
            None => match &state.end {
                Some(Ok(())) => return Poll::Ready(None),
                Some(Err(why)) => return Poll::Ready(Some(Err(why.clone()))),
                None => {
                    state.wanted = want;
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            },
        };
        // Something was taken or is wanted: the writer may have more to do.
        let waker = state.writer.take();
        drop(state);
        wake(waker);
        result
    }

    /// As [`PipeReader::poll_chunk`], for one who sends on what comes: a chunk may have more elements than `want` where
    /// they were written at once.
    ///
    /// # Errors
    ///
    /// How the writer failed.
    pub fn poll_chunk_ahead(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Option<Result<Chunk, CallError>>> {
        self.shared.lock().ahead = true;
        self.poll_chunk(cx, want)
    }

    /// Has resources dropped that were in elements of this stream, which were read and cannot be passed on.
    pub(crate) fn discard(&self, handles: Vec<HandleRef>) {
        if let Some(unread) = &self.shared.unread {
            unread.discard(handles);
        }
    }

    /// Takes back what a pending [`PipeReader::poll_chunk`] asked for, unless it came meanwhile.
    pub fn unwant(&mut self) {
        self.shared.lock().wanted = 0;
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.reader_gone = true;
        // Dropped outside the lock: chunks may hold ends of other pipes.
        let queue = std::mem::take(&mut state.queue);
        self.shared
            .release(OVERHEAD + std::mem::take(&mut state.charged));
        let waker = state.writer.take();
        drop(state);
        let unread = queue.iter().flat_map(|chunk| &chunk.payload.handles);
        self.discard(unread.copied().collect());
        drop(queue);
        wake(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn bytes(text: &str) -> Chunk {
        let mut payload = Payload::default();
        payload.bytes.extend_from_slice(text.as_bytes());
        Chunk {
            count: text.len(),
            payload,
        }
    }

    #[test]
    fn without_capacity_nothing_is_asked_for_before_it_is_wanted() {
        let (mut writer, mut reader) = pipe(StreamKind::Bytes, 0);
        assert!(writer.poll_demand(&mut cx()).is_pending());
        assert!(reader.poll_chunk(&mut cx(), 3).is_pending());
        assert_eq!(writer.poll_demand(&mut cx()), Poll::Ready(Ok(3)));
        writer.send(bytes("abc")).unwrap();
        assert!(writer.poll_demand(&mut cx()).is_pending());
        let Poll::Ready(Some(Ok(chunk))) = reader.poll_chunk(&mut cx(), 3) else {
            panic!("no chunk")
        };
        assert_eq!(chunk.payload.bytes, b"abc");
        assert!(writer.poll_demand(&mut cx()).is_pending());
        writer.finish();
        assert!(matches!(reader.poll_chunk(&mut cx(), 3), Poll::Ready(None)));
    }

    #[test]
    fn capacity_is_asked_for_ahead() {
        let (mut writer, mut reader) = pipe(StreamKind::Bytes, 4);
        assert_eq!(writer.poll_demand(&mut cx()), Poll::Ready(Ok(4)));
        writer.send(bytes("abc")).unwrap();
        assert_eq!(writer.poll_demand(&mut cx()), Poll::Ready(Ok(1)));
        assert!(reader.poll_chunk(&mut cx(), 1).is_ready());
        assert_eq!(writer.poll_demand(&mut cx()), Poll::Ready(Ok(4)));
    }

    #[test]
    fn more_demand_than_is_known_is_waited_for() {
        let (mut writer, mut reader) = pipe(StreamKind::Bytes, 4);
        assert_eq!(writer.poll_demand_above(&mut cx(), 3), Poll::Ready(Ok(4)));
        assert!(writer.poll_demand_above(&mut cx(), 4).is_pending());
        writer.send(bytes("abc")).unwrap();
        assert!(reader.poll_chunk(&mut cx(), 1).is_ready());
        assert!(reader.poll_chunk(&mut cx(), 6).is_pending());
        assert_eq!(writer.poll_demand_above(&mut cx(), 4), Poll::Ready(Ok(6)));
    }

    #[test]
    fn ends_are_told_to_the_other_side() {
        let (mut writer, reader) = pipe(StreamKind::Items, 1);
        drop(reader);
        assert_eq!(writer.poll_demand(&mut cx()), Poll::Ready(Err(Closed)));
        assert_eq!(writer.send(bytes("x")), Err(Closed));

        let (writer, mut reader) = pipe(StreamKind::Items, 1);
        writer.fail(CallError::Deadline);
        let end = reader.poll_chunk(&mut cx(), 1);
        assert!(matches!(end, Poll::Ready(Some(Err(CallError::Deadline)))));

        let (writer, mut reader) = pipe(StreamKind::Items, 1);
        drop(writer);
        let end = reader.poll_chunk(&mut cx(), 1);
        assert!(matches!(
            end,
            Poll::Ready(Some(Err(CallError::Unreachable(_))))
        ));
    }

    #[test]
    fn what_is_kept_goes_with_the_reader_and_after_it() {
        let (mut writer, mut reader) = pipe(StreamKind::Bytes, 4);
        let kept = Arc::new("kept");
        let weak = Arc::downgrade(&kept);
        reader.keep(kept);
        writer.send(bytes("ab")).unwrap();
        assert!(weak.upgrade().is_some());
        drop(reader);
        assert!(weak.upgrade().is_none() && writer.is_closed());
    }

    #[test]
    fn what_is_kept_for_all_goes_with_the_last_reader_that_came_out_of_it() {
        let (mut inner_writer, inner) = pipe(StreamKind::Items, 1);
        let (_innermost_writer, innermost) = pipe(StreamKind::Bytes, 1);
        let (mut writer, mut outer) = pipe(StreamKind::Future, 1);
        for (writer, stream) in [(&mut inner_writer, innermost), (&mut writer, inner)] {
            let mut payload = Payload::default();
            payload.streams.push(stream);
            writer.send(Chunk { count: 1, payload }).unwrap();
        }
        let (all, own) = (Arc::new("for all"), Arc::new("its own"));
        let (weak, weak_own) = (Arc::downgrade(&all), Arc::downgrade(&own));
        outer.keep_for_all(all);
        outer.keep(own);
        let mut last = outer;
        for _ in 0..2 {
            let Poll::Ready(Some(Ok(mut chunk))) = last.poll_chunk(&mut cx(), 1) else {
                panic!("no chunk")
            };
            last = chunk.payload.streams.pop().unwrap();
            assert!(weak.upgrade().is_some() && weak_own.upgrade().is_none());
        }
        assert_eq!(last.kind(), StreamKind::Bytes);
        drop(last);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn what_was_written_is_read_before_the_end() {
        let (mut writer, mut reader) = pipe(StreamKind::Bytes, 4);
        writer.send(bytes("ab")).unwrap();
        writer.fail(CallError::Deadline);
        assert!(matches!(
            reader.poll_chunk(&mut cx(), 1),
            Poll::Ready(Some(Ok(_)))
        ));
        assert!(matches!(
            reader.poll_chunk(&mut cx(), 1),
            Poll::Ready(Some(Err(_)))
        ));
    }
}
