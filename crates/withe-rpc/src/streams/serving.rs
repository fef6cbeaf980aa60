//! Serving one stream that is ready.

use std::task::Poll;

use super::handles::Handles;
use super::outgoing::Outgoing;
use super::{Streams, StreamsState};
use crate::CallError;
use crate::codec::put_unsigned;
use crate::frame::{self, Kind, flag};
use crate::outbox::{Envelope, Outbox};

impl Streams {
    /// Sends one frame of a stream, if it has one to send and may.
    pub(super) fn serve_outgoing(
        &self,
        state: &mut StreamsState,
        index: u32,
        out: &Outbox,
        handles: &dyn Handles,
    ) {
        let id = self.side.id(index);
        let Some(entry) = state.outgoing.get_mut(index) else {
            return;
        };
        if let Some((waker, _)) = &entry.waker {
            waker.reset();
        }
        match entry.fill() {
            Poll::Pending => {}
            Poll::Ready(None) => {
                state.gone.extend(entry.reader.take());
                entry.end(id, Ok(()), out);
            }
            Poll::Ready(Some(Err(why))) => {
                state.gone.extend(entry.reader.take());
                entry.end(id, Err(&why), out);
            }
            Poll::Ready(Some(Ok(()))) => {
                if let Err(why) = self.send_some(state, index, out, handles)
                    && let Some(entry) = state.outgoing.get_mut(index)
                {
                    entry.fail(id, &why, out);
                    state.gone.extend(entry.rest());
                }
            }
        }
        if state.outgoing.get(index).is_some_and(Outgoing::is_over) {
            self.forget_outgoing(state, index);
        }
    }

    fn send_some(
        &self,
        state: &mut StreamsState,
        index: u32,
        out: &Outbox,
        handles: &dyn Handles,
    ) -> Result<(), CallError> {
        let Some(entry) = state.outgoing.get_mut(index) else {
            return Ok(());
        };
        let Some(session) = entry.session else {
            return Ok(());
        };
        let Some(cut) = entry.cut()? else {
            return Ok(());
        };
        if !cut.handles.is_empty()
            && let Err(why) = handles.go(session, &cut.handles)
        {
            state.gone.extend(cut.streams);
            return Err(why);
        }
        let refs = self.register(state, session, cut.streams)?;
        let envelope = Envelope {
            kind: Kind::Data,
            flags: cut.flags,
            id: self.side.id(index),
        };
        out.push_whole(
            &envelope,
            |body| {
                put_unsigned(body, u64::from(cut.count));
                frame::put_refs(body, &cut.handles, &refs);
            },
            cut.bytes,
        );
        for stream in &refs {
            if let Some(nested) = state.outgoing.get(stream.id >> 1) {
                nested.wake();
            }
        }
        if let Some(entry) = state.outgoing.get_mut(index) {
            if cut.flags & flag::END != 0 {
                entry.ended = true;
                state.gone.extend(entry.reader.take());
            }
            // There may be more to send.
            entry.wake();
        }
        Ok(())
    }

    pub(super) fn serve_incoming(&self, state: &mut StreamsState, index: u32, out: &Outbox) {
        if let Some(entry) = state.incoming.get_mut(index) {
            entry.grant(self.side.other().id(index), out);
        }
        self.ready.served();
    }

    /// Serves the other side's streams that wait for it now: asks for what is wanted of them, and closes those whose
    /// readers have gone.
    pub(super) fn serve_all_incoming(&self, state: &mut StreamsState, out: &Outbox) {
        for _ in 0..self.ready.incoming() {
            let Some(index) = self.ready.next_incoming() else {
                return;
            };
            self.serve_incoming(state, index, out);
        }
    }
}
