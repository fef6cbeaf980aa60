//! Keeps a process running.
//!
//! One task owns the process: it starts it, waits for its end, asks for its health, waits longer and longer before it
//! starts the next, and ends it. All others see a [`ProcessState`], or tell the task to stop.

use std::future::{self, Future};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::{Process, ProcessCommand, ProcessError, Restarts, Unhealthy};

/// How much longer than its grace a process may take to end before it is killed.
pub const STOP: Duration = Duration::from_secs(5);

/// The particulars of one kind of process that is kept running.
pub trait Supervised: Send + Sync + 'static {
    /// The handle of a process that is ready.
    type Ready: Send + Sync + 'static;

    /// The subject of a sentence about the process: "provider `a`".
    fn subject(&self) -> String;

    /// How the process is started.
    fn command(&self) -> ProcessCommand;

    /// Tells a process that was just started what it is to do, and waits until it can be called. Each wait has to end
    /// by itself. Runs are counted from 0.
    ///
    /// # Errors
    ///
    /// If it cannot be called; then it is killed.
    fn bring_up(
        &self,
        run: u32,
        process: &mut Process,
    ) -> impl Future<Output = Result<Self::Ready, ProcessError>> + Send;

    /// Asks whether the process can do its work.
    ///
    /// # Errors
    ///
    /// The process's own sentence on why it cannot.
    fn health(&self, _ready: &Self::Ready) -> impl Future<Output = Result<(), Unhealthy>> + Send {
        future::ready(Ok(()))
    }

    /// Asks the process to end within `grace`. The supervisor waits for it afterwards.
    fn ask_to_end(
        &self,
        process: &mut Process,
        _ready: &Self::Ready,
        _grace: Duration,
    ) -> impl Future<Output = ()> + Send {
        process.ask_to_end()
    }

    /// The process has ended, which its state shows already.
    fn ended(&self, _ready: &Self::Ready) -> impl Future<Output = ()> + Send {
        future::ready(())
    }
}

/// When a process is started again.
#[derive(Clone, Debug, Default)]
pub struct SupervisorOptions {
    /// The waits before it.
    pub restarts: Restarts,
    /// When it is given up although it runs; never without.
    pub health: Option<HealthChecks>,
}

/// When a process is asked for its health, and given up.
#[derive(Clone, Copy, Debug)]
pub struct HealthChecks {
    /// The interval between checks, from when the process is ready.
    pub every: Duration,
    /// How long it may take to answer.
    pub answer: Duration,
    /// How many times in a row it may fail until it is given up.
    pub failures: u32,
    /// After how many failures in a row it is given up if it did not answer at all in the end.
    pub silences: u32,
}

/// The state of a process.
#[derive(Debug)]
pub enum ProcessState<R> {
    /// The first is not ready yet.
    Starting,
    /// The process can be called.
    Running(Arc<Live<R>>),
    /// None runs, since the last one ended or the next one did not get ready. There will be another.
    Down(Arc<ProcessError>),
    /// The first did not get ready, and there will be no other.
    Failed(Arc<ProcessError>),
    /// The process was stopped.
    Stopped,
}

/// A process that is, or was, ready.
#[derive(Debug)]
pub struct Live<R> {
    ready: R,
    end: OnceLock<Arc<ProcessError>>,
}

impl<R> Live<R> {
    /// The handle of the process.
    pub fn ready(&self) -> &R {
        &self.ready
    }

    /// How it ended, if it has. Known before the state changes.
    pub fn end(&self) -> Option<&Arc<ProcessError>> {
        self.end.get()
    }
}

/// Keeps what is [`Supervised`] running until it is stopped. Dropped, it kills the process.
pub struct Supervisor<S: Supervised> {
    subject: String,
    state: watch::Receiver<ProcessState<S::Ready>>,
    order: Arc<Order>,
    task: AbortOnDropHandle<()>,
}

/// The order to stop.
#[derive(Debug, Default)]
struct Order {
    given: CancellationToken,
    /// There before the order is given.
    grace: OnceLock<Duration>,
}

impl<S: Supervised> Supervisor<S> {
    /// Starts a task that starts the process.
    pub fn spawn(supervised: Arc<S>, options: SupervisorOptions) -> Self {
        let (sender, state) = watch::channel(ProcessState::Starting);
        let order = Arc::new(Order::default());
        let subject = supervised.subject();
        let work = Work {
            supervised,
            subject: subject.clone(),
            options,
            state: StateSender(sender),
            order: order.clone(),
        };
        Self {
            subject,
            state,
            order,
            task: AbortOnDropHandle::new(tokio::spawn(work.keep_running())),
        }
    }

    /// The state of the process.
    pub fn state(&self) -> watch::Receiver<ProcessState<S::Ready>> {
        self.state.clone()
    }

    /// Waits until the first process is ready, as [`ready`] does.
    ///
    /// # Errors
    ///
    /// If it does not get ready, or is stopped before it is.
    pub async fn ready(&self) -> Result<(), Arc<ProcessError>> {
        ready(&mut self.state()).await
    }

    /// Has the process end: what it does may take `grace`. Nothing is started any more. Only the first call counts.
    pub fn begin_stop(&self, grace: Duration) {
        self.order.grace.get_or_init(|| grace);
        self.order.given.cancel();
    }

    /// Waits until the process has ended for good.
    pub async fn ended(&mut self) {
        // One that has finished must not be asked again.
        if !self.task.is_finished() {
            // The task ends in no other way; a panic is in the log.
            _ = (&mut self.task).await;
        }
    }

    /// Stops the process, and waits for that: at most for `grace` and a little more.
    pub async fn stop(mut self, grace: Duration) {
        self.begin_stop(grace);
        // The task kills the process when the grace is over, before this gives up on it.
        if timeout(grace + 4 * STOP, self.ended()).await.is_err() {
            tracing::warn!("{} did not end and is left behind", self.subject);
        }
    }
}

