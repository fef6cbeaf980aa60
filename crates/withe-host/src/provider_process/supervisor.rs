//! Keeps a provider's process running.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use withe_provider::process::{Assignment, LinkPut, PROTOCOL, Request, State};
use withe_provider::{ConfigMap, IncomingHandler, LinkId, ProviderError};
use withe_rpc::Limits;
use withe_rpc::unix::UnixListener;

use super::handlers::Handlers;
use super::program::{self, Program, STOP};
use super::running::{NotDone, Running};
use super::{MAKE, ProgramCommand};
use crate::back_off::BackOff;

/// How often a process is asked for its health.
const HEALTH: Duration = Duration::from_secs(5);
/// How long it may take to answer; one that takes longer is given up.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long to wait before it is asked again where the answer was lost.
const AGAIN: Duration = Duration::from_millis(100);
/// How often in a row it may say that it cannot do its work before it is given up.
const MOST_FAILURES: u32 = 3;
/// How many resources a process may number before it reaches the numbers of the next: so many that the
/// numbers of 64 processes do not meet.
const NUMBERS: u32 = 1 << 26;

/// A provider whose process is kept running.
pub(super) struct Supervised {
    pub(super) name: String,
    command: ProgramCommand,
    config: ConfigMap,
    grace: Duration,
    pub(super) handlers: Handlers,
    /// What there is to call.
    condition: watch::Sender<Condition>,
    /// Held while links are made.
    wanted: tokio::sync::Mutex<Wanted>,
    /// What the process last said of itself.
    state: Mutex<State>,
    /// Which process ended last, and how.
    last_end: Mutex<Option<(u32, String)>>,
}

