//! The instance that one caller reaches over a link, or that all callers share.
//!
//! On the engine without concurrency the holder of its lock calls an instance, within the caller's own task; what is
//! left of a call whose caller goes away, where others share the instance, gets a task ([`Entered`]). With concurrency,
//! calls of one instance run at the same time and go on after their return as long as they stream, so the instance has
//! a task of its own that takes calls one after the other, and drives them all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::time::{timeout, timeout_at};
use wasmtime::AsContextMut as _;
use wasmtime::component::{Accessor, AccessorTask};
use withe_rpc::{CallContext, CallError, Payload};

use crate::core::{Callee, CalleeSlot, Graph, Instance, InstanceState};
use crate::dispatch;
use crate::exchange::receive;
use crate::exports::ExportFn;
use crate::handles::{HandleTable, Numbers};
use crate::instance::no_function;
use crate::limits::GIVE_BACK;
use crate::opened;
use crate::quota::Nested;
use crate::task::{InstanceTask, Job, Reply};

impl Callee {
    /// Whether its instance computes in a task of its own, not in its callers'.
    pub(crate) fn has_task(&self) -> bool {
        matches!(self.slot, CalleeSlot::Concurrent(_))
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
        match &self.slot {
            CalleeSlot::Single(slot) => {
                let mut slot = slot.lock().await;
                let mut instance = match slot.take() {
                    Some(instance) => instance,
                    None => self.create(graph, unit, context.deadline).await?,
                };
                let called = instance.call(export, payload, context).await;
                if instance.is_whole(&called) {
                    *slot = Some(instance);
                }
                called
            }
            CalleeSlot::Shared(slot) => {
                let mut slot = slot.clone().lock_owned().await;
                let instance = match slot.take() {
                    Some(instance) => instance,
                    None => self.create(graph, unit, context.deadline).await?,
                };
                let params = std::mem::take(payload);
                let call = enter(slot, instance, export.clone(), params, context);
                let entered = Entered {
                    call: Some(call),
                    graph: graph.clone(),
                    unit,
                    deadline: context.deadline,
                };
                *payload = entered.await?;
                Ok(())
            }
            CalleeSlot::Concurrent(slot) => {
                let params = std::mem::take(payload);
                let called = self.queue(slot, graph, unit, export, params, context);
                *payload = Box::pin(called).await?;
                Ok(())
            }
        }
    }

    /// Makes an instance, which takes the place of any before it.
    async fn create(
        &self,
        graph: &Arc<Graph>,
        unit: usize,
        deadline: Instant,
    ) -> Result<Box<Instance>, CallError> {
        create(graph, unit, self.nested.as_ref(), &self.numbers, deadline).await
    }

    /// Has the instance in `slot` make the call beside others.
    ///
    /// Nothing is waited for while the slot is locked. A caller that makes a synchronous call polls none of its other
    /// calls meanwhile, so one of those that held the lock would never let it go. Calls come in the order in which the
    /// lock was got, since the queue keeps those in order that wait for room.
    async fn queue(
        &self,
        slot: &Mutex<Option<InstanceTask>>,
        graph: &Arc<Graph>,
        unit: usize,
        export: &ExportFn,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        let way = {
            let mut slot = slot.lock().await;
            let running = slot.take().filter(InstanceTask::goes_on);
            let running = running.unwrap_or_else(|| {
                let (graph, nested) = (graph.clone(), self.nested.clone());
                let (numbers, deadline) = (self.numbers.clone(), context.deadline);
                InstanceTask::start(|jobs| {
                    create_and_run(graph, unit, nested, numbers, deadline, jobs)
                })
            });
            slot.insert(running).way()
        };
        way.call(export, params, context).await?.result().await
    }

    /// Drops a resource that the caller held, running its destructor.
    pub(crate) async fn drop_handle(&self, id: u32) -> Result<(), CallError> {
        match &self.slot {
            CalleeSlot::Single(slot) => drop_in(&mut *slot.lock().await, id).await,
            CalleeSlot::Shared(slot) => drop_in(&mut *slot.lock().await, id).await,
            CalleeSlot::Concurrent(slot) => {
                let way = {
                    let slot = slot.lock().await;
                    match slot.as_ref().filter(|running| running.goes_on()) {
                        Some(running) => running.way(),
                        None => return Ok(()),
                    }
                };
                way.drop_handle(id).await?.result().await.map(drop)
            }
        }
    }
}

/// Makes an instance, whose resources have numbers that none before it gave.
async fn create(
    graph: &Arc<Graph>,
    unit: usize,
    nested: Option<&Nested>,
    numbers: &Numbers,
    deadline: Instant,
) -> Result<Box<Instance>, CallError> {
    let mut instance = Instance::create(graph, unit, nested, deadline).await?;
    instance.store.data_mut().handles = HandleTable::of(numbers);
    Ok(instance)
}

/// Drops a resource of the instance in `slot`, if there is one.
async fn drop_in(slot: &mut Option<Box<Instance>>, id: u32) -> Result<(), CallError> {
    let Some(mut instance) = slot.take() else {
        return Ok(());
    };
    match instance.drop_handle(id).await {
        Ok(()) => *slot = Some(instance),
        Err(e) => return Err(instance.failed(e)),
    }
    Ok(())
}

/// A shared instance, by the lock of its place.
type SharedSlot = OwnedMutexGuard<Option<Box<Instance>>>;

