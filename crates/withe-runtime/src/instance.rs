//! One instance of a unit: made, called, used again, and given up.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::component::Func;
use wasmtime::{AsContextMut as _, Store, StoreContextMut, UpdateDeadline};
use withe_rpc::{CallContext, CallError, Payload, PipeReader};

use crate::core::{Graph, Instance, InstanceState, Unit};
use crate::dispatch;
use crate::exchange::{give, receive};
use crate::exports::ExportFn;
use crate::limits::DeadlinePassed;
use crate::opened;
use crate::quota::{Nested, QuotaExceeded};
use crate::stream::open::Keeper;
use crate::trap;
use crate::wasi::CommandLine;

impl Instance {
    /// Makes an instance of unit `unit` for a caller that stands at `nested`, or for one from outside; waits for its
    /// turn at most until `deadline`.
    ///
    /// Boxed because instances make instances: a callee of scope `caller` is made from its caller.
    pub(crate) fn create(
        graph: &Arc<Graph>,
        unit: usize,
        nested: Option<&Nested>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Box<Self>, CallError>> {
        Self::create_as(graph, unit, nested, deadline, None)
    }

    /// The same, for one that runs as a command.
    pub(crate) fn create_as(
        graph: &Arc<Graph>,
        unit: usize,
        nested: Option<&Nested>,
        deadline: Instant,
        command: Option<Arc<CommandLine>>,
    ) -> BoxFuture<'static, Result<Box<Self>, CallError>> {
        let (graph, nested) = (graph.clone(), nested.cloned());
        Box::pin(async move {
            let u = graph.unit(unit);
            let permits = u.turn(deadline).await?;
            let slot = match nested {
                None => u.account.enter(u.code.slots, deadline).await?,
                Some(nested) => nested.nest(u.code.slots, deadline).await?,
            };
            let mut state = InstanceState::new(graph.clone(), unit, slot.nested.clone(), deadline);
            // Before the first line of its code runs.
            state.command = command;
            let mut store = Store::new(u.engine(), state);
            store.limiter(|state| &mut state.limits);
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(at_epoch);
            let instance = match u.code.pre.instantiate_async(&mut store).await {
                Ok(instance) => instance,
                Err(e) => return Err(trap::to_call_error(store.data(), e)),
            };
            Ok(Box::new(Self {
                store,
                instance,
                last: None,
                last_handler: None,
                is_entered: false,
                permits,
                slot,
                _counted: u.counts.instance(),
            }))
        })
    }

    /// Calls an export: `payload` holds the parameters, and then the results. After an error, unless
    /// [`Self::is_whole`] says otherwise, the instance must not be used again.
    pub(crate) async fn call(
        &mut self,
        export: &ExportFn,
        payload: &mut Payload,
        context: CallContext,
    ) -> Result<(), CallError> {
        self.is_entered = false;
        self.store.data_mut().begin(context);
        let func = self.function(export)?;
        let params = match export.opener {
            None => receive(&mut self.store.as_context_mut(), payload)?,
            Some(opener) => {
                self.is_entered = true;
                let opening = opened::open(self.store.as_context_mut(), opener, payload);
                Box::pin(opening).await?
            }
        };
        self.is_entered = true;
        let results = match dispatch::call(export.results, &mut self.store, func, params).await {
            Ok(results) => results,
            Err(e) => return Err(self.failed(e)),
        };
        match give(&mut self.store.as_context_mut(), results, payload) {
            Ok(given) => given,
            Err(e) => Err(self.failed(e)),
        }
    }

    /// Whether the instance is as it was before a call: after an error that it returned as a value, and after one by which
    /// it was not entered, as with a handle that it never gave.
    pub(crate) fn is_whole(&self, called: &Result<(), CallError>) -> bool {
        !self.is_entered || matches!(called, Ok(()) | Err(CallError::Refused(_)))
    }

    fn function(&mut self, export: &ExportFn) -> Result<Func, CallError> {
        if let Some((name, func)) = &self.last
            && Arc::ptr_eq(name, &export.name)
        {
            return Ok(*func);
        }
        let func = self.instance.get_func(&mut self.store, export.index);
        let func = func.ok_or_else(|| no_function(export))?;
        self.last = Some((export.name.clone(), func));
        Ok(func)
    }

