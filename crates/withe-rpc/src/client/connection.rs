//! One connection, on the side that calls.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::assembly::Partial;
use crate::codec::put_unsigned;
use crate::core::{Core, describe};
use crate::frame::{
    self, CallHead, Failure, Frame, Header, Kind, MAX_REFS, Part, Parting, Violation, flag,
};
use crate::inbox::Inbox;
use crate::outbox::Envelope;
use crate::streams::Handles;
use crate::table::Slab;
use crate::{CallError, HandleRef, LinkRequest, Payload};

/// A connection.
pub(crate) struct Connection {
    core: Core,
    /// What it goes to.
    endpoint: String,
    state: Mutex<State>,
    /// Whether calls can be made; not if it has ended, or the server takes no new ones.
    takes_calls: AtomicBool,
    /// Why it has ended.
    ended: OnceLock<CallError>,
    /// Raised to end it.
    closing: Notify,
}

struct State {
    links: Slab<Arc<Link>>,
    sessions: Slab<Arc<Place>>,
    calls: Slab<Call>,
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

/// A link, as it is on this connection.
#[derive(Debug)]
pub(super) struct Link {
    id: u32,
    /// That the server has refused it.
    refused: AtomicBool,
}

impl Link {
    /// Whether the server has refused it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// A session, as it is on this connection.
#[derive(Debug)]
pub(super) struct Place {
    id: u32,
    link: Arc<Link>,
    /// How many resource handles the caller holds.
    held: AtomicU64,
    ended: AtomicBool,
}

impl Place {
    /// How many resource handles the caller holds.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Whether the server has refused its link.
    pub(super) fn is_refused(&self) -> bool {
        self.link.is_refused()
    }

    fn came(&self, handles: &[HandleRef]) {
        let n = handles.iter().filter(|h| h.own).count();
        self.held.fetch_add(n as u64, Ordering::AcqRel);
    }

