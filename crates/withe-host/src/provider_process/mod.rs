//! Providers that run as processes of their own, as the host has them.
//!
//! [`ProcessProvider`] is a [`Provider`] like any other. Behind it is a supervisor, which keeps a process
//! running and makes all links in each new one before it is called; [`withe_provider::process`] says
//! what the two say to each other.
//!
//! * `program`: one process, from its start to its end; `log`: what it writes to standard error.
//! * `running`: what can be asked of a process while it runs.
//! * `supervisor`: when one is started, given up and started again.
//! * `handlers`: the components that it calls.

mod handlers;
mod log;
mod program;
mod running;
mod supervisor;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};
use withe_provider::process::{LinkPeer, LinkPut, Request};
use withe_provider::{
    Body, Call, CallError, ConfigMap, Endpoint, Health, HttpError, HttpErrorKind, Link, LinkId,
    OutgoingHandler, Payload, Peer, Provider, ProviderError, RequestOptions, http_wire,
};
use withe_rpc::CallContext;

use program::STOP;
use running::Running;
use supervisor::{Condition, Supervised};

/// The longest that starting, or making a link, may take.
const MAKE: Duration = Duration::from_secs(30);
/// The longest that an HTTP request may take until its response begins. The provider has shorter limits of
/// its own, or is told shorter ones by the component.
const HTTP: Duration = Duration::from_secs(3_600);
/// How long a call that failed may wait to learn what became of the process.
const NEWS: Duration = Duration::from_secs(1);

/// How a provider's process is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramCommand {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
}

/// A provider that runs as a process of its own.
pub(crate) struct ProcessProvider {
    supervised: Arc<Supervised>,
    supervisor: Mutex<Option<Supervisor>>,
}

struct Supervisor {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ProcessProvider {
    /// The provider called `name` in its application. Nothing runs yet.
    pub(crate) fn new(
        name: &str,
        command: ProgramCommand,
        config: ConfigMap,
        grace: Duration,
    ) -> Self {
        Self {
            supervised: Arc::new(Supervised::new(name, command, config, grace)),
            supervisor: Mutex::default(),
        }
    }

    fn supervisor(&self) -> MutexGuard<'_, Option<Supervisor>> {
        // Nothing panics while the lock is held.
        self.supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &str {
        &self.supervised.name
    }

    /// The process, as soon as it runs with all its links.
    async fn running(&self, deadline: Instant) -> Result<Arc<Running>, CallError> {
        let mut condition = self.supervised.condition();
        let is_over = |c: &Condition| matches!(c, Condition::Running(_) | Condition::Stopped);
        // The sender lives as long as this, so all that can come of it is in the condition.
        _ = timeout_at(deadline.into(), condition.wait_for(is_over)).await;
        Err(match &*condition.borrow() {
            Condition::Running(running) => return Ok(running.clone()),
            Condition::Down(why) => self.unreachable(&format!(
                "{why}, and is being restarted, which took longer than the call could wait"
            )),
            Condition::Starting => self.unreachable("did not start in time"),
            Condition::Stopped => self.unreachable("was stopped"),
        })
    }

    fn unreachable(&self, what: &str) -> CallError {
        CallError::Unreachable(format!("provider `{}` {what}", self.name()))
    }

    /// What to say of a call that failed because the process, or the way to it, was lost.
    async fn lost(&self, running: &Arc<Running>, why: String, deadline: Instant) -> CallError {
        let mut condition = self.supervised.condition();
        let is_news = |c: &Condition| match c {
            Condition::Running(now) => !Arc::ptr_eq(now, running),
            _ => true,
        };
        let deadline = deadline.min(Instant::now() + NEWS);
        _ = timeout_at(deadline.into(), condition.wait_for(is_news)).await;
        match self.supervised.last_end() {
            Some((number, end)) if number >= running.number => self.unreachable(&format!(
                "{end} while the call was under way, and is being restarted: {why}"
            )),
            _ => self.unreachable(&format!("was lost: {why}")),
        }
    }

