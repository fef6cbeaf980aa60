//! Calls and drops as they come: in parts, and in the order of their session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::served::panicked;
use super::session::Session;
use super::state::{CallEntry, Key, ServerState, SessionEntry, Stage, Step};
use crate::assembly::Partial;
use crate::clock;
use crate::frame::{CallHead, Failure, Part, Violation};
use crate::guard;
use crate::{CallError, Payload};

impl Connection {
    pub(super) fn on_call(
        self: &Arc<Self>,
        id: u32,
        more: bool,
        head: CallHead,
        part: Part<'_>,
    ) -> Result<(), Violation> {
        let out = &self.core.out;
        let streams = self
            .core
            .streams
            .accept(Some(head.session), &part.streams, out)?;
        let session = match self.admit(id, &head)? {
            Ok(session) => session,
            Err(why) => {
                self.fail(id, &why);
                self.drop_moved(head.session, &part.handles);
                return Ok(());
            }
        };
        let deadline = deadline(head.remaining);
        let mut state = self.lock();
        state.count += 1;
        let key = Key {
            id,
            count: state.count,
        };
        let session_id = head.session;
        let Some(entry) = state.sessions.get_mut(session_id) else {
            // The session exists: only this reader removes sessions.
            return Ok(());
        };
        let at_once = !more && entry.waiting.is_empty();
        if !at_once {
            entry.waiting.push_back(Step::Call(id));
        }
        let (stage, payload) = if at_once {
            let payload = Payload {
                bytes: part.bytes.to_vec(),
                handles: part.handles,
                streams,
            };
            (Stage::Beginning, Some(payload))
        } else {
            let mut partial = Partial::default();
            let handles = part.handles.clone();
            if let Err(why) = partial.add(
                &self.core.budget,
                &self.core.limits,
                part.handles,
                streams,
                part.bytes,
            ) {
                entry.waiting.pop_back();
                drop(state);
                self.fail(id, &Failure::Error(why));
                self.drop_moved(session_id, &handles);
                return Ok(());
            }
            let stage = Stage::Coming {
                head: head.clone(),
                deadline,
                partial,
                complete: !more,
            };
            (stage, None)
        };
        let call = CallEntry {
            key,
            session: session_id,
            stage,
        };
        // The call's number was checked to be free when the call was admitted.
        _ = state.calls.insert(id, call);
        drop(state);
        if let Some(payload) = payload {
            self.begin(key, session_id, session, &head, deadline, payload);
        }
        Ok(())
    }

    /// Finds, or begins, the session of a call that may be made.
    pub(super) fn admit(
        &self,
        id: u32,
        head: &CallHead,
    ) -> Result<Result<Arc<Session>, Failure>, Violation> {
        let state = self.lock();
        if !state.calls.is_vacant(id) {
            let limit = state.calls.limit();
            return if id < limit {
                Err(Violation::protocol(format!("call {id} is in use")))
            } else {
                Ok(Err(Failure::Error(CallError::Exhausted(format!(
                    "more than {limit} calls are in flight on the connection"
                )))))
            };
        }
        if state.draining {
            return Ok(Err(Failure::Draining));
        }
        let error = |e| Ok(Err(Failure::Error(e)));
        let Some(link) = state.links.get(head.link) else {
            return error(CallError::Unlinked(format!(
                "the connection has no link {}",
                head.link
            )));
        };
        let served = match &link.served {
            Ok(served) => served,
            Err(why) => return error(why.clone()),
        };
        if head.function as usize >= link.functions {
            return error(CallError::TypeMismatch(format!(
                "the link has {} functions, and number {} is called",
                link.functions, head.function
            )));
        }
        match state.sessions.get(head.session) {
            Some(entry) if entry.session.link == head.link => Ok(Ok(entry.session.clone())),
            Some(_) => error(CallError::TypeMismatch(format!(
                "session {} is of another link",
                head.session
            ))),
            None if !state.sessions.is_vacant(head.session) => {
                error(CallError::Exhausted(format!(
                    "the connection has more than {} sessions",
                    state.sessions.limit()
                )))
            }
            None => {
                let served = served.clone();
                drop(state);
                let served = match guard::catch(|| served.session()) {
                    Ok(served) => served,
                    Err(text) => return error(panicked(text)),
                };
                let session = Arc::new(Session::new(served, head.link));
                let entry = SessionEntry {
                    session: session.clone(),
                    waiting: VecDeque::new(),
                };
                // Only the reader, which this is, begins sessions; so the number is still free.
                _ = self.lock().sessions.insert(head.session, entry);
                Ok(Ok(session))
            }
        }
    }