    fn went(&self, n: usize) {
        let update = |held: u64| Some(held.saturating_sub(n as u64));
        // The closure always has a value.
        _ = self
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }
}

/// A call that was sent and not answered in full. There is one answer to each, also to those that were
/// cancelled, so that a number is not used again before that.
struct Call {
    place: Arc<Place>,
    partial: Option<Partial>,
    stage: Stage,
}

enum Stage {
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

/// Ends a connection that is dropped while it runs.
struct EndOnDrop(Arc<Connection>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end("it was closed here");
    }
}

impl Connection {
    pub(super) fn new(core: Core, endpoint: String) -> Arc<Self> {
        let (accepts, limits) = (&core.accepts, &core.limits);
        Arc::new(Self {
            state: Mutex::new(State {
                links: Slab::new(accepts.links.min(limits.links)),
                sessions: Slab::new(accepts.sessions.min(limits.sessions)),
                calls: Slab::new(accepts.calls.min(limits.calls)),
            }),
            core,
            endpoint,
            takes_calls: AtomicBool::new(true),
            ended: OnceLock::new(),
            closing: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new calls can be made.
    pub(super) fn takes_calls(&self) -> bool {
        self.takes_calls.load(Ordering::Acquire)
    }

    /// Why no calls can be made.
    pub(super) fn why_not(&self) -> CallError {
        self.ended.get().cloned().unwrap_or_else(|| {
            CallError::Unreachable(format!("{} takes no new calls", self.endpoint))
        })
    }

    /// Keeps the connection to its end.
    pub(super) async fn run(self: Arc<Self>, inbox: Inbox) {
        let guard = EndOnDrop(self.clone());
        let mut driver = JoinSet::new();
        driver.spawn({
            let this = self.clone();
            async move { this.core.drive(&*this).await }
        });
        let why = tokio::select! {
            why = self.read(inbox) => match why {
                Ok(why) => why,
                Err(violation) => {
                    tracing::warn!("the connection to {} ends: {violation}", self.endpoint);
                    self.core.part(violation.parting, &violation.text).await;
                    violation.text
                }
            },
            why = driver.join_next() => match why {
                Some(Ok(why)) => why,
                _ => "its driver has ended".into(),
            },
            () = self.closing.notified() => {
                self.core.part(Parting::Done, "").await;
                "it was closed here".into()
            }
        };
        driver.shutdown().await;
        self.end(&why);
        drop(guard);
    }

    /// Ends the connection, once what was sent is written.
    pub(super) async fn close(self: Arc<Self>) {
        self.takes_calls.store(false, Ordering::Release);
        self.closing.notify_one();
        // It says good-bye within a second.
        let until = tokio::time::Instant::now() + 2 * self.core.limits.connect;
        while self.ended.get().is_none() && tokio::time::Instant::now() < until {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn read(&self, mut inbox: Inbox) -> Result<String, Violation> {
        loop {
            if let Some((header, bytes)) = inbox.arrived() {
                self.restore(header.id, bytes);
                self.on_return(header.id, header.has(flag::MORE), Part::default(), false)?;
            }
            while let Some((header, body)) = inbox.next()? {
                self.on_frame(&header, body)?;
            }
            if let Some((id, n)) = inbox.divertable()
                && let Some(bytes) = self.lend(id, n)
            {
                inbox.divert(bytes);
            }
            // Reading never waits for writing here: so the server, which does that, goes on.
            self.core.out.flush();
            match inbox.fill().await {
                Ok(true) => self.core.heard(),
                Ok(false) => return Ok("the server has gone".into()),
                Err(e) => return Ok(describe(&e)),
            }
        }
    }

    /// Ends all there is.
    fn end(&self, why: &str) {
        self.takes_calls.store(false, Ordering::Release);
        // The first reason is the one that counts.
        _ = self.ended.set(self.core.lost(&self.endpoint, why));
        let lost = self.why_not();
        self.core.out.fail(why.to_owned());
        self.core.streams.end(&lost);
        let mut wakers = Vec::new();
        let mut dropped = Vec::new();
        {
            let mut state = self.lock();
            for id in state.calls.ids() {
                let Some(call) = state.calls.get_mut(id) else {
                    continue;
                };
                let partial = call.partial.take();
                if matches!(call.stage, Stage::Waiting(_)) {
                    let failed = Stage::Answered(Err(Failure::Error(lost.clone())));
                    if let Stage::Waiting(waker) = std::mem::replace(&mut call.stage, failed) {
                        wakers.extend(waker);
                    }
                } else if matches!(call.stage, Stage::Abandoned) {
                    state.calls.remove(id);
                }
                // Dropped where nothing is locked: it may have ends of pipes.
                dropped.extend(partial.map(|partial| partial.take(&self.core.budget)));
            }
        }
        drop(dropped);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn on_frame(&self, header: &Header, body: &[u8]) -> Result<(), Violation> {
        let id = header.id;
        let frame = Frame::read(header, body)?;
        let Some(frame) = self.core.on_frame(header, frame, self)? else {
            return Ok(());
        };
        match frame {
            Frame::Return(part) => self.on_return(id, header.has(flag::MORE), part, true)?,
            Frame::Payload(part) => self.on_return(id, header.has(flag::MORE), part, false)?,
            Frame::Fail(why) => {
                if why == Failure::Draining {
                    self.takes_calls.store(false, Ordering::Release);
                }
                self.answer(id, Err(why))?;
            }
            Frame::Linked => {}
            Frame::Refused(_) => {
                // The calls behind the request are told why.
                if let Some(link) = self.lock().links.get(id) {
                    link.refused.store(true, Ordering::Release);
                }
            }
            Frame::Goodbye(Parting::Draining, _) => {
                self.takes_calls.store(false, Ordering::Release);
            }
            Frame::Goodbye(_, text) => {
                self.end(&format!("the server ended it: {text}"));
                self.closing.notify_one();
            }
            other => {
                return Err(Violation::protocol(format!(
                    "a server does not send frames of kind {}: {other:?}",
                    header.kind
                )));
            }
        }
        Ok(())
    }

    fn on_return(&self, id: u32, more: bool, part: Part<'_>, first: bool) -> Result<(), Violation> {
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
    fn lend(&self, id: u32, n: usize) -> Option<Vec<u8>> {
        self.lock()
            .coming(id)?
            .lend(&self.core.budget, &self.core.limits, n)
    }

    /// Takes back what was lent, unless nobody waits for it any more.
    fn restore(&self, id: u32, bytes: Vec<u8>) {
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
    fn answer(&self, id: u32, result: Result<Payload, Failure>) -> Result<(), Violation> {
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

    /// Asks for a link.
    pub(super) fn link(&self, request: &LinkRequest) -> Result<Arc<Link>, CallError> {
        let mut frames = Vec::new();
        let mut state = self.lock();
        let link = |id| {
            Arc::new(Link {
                id,
                refused: AtomicBool::new(false),
            })
        };
        let id = state.links.insert(link(0)).map_err(|_| {
            CallError::Exhausted(format!(
                "{} takes no more links on a connection",
                self.endpoint
            ))
        })?;
        if let Err(excess) = request.put(&mut frames, id) {
            state.links.remove(id);
            return Err(CallError::Exhausted(format!(
                "the functions of the link to `{}` take {excess} bytes more than a link may have",
                request.target
            )));
        }
        let link = link(id);
        if let Some(slot) = state.links.get_mut(id) {
            *slot = link.clone();
        }
        // Appended before another can ask, for requests are not to be mixed.
        self.core.out.push(|out| out.extend_from_slice(&frames));
        Ok(link)
    }

    /// Lets go of a link.
    pub(super) fn unlink(&self, link: &Link) {
        let mut state = self.lock();
        state.links.remove(link.id);
        self.core.out.push_empty(Kind::Unlink, link.id);
        drop(state);
        self.core.out.flush_soon();
    }

    /// Begins a session. The server learns of it with its first call.
    pub(super) fn session(&self, link: &Arc<Link>) -> Result<Arc<Place>, CallError> {
        let place = |id| {
            Arc::new(Place {
                id,
                link: link.clone(),
                held: AtomicU64::new(0),
                ended: AtomicBool::new(false),
            })
        };
        let mut state = self.lock();
        let id = state.sessions.insert(place(0)).map_err(|_| {
            CallError::Exhausted(format!(
                "{} takes no more sessions on a connection",
                self.endpoint
            ))
        })?;
        let place = place(id);
        if let Some(slot) = state.sessions.get_mut(id) {
            *slot = place.clone();
        }
        Ok(place)
    }

    /// Ends a session. Its streams end with it, and what it holds is dropped.
    pub(super) fn end_session(&self, place: &Place) {
        if place.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.core.streams.end_session(place.id, &self.core.out);
        let mut state = self.lock();
        // Appended before the number can be used again.
        self.core.out.push_empty(Kind::SessionEnd, place.id);
        state.sessions.remove(place.id);
        drop(state);
        self.core.out.flush_soon();
    }

    /// Drops handles of a session.
    pub(super) fn drop_handles(&self, place: &Place, ids: &[u32]) {
        place.went(ids.len());
        if ids.is_empty() || place.ended.load(Ordering::Acquire) {
            return;
        }
        for ids in ids.chunks(MAX_REFS) {
            self.core.out.push(|out| {
                frame::write(out, Kind::Drop, 0, place.id, |body| {
                    put_unsigned(body, ids.len() as u64);
                    ids.iter().for_each(|id| put_unsigned(body, u64::from(*id)));
                });
            });
        }
        self.core.out.flush_soon();
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

    /// How many links, sessions, calls and streams there are.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> [usize; 4] {
        let state = self.lock();
        [
            state.links.len(),
            state.sessions.len(),
            state.calls.len(),
            self.core.streams.open(),
        ]
    }
}

impl Call {
    /// Whether more of its answer may come.
    fn is_open(&self) -> bool {
        self.partial.is_some() || !matches!(self.stage, Stage::Answered(_))
    }
}

impl Handles for Connection {
    fn came(&self, session: u32, handles: &[HandleRef]) -> Result<(), CallError> {
        if let Some(place) = self.lock().sessions.get(session) {
            place.came(handles);
        }
        Ok(())
    }

    fn go(&self, session: u32, handles: &[HandleRef]) -> Result<(), CallError> {
        if let Some(place) = self.lock().sessions.get(session) {
            place.went(handles.len());
        }
        Ok(())
    }

    fn discard(&self, session: u32, handles: &[HandleRef]) {
        let place = self.lock().sessions.get(session).cloned();
        if let Some(place) = place {
            let ids: Vec<u32> = handles.iter().filter(|h| h.own).map(|h| h.id).collect();
            self.drop_handles(&place, &ids);
        }
    }
}