/// A call of a shared instance, which ends with its slot.
type SharedCall = BoxFuture<'static, (SharedSlot, Result<Payload, CallError>)>;

/// Calls an instance that was taken out of `slot`, and puts it back if the call leaves it whole.
fn enter(
    mut slot: SharedSlot,
    mut instance: Box<Instance>,
    export: ExportFn,
    mut payload: Payload,
    context: CallContext,
) -> SharedCall {
    Box::pin(async move {
        let called = instance.call(&export, &mut payload, context).await;
        if instance.is_whole(&called) {
            *slot = Some(instance);
        }
        (slot, called.map(|()| payload))
    })
}

/// A call that has entered a shared instance. If its caller goes away, it goes on to its end, or to its deadline: only
/// then, or if it fails, is the instance lost to the others.
struct Entered {
    /// `None` when it is over.
    call: Option<SharedCall>,
    graph: Arc<Graph>,
    unit: usize,
    deadline: Instant,
}

impl Future for Entered {
    type Output = Result<Payload, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        let (_slot, result) = ready!(call.as_mut().poll(cx));
        self.call = None;
        Poll::Ready(result)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the instance with it.
        let (Some(call), Ok(runtime)) = (self.call.take(), Handle::try_current()) else {
            return;
        };
        let deadline = self.deadline;
        let rest = async move {
            let Ok((mut slot, Ok(unwanted))) = timeout_at(deadline.into(), call).await else {
                return;
            };
            // A destructor may wait for somebody else, and others wait for the slot. One that takes too long is cancelled, and
            // its instance goes with it.
            let dropping = async {
                for handle in unwanted.handles {
                    drop_in(&mut slot, handle.id).await?;
                }
                Ok::<_, CallError>(())
            };
            let why = match timeout(GIVE_BACK, dropping).await {
                Ok(Ok(())) => return,
                Ok(Err(why)) => why.to_string(),
                Err(_) => format!("it took longer than {GIVE_BACK:?}"),
            };
            tracing::warn!("dropping a resource of a caller that went: {why}");
        };
        let unit = self.graph.unit(self.unit);
        runtime.spawn(unit.in_turns(&self.graph.engines, rest));
    }
}

/// Makes an instance and runs it, see [`run`].
async fn create_and_run(
    graph: Arc<Graph>,
    unit: usize,
    nested: Option<Nested>,
    numbers: Numbers,
    deadline: Instant,
    jobs: mpsc::Receiver<Job>,
) -> CallError {
    match create(&graph, unit, nested.as_ref(), &numbers, deadline).await {
        Ok(instance) => {
            let run = graph
                .unit(unit)
                .in_turns(&graph.engines, run(instance, jobs));
            // The instance has them as well.
            drop((graph, nested));
            run.await
        }
        Err(why) => why,
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
                        } if export.opener.is_some() => {
                            let task = OpenedCall {
                                exports: *exports,
                                export,
                                params,
                                context,
                                reply,
                            };
                            accessor.spawn(task)?;
                        }
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
        // A destructor needs the store for itself. Calls that run in the store stand still meanwhile, and then go
        // on.
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

/// A call begins beside others of its instance.
fn begin(state: &mut InstanceState, context: CallContext) {
    // The one that may take longest decides: the others have timers where they wait. Requests to others are put
    // down to the call that began last, for nobody can tell whose they are.
    let deadline = state.deadline.max(context.deadline);
    state.begin(CallContext {
        deadline,
        ..context
    });
}

/// A call whose first parameter is opened before it starts.
struct OpenedCall {
    exports: wasmtime::component::Instance,
    export: ExportFn,
    params: Payload,
    context: CallContext,
    reply: Reply,
}

impl AccessorTask<InstanceState> for OpenedCall {
    async fn run(self, accessor: &Accessor<InstanceState>) -> wasmtime::Result<()> {
        let Self {
            exports,
            export,
            mut params,
            context,
            reply,
        } = self;
        accessor.with(|mut access| begin(access.data_mut(), context));
        // A task has no opener that is not there: others are started at once.
        let opener = export.opener.unwrap_or_default();
        let opened = opened::open_concurrent(accessor, opener, &mut params).await;
        let func = accessor.with(|access| exports.get_func(access, export.index));
        match (opened, func) {
            (Ok(params), Some(func)) => {
                dispatch::spawn(export.results, accessor, func, params, reply)
            }
            (Ok(_), None) => {
                reply.send(Err(no_function(&export)));
                Ok(())
            }
            (Err(why), _) => {
                reply.send(Err(why));
                Ok(())
            }
        }
    }
}

/// Starts a call; it then runs as a task of its store.
fn start(
    accessor: &Accessor<InstanceState>,
    exports: &wasmtime::component::Instance,
    export: &ExportFn,
    mut params: Payload,
    context: CallContext,
    reply: Reply,
) -> wasmtime::Result<()> {
    let prepared = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        begin(store.data_mut(), context);
        let params = receive(&mut store, &mut params)?;
        let func = exports.get_func(store, export.index);
        Ok((func.ok_or_else(|| no_function(export))?, params))
    });
    match prepared {
        Ok((func, params)) => dispatch::spawn(export.results, accessor, func, params, reply),
        Err(refused) => {
            reply.send(Err(refused));
            Ok(())
        }
    }
}