    pub(super) fn on_payload(
        self: &Arc<Self>,
        id: u32,
        more: bool,
        part: Part<'_>,
    ) -> Result<(), Violation> {
        let coming = |state: &ServerState| match state.calls.get(id) {
            Some(CallEntry {
                stage: Stage::Coming {
                    complete: false, ..
                },
                session,
                ..
            }) => Some(*session),
            _ => None,
        };
        // Streams come before the state where both are locked.
        let session = coming(&self.lock());
        let streams = self
            .core
            .streams
            .accept(session, &part.streams, &self.core.out)?;
        let Some(session) = session else {
            // The call has failed; what is left of it was under way.
            return Ok(());
        };
        let handles = part.handles.clone();
        let added = {
            let mut state = self.lock();
            let Some(CallEntry {
                stage: Stage::Coming {
                    partial, complete, ..
                },
                ..
            }) = state.calls.get_mut(id)
            else {
                return Ok(());
            };
            *complete = !more;
            partial.add(
                &self.core.budget,
                &self.core.limits,
                part.handles,
                streams,
                part.bytes,
            )
        };
        if let Err(why) = added {
            self.take_back(id, &Failure::Error(why));
            self.drop_moved(session, &handles);
        }
        self.advance(session);
        Ok(())
    }

    /// The bytes that came of a call's parameters, for `n` more to be read to their place.
    pub(super) fn lend(&self, id: u32, n: usize) -> Option<Vec<u8>> {
        self.lock()
            .coming(id)?
            .lend(&self.core.budget, &self.core.limits, n)
    }

    /// Takes back what was lent. Nothing has happened meanwhile, for it is the reader that borrows.
    pub(super) fn restore(&self, id: u32, bytes: Vec<u8>) {
        if let Some(partial) = self.lock().coming(id) {
            partial.restore(bytes);
        }
    }

    pub(super) fn on_cancel(self: &Arc<Self>, id: u32) {
        if let Some(session) = self.take_back(id, &Failure::Cancelled) {
            self.advance(session);
        }
    }

    /// Ends a call before its time, with this answer; one that was answered meanwhile is left alone.
    pub(super) fn take_back(&self, id: u32, why: &Failure) -> Option<u32> {
        let call = {
            let mut state = self.lock();
            let call = state.calls.remove(id)?;
            if let Some(entry) = state.sessions.get_mut(call.session) {
                entry
                    .waiting
                    .retain(|step| !matches!(step, Step::Call(other) if *other == id));
            }
            call
        };
        self.fail(id, why);
        if let Stage::Coming { partial, .. } = call.stage {
            let payload = partial.take(&self.core.budget);
            self.drop_moved(call.session, &payload.handles);
        }
        Some(call.session)
    }

    pub(super) fn on_drop(&self, id: u32, ids: Vec<u32>) -> Result<(), Violation> {
        let session = {
            let mut state = self.lock();
            let Some(entry) = state.sessions.get_mut(id) else {
                return Ok(());
            };
            if !entry.waiting.is_empty() {
                return entry.drop_later(ids, self.core.limits.handles);
            }
            entry.session.clone()
        };
        let now = session.drop_handles(&ids);
        self.begin_release((session, now));
        Ok(())
    }

    pub(super) fn on_session_end(self: &Arc<Self>, id: u32) {
        let (entry, calls) = {
            let mut state = self.lock();
            let Some(entry) = state.sessions.remove(id) else {
                return;
            };
            let mut calls = Vec::new();
            if state.calls.len() > 0 {
                for call in state.calls.ids() {
                    if state.calls.get(call).is_some_and(|c| c.session == id) {
                        calls.extend(state.calls.remove(call));
                    }
                }
            }
            (entry, calls)
        };
        self.core.streams.end_session(id, &self.core.out);
        for call in calls {
            self.fail(call.key.id, &Failure::Cancelled);
            if let Stage::Coming { partial, .. } = call.stage {
                // Its handles did not leave the session.
                drop(partial.take(&self.core.budget));
            }
        }
        let left = entry.session.end();
        self.begin_release((entry.session, left));
    }

    /// Begins what has waited in a session, as far as it has come in full.
    pub(super) fn advance(self: &Arc<Self>, id: u32) {
        loop {
            let mut state = self.lock();
            let ServerState {
                sessions, calls, ..
            } = &mut *state;
            let Some(entry) = sessions.get_mut(id) else {
                return;
            };
            match entry.waiting.front() {
                None => return,
                Some(Step::Drop(_)) => {}
                Some(Step::Call(call)) => match calls.get(*call) {
                    Some(CallEntry {
                        stage: Stage::Coming { complete: true, .. },
                        ..
                    }) => {}
                    _ => return,
                },
            }
            let session = entry.session.clone();
            match entry.waiting.pop_front() {
                Some(Step::Drop(ids)) => {
                    drop(state);
                    let now = session.drop_handles(&ids);
                    self.begin_release((session, now));
                }
                Some(Step::Call(call)) => {
                    let Some(call) = calls.get_mut(call) else {
                        return;
                    };
                    let key = call.key;
                    let stage = std::mem::replace(&mut call.stage, Stage::Beginning);
                    drop(state);
                    if let Stage::Coming {
                        head,
                        deadline,
                        partial,
                        ..
                    } = stage
                    {
                        let payload = partial.take(&self.core.budget);
                        self.begin(key, id, session, &head, deadline, payload);
                    }
                }
                None => return,
            }
        }
    }
}

fn deadline(remaining: Duration) -> Instant {
    // A deadline that no clock can tell is as good as none: a day is.
    let remaining = remaining.min(Duration::from_secs(24 * 3_600));
    clock::now() + remaining
}
