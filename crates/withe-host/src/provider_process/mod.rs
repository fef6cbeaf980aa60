//! Providers that run as processes of their own, as the host has them.
//!
//! [`ProcessProvider`] is a [`Provider`] like any other. Behind it a supervisor keeps a process running, and makes all
//! links in each new one before it is called; [`withe_provider::process`] says what the two say to each other.
//!
//! * `supervised`: what each process is told, and the links that each is to have.
//! * `running`: what can be asked of a process while it runs.
//! * `handlers`: the components that it calls.
//! * `blobs`: the objects that it keeps.

mod blobs;
mod handlers;
mod running;
mod supervised;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use withe_files::TemporaryFolder;
use withe_process::{
    ProcessCommand, ProcessLog, ProcessState, STOP, Supervisor, SupervisorOptions,
};
use withe_provider::process::{LinkPeer, LinkPut, Request};
use withe_provider::{
    BackendCount, BlobStore, Body, Call, CallError, ConfigMap, Endpoint, Handover, Health,
    HttpError, HttpErrorKind, Link, LinkId, OutgoingHandler, Payload, Peer, Provider,
    ProviderError, RequestOptions, http_wire,
};
use withe_rpc::unix::UnixListener;
use withe_rpc::{CallContext, Limits};

use handlers::LinkedComponent;
use running::{LiveProcess, MAKE, RunningProcess};
use supervised::{
    ANSWER, HEALTH, Predecessor, ProcessSockets, ProviderCore, ProviderProcess, millis,
};

/// How long a process may take until it listens.
const READY: Duration = Duration::from_secs(20);

/// The longest that an HTTP request may take until its response begins. The provider has shorter limits of
/// its own, or is told shorter ones by the component.
const HTTP: Duration = Duration::from_secs(3_600);
/// How long a call that failed may wait to learn what became of the process.
const NEWS: Duration = Duration::from_secs(1);

/// A provider that runs as a process of its own.
pub(crate) struct ProcessProvider {
    core: Arc<ProviderCore>,
    command: ProcessCommand,
    config: ConfigMap,
    grace: Duration,
    /// The state of the process, once it was started.
    process: OnceLock<watch::Receiver<ProcessState<RunningProcess>>>,
    /// From `start` to `shutdown`.
    started: Mutex<Option<Started>>,
    /// Until `start`.
    predecessor: Mutex<Option<Arc<Predecessor>>>,
}

/// The tasks and files of a started provider. Dropped, it ends at once.
struct Started {
    /// Of the sockets.
    folder: Arc<TemporaryFolder>,
    supervisor: Supervisor<ProviderProcess>,
    /// Serves the components that the provider calls, as long as its processes run.
    serving: AbortOnDropHandle<()>,
    stop_serving: CancellationToken,
}

impl ProcessProvider {
    /// The provider called `name` in its application. Nothing runs yet.
    pub(crate) fn new(
        name: &str,
        command: ProcessCommand,
        config: ConfigMap,
        grace: Duration,
    ) -> Self {
        Self {
            core: Arc::new(ProviderCore::new(name)),
            command: command
                .log(ProcessLog::Errors(name.to_owned()))
                .ready_within(READY),
            config,
            grace,
            process: OnceLock::new(),
            started: Mutex::default(),
            predecessor: Mutex::default(),
        }
    }

