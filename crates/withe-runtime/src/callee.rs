//! The instance that one caller reaches over a link, or that all callers share.
//!
//! On the engine without concurrency an instance is called by whoever has its lock, within the caller's
//! own task. With concurrency, calls of one instance run at the same time and go on after their return
//! as long as they stream, so the instance has a task of its own that takes calls one after the other,
//! and drives them all.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use wasmtime::AsContextMut as _;
use wasmtime::component::Accessor;
use withe_rpc::{CallContext, CallError, HandleRef, Payload};

use crate::graph::{ExportFn, Graph};
use crate::instance::{Instance, no_function, receive};
use crate::state::State;

/// Calls that wait until their instance's task takes them.
const QUEUE: usize = 64;

/// An instance of a unit as its callers have it: made at the first call, and made anew after it failed.
pub(crate) enum Callee {
    /// It is out of its place while it is called. If it fails, or the call is cancelled, it is dropped:
    /// it may be in the middle of anything.
    Single(Mutex<Option<Box<Instance>>>),
    /// It has a task of its own.
    Concurrent(Mutex<Option<Running>>),
}

impl Callee {
    pub(crate) fn new(concurrency: bool) -> Self {
        if concurrency {
            Self::Concurrent(Mutex::default())
        } else {
            Self::Single(Mutex::default())
        }
    }

    /// Whether its instance computes in a task of its own, not in its callers'.
    pub(crate) fn has_task(&self) -> bool {
        matches!(self, Self::Concurrent(_))
    }

    /// Calls its instance: `payload` holds the parameters, and then the results.
    pub(crate) async fn call(
        &self,
        graph: &Arc<Graph>,
        unit: usize,
        export: &ExportFn,
        payload: &mut Payload,
        context: CallContext,
    ) -> Result<(), CallError> {
        match self {
            Self::Single(place) => {
                let mut place = place.lock().await;
                let mut instance = match place.take() {
                    Some(instance) => instance,
                    None => Instance::create(graph, unit, context.deadline).await?,
                };
                let called = instance.call(export, payload, context).await;
                // An error that the callee returned as a value leaves it as it was.
                if matches!(called, Ok(()) | Err(CallError::Refused(_))) {
                    *place = Some(instance);
                }
                called
            }
            Self::Concurrent(place) => {
                let params = std::mem::take(payload);
                *payload = Box::pin(queue(place, graph, unit, export, params, context)).await?;
                Ok(())
            }
        }
    }

    /// Drops a resource that the caller held, running its destructor.
    pub(crate) async fn drop_handle(&self, id: u32) -> Result<(), CallError> {
        match self {
            Self::Single(place) => {
                let mut place = place.lock().await;
                let Some(mut instance) = place.take() else {
                    return Ok(());
                };
                match instance.drop_handle(id).await {
                    Ok(()) => *place = Some(instance),
                    Err(e) => return Err(instance.failed(e)),
                }
                Ok(())
            }
            Self::Concurrent(place) => {
                let place = place.lock().await;
                let Some(running) = place.as_ref().filter(|running| running.goes_on()) else {
                    return Ok(());
                };
                let dropped = running.drop_handle(id).await?;
                drop(place);
                dropped.result().await.map(drop)
            }
        }
    }

    /// Drops the instance. Calls under way on the engine without concurrency go on.
    pub(crate) async fn clear(&self) {
        match self {
            Self::Single(place) => _ = place.lock().await.take(),
            Self::Concurrent(place) => _ = place.lock().await.take(),
        }
    }
}

/// Has the instance in `place` make the call beside others.
async fn queue(
    place: &Mutex<Option<Running>>,
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    params: Payload,
    context: CallContext,
) -> Result<Payload, CallError> {
    let mut place = place.lock().await;
    let running = match place.take().filter(Running::goes_on) {
        Some(running) => running,
        None => Running::start(Instance::create(graph, unit, context.deadline).await?),
    };
    let running = place.insert(running);
    // In the order in which callers come: the lock is held until the call is queued.
    let call = running.call(export, params, context).await?;
    drop(place);
    call.result().await
}

/// An instance with a task of its own, which ends with this.
pub(crate) struct Running {
    jobs: mpsc::Sender<Job>,
    failure: watch::Receiver<Option<CallError>>,
    task: AbortHandle,
}

enum Job {
    Call {
        export: ExportFn,
        params: Payload,
        context: CallContext,
        reply: Reply,
    },
    Drop {
        id: u32,
        reply: Reply,
    },
}

/// Where the outcome of a job goes. If nobody waits for it any more, the resources in it are dropped,
/// as whoever waited would have dropped them.
pub(crate) struct Reply {
    to: oneshot::Sender<Result<Payload, CallError>>,
    jobs: WeakSender<Job>,
}

impl Reply {
    pub(crate) fn send(self, result: Result<Payload, CallError>) {
        if let Err(Ok(unwanted)) = self.to.send(result) {
            give_back(&self.jobs, unwanted);
        }
    }
}

