//! One connection, on the side that is called.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use super::session::{Lent, NotGiven, Session};
use super::{Serve, ServedLink};
use crate::assembly::Partial;
use crate::core::{Core, describe};
use crate::frame::{self, CallHead, Failure, Frame, Header, Kind, Part, Parting, Violation, flag};
use crate::guard;
use crate::inbox::Inbox;
use crate::link::MAX_REQUEST;
use crate::outbox::Envelope;
use crate::streams::Handles;
use crate::table::Table;
use crate::transport::BoxFuture;
use crate::{CallContext, CallError, HandleRef, LinkRequest, Payload};

/// How often a connection that is to end looks whether everything has.
const LOOK: Duration = Duration::from_millis(10);

/// What to say of a target that panicked, whichever it was.
fn panicked(text: String) -> CallError {
    CallError::Trap(format!("the target {text}"))
}

/// A connection.
pub(crate) struct Connection {
    core: Core,
    serve: Arc<dyn Serve>,
    state: Mutex<State>,
    /// The calls, and releases of resources, that did not end at once.
    tasks: Mutex<JoinSet<()>>,
}

struct State {
    links: Table<Link>,
    sessions: Table<Entry>,
    calls: Table<Call>,
    /// The request for a link that has come in part.
    request: Option<(u32, Vec<u8>)>,
    /// How many calls there ever were.
    count: u64,
    draining: bool,
}

impl State {
    /// What came of a call's parameters, if there is more to come.
    fn coming(&mut self, id: u32) -> Option<&mut Partial> {
        match &mut self.calls.get_mut(id)?.stage {
            Stage::Coming {
                partial,
                complete: false,
                ..
            } => Some(partial),
            _ => None,
        }
    }
}

struct Link {
    served: Result<Arc<dyn ServedLink>, CallError>,
    functions: usize,
}

struct Entry {
    session: Arc<Session>,
    /// What has come and cannot be begun, for the first of it is a call that has not come in full.
    waiting: VecDeque<Step>,
}

enum Step {
    Call(u32),
    Drop(Vec<u32>),
}

struct Call {
    key: Key,
    session: u32,
    stage: Stage,
}

/// Tells a call from another that had, or will have, the same number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    id: u32,
    count: u64,
}

enum Stage {
    /// Some of it has come, or all but it has to wait.
    Coming {
        head: CallHead,
        deadline: Instant,
        partial: Partial,
        complete: bool,
    },
    /// Being polled for the first time.
    Beginning,
    /// In a task, which ends when this is dropped.
    Running(#[allow(dead_code, reason = "dropped to cancel")] oneshot::Sender<()>),
}

/// A call that is begun.
struct Begun {
    key: Key,
    session_id: u32,
    session: Arc<Session>,
    lent: Lent,
}

/// Ends a connection that is dropped while it runs.
struct EndOnDrop(Arc<Connection>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        drop(self.0.end("it was closed here"));
        self.0.tasks().abort_all();
    }
}

