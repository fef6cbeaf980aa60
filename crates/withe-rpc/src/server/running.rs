//! Calls that have begun: in place at first, then in a task of their own, to their answer.

use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::connection::Connection;
use super::served::panicked;
use super::session::{Lent, NotGiven, Session};
use super::state::{Key, Stage};
use crate::budget::Charged;
use crate::clock;
use crate::core::Core;
use crate::frame::{CallHead, Failure, Kind};
use crate::guard;
use crate::limits::payload_exceeded;
use crate::outbox::{COPY, Envelope};
use crate::transport::BoxFuture;
use crate::{CallContext, CallError, Payload};

/// A call that is begun.
struct Begun {
    key: Key,
    session_id: u32,
    session: Arc<Session>,
    lent: Lent,
}

impl Connection {
    /// Calls, and polls the call for the first time. If it ends with that it is answered; else a task goes
    /// on with it.
    pub(super) fn begin(
        self: &Arc<Self>,
        key: Key,
        session_id: u32,
        session: Arc<Session>,
        head: &CallHead,
        deadline: Instant,
        payload: Payload,
    ) {
        if head.remaining.is_zero() || clock::now() >= deadline {
            self.take_back(key.id, &Failure::Error(CallError::Deadline));
            self.drop_moved(session_id, &payload.handles);
            return;
        }
        let lent = match session.begin(&payload.handles) {
            Ok(lent) => lent,
            Err(why) => {
                self.take_back(key.id, &Failure::Error(why));
                return;
            }
        };
        let begun = Begun {
            key,
            session_id,
            session,
            lent,
        };
        let context = CallContext {
            deadline,
            trace: head.trace,
        };
        let served = begun.session.served.clone();
        let function = head.function as usize;
        let mut future = match guard::catch(|| served.call(function, payload, context)) {
            Ok(future) => future,
            Err(text) => return self.finish(begun, Err(panicked(text))),
        };
        match guard::poll_once(&mut future) {
            Poll::Ready(result) => {
                drop(future);
                self.finish(begun, result.unwrap_or_else(|text| Err(panicked(text))));
            }
            Poll::Pending => {
                let (cancel, cancelled) = oneshot::channel();
                if let Some(call) = self.lock().calls.get_mut(key.id)
                    && call.key == key
                {
                    call.stage = Stage::Running(cancel);
                }
                let this = self.clone();
                self.tasks()
                    .spawn(async move { this.go_on(begun, future, deadline, cancelled).await });
            }
        }
    }

    /// Waits for a call to end.
    async fn go_on(
        self: Arc<Self>,
        begun: Begun,
        mut future: BoxFuture<'static, Result<Payload, CallError>>,
        deadline: Instant,
        mut cancelled: oneshot::Receiver<()>,
    ) {
        let result = tokio::select! {
            biased;
            result = timeout_at(deadline.into(), guard::caught(&mut future)) => match result {
                Ok(Ok(result)) => result,
                Ok(Err(text)) => Err(panicked(text)),
                Err(_) => Err(CallError::Deadline),
            },
            // Its entry has gone, and somebody has answered.
            _ = &mut cancelled => Err(CallError::Deadline),
        };
        drop(future);
        if !self.core.out.has_room() {
            tokio::select! {
                () = self.core.out.room() => {}
                _ = &mut cancelled => {}
            }
        }
        self.finish(begun, result);
        if self.lock().calls.len() == 0 {
            self.core.out.flush();
        } else {
            self.core.out.flush_soon();
        }
    }

    /// Answers a call that has ended, unless somebody has, and gives back what it had borrowed.
    fn finish(&self, begun: Begun, result: Result<Payload, CallError>) {
        let Begun {
            key,
            session_id,
            session,
            lent,
        } = begun;
        let is_ours = {
            let mut state = self.lock();
            let is_ours = state.calls.get(key.id).is_some_and(|call| call.key == key);
            if is_ours {
                state.calls.remove(key.id);
            }
            is_ours
        };
        let mut drops = Vec::new();
        match result {
            Ok(payload) if is_ours => {
                let handles = payload.handles.clone();
                match self.answer(key.id, session_id, &session, payload) {
                    Ok(()) => {}
                    Err(not_given) => {
                        let why = match not_given {
                            NotGiven::Ended => Failure::Cancelled,
                            NotGiven::Error(e) => Failure::Error(e),
                        };
                        self.fail(key.id, &why);
                        drops.extend(handles.iter().filter(|h| h.own).map(|h| h.id));
                    }
                }
            }
            // Nobody is there to take what it returned.
            Ok(payload) => drops.extend(payload.handles.iter().filter(|h| h.own).map(|h| h.id)),
            Err(why) if is_ours => self.fail(key.id, &Failure::Error(why)),
            Err(_) => {}
        }
        drops.extend(session.finish(lent));
        self.begin_release((session, drops));
    }

    fn answer(
        &self,
        id: u32,
        session_id: u32,
        session: &Session,
        payload: Payload,
    ) -> Result<(), NotGiven> {
        let Core {
            out,
            streams,
            limits,
            accepts,
            ..
        } = &self.core;
        let len = payload.bytes.len();
        if len as u64 > accepts.payload {
            let error = payload_exceeded("results", len, accepts.payload);
            return Err(NotGiven::Error(error));
        }
        if out.waiting().saturating_add(len) > limits.unfinished {
            return Err(NotGiven::Error(CallError::Exhausted(
                "too many results wait to be taken by the caller".into(),
            )));
        }
        let envelope = Envelope {
            kind: Kind::Return,
            flags: 0,
            id,
        };
        // Small ones are copied to the frames that wait, which have a bound of their own.
        let bytes = if len > COPY {
            let charge = self.core.answers.charge(len).map_err(|full| {
                let text = format!("the results that wait to be taken, of {full}");
                NotGiven::Error(CallError::Exhausted(text))
            })?;
            Bytes::from_owner(Charged::new(payload.bytes, charge))
        } else {
            Bytes::from(payload.bytes)
        };
        streams.send(session_id, payload.streams, out, |refs| {
            // With the streams locked, so that the end of the session, which ends its streams, comes
            // either before or after.
            session.give(&payload.handles, limits.handles)?;
            out.push_payload(&envelope, |_| {}, &payload.handles, refs, bytes);
            Ok(())
        })
    }
}
