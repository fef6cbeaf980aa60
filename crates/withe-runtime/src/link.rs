//! A call over a link that is not fused: from the importer's host function to the target.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::time::timeout_at;
use wasmtime::StoreContextMut;
use wasmtime::component::Accessor;
use withe_linker::input::Scope;
use withe_linker::plan::Binding;
use withe_provider::{Call, LinkId, Provider};
use withe_rpc::{CallError, Payload};

use crate::graph::{ExportFn, Graph};
use crate::instance::Instance;
use crate::spec::{Identity, LinkSpec};
use crate::state::{CalleeSlot, State};

/// An imported function and where it leads. Made when the graph is built; nothing is looked up by
/// name at a call, except which of several links `wasmcloud:bus/lattice` chose.
pub(crate) struct LinkFn {
    /// `interface.function`, for messages.
    pub(crate) name: String,
    /// `namespace:package/interface`, by which `wasmcloud:bus/lattice` knows it.
    pub(crate) interface: String,
    /// Which member of the unit imports it.
    pub(crate) member: usize,
    pub(crate) importer: Arc<Identity>,
    /// Mostly one; several are chosen among by link name.
    pub(crate) routes: Vec<Route>,
}

/// One way that an imported function can take.
pub(crate) struct Route {
    pub(crate) link: Arc<LinkSpec>,
    pub(crate) via: Via,
}

pub(crate) enum Via {
    /// An instance of a unit. `slot` is the caller's place for a callee of scope `caller`.
    Unit {
        unit: usize,
        slot: usize,
        export: ExportFn,
    },
    /// A provider.
    Provider {
        provider: Arc<dyn Provider>,
        link: LinkId,
        function: usize,
    },
}

impl LinkFn {
    pub(crate) async fn call(
        &self,
        mut cx: StoreContextMut<'_, State>,
        mut params: Payload,
    ) -> wasmtime::Result<Payload> {
        let prepared = self.prepare(cx.data_mut(), &mut params)?;
        // The store stays borrowed: this guest waits for the call.
        self.run(prepared, params).await
    }

    pub(crate) async fn call_concurrent(
        &self,
        accessor: &Accessor<State>,
        mut params: Payload,
    ) -> wasmtime::Result<Payload> {
        let prepared = accessor.with(|mut access| self.prepare(access.data_mut(), &mut params))?;
        self.run(prepared, params).await
    }

    /// Takes from the caller's store all that the call needs of it.
    fn prepare(&self, state: &mut State, params: &mut Payload) -> Result<Prepared, LinkFailure> {
        let index = self.route(state, params)?;
        let route = &self.routes[index];
        let deadline = state.deadline_of_call(route.link.timeout);
        let target = match &route.via {
            Via::Provider { .. } => None,
            Via::Unit { unit, slot, .. } => {
                let slot = match route.link.scope {
                    Scope::Caller => Some(state.callee(*slot)),
                    Scope::Shared => Some(state.graph.unit(*unit).shared()),
                    Scope::Call => None,
                };
                Some((state.graph.clone(), slot))
            }
        };
        Ok(Prepared {
            index,
            deadline,
            target,
        })
    }

    /// Which route a call takes: that of the resource it is about, else the one whose link was chosen.
    fn route(&self, state: &State, params: &mut Payload) -> Result<usize, LinkFailure> {
        if self.routes.len() == 1 {
            return Ok(0);
        }
        let mut of_handles = None;
        for handle in &mut params.handles {
            let (route, id) = split_handle(self.routes.len(), handle.id);
            handle.id = id;
            of_handles = Some(route);
        }
        if let Some(route) = of_handles.filter(|route| *route < self.routes.len()) {
            return Ok(route);
        }
        let name = state.lattice.chosen(self.member, &self.interface);
        self.routes
            .iter()
            .position(|r| r.link.name == name)
            .ok_or_else(|| LinkFailure {
                link: format!("`{}` has no link named `{name}`", self.importer.component),
                function: self.name.clone(),
                binding: None,
                cause: CallError::Unlinked(format!(
                    "`{}` is linked under other names",
                    self.interface
                )),
            })
    }

    async fn run(&self, prepared: Prepared, params: Payload) -> wasmtime::Result<Payload> {
        let Prepared {
            index,
            deadline,
            target,
        } = prepared;
        let route = &self.routes[index];
        let result = match (&route.via, target) {
            (
                Via::Provider {
                    provider,
                    link,
                    function,
                },
                _,
            ) => {
                let caller = &self.importer.component;
                let call = Call {
                    link: *link,
                    function: *function,
                    params,
                    deadline,
                    caller,
                };
                // A provider may wait for anything; what enters a component already has a timer.
                within(deadline, provider.call(call)).await
            }
            (Via::Unit { unit, export, .. }, Some((graph, slot))) => {
                let call = call_unit(&graph, *unit, export, slot, params, deadline);
                if route.link.timeout_given {
                    within(deadline, call).await
                } else {
                    call.await
                }
            }
            (Via::Unit { .. }, None) => {
                Err(CallError::Unreachable("the target has no graph".into()))
            }
        };
        let mut result = result.map_err(|cause| self.failure(route, cause))?;
        for handle in &mut result.handles {
            handle.id = join_handle(self.routes.len(), index, handle.id);
        }
        Ok(result)
    }

