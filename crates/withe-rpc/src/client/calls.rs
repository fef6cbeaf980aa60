//! Calls: sent, answered in parts, taken back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::connection::{Connection, State};
use super::places::Place;
use crate::assembly::Partial;
use crate::core::Core;
use crate::frame::{CallHead, Failure, Kind, Part, Violation};
use crate::outbox::Envelope;
use crate::{CallError, Payload};

/// A call that was sent and not answered in full. There is one answer to each, also to those that were
/// cancelled, so that a number is not used again before that.
pub(super) struct Call {
    pub(super) place: Arc<Place>,
    pub(super) partial: Option<Partial>,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    Waiting(Option<Waker>),
    Answered(Result<Payload, Failure>),
    /// Nobody waits for the answer any more.
    Abandoned,
}

/// What is to be called.
pub(super) struct Request {
    pub(super) head: CallHead,
    pub(super) payload: Payload,
}

/// How a call was not answered with a result.
#[derive(Debug)]
pub(super) enum NoResult {
    Failed(CallError),
    /// It certainly was not begun, and no call is here any more; the parameters' bytes are given back.
    NotBegun(Bytes),
}

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

impl Call {
    /// Whether more of its answer may come.
    fn is_open(&self) -> bool {
        self.partial.is_some() || !matches!(self.stage, Stage::Answered(_))
    }
}

impl State {
    /// What came of a call's results, if there is more to come and somebody waits for it.
    fn coming(&mut self, id: u32) -> Option<&mut Partial> {
        let call = self.calls.get_mut(id)?;
        match call.stage {
            Stage::Waiting(_) => call.partial.as_mut(),
            _ => None,
        }
    }
}

