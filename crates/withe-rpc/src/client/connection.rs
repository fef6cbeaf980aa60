//! One connection, on the side that calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::call::{SentCall, Stage};
use super::placed::{PlacedLink, PlacedSession};
use crate::core::{Core, describe};
use crate::frame::{Failure, Frame, Header, Part, Parting, Violation, flag};
use crate::inbox::Inbox;
use crate::streams::Handles;
use crate::table::Slab;
use crate::{CallError, HandleRef};

/// A connection.
pub(crate) struct Connection {
    pub(super) core: Core,
    /// The name of the server's endpoint.
    pub(super) endpoint: String,
    state: Mutex<ConnectionState>,
    /// Whether calls can be made; not if it has ended, or the server takes no new ones.
    takes_calls: AtomicBool,
    /// Why it has ended.
    pub(super) ended: OnceLock<CallError>,
    /// Raised to end it.
    closing: Notify,
}

pub(super) struct ConnectionState {
    pub(super) links: Slab<Arc<PlacedLink>>,
    pub(super) sessions: Slab<Arc<PlacedSession>>,
    pub(super) calls: Slab<SentCall>,
}

/// Ends a connection that is dropped while it runs.
struct EndOnDrop(Arc<Connection>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end("it was closed here", false);
    }
}

impl Connection {
    pub(super) fn new(core: Core, endpoint: String) -> Arc<Self> {
        let (accepts, limits) = (&core.accepts, &core.limits);
        Arc::new(Self {
            state: Mutex::new(ConnectionState {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new calls can be made.
    pub(super) fn takes_calls(&self) -> bool {
        self.takes_calls.load(Ordering::Acquire)
    }

    /// Whether nothing is under way any more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Why no calls can be made.
    pub(super) fn why_not(&self) -> String {
        match self.ended.get() {
            Some(CallError::Unreachable(why)) => why.clone(),
            Some(other) => other.to_string(),
            None => format!("{} takes no new calls", self.endpoint),
        }
    }

    /// Keeps the connection to its end.
    pub(super) async fn run(self: Arc<Self>, inbox: Inbox) {
        let guard = EndOnDrop(self.clone());
        let mut driver = JoinSet::new();
        driver.spawn({
            let this = self.clone();
            async move { this.core.drive(&*this).await }
        });
        let (why, parting) = tokio::select! {
            why = self.read(inbox) => match why {
                Ok(why) => (why, None),
                Err(violation) => (violation.text, Some(violation.parting)),
            },
            why = driver.join_next() => (match why {
                Some(Ok(why)) => why,
                _ => "its driver has ended".into(),
            }, None),
            () = self.closing.notified() => ("it was closed here".into(), Some(Parting::Done)),
        };
        // From here on nobody else writes.
        driver.shutdown().await;
        if let Some(parting) = parting {
            let text = if parting == Parting::Done { "" } else { &why };
            self.core.part(parting, text).await;
        }
        tracing::debug!("the connection to {} ends: {why}", self.endpoint);
        self.end(&why, false);
        drop(guard);
    }

    /// Has the connection ended, once what was sent is written.
    pub(super) fn close(&self) {
        self.takes_calls.store(false, Ordering::Release);
        self.closing.notify_one();
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

    /// Ends all there is. If the server has answered all that it has read, calls without an answer were
    /// not begun.
    fn end(&self, why: &str, all_answered: bool) {
        self.takes_calls.store(false, Ordering::Release);
        // The first reason is the one that counts.
        let lost = self
            .ended
            .get_or_init(|| self.core.lost(&self.endpoint, why))
            .clone();
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
                    let why = if all_answered && partial.is_none() {
                        Failure::Draining
                    } else {
                        Failure::Error(lost.clone())
                    };
                    let failed = Stage::Answered(Err(why));
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
                self.on_fail(id, why)?;
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
            Frame::Goodbye(parting, text) => {
                let why = format!("the server ended it: {text}");
                self.end(&why, parting == Parting::Done);
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
