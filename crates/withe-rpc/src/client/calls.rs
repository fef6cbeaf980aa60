//! Calls: sent, answered in parts, taken back.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::call::{Begun, NoResult, SentCall, Stage};
use super::connection::{Connection, ConnectionState};
use super::placed::PlacedSession;
use crate::assembly::Partial;
use crate::core::Core;
use crate::frame::{CallHead, Failure, Kind, Part, Violation};
use crate::limits::payload_exceeded;
use crate::outbox::Envelope;
use crate::{CallError, Payload};

/// A call that was sent.
struct Sent {
    id: u32,
    /// Where in all that was ever appended its frame begins.
    start: u64,
}

/// Takes back a call that nobody waits for any more.
struct Abandon<'a> {
    connection: &'a Connection,
    id: Option<u32>,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.connection.abandon(id);
        }
    }
}

impl ConnectionState {
    /// The part of a call's results that has arrived, if more is to come and the caller waits for
    /// it.
    fn coming(&mut self, id: u32) -> Option<&mut Partial> {
        let call = self.calls.get_mut(id)?;
        match call.stage {
            Stage::Waiting(_) => call.partial.as_mut(),
            _ => None,
        }
    }
}

impl Connection {
    /// Some of a result came: its [first](Kind::Return) part, or one of the others.
    pub(super) fn on_return(
        &self,
        id: u32,
        more: bool,
        part: Part<'_>,
        first: bool,
    ) -> Result<(), Violation> {
        let core = &self.core;
        let place = match self.lock().calls.get(id) {
            Some(call) if call.expects(first) => call.place.clone(),
            _ => return Err(unasked(id)),
        };
        // Streams come before the state where both are locked.
        let session = (!place.has_ended()).then_some(place.id);
        let streams = core.streams.accept(session, &part.streams, &core.out)?;
        place.came(&part.handles);
        let mut waker = None;
        let mut gone = None;
        let wasted = {
            let mut state = self.lock();
            let Some(call) = state.calls.get_mut(id) else {
                return Ok(());
            };
            let (handles, bytes) = (part.handles.clone(), part.bytes);
            let partial = call.partial.get_or_insert_default();
            let wasted = if matches!(call.stage, Stage::Waiting(_)) {
                match partial.add(&core.budget, &core.limits, part.handles, streams, bytes) {
                    Ok(()) => Payload::default(),
                    Err(why) => {
                        // The rest of the payload is dropped as it arrives.
                        let mut wasted = std::mem::take(partial).take(&core.budget);
                        wasted.handles.extend(handles);
                        waker = call.answer(Err(Failure::Error(why)));
                        wasted
                    }
                }
            } else {
                Payload {
                    handles,
                    streams,
                    bytes: Vec::new(),
                }
            };
            if !more && let Some(partial) = call.partial.take() {
                let payload = partial.take(&core.budget);
                match call.stage {
                    Stage::Waiting(_) => waker = call.answer(Ok(payload)),
                    Stage::Abandoned => gone = state.calls.remove(id),
                    Stage::Answered(_) => {}
                }
            }
            wasted
        };
        drop(gone);
        self.waste(&place, wasted);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// A call has failed.
    pub(super) fn on_fail(&self, id: u32, why: Failure) -> Result<(), Violation> {
        // Nothing more of the parameters is wanted.
        self.core.out.withdraw(id);
        let mut state = self.lock();
        let call = match state.calls.get_mut(id) {
            Some(call) if call.expects(true) => call,
            _ => return Err(unasked(id)),
        };
        let waker = call.answer(Err(why));
        let gone = match call.stage {
            Stage::Abandoned => state.calls.remove(id),
            _ => None,
        };
        drop(state);
        drop(gone);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Drops a payload that nobody waits for.
    fn waste(&self, place: &PlacedSession, payload: Payload) {
        let moved = payload.handles.iter().filter(|h| h.own);
        let ids: Vec<u32> = moved.map(|h| h.id).collect();
        self.drop_handles(place, &ids);
    }

    /// The bytes that came of a call's results, for `n` more to be read to their place.
    pub(super) fn lend(&self, id: u32, n: usize) -> Option<Vec<u8>> {
        self.lock()
            .coming(id)?
            .lend(&self.core.budget, &self.core.limits, n)
    }

    /// Takes back what was lent, unless nobody waits for it any more.
    pub(super) fn restore(&self, id: u32, bytes: Vec<u8>) {
        if let Some(partial) = self.lock().coming(id) {
            partial.restore(bytes);
        }
    }

    /// Calls, and waits for the answer.
    pub(super) async fn call(
        &self,
        place: &Arc<PlacedSession>,
        head: &CallHead,
        params: Payload,
    ) -> Result<Payload, NoResult> {
        if !self.core.out.has_room() {
            self.core.out.room().await;
        }
        let why_not = || CallError::Unreachable(self.why_not());
        if !self.takes_calls() {
            return Err(NoResult::not_begun(why_not(), params));
        }
        let repeatable = params.handles.is_empty() && params.streams.is_empty();
        let bytes = Bytes::from(params.bytes);
        let kept = if repeatable {
            bytes.clone()
        } else {
            Bytes::new()
        };
        let no_result = |why, begun| NoResult {
            why,
            begun,
            again: repeatable.then(|| Payload {
                bytes: kept.clone().into(),
                ..Payload::default()
            }),
        };
        let params = Payload {
            bytes: Vec::new(),
            ..params
        };
        let sent = match self.send(place, head, params, bytes) {
            Ok(sent) => sent,
            Err(why) if self.ended.get() == Some(&why) => return Err(no_result(why, Begun::No)),
            Err(why) => return Err(why.into()),
        };
        let mut abandon = Abandon {
            connection: self,
            id: Some(sent.id),
        };
        let answer = std::future::poll_fn(|cx| self.poll_answer(sent.id, cx)).await;
        // An answered call needs no cancellation.
        abandon.id = None;
        answer.map_err(|failure| match failure {
            Failure::Error(why) if self.ended.get() == Some(&why) => {
                if self.core.out.written() <= sent.start {
                    no_result(why, Begun::No)
                } else {
                    let why = format!(
                        "{}; whether the call took place is not known",
                        self.why_not()
                    );
                    no_result(CallError::Unreachable(why), Begun::Perhaps)
                }
            }
            Failure::Error(why) => match why {
                CallError::Unlinked(_) => no_result(why, Begun::Refused),
                CallError::Unreachable(_) if place.is_refused() => no_result(why, Begun::Refused),
                why => why.into(),
            },
            Failure::Draining => no_result(why_not(), Begun::No),
            Failure::Cancelled => {
                let why = format!("{} has cancelled the call", self.endpoint);
                CallError::Unreachable(why).into()
            }
        })
    }

    fn send(
        &self,
        place: &Arc<PlacedSession>,
        head: &CallHead,
        payload: Payload,
        bytes: Bytes,
    ) -> Result<Sent, CallError> {
        let accepts = self.core.accepts.payload;
        if bytes.len() as u64 > accepts {
            return Err(payload_exceeded("parameters", bytes.len(), accepts));
        }
        let head = CallHead {
            link: place.link.id,
            session: place.id,
            ..head.clone()
        };
        let Core { out, streams, .. } = &self.core;
        let (sent, alone) = streams.send(place.id, payload.streams, out, |refs| {
            let (id, alone) = {
                let mut state = self.lock();
                let call = SentCall {
                    place: place.clone(),
                    partial: None,
                    stage: Stage::Waiting(None),
                };
                if let Some(why) = self.ended.get() {
                    return Err(why.clone());
                }
                let id = state.calls.insert(call).map_err(|_| {
                    CallError::Exhausted(format!(
                        "{} takes no more calls at a time on a connection",
                        self.endpoint
                    ))
                })?;
                (id, state.calls.len() == 1)
            };
            place.went(payload.handles.iter().filter(|h| h.own).count());
            let envelope = Envelope {
                kind: Kind::Call,
                flags: head.flags(),
                id,
            };
            let start = out.push_payload(
                &envelope,
                |body| head.put(body),
                &payload.handles,
                refs,
                bytes,
            );
            Ok::<_, CallError>((Sent { id, start }, alone))
        })?;
        // Many calls share a write; one that is alone does not wait for others.
        if alone {
            out.flush();
        } else {
            out.flush_soon();
        }
        Ok(sent)
    }

    fn poll_answer(&self, id: u32, cx: &mut Context<'_>) -> Poll<Result<Payload, Failure>> {
        let mut state = self.lock();
        let Some(call) = state.calls.get_mut(id) else {
            // The entry stays until this function removes it.
            return Poll::Ready(Err(Failure::Cancelled));
        };
        match &mut call.stage {
            Stage::Waiting(waker) => {
                match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    waker => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            stage => {
                let Stage::Answered(result) = std::mem::replace(stage, Stage::Abandoned) else {
                    return Poll::Ready(Err(Failure::Cancelled));
                };
                // If some of the answer is still to come, the number stays in use.
                if call.partial.is_none() {
                    state.calls.remove(id);
                }
                Poll::Ready(result)
            }
        }
    }

    /// Nobody waits for a call any more.
    fn abandon(&self, id: u32) {
        let mut state = self.lock();
        let Some(call) = state.calls.get_mut(id) else {
            return;
        };
        let place = call.place.clone();
        let partial = call.partial.as_mut().map(std::mem::take);
        let stage = std::mem::replace(&mut call.stage, Stage::Abandoned);
        let all_came = matches!(stage, Stage::Answered(_)) && call.partial.is_none();
        let gone = if all_came || self.has_ended() {
            state.calls.remove(id)
        } else {
            // Appended before the number can be used again.
            self.core.out.withdraw(id);
            self.core.out.push_empty(Kind::Cancel, id);
            None
        };
        drop(state);
        drop(gone);
        self.core.out.flush_soon();
        if let Some(partial) = partial {
            self.waste(&place, partial.take(&self.core.budget));
        }
        if let Stage::Answered(Ok(payload)) = stage {
            self.waste(&place, payload);
        }
    }
}

fn unasked(id: u32) -> Violation {
    Violation::protocol(format!("call {id} is answered, and was not made"))
}