    fn failure(&self, route: &Route, cause: CallError) -> LinkFailure {
        LinkFailure {
            link: format!(
                "link `{}` -> `{}`",
                route.link.source, route.link.target_name
            ),
            function: self.name.clone(),
            binding: Some(route.link.binding),
            cause,
        }
    }
}

/// Where several links serve one import, a resource keeps to the link it came from: the link's place
/// among them stands in the upper bits of its number.
const ROUTE_BITS: u32 = 8;

/// Takes a resource's number apart: which of `routes` it came over, and its number there.
pub(crate) fn split_handle(routes: usize, rep: u32) -> (usize, u32) {
    match routes {
        0 | 1 => (0, rep),
        _ => (
            (rep >> (32 - ROUTE_BITS)) as usize,
            rep << ROUTE_BITS >> ROUTE_BITS,
        ),
    }
}

fn join_handle(routes: usize, route: usize, id: u32) -> u32 {
    match routes {
        0 | 1 => id,
        _ => (route as u32) << (32 - ROUTE_BITS) | id,
    }
}

struct Prepared {
    /// Which of the routes.
    index: usize,
    deadline: Instant,
    target: Option<(Arc<Graph>, Option<CalleeSlot>)>,
}

async fn within(
    deadline: Instant,
    call: impl Future<Output = Result<Payload, CallError>>,
) -> Result<Payload, CallError> {
    timeout_at(deadline.into(), call)
        .await
        .unwrap_or(Err(CallError::Deadline))
}

/// Calls an instance: the one in `slot`, made if there is none; without a slot, one for this call.
///
/// An instance is out of its slot while it is called. If it fails, or the call is cancelled, it is
/// dropped: it may be in the middle of anything.
async fn call_unit(
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    slot: Option<CalleeSlot>,
    params: Payload,
    deadline: Instant,
) -> Result<Payload, CallError> {
    let Some(slot) = slot else {
        let mut instance = Instance::create(graph, unit, deadline).await?;
        let result = instance.call(export, params, deadline).await?;
        return if result.handles.is_empty() {
            Ok(result)
        } else {
            Err(CallError::TypeMismatch(
                "a resource cannot outlive a callee of scope `call`".into(),
            ))
        };
    };
    let mut place = slot.lock().await;
    let mut instance = match place.take() {
        Some(instance) => instance,
        None => Instance::create(graph, unit, deadline).await?,
    };
    let result = instance.call(export, params, deadline).await?;
    *place = Some(instance);
    Ok(result)
}

/// What happens when the importer drops a resource that came over a link.
pub(crate) enum ResourceDrop {
    Unit {
        unit: usize,
        slot: usize,
        scope: Scope,
    },
    Provider {
        provider: Arc<dyn Provider>,
        link: LinkId,
    },
}

impl ResourceDrop {
    pub(crate) fn run(
        &self,
        state: &mut State,
        id: u32,
    ) -> BoxFuture<'static, wasmtime::Result<()>> {
        let slot = match self {
            Self::Provider { provider, link } => {
                provider.drop_resource(*link, id);
                None
            }
            Self::Unit {
                slot,
                scope: Scope::Caller,
                ..
            } => Some(state.callee(*slot)),
            Self::Unit {
                unit,
                scope: Scope::Shared,
                ..
            } => Some(state.graph.unit(*unit).shared()),
            Self::Unit {
                scope: Scope::Call, ..
            } => None,
        };
        Box::pin(async move {
            let Some(slot) = slot else { return Ok(()) };
            let mut place = slot.lock().await;
            let Some(mut instance) = place.take() else {
                return Ok(());
            };
            instance.drop_handle(id).await?;
            *place = Some(instance);
            Ok(())
        })
    }
}

/// A call over a link failed: the error with which the importer traps.
#[derive(Debug)]
pub(crate) struct LinkFailure {
    link: String,
    function: String,
    binding: Option<Binding>,
    pub(crate) cause: CallError,
}

impl std::fmt::Display for LinkFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (`{}`", self.link, self.function)?;
        match self.binding {
            Some(Binding::Local) => f.write_str(", local)")?,
            Some(Binding::Host) => f.write_str(", host)")?,
            Some(Binding::Fused) => f.write_str(", fused)")?,
            Some(Binding::Unix) => f.write_str(", unix)")?,
            None => f.write_str(")")?,
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for LinkFailure {}