    fn started(&self) -> MutexGuard<'_, Option<Started>> {
        // Nothing panics while the lock is held.
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn predecessor(&self) -> MutexGuard<'_, Option<Arc<Predecessor>>> {
        // Nothing panics while the lock is held.
        (self.predecessor.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &str {
        &self.core.name
    }

    /// Serves the components that the provider calls, and starts its process.
    async fn begin(&self) -> std::io::Result<Started> {
        // Short, as a socket's path may have no more than about 100 bytes.
        let folder = Arc::new(TemporaryFolder::new()?);
        let listener = UnixListener::bind(ProcessSockets::new(&folder).host).await?;
        let stop_serving = CancellationToken::new();
        let limits = Limits {
            grace: STOP,
            ..Limits::default()
        };
        let handlers = Arc::new(self.core.handlers.clone());
        let end = stop_serving.clone().cancelled_owned();
        let serving = tokio::spawn(withe_rpc::serve(listener, handlers, limits, end));
        let process = ProviderProcess {
            core: self.core.clone(),
            command: self.command.clone(),
            config: self.config.clone(),
            grace: self.grace,
            folder: folder.clone(),
            predecessor: self.predecessor().take(),
        };
        let options = SupervisorOptions {
            health: Some(HEALTH),
            ..SupervisorOptions::default()
        };
        Ok(Started {
            folder,
            supervisor: Supervisor::spawn(Arc::new(process), options),
            serving: AbortOnDropHandle::new(serving),
            stop_serving,
        })
    }

    /// The process that runs now, if one does.
    fn now(&self) -> Option<LiveProcess> {
        match &*self.process.get()?.borrow() {
            ProcessState::Running(live) => Some(live.clone()),
            _ => None,
        }
    }

    fn is_current(&self, live: &LiveProcess) -> bool {
        self.now().is_some_and(|now| Arc::ptr_eq(&now, live))
    }

    /// The process, as soon as it runs with all its links.
    async fn running(&self, deadline: Instant) -> Result<LiveProcess, CallError> {
        let Some(process) = self.process.get() else {
            return Err(self.unreachable("was not started"));
        };
        running::wait(self.name(), process.clone(), deadline).await
    }

    fn unreachable(&self, what: &str) -> CallError {
        running::unreachable(self.name(), what)
    }

    /// The error of a call that failed because the process, or the way to it, was lost.
    async fn lost(&self, live: &LiveProcess, why: String, deadline: Instant) -> CallError {
        let deadline = deadline.min(Instant::now() + NEWS);
        if let Some(mut process) = self.process.get().cloned() {
            let is_news = |state: &ProcessState<_>| match state {
                ProcessState::Running(now) => !Arc::ptr_eq(now, live),
                _ => true,
            };
            _ = timeout_at(deadline.into(), process.wait_for(is_news)).await;
        }
        match live.end() {
            Some(end) => self.unreachable(&format!(
                "{end} while the call was under way, and is being restarted: {why}"
            )),
            None => self.unreachable(&format!("was lost: {why}")),
        }
    }

    /// Asks the process, as soon as it runs.
    async fn ask(&self, request: &Request, limit: Duration) -> Result<(), ProviderError> {
        let deadline = Instant::now() + limit;
        let live = self.running(deadline).await;
        let live = live.map_err(|e| ProviderError(reason(e)))?;
        let state = live.ready().ask(request, deadline).await?;
        self.core.set_state(state);
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
        let started = self.begin().await;
        let started =
            started.map_err(|e| ProviderError(format!("no folder for its sockets: {e}")))?;
        let mut process = started.supervisor.state();
        _ = self.process.set(process.clone());
        // Kept where it can be stopped while it starts.
        *self.started() = Some(started);
        let ready = withe_process::ready(&mut process).await;
        ready.map_err(|why| ProviderError(why.to_string()))
    }

    fn handover(&self) -> Option<Handover> {
        if !self.core.state().hands_over {
            return None;
        }
        let folder = self.started().as_ref()?.folder.clone();
        Some(Handover::new(Arc::new(Predecessor { folder })))
    }

    fn take_over(&self, handover: Handover) -> bool {
        let predecessor = handover.get();
        let is_known = predecessor.is_some();
        *self.predecessor() = predecessor;
        is_known
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let deadline = Instant::now() + MAKE;
        let (peer, handler) = match link.peer {
            Peer::Importer(functions) => (LinkPeer::Importer(functions.to_vec()), None),
            Peer::Http(handler) => (LinkPeer::Http, Some(LinkedComponent::Http(handler))),
            Peer::Callee(callee) => {
                let functions = callee.functions().to_vec();
                (
                    LinkPeer::Callee(functions),
                    Some(LinkedComponent::Functions(callee)),
                )
            }
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
            let live = self.running(deadline).await;
            let live = live.map_err(|e| ProviderError(reason(e)))?;
            // Held while the link is made, so that it is made in the next process as well.
            let mut wanted = self.core.wanted().await;
            if !self.is_current(&live) {
                continue;
            }
            let putting = wanted.put(&self.core, live.ready(), put, handler, deadline);
            return putting.await;
        }
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        self.core.wanted().await.remove(id);
        let request = Request::LinkDeleted {
            link: id,
            grace_ms: millis(grace),
        };
        // A process that cannot be asked has no links any more, or will be started without this one.
        if let Err(why) = self.ask(&request, grace + STOP).await {
            tracing::debug!(provider = self.name(), "a link was not removed: {why}");
        }
        if let Some(live) = self.now() {
            live.ready().remove(id);
        }
        self.core.handlers.remove(id);
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let live = self.running(call.deadline).await?;
        let link = live.ready().link(call.link);
        let link = link.ok_or_else(|| self.unlinked())?;
        let context = CallContext {
            deadline: call.deadline,
            trace: call.trace,
        };
        match link.calls.call(call.function, call.params, context).await {
            Err(CallError::Unreachable(why)) => Err(self.lost(&live, why, call.deadline).await),
            result => result,
        }
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        // The resources of a process that has ended went with it.
        if let Some(link) = self.now().and_then(|live| live.ready().link(link)) {
            link.calls.drop_handle(handle);
        }
    }

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        self.core.state().outgoing_http.then_some(self)
    }

    fn blob_store(&self, link: LinkId) -> Option<Arc<dyn BlobStore>> {
        let process = self.process.get()?.clone();
        Some(blobs::store(&self.core, process, link))
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.core.state().endpoints
    }

    /// As the process said when it was last asked for its health.
    fn backend_calls(&self) -> Vec<BackendCount> {
        self.core.state().backend_calls
    }

    async fn health(&self) -> Health {
        match self.ask(&Request::Health, ANSWER).await {
            Ok(()) => Health::Healthy,
            Err(ProviderError(why)) => Health::Unhealthy(why),
        }
    }

    async fn shutdown(&self, grace: Duration) {
        let Some(started) = self.started().take() else {
            return;
        };
        started.supervisor.stop(grace).await;
        started.stop_serving.cancel();
        if timeout(2 * STOP, started.serving).await.is_err() {
            tracing::warn!(
                provider = self.name(),
                "its components are still being called"
            );
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
        let live = self.running(Instant::now() + MAKE).await.map_err(failed)?;
        let link = live.ready().link(link);
        let link = link.ok_or_else(|| failed(self.unlinked()))?;
        let deadline = Instant::now() + HTTP;
        match http_wire::call(&link.http, request, options, deadline).await {
            Err(error)
                if error.kind == HttpErrorKind::ConnectionTerminated && live.end().is_some() =>
            {
                let why = reason(self.lost(&live, error.message, deadline).await);
                Err(HttpError::new(error.kind, why))
            }
            result => result,
        }
    }
}
