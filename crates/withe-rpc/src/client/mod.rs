//! The side that calls: keeps one connection, and makes it again when it is lost.

mod calls;
mod connection;
mod places;
mod session;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

pub(crate) use connection::Connection;
pub use session::{RemoteLink, Session};

use crate::core::Core;
use crate::streams::Side;
use crate::transport::Connect;
use crate::{CallError, Limits, LinkRequest};

/// The first pause after a failed attempt to connect. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(2);

/// Calls what one endpoint serves.
///
/// It connects when the first call is made, and again when the connection is lost. It owns the tasks that its
/// connections take: they end with [`Client::close`], or when it is dropped with all links and sessions.
pub struct Client {
    connect: Arc<dyn Connect>,
    /// The endpoint's name.
    name: String,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Connection>>,
    tasks: JoinSet<()>,
    closed: bool,
    /// There while a task connects, which ends when it has or when nobody waits for it.
    connecting: Option<Arc<Connecting>>,
    attempts: Attempts,
    /// Why the last attempt to connect failed.
    failed: Option<String>,
}

/// What those wait for who need a connection. They are woken in the order in which they came, so that
/// the first calls of an instance reach the callee in their order.
#[derive(Default)]
struct Connecting {
    over: Notify,
    is_over: AtomicBool,
}

impl Connecting {
    async fn wait(&self) {
        // Woken from here on, also before it is polled.
        let over = self.over.notified();
        if !self.is_over.load(Ordering::Acquire) {
            over.await;
        }
    }
}

/// Ends the waiting when it is dropped, however that comes.
struct Connector(Arc<Connecting>);

impl Drop for Connector {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.over.notify_waiters();
    }
}

/// The attempts to connect that have failed since one succeeded.
struct Attempts {
    not_before: Instant,
    pause: Duration,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            not_before: Instant::now(),
            pause: FIRST_PAUSE,
        }
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
        })
    }

    /// A link to what is served there. It is asked for with the first call.
    pub fn link(self: &Arc<Self>, request: LinkRequest) -> Arc<RemoteLink> {
        RemoteLink::new(self.clone(), request)
    }

    /// Ends the connection, and with it the sessions and the calls in flight. Calls from now on fail.
    pub async fn close(&self) {
        let (current, mut tasks) = {
            let mut state = self.lock();
            state.closed = true;
            (state.current.take(), std::mem::take(&mut state.tasks))
        };
        if let Some(connection) = current {
            connection.close();
        }
        // Connections say good-bye, if the other side takes it in time.
        let ended = async { while tasks.join_next().await.is_some() {} };
        _ = timeout(CLOSING, ended).await;
        tasks.shutdown().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that there is, if calls can be made on it.
    fn current(&self) -> Result<Option<Arc<Connection>>, CallError> {
        let mut state = self.lock();
        if state.closed {
            return Err(CallError::Unreachable(format!(
                "the client of {} was closed",
                self.name
            )));
        }
        // One that takes no new calls goes on without us, for those that it has.
        if state.current.as_ref().is_some_and(|c| !c.takes_calls()) {
            state.current = None;
        }
        Ok(state.current.clone())
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
            Err(_) => Err(CallError::Unreachable(match self.lock().failed.clone() {
                Some(why) => format!("cannot connect to {}: {why}", self.name),
                None => format!("cannot connect to {} before the deadline", self.name),
            })),
        }
    }

    /// Over when a connection was made. That is done in a task, and not by one of those who wait: a
    /// component that waits for one call cannot go on with another, which may be the one that connects.
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

    async fn attempt(&self) -> Result<Arc<Connection>, String> {
        let connecting = timeout(self.limits.connect, self.connect.connect());
        let duplex = match connecting.await {
            Ok(Ok(duplex)) => duplex,
            Ok(Err(e)) => return Err(e.to_string()),
            Err(_) => return Err("it takes too long".into()),
        };
        let (core, inbox) = Core::begin(duplex, Side::Client, &self.limits).await?;
        let connection = Connection::new(core, self.name.clone());
        let mut state = self.lock();
        if state.closed {
            return Err("the client was closed".into());
        }
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn(connection.clone().run(inbox));
        state.current = Some(connection.clone());
        state.failed = None;
        Ok(connection)
    }

    /// When the next attempt may be made.
    fn not_before(&self) -> Instant {
        self.lock().attempts.not_before
    }

    /// Whether the attempt was the last that is needed.
    fn is_over(&self, attempt: Result<Arc<Connection>, String>) -> bool {
        let mut state = self.lock();
        match attempt {
            Ok(_) => {
                state.attempts = Attempts::default();
                true
            }
            Err(why) => {
                tracing::debug!("cannot connect to {}: {why}", self.name);
                let pause = state.attempts.pause;
                state.attempts = Attempts {
                    not_before: Instant::now() + pause,
                    pause: LAST_PAUSE.min(2 * pause),
                };
                state.failed = Some(why);
                state.closed
            }
        }
    }

    /// How many links, sessions, calls and streams the connection has.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Option<[usize; 4]> {
        self.lock().current.as_ref().map(|c| c.counts())
    }
}

/// Tries to connect until that succeeds, or nobody waits for it any more.
async fn connect(client: Weak<Client>, waited_for: Connector) {
    // One is the connector's, one the client's, to give to those who come.
    while Arc::strong_count(&waited_for.0) > 2 {
        let Some(not_before) = client.upgrade().map(|client| client.not_before()) else {
            return;
        };
        sleep_until(not_before.into()).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        let attempt = client.attempt().await;
        if client.is_over(attempt) {
            return;
        }
    }
}
