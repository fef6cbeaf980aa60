//! One connection, on the side that is called.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::served::{Serve, panicked};
use super::session::{NotGiven, Session};
use super::state::{LinkEntry, ServerState};
use crate::core::{Core, describe};
use crate::frame::{self, Failure, Frame, Header, Kind, Part, Parting, Violation, flag};
use crate::guard;
use crate::inbox::Inbox;
use crate::link::MAX_REQUEST;
use crate::streams::Handles;
use crate::transport::BoxFuture;
use crate::{CallError, HandleRef, LinkRequest};

/// How often a connection that is to end looks whether everything has.
const LOOK: Duration = Duration::from_millis(10);

/// How long answers wait for others that may share their write, while calls that came together are begun.
const BATCH: Duration = Duration::from_micros(500);

/// A connection.
pub(crate) struct Connection {
    pub(super) core: Core,
    serve: Arc<dyn Serve>,
    state: Mutex<ServerState>,
    /// The calls, and releases of resources, that did not end at once.
    tasks: Mutex<JoinSet<()>>,
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
        Arc::new(Self {
            state: Mutex::new(ServerState::new(&core.limits)),
            core,
            serve,
            tasks: Mutex::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ServerState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(self: Arc<Self>, inbox: Inbox, stop: CancellationToken) {
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
        // From here on nobody else but calls that end writes.
        driver.shutdown().await;
        let why = match ended {
            Ok(parting) => {
                self.core.part(parting, "the server is stopping").await;
                "it was closed".into()
            }
            Err(Ended::Lost(why)) => why,
            Err(Ended::Violation(violation)) => {
                tracing::warn!("a connection ends: {violation}");
                self.core.part(violation.parting, &violation.text).await;
                violation.text
            }
        };
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

    /// Reads and passes on, until there is nothing more to read. Returns how a connection ends that was to.
    async fn read(
        self: &Arc<Self>,
        mut inbox: Inbox,
        stop: CancellationToken,
    ) -> Result<Parting, Ended> {
        let mut draining: Option<Instant> = None;
        loop {
            if let Some((header, bytes)) = inbox.arrived() {
                self.restore(header.id, bytes);
                self.on_payload(header.id, header.has(flag::MORE), Part::default())?;
            }
            let mut flushed = Instant::now();
            while let Some((header, body)) = inbox.next()? {
                if let Some(ended) = self.on_frame(&header, body)? {
                    return Err(Ended::Lost(ended));
                }
                if flushed.elapsed() > BATCH {
                    self.core.out.flush();
                    flushed = Instant::now();
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
                // A peer that does not take answers does not get to ask for more of them.
                self.core.out.room().await;
            }
            if let Some(until) = draining {
                if self.is_quiet() {
                    return Ok(Parting::Done);
                }
                if Instant::now() >= until {
                    return Ok(Parting::CutOff);
                }
            }
            tokio::select! {
                filled = inbox.fill() => match filled {
                    Ok(true) => self.core.heard(),
                    Ok(false) => return Err(Ended::Lost("the caller has gone".into())),
                    Err(e) => return Err(Ended::Lost(describe(&e))),
                },
                () = stop.cancelled(), if draining.is_none() => {
                    draining = Some(Instant::now() + self.core.limits.grace);
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
            Frame::Drop(ids) => self.on_drop(id, ids)?,
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
        // The link's number was checked above; one beyond the limit was refused.
        _ = self
            .lock()
            .links
            .insert(id, LinkEntry { served, functions });
        Ok(())
    }

    pub(super) fn fail(&self, id: u32, why: &Failure) {
        self.core
            .out
            .push(|out| frame::write(out, Kind::Fail, 0, id, |body| why.put(body)));
    }

    /// Drops what a call would have moved that is not begun.
    pub(super) fn drop_moved(&self, session: u32, handles: &[HandleRef]) {
        let ids: Vec<u32> = handles.iter().filter(|h| h.own).map(|h| h.id).collect();
        if !ids.is_empty()
            && let Some(session) = self.session(session)
        {
            let now = session.drop_handles(&ids);
            self.begin_release((session, now));
        }
    }

    /// Drops resources of a session. A task finishes the drops that do not end at once.
    pub(super) fn begin_release(&self, (session, ids): (Arc<Session>, Vec<u32>)) {
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

    pub(super) fn session(&self, id: u32) -> Option<Arc<Session>> {
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
