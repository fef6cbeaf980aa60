//! A provider's processes, as they are kept running: what each is told, and which links it is to have.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use tokio::time::sleep;
use withe_files::TemporaryFolder;
use withe_process::{HealthChecks, Process, ProcessCommand, ProcessError, Supervised, Unhealthy};
use withe_provider::process::{Assignment, LinkPut, PROTOCOL, ProviderState, Request};
use withe_provider::{ConfigMap, LinkId, ProviderError};

use super::handlers::{Handlers, LinkedComponent};
use super::running::{MAKE, NotDone, RunningProcess};

/// When a process is asked for its health, and given up.
pub(super) const HEALTH: HealthChecks = HealthChecks {
    every: Duration::from_secs(5),
    answer: ANSWER,
    failures: 3,
    silences: 1,
};
/// How long a process may take to say how it is.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// The wait before a request is repeated whose answer was lost.
const AGAIN: Duration = Duration::from_millis(100);
/// How many resources a process may number before it reaches the numbers of the next: so many that the
/// numbers of 64 processes do not meet.
const NUMBERS: u32 = 1 << 26;

/// The state that outlives a provider's processes.
pub(super) struct ProviderCore {
    pub(super) name: String,
    pub(super) handlers: Handlers,
    /// Held while links are made.
    wanted: tokio::sync::Mutex<Wanted>,
    /// The state that the process last reported.
    state: Mutex<ProviderState>,
}

/// The links that each process is to have.
#[derive(Default)]
pub(super) struct Wanted(BTreeMap<LinkId, LinkPut>);

impl Wanted {
    /// Makes a link in the process that runs, and in those that come after it.
    ///
    /// # Errors
    ///
    /// If the provider refuses it; then it is as it was.
    pub(super) async fn put(
        &mut self,
        core: &ProviderCore,
        running: &RunningProcess,
        put: LinkPut,
        handler: Option<LinkedComponent>,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let handlers = &core.handlers;
        let is_new = !handlers.contains(put.link);
        // The provider may call as soon as it has a link; before that, a component that is replaced is called.
        if let Some(handler) = handler.clone().filter(|_| is_new) {
            handlers.set(put.link, handler);
        }
        match running.put(&put, deadline).await {
            Ok(state) => {
                core.set_state(state);
                if let Some(handler) = handler.filter(|_| !is_new) {
                    drop(handlers.set(put.link, handler));
                }
                self.0.insert(put.link, put);
                Ok(())
            }
            Err(why) => {
                if is_new {
                    handlers.remove(put.link);
                }
                Err(why.into())
            }
        }
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        self.0.remove(&link);
    }
}

impl ProviderCore {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            handlers: Handlers::default(),
            wanted: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    pub(super) async fn wanted(&self) -> tokio::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().await
    }

    pub(super) fn state(&self) -> ProviderState {
        self.lock_state().clone()
    }

    pub(super) fn set_state(&self, state: ProviderState) {
        *self.lock_state() = state;
    }

    fn lock_state(&self) -> MutexGuard<'_, ProviderState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the provider in a process, and makes all links in it.
    async fn make_links(&self, running: &RunningProcess) -> Result<(), ProviderError> {
        let deadline = Instant::now() + MAKE;
        let mut state = running.ask(&Request::Start, deadline).await?;
        // A link that is put from now on waits until the process is called, and is put there.
        let wanted = self.wanted.lock().await;
        for put in wanted.0.values() {
            let made = running.put(put, deadline).await;
            state = made.map_err(|why| {
                let ProviderError(why) = why.into();
                ProviderError(format!(
                    "could not make its link with `{}` again: {why}",
                    put.component
                ))
            })?;
        }
        self.set_state(state);
        Ok(())
    }
}

/// The process that the supervisor keeps running.
pub(super) struct ProviderProcess {
    pub(super) core: Arc<ProviderCore>,
    pub(super) command: ProcessCommand,
    pub(super) config: ConfigMap,
    pub(super) grace: Duration,
    /// The folder of its sockets, which only its user can enter. Removed when the last process has ended.
    pub(super) folder: Arc<TemporaryFolder>,
    /// The provider whose place the first process takes.
    pub(super) predecessor: Option<Arc<Predecessor>>,
}

/// A provider whose place another takes, and where it hands over what it listens on.
pub(super) struct Predecessor {
    /// Not removed before the successor has looked.
    pub(super) folder: Arc<TemporaryFolder>,
}

impl Supervised for ProviderProcess {
    type Ready = RunningProcess;

    fn subject(&self) -> String {
        format!("provider `{}`", self.core.name)
    }

    fn command(&self) -> ProcessCommand {
        self.command.clone().own_folder(self.folder.path())
    }

    async fn bring_up(
        &self,
        run: u32,
        process: &mut Process,
    ) -> Result<RunningProcess, ProcessError> {
        let ProcessSockets {
            socket,
            host,
            handover,
        } = ProcessSockets::new(&self.folder);
        // A process that was started again has a predecessor that died, and left nothing.
        let predecessor = (self.predecessor.as_ref()).filter(|_| run == 0);
        let predecessor = predecessor.map(|p| ProcessSockets::new(&p.folder).handover);
        let assignment = Assignment {
            protocol: PROTOCOL,
            name: self.core.name.clone(),
            socket: socket.clone(),
            host,
            handover,
            predecessor,
            config: self.config.clone(),
            grace_ms: millis(self.grace),
            first_resource: run.wrapping_mul(NUMBERS),
        };
        let line = serde_json::to_vec(&assignment);
        let mut line = line.map_err(|e| ProcessError::Input(e.into()))?;
        line.push(b'\n');
        process.write(&line).await?;
        process.said_ready(|_: IgnoredAny| {}).await?;
        let running = RunningProcess::new(&self.core.name, &socket);
        let made = process.unless_ended(self.core.make_links(&running));
        match made.await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.close().await;
                Err(error)
            }
        }
    }

    async fn health(&self, running: &RunningProcess) -> Result<(), Unhealthy> {
        loop {
            match running.ask(&Request::Health, Instant::now() + ANSWER).await {
                Ok(state) => {
                    self.core.set_state(state);
                    return Ok(());
                }
                Err(NotDone::Refused(why)) => return Err(Unhealthy(why)),
                // The connection was lost, and is made again.
                Err(NotDone::NoAnswer(_)) => sleep(AGAIN).await,
            }
        }
    }

    async fn ended(&self, running: &RunningProcess) {
        // Calls that wait for the process fail.
        running.close().await;
    }
}

/// Milliseconds, as an assignment has them.
pub(super) fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// The sockets of a process, of the host, and for a successor.
pub(super) struct ProcessSockets {
    pub(super) socket: PathBuf,
    pub(super) host: PathBuf,
    pub(super) handover: PathBuf,
}

impl ProcessSockets {
    pub(super) fn new(folder: &TemporaryFolder) -> Self {
        let folder = folder.path();
        Self {
            socket: folder.join("provider.sock"),
            host: folder.join("host.sock"),
            handover: folder.join("handover.sock"),
        }
    }
}
