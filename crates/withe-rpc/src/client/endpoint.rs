//! The client of one endpoint: keeps a connection to it and reconnects when the connection is lost.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::attempts::Attempts;
use super::connection::Connection;
use crate::clock;
use crate::core::{BeginError, Core};
use crate::streams::Side;
use crate::transport::Connect;
use crate::{CallError, Limits};

/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(2);

/// Calls what one endpoint serves.
///
/// The client connects on the first call, and again when the connection is lost. Its connections run in tasks
/// that the client owns: they end with [`Client::close`], or when the client is dropped with all its links
/// and sessions.
pub struct Client {
    connect: Arc<dyn Connect>,
    /// The endpoint's name.
    name: String,
    limits: Limits,
    state: Mutex<ClientState>,
    /// Calls in flight of all routes that lead there.
    pub(super) load: AtomicUsize,
}

/// Why an attempt to connect has failed.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Connect(io::Error),
    #[error("it takes too long")]
    Slow,
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("the client was closed")]
    Closed,
}

#[derive(Default)]
struct ClientState {
    /// With when it was made.
    current: Option<(Arc<Connection>, Instant)>,
    tasks: JoinSet<()>,
    closed: bool,
    /// There while a task connects, which ends when it has or when nobody waits for it.
    connecting: Option<Arc<Connecting>>,
    attempts: Attempts,
    /// Why there is no connection, if there was one or an attempt to make one.
    failed: Option<String>,
}

impl ClientState {
    /// Lets go of a connection that takes no new calls. The connection goes on for the calls already on it.
    fn settle(&mut self) {
        if let Some((connection, made)) = self.current.take_if(|(c, _)| !c.takes_calls()) {
            self.attempts.lost(clock::since(made));
            self.failed = Some(connection.why_not());
        }
    }
}

/// An attempt to connect, which callers without a connection wait for. They are woken in the order in which
/// they came, so that the first calls of an instance reach the callee in their order.
#[derive(Default)]
struct Connecting {
    attempted: Notify,
    is_over: AtomicBool,
}

impl Connecting {
    /// Waits for the end of an attempt.
    async fn wait(&self) {
        // Woken from here on, also before it is polled.
        let attempted = self.attempted.notified();
        if !self.is_over.load(Ordering::Acquire) {
            attempted.await;
        }
    }
}

/// Ends the waiting when it is dropped, however that comes.
struct Connector(Arc<Connecting>);

impl Drop for Connector {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.attempted.notify_waiters();
    }
}

