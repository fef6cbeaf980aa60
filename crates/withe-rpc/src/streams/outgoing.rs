//! Streams that this side writes.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;

use super::ready::StreamWaker;
use crate::codec::put_unsigned;
use crate::frame::{self, Failure, Kind, MAX_BODY, MAX_REFS, Violation, flag};
use crate::outbox::Outbox;
use crate::{CallError, Chunk, HandleRef, PipeReader, StreamKind};

/// The most bytes of elements in one frame: with its count, and that there are no handles and no streams.
const MAX_BYTES: usize = MAX_BODY - 16;

/// A stream that this side writes.
///
/// Its number is in use until both were seen: its end, from here, and that nothing more is wanted, from
/// there.
pub(super) struct Outgoing {
    /// None once that has ended.
    pub(super) session: Option<u32>,
    kind: StreamKind,
    /// None once nothing more is sent.
    pub(super) reader: Option<PipeReader>,
    /// Elements that may be sent; below zero if a chunk had more than were asked for.
    pub(super) credit: i64,
    /// Elements read and not sent yet.
    stash: Option<Stash>,
    pub(super) ended: bool,
    closed: bool,
    pub(super) waker: Option<(Arc<StreamWaker>, Waker)>,
}

/// Elements on their way out.
struct Stash {
    count: usize,
    handles: Vec<HandleRef>,
    streams: Vec<PipeReader>,
    bytes: Bytes,
    /// Whether a frame with the first of it went out.
    begun: bool,
}

impl Outgoing {
    pub(super) fn new(session: u32, reader: PipeReader) -> Self {
        Self {
            session: Some(session),
            kind: reader.kind(),
            reader: Some(reader),
            credit: 0,
            stash: None,
            ended: false,
            closed: false,
            waker: None,
        }
    }

    /// Whether its number can be used again.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.closed
    }

    /// Has it served.
    pub(super) fn wake(&self) {
        if let Some((waker, _)) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Takes the readers that are left: its own, and those in elements that were not sent. They are to be dropped where
    /// nothing is locked. Resources in those elements go back to where they came from.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = PipeReader> + use<> {
        let own = self.reader.take();
        let unsent = self.stash.take().map(|stash| {
            if let Some(reader) = &own {
                reader.discard(stash.handles);
            }
            stash.streams
        });
        own.into_iter().chain(unsent.into_iter().flatten())
    }

    /// Nothing more is wanted. The caller takes the [rest](Self::rest).
    pub(super) fn close(&mut self, id: u32, out: &Outbox) -> Result<(), Violation> {
        if self.closed {
            return Err(Violation::protocol(format!("stream {id} is closed twice")));
        }
        self.closed = true;
        self.end(id, Ok(()), out);
        Ok(())
    }

    /// Sends the end, unless it was sent.
    pub(super) fn end(&mut self, id: u32, how: Result<(), &CallError>, out: &Outbox) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        out.push(|bytes| match how {
            Ok(()) => frame::write(bytes, Kind::Data, flag::END, id, |body| {
                put_unsigned(body, 0);
                frame::put_refs(body, &[], &[]);
            }),
            Err(why) => frame::write(bytes, Kind::Failed, 0, id, |body| {
                Failure::Error(why.clone()).put(body);
            }),
        });
    }

    /// Its session has ended, or an element cannot be sent. The caller takes the [rest](Self::rest).
    pub(super) fn fail(&mut self, id: u32, why: &CallError, out: &Outbox) {
        self.session = None;
        self.end(id, Err(why), out);
    }

    /// Reads what there is, up to the credit. Elements that cannot be sent are kept.
    pub(super) fn fill(&mut self) -> Poll<Option<Result<(), CallError>>> {
        if self.stash.is_some() {
            return Poll::Ready(Some(Ok(())));
        }
        let (Some(reader), Some((_, waker))) = (&mut self.reader, &self.waker) else {
            return Poll::Pending;
        };
        let mut cx = Context::from_waker(waker);
        let want = usize::try_from(self.credit).unwrap_or(0);
        reader.poll_chunk_ahead(&mut cx, want).map(|next| {
            next.map(|chunk| {
                chunk.map(|Chunk { count, payload }| {
                    self.stash = Some(Stash {
                        count,
                        handles: payload.handles,
                        streams: payload.streams,
                        bytes: payload.bytes.into(),
                        begun: false,
                    });
                })
            })
        })
    }
}

/// The contents of one frame to send.
pub(super) struct Cut {
    pub(super) flags: u8,
    pub(super) count: u32,
    pub(super) handles: Vec<HandleRef>,
    pub(super) streams: Vec<PipeReader>,
    pub(super) bytes: Bytes,
}

impl Outgoing {
    /// Takes what goes out with one frame from what was read, as far as there is credit for it. After an error what
    /// was read is still there.
    pub(super) fn cut(&mut self) -> Result<Option<Cut>, CallError> {
        let credit = usize::try_from(self.credit).unwrap_or(0);
        let Some(mut stash) = self.stash.take() else {
            return Ok(None);
        };
        if credit == 0 && !stash.begun {
            self.stash = Some(stash);
            return Ok(None);
        }
        // Where elements can be told apart, some of them are sent; else all, in as many frames as they
        // take.
        let (count, bytes, more) = match self.kind {
            StreamKind::Bytes => {
                let n = stash.bytes.len().min(credit).min(MAX_BYTES);
                stash.count = stash.bytes.len() - n;
                (n, stash.bytes.split_to(n), false)
            }
            StreamKind::Units => {
                let n = stash.count.min(credit);
                stash.count -= n;
                (n, Bytes::new(), false)
            }
            StreamKind::Items | StreamKind::Future | StreamKind::Signal => {
                let refs = stash.handles.len().max(stash.streams.len());
                if refs > MAX_REFS {
                    self.stash = Some(stash);
                    return Err(CallError::Exhausted(format!(
                        "a chunk of a stream has more than {MAX_REFS} handles or streams"
                    )));
                }
                // Room for bytes beside the most handles and streams a frame may carry.
                let room = if refs == 0 { MAX_BYTES } else { 8 << 10 };
                let bytes = stash.bytes.split_to(stash.bytes.len().min(room));
                let count = if stash.begun { 0 } else { stash.count };
                (count, bytes, !stash.bytes.is_empty())
            }
        };
        // More elements than that do not come in one payload, but for those without a value.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.credit -= i64::from(count);
        let mut flags = 0;
        if more {
            flags |= flag::MORE;
        } else if self.kind.is_future() {
            // There is no second element to wait for.
            flags |= flag::END;
        }
        let cut = Cut {
            flags,
            count,
            handles: std::mem::take(&mut stash.handles),
            streams: std::mem::take(&mut stash.streams),
            bytes,
        };
        let is_items = !matches!(self.kind, StreamKind::Bytes | StreamKind::Units);
        stash.begun = is_items;
        if more || (!is_items && stash.count > 0) {
            self.stash = Some(stash);
        }
        Ok(Some(cut))
    }
}