/// Waits until the first of a supervisor's processes is ready. How long that may take is a matter of
/// [`Supervised::bring_up`].
///
/// # Errors
///
/// If it does not get ready, or is stopped before it is.
pub async fn ready<R>(
    state: &mut watch::Receiver<ProcessState<R>>,
) -> Result<(), Arc<ProcessError>> {
    let is_known = |state: &ProcessState<R>| !matches!(state, ProcessState::Starting);
    match state.wait_for(is_known).await.as_deref() {
        // One that has ended since then was ready.
        Ok(ProcessState::Running(_) | ProcessState::Down(_)) => Ok(()),
        Ok(ProcessState::Failed(why)) => Err(why.clone()),
        Ok(ProcessState::Starting | ProcessState::Stopped) | Err(_) => {
            Err(Arc::new(ProcessError::Stopped))
        }
    }
}

/// The state as the task reports it. Watchers learn the end of the task, whatever it is.
struct StateSender<R>(watch::Sender<ProcessState<R>>);

impl<R> StateSender<R> {
    fn is(&self, state: ProcessState<R>) {
        self.0.send_replace(state);
    }
}

impl<R> Drop for StateSender<R> {
    fn drop(&mut self) {
        self.0.send_if_modified(|state| {
            let is_over = matches!(state, ProcessState::Failed(_));
            if !is_over {
                *state = ProcessState::Stopped;
            }
            !is_over
        });
    }
}

/// The work of the task.
struct Work<S: Supervised> {
    supervised: Arc<S>,
    subject: String,
    options: SupervisorOptions,
    state: StateSender<S::Ready>,
    order: Arc<Order>,
}

impl<S: Supervised> Work<S> {
    async fn keep_running(self) {
        let mut restarts = self.options.restarts.clone();
        for run in 0.. {
            let began = Instant::now();
            let brought_up = tokio::select! {
                brought_up = self.bring_up(run) => brought_up,
                () = self.order.given.cancelled() => return,
            };
            let error = match brought_up {
                Ok((process, ready)) => match self.watch(process, ready).await {
                    Some(error) => error,
                    None => return,
                },
                Err(error) => {
                    let error = Arc::new(error);
                    // The first start decides whether there is anything to keep running.
                    if run == 0 {
                        return self.state.is(ProcessState::Failed(error));
                    }
                    self.state.is(ProcessState::Down(error.clone()));
                    error
                }
            };
            let wait = restarts.after(began.elapsed());
            tracing::error!("{} {error}; it is started again in {wait:?}", self.subject);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.order.given.cancelled() => return,
            }
        }
    }

    async fn bring_up(&self, run: u32) -> Result<(Process, S::Ready), ProcessError> {
        let mut process = Process::start(&self.supervised.command()).await?;
        match self.supervised.bring_up(run, &mut process).await {
            Ok(ready) => Ok((process, ready)),
            Err(error) => {
                process.kill().await;
                Err(error)
            }
        }
    }

    /// Lets the process be called until it ends, and says how; or ends it if that is the order.
    async fn watch(&self, mut process: Process, ready: S::Ready) -> Option<Arc<ProcessError>> {
        let live = Arc::new(Live {
            ready,
            end: OnceLock::new(),
        });
        self.state.is(ProcessState::Running(live.clone()));
        let last = process.last_lines().clone();
        let error = tokio::select! {
            error = process.ended() => error,
            error = self.sickness(&live.ready) => {
                process.kill().await;
                error.error(last)
            }
            () = self.order.given.cancelled() => {
                self.end(&mut process, &live.ready).await;
                self.supervised.ended(&live.ready).await;
                return None;
            }
        };
        let error = Arc::new(error);
        live.end.get_or_init(|| error.clone());
        self.state.is(ProcessState::Down(error.clone()));
        self.supervised.ended(&live.ready).await;
        Some(error)
    }

    /// Asks for the process's health until it has to be given up.
    async fn sickness(&self, ready: &S::Ready) -> Sickness {
        let Some(checks) = self.options.health else {
            return future::pending().await;
        };
        let mut times = 0;
        loop {
            sleep(checks.every).await;
            let health = timeout(checks.answer, self.supervised.health(ready)).await;
            let (why, most) = match health {
                Ok(Ok(())) => {
                    times = 0;
                    continue;
                }
                Ok(Err(why)) => (Some(why), checks.failures),
                Err(_) => (None, checks.silences),
            };
            times += 1;
            if times >= most {
                return Sickness {
                    times,
                    limit: checks.answer,
                    why,
                };
            }
            let why = why.unwrap_or_else(|| Unhealthy("it did not answer".into()));
            tracing::warn!("{} is not well: {why}", self.subject);
        }
    }

    /// Asks the process to finish its work and end; kills it after the grace.
    async fn end(&self, process: &mut Process, ready: &S::Ready) {
        let grace = self.order.grace.get().copied().unwrap_or_default();
        let ending = async {
            self.supervised.ask_to_end(process, ready, grace).await;
            process.ended().await
        };
        if timeout(grace + STOP, ending).await.is_err() {
            tracing::warn!("{} does not end and is killed", self.subject);
            process.kill().await;
        }
    }
}

/// Why a process is given up.
struct Sickness {
    times: u32,
    limit: Duration,
    /// The reason it gives; `None` if it does not answer.
    why: Option<Unhealthy>,
}

impl Sickness {
    fn error(self, last: crate::LastLines) -> ProcessError {
        let Self { times, limit, why } = self;
        match why {
            Some(why) => ProcessError::Unwell { times, why, last },
            None => ProcessError::Silent { limit, last },
        }
    }
}