impl Connection {
    pub(super) fn on_return(
        &self,
        id: u32,
        more: bool,
        part: Part<'_>,
        first: bool,
    ) -> Result<(), Violation> {
        let core = &self.core;
        let session = match self.lock().calls.get(id) {
            Some(call) if call.partial.is_none() == first && call.is_open() => {
                let ended = call.place.ended.load(Ordering::Acquire);
                (!ended).then_some(call.place.id)
            }
            _ => {
                return Err(Violation::protocol(format!(
                    "a result for call {id} was not waited for"
                )));
            }
        };
        let streams = core.streams.accept(session, &part.streams, &core.out)?;
        let mut drops = Vec::new();
        let mut place = None;
        let mut dropped = None;
        let done = {
            let mut state = self.lock();
            let Some(call) = state.calls.get_mut(id) else {
                return Ok(());
            };
            call.place.came(&part.handles);
            let is_abandoned = matches!(call.stage, Stage::Abandoned);
            if is_abandoned {
                drops.extend(part.handles.iter().filter(|h| h.own).map(|h| h.id));
                place = Some(call.place.clone());
                call.partial.get_or_insert_default();
                dropped = Some(streams);
                (!more).then_some(Ok(Payload::default()))
            } else {
                let handles = part.handles.clone();
                let partial = call.partial.get_or_insert_default();
                match partial.add(
                    &core.budget,
                    &core.limits,
                    part.handles,
                    streams,
                    part.bytes,
                ) {
                    Ok(()) if more => None,
                    Ok(()) => call.partial.take().map(|p| Ok(p.take(&core.budget))),
                    Err(why) => {
                        // What is still to come of it is dropped as it comes.
                        let had = std::mem::take(partial).take(&core.budget);
                        let lost = had.handles.iter().chain(&handles);
                        drops.extend(lost.filter(|h| h.own).map(|h| h.id));
                        place = Some(call.place.clone());
                        dropped = Some(had.streams);
                        if more {
                            let failed = Stage::Answered(Err(Failure::Error(why)));
                            drop(state);
                            self.answer_early(id, failed);
                            None
                        } else {
                            Some(Err(Failure::Error(why)))
                        }
                    }
                }
            }
        };
        drop(dropped);
        if let Some(place) = place {
            self.drop_handles(&place, &drops);
        }
        match done {
            Some(result) => self.answer(id, result),
            None => Ok(()),
        }
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

    /// A call fails before all of its answer has come.
    fn answer_early(&self, id: u32, failed: Stage) {
        let waker = match self.lock().calls.get_mut(id) {
            Some(call) => match std::mem::replace(&mut call.stage, failed) {
                Stage::Waiting(waker) => waker,
                _ => None,
            },
            None => None,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// All of a call's answer has come.
    pub(super) fn answer(
        &self,
        id: u32,
        result: Result<Payload, Failure>,
    ) -> Result<(), Violation> {
        let unasked = || Violation::protocol(format!("an answer for call {id} was not waited for"));
        if result.is_err() {
            // Nothing more of the parameters is wanted.
            self.core.out.withdraw(id);
        }
        let mut state = self.lock();
        let call = state.calls.get_mut(id).ok_or_else(unasked)?;
        let (waker, gone) = match &mut call.stage {
            Stage::Waiting(waker) => {
                let waker = waker.take();
                call.stage = Stage::Answered(result);
                (waker, None)
            }
            Stage::Abandoned => (None, state.calls.remove(id)),
            Stage::Answered(_) => return Err(unasked()),
        };
        drop(state);
        drop(gone);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Calls, and waits for the answer.
    pub(super) async fn call(
        &self,
        place: &Arc<Place>,
        request: Request,
    ) -> Result<Payload, NoResult> {
        if !self.core.out.has_room() {
            self.core.out.room().await;
        }
        // A call that carries neither can be made again elsewhere.
        let again = request.payload.handles.is_empty() && request.payload.streams.is_empty();
        let bytes = Bytes::from(request.payload.bytes);
        let kept = if again { bytes.clone() } else { Bytes::new() };
        let not_begun = |why| {
            if again {
                NoResult::NotBegun(kept.clone())
            } else {
                NoResult::Failed(why)
            }
        };
        if !self.takes_calls() {
            return Err(not_begun(self.why_not()));
        }
        let payload = Payload {
            bytes: Vec::new(),
            ..request.payload
        };
        let sent = self
            .send(place, &request.head, payload, bytes)
            .map_err(NoResult::Failed)?;
        let mut abandon = Abandon {
            connection: self,
            id: Some(sent.id),
        };
        let answer = std::future::poll_fn(|cx| self.poll_answer(sent.id, cx)).await;
        // It was answered, so there is nothing to take back.
        abandon.id = None;
        answer.map_err(|failure| match failure {
            Failure::Error(why) if self.ended.get() == Some(&why) => {
                if self.core.out.written() <= sent.start {
                    not_begun(why)
                } else {
                    NoResult::Failed(CallError::Unreachable(format!(
                        "{}; whether the call took place is not known",
                        match why {
                            CallError::Unreachable(text) => text,
                            other => other.to_string(),
                        }
                    )))
                }
            }
            Failure::Error(why) => NoResult::Failed(why),
            Failure::Draining => not_begun(self.why_not()),
            Failure::Cancelled => NoResult::Failed(CallError::Unreachable(format!(
                "{} has cancelled the call",
                self.endpoint
            ))),
        })
    }

    fn send(
        &self,
        place: &Arc<Place>,
        head: &CallHead,
        payload: Payload,
        bytes: Bytes,
    ) -> Result<Sent, CallError> {
        let accepts = self.core.accepts.payload;
        if bytes.len() as u64 > accepts {
            return Err(CallError::Exhausted(format!(
                "the parameters have {} bytes, and {} takes {accepts}",
                bytes.len(),
                self.endpoint
            )));
        }
        let head = CallHead {
            link: place.link.id,
            session: place.id,
            ..head.clone()
        };
        let Core { out, streams, .. } = &self.core;
        let (sent, alone) = streams.send(place.id, payload.streams, |refs| {
            let (id, alone) = {
                let mut state = self.lock();
                let call = Call {
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
            // It is there until this takes it.
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
        let (gone, lost) = match stage {
            Stage::Answered(result) => {
                let gone = call.partial.is_none().then(|| state.calls.remove(id));
                drop(state);
                (gone, result.ok())
            }
            _ if self.ended.get().is_some() => {
                let gone = state.calls.remove(id);
                drop(state);
                (Some(gone), None)
            }
            _ => {
                drop(state);
                self.core.out.withdraw(id);
                self.core.out.push_empty(Kind::Cancel, id);
                self.core.out.flush_soon();
                (None, None)
            }
        };
        drop(gone);
        // What it was given, nobody took.
        let partial = partial.map(|partial| partial.take(&self.core.budget));
        for payload in [lost, partial].into_iter().flatten() {
            let ids: Vec<u32> = payload
                .handles
                .iter()
                .filter(|h| h.own)
                .map(|h| h.id)
                .collect();
            self.drop_handles(&place, &ids);
        }
    }
}