impl Client {
    /// A client of the endpoint that `connect` connects to. Nothing is sent before the first call.
    pub fn new(connect: Arc<dyn Connect>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            name: connect.to_string(),
            connect,
            limits,
            state: Mutex::default(),
            load: AtomicUsize::new(0),
        })
    }

    /// Connects, if there is no connection.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] if there is none until `deadline`.
    pub async fn reach(self: &Arc<Self>, deadline: Instant) -> Result<(), CallError> {
        self.connection(deadline).await.map(drop)
    }

    /// Ends the connection, and with it the sessions and the calls in flight. Calls from now on fail.
    pub async fn close(&self) {
        let (current, mut tasks) = {
            let mut state = self.lock();
            state.closed = true;
            (state.current.take(), std::mem::take(&mut state.tasks))
        };
        if let Some((connection, _)) = current {
            connection.close();
        }
        // Connections say good-bye, if the other side takes it in time.
        let ended = async { while tasks.join_next().await.is_some() {} };
        _ = timeout(CLOSING, ended).await;
        tasks.shutdown().await;
    }

    fn lock(&self) -> MutexGuard<'_, ClientState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that there is, if calls can be made on it.
    fn current(&self) -> Result<Option<Arc<Connection>>, CallError> {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return Err(CallError::Unreachable(self.why_not()));
        }
        state.settle();
        Ok(state.current.as_ref().map(|(c, _)| c.clone()))
    }

    /// A connection that calls can be made on, made if need be.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] if there is none until `deadline`.
    pub(crate) async fn connection(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        if let Some(connection) = self.current()? {
            return Ok(connection);
        }
        let made = async {
            loop {
                self.connecting().wait().await;
                if let Some(connection) = self.current()? {
                    return Ok(connection);
                }
            }
        };
        match timeout_at(deadline.into(), made).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Unreachable(self.why_not())),
        }
    }

    /// As [`Client::connection`], for who can go elsewhere: waits for one attempt, and for no longer than
    /// `until`.
    pub(crate) async fn try_connection(
        self: &Arc<Self>,
        until: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        if let Some(connection) = self.current()? {
            return Ok(connection);
        }
        let attempt = timeout_at(until.into(), self.connecting().wait()).await;
        match self.current()? {
            Some(connection) => Ok(connection),
            None => {
                if attempt.is_err() {
                    self.lock().attempts.avoid();
                }
                Err(CallError::Unreachable(self.why_not()))
            }
        }
    }

    /// Waits for the end of the attempt to connect that is under way, or is made now.
    pub(super) async fn attempted(self: Arc<Self>) {
        self.connecting().wait().await;
    }

    /// Why there is no connection.
    pub(super) fn why_not(&self) -> String {
        let state = self.lock();
        match &state.failed {
            _ if state.closed => format!("the client of {} was closed", self.name),
            Some(why) => why.clone(),
            None => format!("cannot connect to {} in time", self.name),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether it is likely that calls get through. If not, sees to it that it is tried when it is time
    /// to, by a task and not by a call.
    pub fn is_ready(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        state.settle();
        if state.closed {
            return false;
        }
        let away_until = state.attempts.away_until();
        match away_until.filter(|_| state.current.is_none()) {
            None => true,
            Some(until) => {
                drop(state);
                if until <= clock::now() {
                    self.connecting();
                }
                false
            }
        }
    }

    /// Over when a connection was made. A task connects, not one of the waiting callers: a component that
    /// waits for one call cannot go on with another, which may be the one that connects.
    fn connecting(self: &Arc<Self>) -> Arc<Connecting> {
        let mut state = self.lock();
        let under_way = state.connecting.as_ref();
        if let Some(connecting) = under_way.filter(|c| !c.is_over.load(Ordering::Acquire)) {
            return connecting.clone();
        }
        let connecting = Arc::new(Connecting::default());
        state.connecting = Some(connecting.clone());
        let connector = Connector(connecting.clone());
        state.tasks.spawn(connect(Arc::downgrade(self), connector));
        connecting
    }

    async fn attempt(self: &Arc<Self>) -> Result<(), AttemptError> {
        let connecting = timeout(self.limits.connect, self.connect.connect());
        let duplex = match connecting.await {
            Ok(Ok(duplex)) => duplex,
            Ok(Err(e)) => return Err(AttemptError::Connect(e)),
            Err(_) => return Err(AttemptError::Slow),
        };
        let (core, inbox) = Core::begin(duplex, Side::Client, &self.limits, None).await?;
        let connection = Connection::new(core, self.name.clone());
        let mut state = self.lock();
        if state.closed {
            return Err(AttemptError::Closed);
        }
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn({
            let (connection, client) = (connection.clone(), Arc::downgrade(self));
            async move {
                connection.run(inbox).await;
                // From here on others are preferred to this endpoint, if there are any.
                if let Some(client) = client.upgrade() {
                    client.lock().settle();
                }
            }
        });
        state.current = Some((connection, clock::now()));
        Ok(())
    }

    /// When the next attempt may be made; none if there is no need of one.
    fn not_before(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.settle();
        let needed = state.current.is_none() && !state.closed;
        needed.then(|| state.attempts.not_before())
    }

    /// Whether the attempt was the last that is needed.
    fn is_over(&self, attempt: Result<(), AttemptError>) -> bool {
        let mut state = self.lock();
        match attempt {
            Ok(()) => {
                state.attempts.succeeded();
                true
            }
            Err(why) => {
                let why = format!("cannot connect to {}: {why}", self.name);
                tracing::debug!("{why}");
                state.attempts.failed();
                state.failed = Some(why);
                state.closed
            }
        }
    }

    /// Calls in flight of all routes.
    #[cfg(test)]
    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Acquire)
    }

    /// How many links, sessions, calls and streams the connection has.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Option<[usize; 4]> {
        self.lock().current.as_ref().map(|(c, _)| c.counts())
    }
}

/// Tries to connect: once, and on until that succeeds or nobody waits for it any more.
async fn connect(client: Weak<Client>, waited_for: Connector) {
    loop {
        let Some(Some(not_before)) = client.upgrade().map(|client| client.not_before()) else {
            return;
        };
        sleep_until(not_before.into()).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        let attempt = client.attempt().await;
        // One is the connector's, one the client's, to give to those who come.
        if client.is_over(attempt) || Arc::strong_count(&waited_for.0) <= 2 {
            return;
        }
        waited_for.0.attempted.notify_waiters();
    }
}