/// The outcome of a job, to be waited for.
struct Outcome {
    reply: oneshot::Receiver<Result<Payload, CallError>>,
    failure: watch::Receiver<Option<CallError>>,
    jobs: WeakSender<Job>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        // It may have come, and nobody looked.
        self.reply.close();
        if let Ok(Ok(unwanted)) = self.reply.try_recv() {
            give_back(&self.jobs, unwanted);
        }
    }
}

/// Has the resources dropped that a call returned and nobody took, unless their instance is gone.
fn give_back(jobs: &WeakSender<Job>, unwanted: Payload) {
    // Without a runtime the process is ending, and the instance with it.
    let (Some(jobs), Ok(runtime)) = (jobs.upgrade(), Handle::try_current()) else {
        return;
    };
    if unwanted.handles.is_empty() {
        return;
    }
    runtime.spawn(async move {
        for HandleRef { id, .. } in unwanted.handles {
            let (to, _) = oneshot::channel();
            let reply = Reply {
                to,
                jobs: jobs.downgrade(),
            };
            if jobs.send(Job::Drop { id, reply }).await.is_err() {
                return;
            }
        }
    });
}

impl Running {
    fn start(instance: Box<Instance>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (failed, failure) = watch::channel(None);
        let task = tokio::spawn(async move {
            let failure = run(instance, queue).await;
            failed.send_replace(Some(failure));
        });
        Self {
            jobs,
            failure,
            task: task.abort_handle(),
        }
    }

    fn goes_on(&self) -> bool {
        self.failure.borrow().is_none() && !self.jobs.is_closed()
    }

    async fn call(
        &self,
        export: &ExportFn,
        params: Payload,
        context: CallContext,
    ) -> Result<Outcome, CallError> {
        let (export, (reply, outcome)) = (export.clone(), self.outcome());
        let job = Job::Call {
            export,
            params,
            context,
            reply,
        };
        self.send(job, outcome).await
    }

    async fn drop_handle(&self, id: u32) -> Result<Outcome, CallError> {
        let (reply, outcome) = self.outcome();
        self.send(Job::Drop { id, reply }, outcome).await
    }

    fn outcome(&self) -> (Reply, Outcome) {
        let (to, reply) = oneshot::channel();
        let jobs = self.jobs.downgrade();
        let outcome = Outcome {
            reply,
            failure: self.failure.clone(),
            jobs: jobs.clone(),
        };
        (Reply { to, jobs }, outcome)
    }

    async fn send(&self, job: Job, mut outcome: Outcome) -> Result<Outcome, CallError> {
        match self.jobs.send(job).await {
            Ok(()) => Ok(outcome),
            Err(_) => Err(outcome.failure().await),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outcome {
    async fn result(mut self) -> Result<Payload, CallError> {
        match (&mut self.reply).await {
            Ok(result) => result,
            Err(_) => Err(self.failure().await),
        }
    }

    /// Why the instance's task ended: it answers nobody any more, and is about to say so.
    async fn failure(&mut self) -> CallError {
        let failure = self.failure.wait_for(Option::is_some).await;
        let failure = failure.ok().and_then(|failure| failure.clone());
        failure.unwrap_or_else(|| CallError::Unreachable("the callee was stopped".into()))
    }
}

/// Runs an instance until it fails or nobody can call it any more.
async fn run(mut instance: Box<Instance>, mut jobs: mpsc::Receiver<Job>) -> CallError {
    loop {
        let Instance {
            store,
            instance: exports,
            ..
        } = &mut *instance;
        let ended = store
            .run_concurrent(async |accessor| {
                while let Some(job) = jobs.recv().await {
                    match job {
                        Job::Call {
                            export,
                            params,
                            context,
                            reply,
                        } => start(accessor, exports, &export, params, context, reply)?,
                        Job::Drop { id, reply } => return Ok(Some((id, reply))),
                    }
                }
                Ok(None)
            })
            .await;
        // A destructor needs the store for itself. What runs in it stands still meanwhile, and then
        // goes on.
        let (id, reply) = match ended {
            Ok(Ok(Some(dropped))) => dropped,
            Ok(Ok(None)) => return CallError::Unreachable("the callee was stopped".into()),
            Ok(Err(e)) | Err(e) => return instance.failed(e),
        };
        match instance.drop_handle(id).await {
            Ok(()) => reply.send(Ok(Payload::default())),
            Err(e) => return instance.failed(e),
        }
    }
}

/// Starts a call; it then runs as a task of its store.
fn start(
    accessor: &Accessor<State>,
    exports: &wasmtime::component::Instance,
    export: &ExportFn,
    mut params: Payload,
    context: CallContext,
    reply: Reply,
) -> wasmtime::Result<()> {
    let prepared = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let state = store.data_mut();
        // The one that may take longest decides: the others have timers where they wait. What a call asks of
        // others is put down to the one that began last, for nobody can tell whose it is.
        let deadline = state.deadline.max(context.deadline);
        state.begin(CallContext {
            deadline,
            ..context
        });
        let params = receive(&mut store, &mut params)?;
        let func = exports.get_func(store, export.index);
        Ok((func.ok_or_else(|| no_function(export))?, params))
    });
    match prepared {
        Ok((func, params)) => (export.spawn)(accessor, func, params, reply),
        Err(refused) => {
            reply.send(Err(refused));
            Ok(())
        }
    }
}