    /// Lets the instance go on behind its call, in a task of its own, for as long as anybody reads what it returned: the
    /// readers keep it, and end it.
    pub(crate) fn go_on<'r>(
        mut self: Box<Self>,
        graph: &Arc<Graph>,
        unit: usize,
        returned: impl Iterator<Item = &'r mut PipeReader>,
    ) {
        let (keeper, unread) = oneshot::channel::<()>();
        let keeper: Keeper = Arc::new(keeper);
        // Streams within streams lead out of the store later.
        self.store.data_mut().streams.keep(&keeper);
        for reader in returned {
            reader.keep(keeper.clone());
        }
        let run = async move {
            // Nothing is sent: the last reader drops the sender.
            let ended = (self.store).run_concurrent(async |_| _ = unread.await);
            if let Err(e) = ended.await {
                // The readers are told.
                self.failed(e);
            }
        };
        tokio::spawn(graph.unit(unit).in_turns(&graph.engines, run));
    }

    /// Explains an error of the instance. Whatever it streams breaks off with it.
    pub(crate) fn failed(&self, error: wasmtime::Error) -> CallError {
        let state = self.store.data();
        let error = trap::to_call_error(state, error);
        state.streams.fail(|| error.clone());
        error
    }

    /// Drops a resource that a caller held, running its destructor.
    pub(crate) async fn drop_handle(&mut self, id: u32) -> wasmtime::Result<()> {
        match self.store.data_mut().handles.remove(id) {
            Some(resource) => resource.resource_drop_async(&mut self.store).await,
            None => Ok(()),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let stopped =
            || CallError::Unreachable("the component at its other end was stopped".into());
        self.store.data().streams.fail(stopped);
    }
}

impl Unit {
    /// Waits until one more of it may run, as one of those that may wait.
    async fn turn(&self, deadline: Instant) -> Result<Vec<OwnedSemaphorePermit>, CallError> {
        let mut turn = pin!(self.needs.acquire(deadline));
        if let Poll::Ready(permits) = futures::poll!(&mut turn) {
            return permits;
        }
        let _waiting = self
            .account
            .wait()
            .map_err(QuotaExceeded::into_call_error)?;
        turn.await
    }

    /// An instance for a call from outside: one that may be used again, or a fresh one.
    pub(crate) async fn checkout(
        graph: &Arc<Graph>,
        unit: usize,
        context: CallContext,
    ) -> Result<Box<Instance>, CallError> {
        let deadline = context.deadline;
        let mut instance = match graph.unit(unit).take_idle() {
            Some(mut instance) => {
                instance.permits = graph.unit(unit).turn(deadline).await?;
                instance
            }
            None => Instance::create(graph, unit, None, deadline).await?,
        };
        let state = instance.store.data_mut();
        state.served += 1;
        if state.served > 1 {
            state.last_words.forget();
        }
        state.begin(context);
        Ok(instance)
    }

    /// A fresh instance for one call of a caller that stands at `nested`.
    pub(crate) async fn nest(
        graph: &Arc<Graph>,
        unit: usize,
        nested: &Nested,
        context: CallContext,
    ) -> Result<Box<Instance>, CallError> {
        let mut instance = Instance::create(graph, unit, Some(nested), context.deadline).await?;
        let state = instance.store.data_mut();
        state.served += 1;
        state.begin(context);
        Ok(instance)
    }

    /// Takes back an instance whose call succeeded.
    pub(crate) fn checkin(&self, mut instance: Box<Instance>) {
        if self.may_serve_more(instance.store.data().served) {
            // An idle instance must not keep others from running.
            instance.permits.clear();
            if let Some(nested) = instance.slot.begin_next_call() {
                instance.store.data_mut().stands(nested);
            }
            self.put_idle(instance);
        }
    }
}

pub(crate) fn no_function(export: &ExportFn) -> CallError {
    CallError::Unlinked(format!("`{}` is not a function of the target", export.name))
}

/// At every tick of the epoch: stops a guest whose deadline has passed, and lets other tasks run.
fn at_epoch(cx: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<UpdateDeadline> {
    if Instant::now() >= cx.data().deadline && !cx.data().is_streaming() {
        return Err(wasmtime::Error::from(DeadlinePassed));
    }
    Ok(UpdateDeadline::Yield(1))
}