/// What there is to call.
pub(super) enum Condition {
    /// Nothing yet.
    Starting,
    /// A process, with all its links.
    Running(Arc<Running>),
    /// Nothing, since the process ended; how is a sentence without its subject.
    Down(String),
    /// Nothing, for good.
    Stopped,
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
        supervised: &Supervised,
        running: &Running,
        put: LinkPut,
        handler: Option<Arc<dyn IncomingHandler>>,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let handlers = &supervised.handlers;
        let is_new = !handlers.contains(put.link);
        // The provider may call as soon as it has a link; before that, a component that is replaced is called.
        if let Some(handler) = handler.clone().filter(|_| is_new) {
            handlers.set(put.link, handler);
        }
        match running.put(&put, deadline).await {
            Ok(state) => {
                supervised.set_state(state);
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

impl Supervised {
    pub(super) fn new(
        name: &str,
        command: ProgramCommand,
        config: ConfigMap,
        grace: Duration,
    ) -> Self {
        Self {
            name: name.to_owned(),
            command,
            config,
            grace,
            handlers: Handlers::default(),
            condition: watch::Sender::new(Condition::Starting),
            wanted: tokio::sync::Mutex::default(),
            state: Mutex::default(),
            last_end: Mutex::default(),
        }
    }

    pub(super) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// The process that runs now, if one does.
    pub(super) fn now(&self) -> Option<Arc<Running>> {
        match &*self.condition.borrow() {
            Condition::Running(running) => Some(running.clone()),
            _ => None,
        }
    }

    pub(super) fn is_current(&self, running: &Arc<Running>) -> bool {
        self.now().is_some_and(|now| Arc::ptr_eq(&now, running))
    }

    pub(super) async fn wanted(&self) -> tokio::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().await
    }

    pub(super) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    pub(super) fn set_state(&self, state: State) {
        *lock(&self.state) = state;
    }

    /// Which process ended last, and how: a sentence without its subject.
    pub(super) fn last_end(&self) -> Option<(u32, String)> {
        lock(&self.last_end).clone()
    }

    /// Says once whether the first process is `ready`; then keeps one running until it is `stopped`.
    pub(super) async fn supervise(
        self: Arc<Self>,
        ready: oneshot::Sender<Result<(), ProviderError>>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let result = self.clone().serve_components(ready, &mut stopped).await;
        self.condition.send_replace(Condition::Stopped);
        if let Some((ready, why)) = result.err() {
            _ = ready.send(Err(why));
        }
    }

    /// Serves the components that the provider calls, as long as its processes run.
    async fn serve_components(
        self: Arc<Self>,
        ready: oneshot::Sender<Result<(), ProviderError>>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), (oneshot::Sender<Result<(), ProviderError>>, ProviderError)> {
        let sockets = async {
            // Short, as a socket's path may have no more than about 100 bytes.
            let folder = tempfile::Builder::new().prefix("withe-").tempdir()?;
            let (_, host) = program::sockets(folder.path());
            let listener = UnixListener::bind(host).await?;
            Ok::<_, std::io::Error>((folder, listener))
        };
        let (folder, listener) = match sockets.await {
            Ok(sockets) => sockets,
            Err(e) => {
                let why = format!("no folder for its sockets: {e}");
                return Err((ready, ProviderError(why)));
            }
        };
        let (stop, stopping) = oneshot::channel::<()>();
        let limits = Limits {
            grace: STOP,
            ..Limits::default()
        };
        let end = async { _ = stopping.await };
        let serving = withe_rpc::serve(listener, Arc::new(self.handlers.clone()), limits, end);
        let running = async {
            self.keep_running(&folder, ready, stopped).await;
            _ = stop.send(());
        };
        tokio::join!(serving, running);
        Ok(())
    }

    async fn keep_running(
        &self,
        folder: &TempDir,
        ready: oneshot::Sender<Result<(), ProviderError>>,
        stopped: &mut watch::Receiver<bool>,
    ) {
        let mut ready = Some(ready);
        let mut back_off = BackOff::new();
        for number in 0.. {
            let began = Instant::now();
            let brought_up = tokio::select! {
                brought_up = self.bring_up(number, folder) => brought_up,
                () = is_true(stopped) => return,
            };
            let end = match brought_up {
                Ok((mut program, running)) => {
                    if let Some(ready) = ready.take() {
                        _ = ready.send(Ok(()));
                    }
                    let end = tokio::select! {
                        end = program.ended() => end,
                        end = self.sickness(&running) => {
                            program.kill().await;
                            end
                        }
                        () = is_true(stopped) => {
                            program.stop(self.grace).await;
                            return running.close().await;
                        }
                    };
                    *lock(&self.last_end) = Some((number, end.clone()));
                    self.condition.send_replace(Condition::Down(end.clone()));
                    running.close().await;
                    end
                }
                Err(why) => match ready.take() {
                    // The first start decides whether the application runs at all.
                    Some(ready) => {
                        _ = ready.send(Err(ProviderError(why)));
                        return;
                    }
                    None => why,
                },
            };
            let wait = back_off.after(began.elapsed());
            tracing::error!(
                "provider `{}` {end}; it is started again in {wait:?}",
                self.name
            );
            tokio::select! {
                () = sleep(wait) => {}
                () = is_true(stopped) => return,
            }
        }
    }

    /// Starts a process and makes all links in it.
    ///
    /// # Errors
    ///
    /// A sentence without its subject, or, of the first process, what the provider says.
    async fn bring_up(
        &self,
        number: u32,
        folder: &TempDir,
    ) -> Result<(Program, Arc<Running>), String> {
        let (socket, host) = program::sockets(folder.path());
        let assignment = Assignment {
            protocol: PROTOCOL,
            name: self.name.clone(),
            socket: socket.clone(),
            host,
            config: self.config.clone(),
            grace_ms: program::millis(self.grace),
            first_resource: number.wrapping_mul(NUMBERS),
        };
        let mut program = Program::start(&self.command, &assignment).await?;
        let running = Arc::new(Running::new(number, &self.name, &socket));
        let linked = tokio::select! {
            linked = self.make_links(&running) => linked,
            end = program.ended() => Err(end),
        };
        match linked {
            Ok(()) => Ok((program, running)),
            Err(why) => {
                program.kill().await;
                running.close().await;
                Err(why)
            }
        }
    }

    /// Starts the provider in a process, makes all links, and lets it be called.
    async fn make_links(&self, running: &Arc<Running>) -> Result<(), String> {
        let deadline = Instant::now() + MAKE;
        let started = running.ask(&Request::Start, deadline).await;
        let mut state = started.map_err(|why| ProviderError::from(why).0)?;
        // Held until the process is called, so that no link is made in the one before only.
        let wanted = self.wanted.lock().await;
        for put in wanted.0.values() {
            let made = running.put(put, deadline).await;
            state = made.map_err(|why| {
                let ProviderError(why) = why.into();
                format!(
                    "could not make its link with `{}` again: {why}",
                    put.component
                )
            })?;
        }
        self.set_state(state);
        self.condition
            .send_replace(Condition::Running(running.clone()));
        Ok(())
    }

    /// Asks the process for its health, until it has to be given up; says why: a sentence without its subject.
    async fn sickness(&self, running: &Running) -> String {
        let mut failures = 0;
        loop {
            sleep(HEALTH).await;
            match answer(running).await {
                Some(Ok(state)) => {
                    failures = 0;
                    self.set_state(state);
                }
                Some(Err(why)) => {
                    failures += 1;
                    if failures == MOST_FAILURES {
                        return format!("was killed, as it failed {failures} times: {why}");
                    }
                    tracing::warn!("provider `{}` is not well: {why}", self.name);
                }
                None => {
                    let secs = ANSWER.as_secs();
                    return format!("was killed, as it did not answer for {secs} seconds");
                }
            }
        }
    }
}

/// What the process says of its health; `None` if it does not say anything for as long as it may.
async fn answer(running: &Running) -> Option<Result<State, String>> {
    let deadline = Instant::now() + ANSWER;
    loop {
        match running.ask(&Request::Health, deadline).await {
            Ok(state) => return Some(Ok(state)),
            Err(NotDone::Refused(why)) => return Some(Err(why)),
            Err(NotDone::NoAnswer(_)) if Instant::now() >= deadline => return None,
            // The connection was lost, and is made again.
            Err(NotDone::NoAnswer(_)) => sleep(AGAIN).await,
        }
    }
}

/// Waits until it is, or nobody can say so any more.
async fn is_true(value: &mut watch::Receiver<bool>) {
    // What it returns holds a lock.
    drop(value.wait_for(|value| *value).await);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while a lock is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
