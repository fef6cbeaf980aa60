//! One instance of a unit, and calls into it.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Func;
use wasmtime::{AsContextMut as _, Store, StoreContextMut};
use withe_rpc::{CallContext, CallError, Payload};

use crate::dispatch::{Params, Results};
use crate::functions::rpc;
use crate::graph::{ExportFn, Graph};
use crate::metrics::LiveInstance;
use crate::state::{State, at_epoch};
use crate::stream::{self, Side};
use crate::trap;

/// One instance of a unit, with all that it holds.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) instance: wasmtime::component::Instance,
    /// The function called last: mostly it is the next one, too.
    last: Option<(Arc<str>, Func)>,
    /// Calls from outside that it has served.
    pub(crate) served: u32,
    /// Given back when the instance is dropped or idle.
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
    _counted: LiveInstance,
}

impl Instance {
    /// Makes an instance of unit `unit`, waiting for its turn at most until `deadline`.
    ///
    /// Boxed because instances make instances: a callee of scope `caller` is made from its caller.
    pub(crate) fn create(
        graph: &Arc<Graph>,
        unit: usize,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Box<Self>, CallError>> {
        let graph = graph.clone();
        Box::pin(async move {
            let u = graph.unit(unit);
            let permits = u.acquire(deadline).await?;
            let mut store = Store::new(u.engine(), State::new(graph.clone(), unit, deadline));
            store.limiter(|state| &mut state.limits);
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(at_epoch);
            let instance = match u.pre().instantiate_async(&mut store).await {
                Ok(instance) => instance,
                Err(e) => return Err(trap::to_call_error(u, &store, e)),
            };
            Ok(Box::new(Self {
                store,
                instance,
                last: None,
                served: 0,
                permits,
                _counted: u.place().instance(),
            }))
        })
    }

    /// Calls an export: `payload` holds the parameters, and then the results. After an error, unless it is
    /// [`CallError::Refused`], the instance must not be used again.
    pub(crate) async fn call(
        &mut self,
        export: &ExportFn,
        payload: &mut Payload,
        context: CallContext,
    ) -> Result<(), CallError> {
        self.store.data_mut().begin(context);
        let func = self.function(export)?;
        let params = receive(&mut self.store.as_context_mut(), payload)?;
        let results = match (export.call)(&mut self.store, func, params).await {
            Ok(results) => results,
            Err(e) => return Err(self.failed(e)),
        };
        match give(&mut self.store.as_context_mut(), results, payload) {
            Ok(given) => given,
            Err(e) => Err(self.failed(e)),
        }
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

    /// Explains an error of the instance. Whatever it streams breaks off with it.
    pub(crate) fn failed(&self, error: wasmtime::Error) -> CallError {
        let state = self.store.data();
        let error = trap::to_call_error(state.graph.unit(state.unit), &self.store, error);
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

pub(crate) fn no_function(export: &ExportFn) -> CallError {
    CallError::Unlinked(format!("`{}` is not a function of the target", export.name))
}

/// Takes a call's parameters out of `payload`, as the exporter's store has them.
pub(crate) fn receive(
    store: &mut StoreContextMut<'_, State>,
    payload: &mut Payload,
) -> Result<Params, CallError> {
    let handles = store.data_mut().handles.take(&payload.handles)?;
    let streams = std::mem::take(&mut payload.streams);
    let streams = stream::lead_in(store, streams, Side::Exporter)
        .map_err(|e| CallError::TypeMismatch(e.to_string()))?;
    Ok(Params {
        bytes: std::mem::take(&mut payload.bytes),
        handles,
        streams,
    })
}

/// Puts a call's results into `payload`, as they leave the exporter's store; or returns the error of
/// `wrpc:rpc/error` that they are.
pub(crate) fn give(
    store: &mut StoreContextMut<'_, State>,
    results: Results,
    payload: &mut Payload,
) -> wasmtime::Result<Result<(), CallError>> {
    for handle in &results.handles {
        if let Some(text) = rpc::text(store, *handle)? {
            return Ok(Err(CallError::Refused(text)));
        }
    }
    payload.bytes = results.bytes;
    payload.handles = store.data_mut().handles.put(results.handles);
    payload.streams = stream::lead_out(store, results.streams, Side::Exporter)?;
    Ok(Ok(()))
}
