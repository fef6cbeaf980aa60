//! One instance of a unit, and calls into it.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::ResourceAny;
use withe_rpc::{CallError, HandleRef, Payload};

use crate::graph::{ExportFn, Graph};
use crate::state::{State, at_epoch};
use crate::trap;

/// One instance of a unit, with all that it holds.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) instance: wasmtime::component::Instance,
    /// Resources of this instance that its callers hold.
    handles: HandleTable,
    /// Calls from outside that it has served.
    pub(crate) served: u32,
    /// Given back when the instance is dropped or idle.
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
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
            let handles = HandleTable::default();
            Ok(Box::new(Self {
                store,
                instance,
                handles,
                served: 0,
                permits,
            }))
        })
    }

    /// Calls an export. After an error the instance must not be used again.
    pub(crate) async fn call(
        &mut self,
        export: &ExportFn,
        params: Payload,
        deadline: Instant,
    ) -> Result<Payload, CallError> {
        self.store.data_mut().deadline = deadline;
        let handles = self.handles.take(&params.handles)?;
        let Some(func) = self.instance.get_func(&mut self.store, export.index) else {
            return Err(CallError::Unlinked(format!(
                "`{}` is not a function of the target",
                export.name
            )));
        };
        match (export.call)(&mut self.store, func, params.bytes, handles).await {
            Ok((bytes, handles)) => Ok(Payload {
                bytes,
                handles: self.handles.put(handles),
                streams: Vec::new(),
            }),
            Err(e) => {
                let graph = self.store.data().graph.clone();
                let unit = graph.unit(self.store.data().unit);
                Err(trap::to_call_error(unit, &self.store, e))
            }
        }
    }

    /// Drops a resource that a caller held, running its destructor.
    pub(crate) async fn drop_handle(&mut self, id: u32) -> wasmtime::Result<()> {
        match self.handles.remove(id) {
            Some(resource) => resource.resource_drop_async(&mut self.store).await,
            None => Ok(()),
        }
    }
}

/// Resources that callers hold, by the number they know them under.
#[derive(Default)]
struct HandleTable {
    entries: Vec<Option<ResourceAny>>,
    free: Vec<u32>,
}

impl HandleTable {
    /// The resources that a call's handles mean; those given away leave the table.
    fn take(&mut self, handles: &[HandleRef]) -> Result<Vec<ResourceAny>, CallError> {
        let unknown = || CallError::TypeMismatch("a resource handle that was not given out".into());
        handles
            .iter()
            .map(|handle| {
                let entry = self.entries.get(handle.id as usize).copied().flatten();
                if handle.own {
                    self.remove(handle.id)
                } else {
                    entry
                }
                .ok_or_else(unknown)
            })
            .collect()
    }

    fn put(&mut self, resources: Vec<ResourceAny>) -> Vec<HandleRef> {
        resources
            .into_iter()
            .map(|resource| {
                let id = match self.free.pop() {
                    Some(id) => {
                        self.entries[id as usize] = Some(resource);
                        id
                    }
                    None => {
                        self.entries.push(Some(resource));
                        // Wasmtime's own table of handles is bounded far below this.
                        (self.entries.len() - 1) as u32
                    }
                };
                HandleRef { id, own: true }
            })
            .collect()
    }

    fn remove(&mut self, id: u32) -> Option<ResourceAny> {
        let resource = self.entries.get_mut(id as usize)?.take();
        if resource.is_some() {
            self.free.push(id);
        }
        resource
    }
}