    /// Asks the process, as soon as it runs.
    async fn ask(&self, request: &Request, limit: Duration) -> Result<(), ProviderError> {
        let deadline = Instant::now() + limit;
        let running = self.running(deadline).await;
        let running = running.map_err(|e| ProviderError(reason(e)))?;
        let state = running.ask(request, deadline).await?;
        self.supervised.set_state(state);
        Ok(())
    }
}

/// An error of the way to the provider, for a person.
fn reason(error: CallError) -> String {
    match error {
        CallError::Unreachable(why) => why,
        other => other.to_string(),
    }
}

#[async_trait::async_trait]
impl Provider for ProcessProvider {
    async fn start(&self) -> Result<(), ProviderError> {
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(self.supervised.clone().supervise(ready, stopped));
        *self.supervisor() = Some(Supervisor { stop, task });
        match is_ready.await {
            Ok(result) => result,
            Err(_) => Err(ProviderError("it was stopped while it started".into())),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let deadline = Instant::now() + MAKE;
        let (peer, handler) = match link.peer {
            Peer::Importer(functions) => (LinkPeer::Importer(functions.to_vec()), None),
            Peer::Http(handler) => (LinkPeer::Http, Some(handler)),
        };
        let put = LinkPut {
            link: link.id,
            name: link.name,
            application: link.application,
            component: link.component,
            config: link.config,
            peer,
        };
        loop {
            let running = self.running(deadline).await;
            let running = running.map_err(|e| ProviderError(reason(e)))?;
            // Held while the link is made, so that it is made in the next process as well.
            let mut wanted = self.supervised.wanted().await;
            if !self.supervised.is_current(&running) {
                continue;
            }
            return wanted
                .put(&self.supervised, &running, put, handler, deadline)
                .await;
        }
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        self.supervised.wanted().await.remove(id);
        let request = Request::LinkDeleted {
            link: id,
            grace_ms: program::millis(grace),
        };
        // A process that cannot be asked has no links any more, or will be started without this one.
        if let Err(why) = self.ask(&request, grace + STOP).await {
            tracing::debug!(provider = self.name(), "a link was not removed: {why}");
        }
        let running = self.supervised.now();
        running.into_iter().for_each(|running| running.remove(id));
        self.supervised.handlers.remove(id);
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let running = self.running(call.deadline).await?;
        let link = running.link(call.link).ok_or_else(|| self.unlinked())?;
        let context = CallContext {
            deadline: call.deadline,
            trace: call.trace,
        };
        match link.calls.call(call.function, call.params, context).await {
            Err(CallError::Unreachable(why)) => Err(self.lost(&running, why, call.deadline).await),
            result => result,
        }
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        // Those of a process that has ended went with it.
        if let Some(link) = self.supervised.now().and_then(|running| running.link(link)) {
            link.calls.drop_handle(handle);
        }
    }

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        self.supervised.state().outgoing_http.then_some(self)
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.supervised.state().endpoints
    }

    async fn health(&self) -> Health {
        match self.ask(&Request::Health, supervisor::ANSWER).await {
            Ok(()) => Health::Healthy,
            Err(ProviderError(why)) => Health::Unhealthy(why),
        }
    }

    async fn shutdown(&self, grace: Duration) {
        let Some(Supervisor { stop, mut task }) = self.supervisor().take() else {
            return;
        };
        stop.send_replace(true);
        // It kills the process when the grace is over, before this gives up on it.
        if timeout(grace + 2 * STOP, &mut task).await.is_err() {
            tracing::warn!(provider = self.name(), "the provider's process did not end");
            task.abort();
        }
    }
}

impl ProcessProvider {
    fn unlinked(&self) -> CallError {
        CallError::Unlinked(format!(
            "the link to provider `{}` was removed",
            self.name()
        ))
    }
}

#[async_trait::async_trait]
impl OutgoingHandler for ProcessProvider {
    async fn send(
        &self,
        link: LinkId,
        request: http::Request<Body>,
        options: RequestOptions,
    ) -> Result<http::Response<Body>, HttpError> {
        let failed = |error: CallError| HttpError::new(HttpErrorKind::Internal, reason(error));
        let running = self.running(Instant::now() + MAKE).await.map_err(failed)?;
        let link = running.link(link).ok_or_else(|| failed(self.unlinked()))?;
        let deadline = Instant::now() + HTTP;
        match http_wire::call(&link.http, request, options, deadline).await {
            Err(error) if error.kind == HttpErrorKind::ConnectionTerminated && !running.is_up() => {
                let why = reason(self.lost(&running, error.message, deadline).await);
                Err(HttpError::new(error.kind, why))
            }
            result => result,
        }
    }
}

impl Drop for ProcessProvider {
    /// Without [`Provider::shutdown`], nothing is waited for: the process ends as its input does.
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor().take() {
            supervisor.task.abort();
        }
    }
}