impl Connection {
    pub(crate) fn new(core: Core, serve: Arc<dyn Serve>) -> Arc<Self> {
        let limits = &core.limits;
        Arc::new(Self {
            state: Mutex::new(State {
                links: Table::new(limits.links),
                sessions: Table::new(limits.sessions),
                calls: Table::new(limits.calls),
                request: None,
                count: 0,
                draining: false,
            }),
            core,
            serve,
            tasks: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(self: Arc<Self>, inbox: Inbox, stop: watch::Receiver<bool>) {
        let guard = EndOnDrop(self.clone());
        let mut driver = JoinSet::new();
        driver.spawn({
            let this = self.clone();
            async move { this.core.drive(&*this).await }
        });
        let ended = tokio::select! {
            ended = self.read(inbox, stop) => ended,
            why = driver.join_next() => Err(Ended::Lost(match why {
                Some(Ok(why)) => why,
                _ => "its driver has ended".into(),
            })),
        };
        let why = match ended {
            Ok(()) => {
                self.core.part(Parting::Done, "").await;
                "it was closed".into()
            }
            Err(Ended::Lost(why)) => why,
            Err(Ended::Violation(violation)) => {
                tracing::warn!("a connection ends: {violation}");
                self.core.part(violation.parting, &violation.text).await;
                violation.text
            }
        };
        driver.shutdown().await;
        for release in self.end(&why) {
            self.begin_release(release);
        }
        self.settle().await;
        drop(guard);
    }

    /// Lets what was cancelled, and what has to be released, come to its end.
    async fn settle(&self) {
        let left = std::mem::take(&mut *self.tasks());
        let all = async {
            let mut left = left;
            loop {
                while left.join_next().await.is_some() {}
                // The last of a session's calls may have begun to release it.
                left = std::mem::take(&mut *self.tasks());
                if left.is_empty() {
                    return;
                }
            }
        };
        if timeout(self.core.limits.grace, all).await.is_err() {
            tracing::warn!("some calls of a connection that has ended were given up");
        }
    }

    /// Reads and passes on, until there is nothing more to read.
    async fn read(
        self: &Arc<Self>,
        mut inbox: Inbox,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let mut draining: Option<tokio::time::Instant> = None;
        loop {
            if let Some((header, bytes)) = inbox.arrived() {
                self.restore(header.id, bytes);
                self.on_payload(header.id, header.has(flag::MORE), Part::default())?;
            }
            while let Some((header, body)) = inbox.next()? {
                if let Some(ended) = self.on_frame(&header, body)? {
                    return Err(Ended::Lost(ended));
                }
            }
            if let Some((id, n)) = inbox.divertable()
                && let Some(bytes) = self.lend(id, n)
            {
                inbox.divert(bytes);
            }
            self.core.out.flush();
            self.reap();
            if !self.core.out.has_room() {
                // Who does not take answers does not get to ask for more of them.
                self.core.out.room().await;
            }
            if let Some(until) = draining
                && (self.is_quiet() || tokio::time::Instant::now() >= until)
            {
                return Ok(());
            }
            tokio::select! {
                filled = inbox.fill() => match filled {
                    Ok(true) => self.core.heard(),
                    Ok(false) => return Err(Ended::Lost("the caller has gone".into())),
                    Err(e) => return Err(Ended::Lost(describe(&e))),
                },
                _ = stop.wait_for(|stop| *stop), if draining.is_none() => {
                    draining = Some(tokio::time::Instant::now() + self.core.limits.grace);
                    self.lock().draining = true;
                    self.core.out.push(|out| {
                        frame::put_goodbye(out, Parting::Draining, "the server is stopping");
                    });
                }
                () = sleep(LOOK), if draining.is_some() => {}
            }
        }
    }

    /// Whether nothing is under way.
    fn is_quiet(&self) -> bool {
        self.lock().calls.len() == 0 && self.core.streams.open() == 0 && self.core.out.is_empty()
    }

    /// Ends all there is. Returns the sessions that can be released, with what they still hold.
    fn end(&self, why: &str) -> Vec<(Arc<Session>, Vec<u32>)> {
        self.core.out.fail(why.to_owned());
        self.core.streams.end(&CallError::Unreachable(format!(
            "the connection of the caller was lost: {why}"
        )));
        let (sessions, calls, links) = {
            let mut state = self.lock();
            state.request = None;
            (
                state.sessions.take_all(),
                state.calls.take_all(),
                state.links.take_all(),
            )
        };
        let ended = sessions.into_iter().map(|entry| {
            let left = entry.session.end();
            (entry.session, left)
        });
        let ended = ended.collect();
        // This cancels what runs.
        drop(calls);
        drop(links);
        ended
    }

    fn on_frame(
        self: &Arc<Self>,
        header: &Header,
        body: &[u8],
    ) -> Result<Option<String>, Violation> {
        let id = header.id;
        let frame = Frame::read(header, body)?;
        let Some(frame) = self.core.on_frame(header, frame, &**self)? else {
            return Ok(None);
        };
        match frame {
            Frame::Call(head, part) => self.on_call(id, header.has(flag::MORE), head, part)?,
            Frame::Payload(part) => self.on_payload(id, header.has(flag::MORE), part)?,
            Frame::Cancel => self.on_cancel(id),
            Frame::Drop(ids) => self.on_drop(id, ids),
            Frame::SessionEnd => self.on_session_end(id),
            Frame::Link(some) => self.on_link(id, header.has(flag::MORE), some)?,
            Frame::Unlink => {
                let link = self.lock().links.remove(id);
                drop(link);
            }
            Frame::Goodbye(_, text) => return Ok(Some(format!("the caller ended it: {text}"))),
            other => {
                return Err(Violation::protocol(format!(
                    "a caller does not send frames of kind {}: {other:?}",
                    header.kind
                )));
            }
        }
        Ok(None)
    }

    fn on_link(&self, id: u32, more: bool, some: &[u8]) -> Result<(), Violation> {
        let body = {
            let mut state = self.lock();
            let mut body = match state.request.take() {
                Some((begun, body)) if begun == id => body,
                Some(_) => return Err(Violation::protocol("two requests for links are mixed")),
                None if state.links.get(id).is_some() => {
                    return Err(Violation::protocol(format!("link {id} is in use")));
                }
                None => Vec::new(),
            };
            if body.len() + some.len() > MAX_REQUEST {
                return Err(Violation::exhausted(format!(
                    "a request for a link has more than {MAX_REQUEST} bytes"
                )));
            }
            body.extend_from_slice(some);
            if more {
                state.request = Some((id, body));
                return Ok(());
            }
            body
        };
        let request = LinkRequest::read(&body).map_err(|e| {
            Violation::protocol(format!("a request for a link cannot be read: {e}"))
        })?;
        let functions = request.functions.len();
        let limit = self.core.limits.links;
        let served = if id < limit {
            guard::catch(|| self.serve.link(request)).unwrap_or_else(|text| Err(panicked(text)))
        } else {
            Err(CallError::Exhausted(format!(
                "the connection has more than {limit} links"
            )))
        };
        match &served {
            Ok(_) => self.core.out.push_empty(Kind::Linked, id),
            Err(why) => self.core.out.push(|out| {
                frame::write(out, Kind::Refused, 0, id, |body| {
                    Failure::Error(why.clone()).put(body);
                });
            }),
        }
        // That the number is free was seen above; one beyond the limit was refused.
        _ = self.lock().links.insert(id, Link { served, functions });
        Ok(())
    }

    fn on_call(
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
            // It was there, and only the reader, which this is, takes it away.
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
        let call = Call {
            key,
            session: session_id,
            stage,
        };
        // That the number is free was seen when the call was admitted.
        _ = state.calls.insert(id, call);
        drop(state);
        if let Some(payload) = payload {
            self.begin(key, session_id, session, &head, deadline, payload);
        }
        Ok(())
    }

    /// Finds, or begins, the session of a call that may be made.
    fn admit(&self, id: u32, head: &CallHead) -> Result<Result<Arc<Session>, Failure>, Violation> {
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
                let entry = Entry {
                    session: session.clone(),
                    waiting: VecDeque::new(),
                };
                // Only the reader, which this is, begins sessions; so the number is still free.
                _ = self.lock().sessions.insert(head.session, entry);
                Ok(Ok(session))
            }
        }
    }

    fn on_payload(self: &Arc<Self>, id: u32, more: bool, part: Part<'_>) -> Result<(), Violation> {
        let coming = |state: &State| match state.calls.get(id) {
            Some(Call {
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
            let Some(Call {
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
    fn lend(&self, id: u32, n: usize) -> Option<Vec<u8>> {
        self.lock()
            .coming(id)?
            .lend(&self.core.budget, &self.core.limits, n)
    }

    /// Takes back what was lent. Nothing has happened meanwhile, for it is the reader that borrows.
    fn restore(&self, id: u32, bytes: Vec<u8>) {
        if let Some(partial) = self.lock().coming(id) {
            partial.restore(bytes);
        }
    }

    fn on_cancel(self: &Arc<Self>, id: u32) {
        if let Some(session) = self.take_back(id, &Failure::Cancelled) {
            self.advance(session);
        }
    }

    /// Ends a call before its time, with this answer; one that was answered meanwhile is left alone.
    fn take_back(&self, id: u32, why: &Failure) -> Option<u32> {
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

    fn on_drop(self: &Arc<Self>, id: u32, ids: Vec<u32>) {
        let session = {
            let mut state = self.lock();
            let Some(entry) = state.sessions.get_mut(id) else {
                return;
            };
            if !entry.waiting.is_empty() {
                entry.waiting.push_back(Step::Drop(ids));
                return;
            }
            entry.session.clone()
        };
        let now = session.drop_handles(&ids);
        self.begin_release((session, now));
    }

    fn on_session_end(self: &Arc<Self>, id: u32) {
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
    fn advance(self: &Arc<Self>, id: u32) {
        loop {
            let mut state = self.lock();
            let State {
                sessions, calls, ..
            } = &mut *state;
            let Some(entry) = sessions.get_mut(id) else {
                return;
            };
            match entry.waiting.front() {
                None => return,
                Some(Step::Drop(_)) => {}
                Some(Step::Call(call)) => match calls.get(*call) {
                    Some(Call {
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

    /// Calls, and polls the call for the first time. If it ends with that it is answered; else a task goes
    /// on with it.
    fn begin(
        self: &Arc<Self>,
        key: Key,
        session_id: u32,
        session: Arc<Session>,
        head: &CallHead,
        deadline: Instant,
        payload: Payload,
    ) {
        if head.remaining.is_zero() || Instant::now() >= deadline {
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
            return Err(NotGiven::Error(CallError::Exhausted(format!(
                "the results have {len} bytes, and the caller takes {}",
                accepts.payload
            ))));
        }
        if out.bulk_len().saturating_add(len) > limits.unfinished {
            return Err(NotGiven::Error(CallError::Exhausted(
                "too many results wait to be taken by the caller".into(),
            )));
        }
        let envelope = Envelope {
            kind: Kind::Return,
            flags: 0,
            id,
        };
        let bytes = Bytes::from(payload.bytes);
        streams.send(session_id, payload.streams, |refs| {
            // With the streams locked, so that the end of the session, which ends its streams, comes
            // either before or after.
            session.give(&payload.handles, limits.handles)?;
            out.push_payload(&envelope, |_| {}, &payload.handles, refs, bytes);
            Ok(())
        })
    }

    fn fail(&self, id: u32, why: &Failure) {
        self.core
            .out
            .push(|out| frame::write(out, Kind::Fail, 0, id, |body| why.put(body)));
    }

    /// Drops what a call would have moved that is not begun.
    fn drop_moved(&self, session: u32, handles: &[HandleRef]) {
        let ids: Vec<u32> = handles.iter().filter(|h| h.own).map(|h| h.id).collect();
        if !ids.is_empty()
            && let Some(session) = self.session(session)
        {
            let now = session.drop_handles(&ids);
            self.begin_release((session, now));
        }
    }

    /// Drops resources of a session. What does not end at once, a task goes on with.
    fn begin_release(&self, (session, ids): (Arc<Session>, Vec<u32>)) {
        if ids.is_empty() {
            return;
        }
        let limit = self.core.limits.grace;
        let mut release: BoxFuture<'static, ()> = Box::pin(session.release(ids, limit));
        if guard::poll_once(&mut release).is_pending() {
            self.tasks().spawn(release);
        }
    }

    /// Lets go of tasks that have ended.
    fn reap(&self) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
    }

    fn session(&self, id: u32) -> Option<Arc<Session>> {
        self.lock().sessions.get(id).map(|e| e.session.clone())
    }

    /// Whether it takes no new calls.
    #[cfg(test)]
    pub(crate) fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// How many links, sessions, calls, streams and tasks there are.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> [usize; 5] {
        self.reap();
        let state = self.lock();
        [
            state.links.len(),
            state.sessions.len(),
            state.calls.len(),
            self.core.streams.open(),
            self.tasks().len(),
        ]
    }
}

impl Handles for Connection {
    fn came(&self, session: u32, handles: &[HandleRef]) -> Result<(), CallError> {
        if let Some(lent) = handles.iter().find(|h| !h.own) {
            return Err(CallError::TypeMismatch(format!(
                "the resource handle {} is lent to a stream",
                lent.id
            )));
        }
        match self.session(session) {
            Some(session) => session.take(handles),
            None => Err(CallError::Unreachable("the session has ended".into())),
        }
    }

    fn go(&self, session: u32, handles: &[HandleRef]) -> Result<(), CallError> {
        let ended = || CallError::Unreachable("the session has ended".into());
        let session = self.session(session).ok_or_else(ended)?;
        match session.give(handles, self.core.limits.handles) {
            Ok(()) => Ok(()),
            Err(NotGiven::Ended) => Err(ended()),
            Err(NotGiven::Error(why)) => Err(why),
        }
    }

    fn discard(&self, session: u32, handles: &[HandleRef]) {
        let ids: Vec<u32> = handles.iter().filter(|h| h.own).map(|h| h.id).collect();
        if let Some(session) = self.session(session)
            && !ids.is_empty()
        {
            // Not polled here, for the streams are locked.
            self.tasks()
                .spawn(session.release(ids, self.core.limits.grace));
        }
    }
}

/// Why a connection is not read any more.
enum Ended {
    Violation(Violation),
    Lost(String),
}

impl From<Violation> for Ended {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

fn deadline(remaining: Duration) -> Instant {
    // A deadline that no clock can tell is as good as none: a day is.
    let remaining = remaining.min(Duration::from_secs(24 * 3_600));
    Instant::now() + remaining
}
