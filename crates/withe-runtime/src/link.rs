//! A call over a link that is not fused: from the importer's host function to the target.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use wasmtime::component::{Accessor, ResourceType};
use wasmtime::{AsContextMut as _, StoreContextMut};
use withe_linker::input::Scope;
use withe_provider::Call;
use withe_rpc::{
    CallContext, CallError, HandleRef, Payload, RouteSession, Writer, max_payload, payload_exceeded,
};

use crate::abi::Values;
use crate::core::{Callee, Graph, Instance, InstanceState, Unit};
use crate::exports::ExportFn;
use crate::failure::LinkFailure;
use crate::functions::rpc;
use crate::handles::MixedLinks;
use crate::links::{LinkRoute, Numbering, Stub, UnitLinks, Via};
use crate::metrics::ErrorKind;
use crate::quota::Nested;
use crate::spec::{Identity, LinkSpec, LinkTarget};
use crate::stream::{ElementSide, lead_in, lead_out};

/// A call's parameters or results, as the importer has them.
pub(crate) type Args = Values<HandleRef, 0>;

/// Tells the resources of one component from those of another, for Wasmtime's type check. All that
/// come to a component over links are of one host type: within a component its own types keep them
/// apart, and interfaces may share one (`wasi:keyvalue/atomics` uses the bucket of `store`).
pub(crate) fn resource_type(member: usize) -> ResourceType {
    ResourceType::host_dynamic(resource_number(member))
}

/// The number of that type.
pub(crate) fn resource_number(member: usize) -> u32 {
    // Components number their members alone; a handle never crosses from one unit to another.
    member as u32
}

/// Calls the function that has this `number` among those that the unit imports over links.
pub(crate) async fn call(
    links: &UnitLinks,
    number: usize,
    mut cx: StoreContextMut<'_, InstanceState>,
    params: Args,
) -> wasmtime::Result<Args> {
    let call = LinkCall::of(links, number);
    let mut payload = Payload::default();
    let prepared = call.prepare(&mut cx, params, &mut payload)?;
    // The store stays borrowed: this guest waits for the call.
    let called = call.run(&prepared, &mut payload).await;
    call.receive(&mut cx, prepared.index, called, payload)
}

/// The same beside other calls of the store.
pub(crate) async fn call_concurrent(
    links: &UnitLinks,
    number: usize,
    accessor: &Accessor<InstanceState>,
    params: Args,
) -> wasmtime::Result<Args> {
    let call = LinkCall::of(links, number);
    let mut payload = Payload::default();
    let (prepared, _under_way) = accessor.with(|mut access| {
        let mut cx = access.as_context_mut();
        // One that makes its calls one after the other is bounded as instances are; one that makes them beside each
        // other has to be counted.
        let account = &cx.data().nested.tenancy.account;
        let under_way = account
            .call()
            .map_err(|e| call.refused(e.into_call_error()));
        let under_way = under_way?;
        let prepared = call.prepare(&mut cx, params, &mut payload)?;
        Ok::<_, wasmtime::Error>((prepared, under_way))
    })?;
    let called = call.run(&prepared, &mut payload).await;
    accessor.with(|mut access| {
        let mut cx = access.as_context_mut();
        call.receive(&mut cx, prepared.index, called, payload)
    })
}

/// A function that is called, and the links of the unit that calls it.
struct LinkCall<'a> {
    links: &'a UnitLinks,
    stub: &'a Stub,
    routes: &'a [LinkRoute],
}

impl<'a> LinkCall<'a> {
    fn of(links: &'a UnitLinks, number: usize) -> Self {
        Self {
            links,
            stub: &links.stubs[number],
            routes: &links.routes[number],
        }
    }

    /// Takes from the caller's store all that the call needs of it.
    fn prepare(
        &self,
        cx: &mut StoreContextMut<'_, InstanceState>,
        mut params: Args,
        payload: &mut Payload,
    ) -> wasmtime::Result<Prepared> {
        let state = cx.data_mut();
        let index = self.route(state, &mut params.handles)?;
        let route = &self.routes[index];
        let slot = route.slot;
        let began = Instant::now();
        let deadline = state.deadline_of_call(began, route.link.timeout);
        let trace = state.trace;
        let target = match &route.via {
            Via::Provider { .. } => CallEnd::Provider,
            Via::Unit { unit, .. } => {
                let callee = match route.link.scope {
                    Scope::Caller => Some(state.callee(slot, *unit)),
                    Scope::Shared => {
                        let holding = state.holding(slot, *unit);
                        holding.passed(&params.handles);
                        Some(holding.callee.clone())
                    }
                    Scope::Call => None,
                };
                let callee = match callee {
                    Some(callee) => UnitCallee::Kept(callee),
                    None => UnitCallee::Once(Some(state.nested.clone())),
                };
                CallEnd::Unit(state.graph.clone(), callee)
            }
            Via::Remote { remote, .. } => CallEnd::Remote(state.session(slot, remote)),
        };
        check_size("parameters", &params.bytes)
            .map_err(|cause| LinkFailure::new(&route.link, &self.stub.name, cause))?;
        payload.bytes = params.bytes;
        payload.handles = params.handles;
        payload.streams = lead_out(cx, params.streams, self.side(route))?;
        Ok(Prepared {
            index,
            began,
            context: CallContext { deadline, trace },
            target,
        })
    }

    /// A result as it comes into the caller's store.
    fn receive(
        &self,
        cx: &mut StoreContextMut<'_, InstanceState>,
        index: usize,
        called: Result<(), Box<LinkFailure>>,
        mut result: Payload,
    ) -> wasmtime::Result<Args> {
        match called {
            Ok(()) => {}
            Err(failure) if self.stub.error_arm => {
                let id = rpc::error(cx.data_mut(), failure.to_string())?;
                let mut error = Writer::default();
                error.byte(1);
                error.handle(HandleRef { id, own: true });
                let error = error.finish();
                return Ok(Args {
                    bytes: error.bytes,
                    handles: error.handles,
                    streams: Vec::new(),
                });
            }
            Err(failure) => return Err((*failure).into()),
        }
        let route = &self.routes[index];
        if let Via::Unit { unit, .. } = &route.via
            && route.link.scope == Scope::Shared
        {
            let holding = cx.data_mut().holding(route.slot, *unit);
            holding.given(&result.handles);
        }
        if !result.handles.is_empty() && self.numbering() == Numbering::Store {
            cx.data_mut().linked.enter(route.slot, &mut result.handles);
        }
        Ok(Args {
            bytes: result.bytes,
            handles: result.handles,
            streams: lead_in(cx, result.streams, self.side(route))?,
        })
    }

    fn importer(&self) -> &'a Identity {
        &self.links.members[self.stub.member]
    }

    fn numbering(&self) -> Numbering {
        self.links.numbering[self.stub.member]
    }

    fn side(&self, route: &LinkRoute) -> ElementSide {
        ElementSide::Importer {
            member: self.stub.member,
            numbering: self.numbering(),
            slot: route.slot,
        }
    }

    /// Which route a call takes: that of the resources it is about, else the one whose link was chosen. Gives
    /// `handles` the numbers that they have at its target.
    fn route(
        &self,
        state: &mut InstanceState,
        handles: &mut [HandleRef],
    ) -> Result<usize, LinkFailure> {
        let routes = self.routes;
        if !handles.is_empty() && self.numbering() == Numbering::Store {
            let of_handles = match state.linked.leave(handles) {
                Ok(slot) => slot,
                Err(mixed) => return Err(self.refused(self.mixed(&mixed))),
            };
            if let Some(slot) = of_handles {
                let route = routes.iter().position(|route| route.slot == slot);
                return route.ok_or_else(|| self.refused(self.strange(slot)));
            }
        }
        if routes.len() == 1 {
            return Ok(0);
        }
        let interface = &*self.stub.interface;
        let name = state.lattice.chosen(self.stub.member, interface);
        let route = routes.iter().position(|route| route.link.name == name);
        route.ok_or_else(|| {
            self.refused(CallError::Unlinked(format!(
                "no link of `{interface}` is named `{name}`; there are {}",
                listed(routes.iter().map(|route| &*route.link))
            )))
        })
    }

    /// Handles of two links.
    fn mixed(&self, MixedLinks(one, other): &MixedLinks) -> CallError {
        CallError::TypeMismatch(format!(
            "one call cannot pass resources of two links: one came over {}, another over {}",
            named(&self.links.links[*one]),
            named(&self.links.links[*other]),
        ))
    }

    /// A handle of a link that does not serve the function's interface.
    fn strange(&self, slot: usize) -> CallError {
        let routes = self.routes.iter();
        CallError::TypeMismatch(format!(
            "a resource that came over {} cannot be passed to `{}`, which is linked by {}",
            named(&self.links.links[slot]),
            self.stub.interface,
            listed(routes.map(|route| &*route.link)),
        ))
    }

    fn refused(&self, cause: CallError) -> LinkFailure {
        let importer = &self.importer().component;
        LinkFailure::unlinked(importer, &self.stub.name, cause)
    }

    /// Makes the call: `payload` holds the parameters, and then the results. Only calls of instances in this
    /// process are not boxed: the other futures would make that of every call as large as the largest.
    async fn run(
        &self,
        prepared: &Prepared,
        payload: &mut Payload,
    ) -> Result<(), Box<LinkFailure>> {
        let route = &self.routes[prepared.index];
        let counted = route.counts.call(prepared.began, payload.bytes.len());
        let tracer = &self.links.tracer;
        let mut span = tracer.hop(prepared.context.trace, || {
            route.hop(self.importer(), self.stub).span()
        });
        let deadline = prepared.context.deadline;
        let context = CallContext {
            deadline,
            trace: span.context(),
        };
        let called = match (&route.via, &prepared.target) {
            (
                Via::Provider {
                    provider,
                    link,
                    function,
                },
                _,
            ) => {
                let call = Call {
                    link: *link,
                    function: *function,
                    params: std::mem::take(payload),
                    deadline,
                    caller: &self.importer().component,
                    trace: context.trace,
                };
                // A provider may wait for anything; what enters a component already has a timer.
                let result = Box::pin(within(deadline, provider.call(call))).await;
                result.map(|result| *payload = result)
            }
            (Via::Unit { unit, export, .. }, CallEnd::Unit(graph, callee)) => {
                let call = call_unit(graph, *unit, export, callee, payload, context);
                if route.link.timeout_given {
                    Box::pin(within(deadline, call)).await
                } else {
                    call.await
                }
            }
            (Via::Remote { function, .. }, CallEnd::Remote(session)) => {
                let params = std::mem::take(payload);
                let result = Box::pin(session.call(*function, params, context)).await;
                result.map(|result| *payload = result)
            }
            // `prepare` makes the target from `via`.
            (Via::Unit { .. } | Via::Remote { .. }, _) => Err(CallError::Unreachable(
                "the target is of another kind".into(),
            )),
        };
        let called = called.and_then(|()| check_size("results", &payload.bytes));
        counted.ended(
            called.as_ref().err().map(ErrorKind::from),
            payload.bytes.len(),
        );
        span.note(called.as_ref().err());
        called.map_err(|cause| {
            let failure = LinkFailure::new(&route.link, &self.stub.name, cause);
            Box::new(failure)
        })
    }
}

/// Bounds what one call carries over a binding that copies, as the wires do.
fn check_size(what: &str, bytes: &[u8]) -> Result<(), CallError> {
    if bytes.len() > max_payload() {
        return Err(payload_exceeded(what, bytes.len(), max_payload() as u64));
    }
    Ok(())
}

/// A link, for people.
fn named(link: &LinkSpec) -> String {
    format!(
        "`{}` (`{}` -> `{}`)",
        link.name, link.source, link.target_name
    )
}

/// Links, for people.
fn listed<'a>(links: impl Iterator<Item = &'a LinkSpec>) -> String {
    links.map(named).collect::<Vec<_>>().join(" and ")
}

struct Prepared {
    /// Which of the routes.
    index: usize,
    began: Instant,
    context: CallContext,
    target: CallEnd,
}

/// The end of a call, as its caller's store has it.
enum CallEnd {
    Provider,
    Unit(Arc<Graph>, UnitCallee),
    Remote(Arc<RouteSession>),
}

/// Which instance of a unit is called.
#[derive(Clone)]
pub(crate) enum UnitCallee {
    /// The caller's own, or the one that all share.
    Kept(Arc<Callee>),
    /// One for this call, of a caller that stands there; `None` for one from outside.
    Once(Option<Nested>),
    /// One for this call from outside, which may be used for more of them, as the unit's `reuse` says.
    Entered,
}

pub(crate) async fn within<T>(
    deadline: Instant,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    timeout_at(deadline.into(), call)
        .await
        .unwrap_or(Err(CallError::Deadline))
}

/// Calls an instance. `payload` holds the parameters, and then
/// the results: so it is not moved through all that the call goes through.
pub(crate) async fn call_unit(
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    callee: &UnitCallee,
    payload: &mut Payload,
    context: CallContext,
) -> Result<(), CallError> {
    match callee {
        UnitCallee::Kept(callee) => callee.call(graph, unit, export, payload, context).await,
        UnitCallee::Once(nested) => {
            let call = call_once(graph, unit, nested.as_ref(), export, payload, context);
            Box::pin(call).await
        }
        UnitCallee::Entered if graph.unit(unit).concurrency => {
            call_entered_in_task(graph, unit, export, payload, context).await
        }
        UnitCallee::Entered => Box::pin(call_entered(graph, unit, export, payload, context)).await,
    }
}

async fn call_once(
    graph: &Arc<Graph>,
    unit: usize,
    nested: Option<&Nested>,
    export: &ExportFn,
    payload: &mut Payload,
    context: CallContext,
) -> Result<(), CallError> {
    let mut instance = Instance::create(graph, unit, nested, context.deadline).await?;
    instance.call(export, payload, context).await?;
    if payload.handles.is_empty() && payload.streams.is_empty() {
        Ok(())
    } else {
        Err(CallError::TypeMismatch(
            "resources and streams cannot outlive a callee of scope `call`".into(),
        ))
    }
}

/// The same in a task, which ends when this is dropped: a provider may make the call while an instance waits for it, and
/// no instance with concurrency can run within the poll of another.
fn call_entered_in_task<'a>(
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    payload: &'a mut Payload,
    context: CallContext,
) -> BoxFuture<'a, Result<(), CallError>> {
    let (graph, export) = (graph.clone(), export.clone());
    let mut carried = std::mem::take(payload);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let call = call_entered(&graph, unit, &export, &mut carried, context);
        graph.unit(unit).in_turns(&graph.engines, call).await?;
        Ok(carried)
    });
    Box::pin(async move {
        *payload = match task.join_next().await {
            Some(Ok(called)) => called?,
            Some(Err(e)) => {
                let why = format!("the call was not finished: {e}");
                return Err(CallError::Trap(why));
            }
            None => return Err(CallError::Trap("the call was not begun".into())),
        };
        Ok(())
    })
}

async fn call_entered(
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    payload: &mut Payload,
    context: CallContext,
) -> Result<(), CallError> {
    let mut instance = Unit::checkout(graph, unit, context).await?;
    let called = instance.call(export, payload, context).await;
    match called {
        Ok(()) if !payload.handles.is_empty() => Err(CallError::TypeMismatch(
            "a component gives no resources to a provider that calls it".into(),
        )),
        Ok(()) if !payload.streams.is_empty() => {
            instance.go_on(graph, unit, payload.streams.iter_mut());
            Ok(())
        }
        // An error that the callee returned as a value leaves it as it was. Its streams end with the call.
        Ok(()) | Err(CallError::Refused(_)) => {
            if !instance.store.data().streams.any() {
                graph.unit(unit).checkin(instance);
            }
            called
        }
        Err(_) => called,
    }
}

/// The importer drops a resource that came over the link that has `slot`, whose number there is `id`.
pub(crate) fn drop_resource(
    state: &mut InstanceState,
    slot: usize,
    id: u32,
) -> BoxFuture<'static, wasmtime::Result<()>> {
    let link = state.links.links[slot].clone();
    let callee = match (&link.target, link.scope) {
        (LinkTarget::Provider { provider, link, .. }, _) => {
            provider.drop_resource(*link, id);
            None
        }
        (LinkTarget::Remote { route, drop, .. }, _) => {
            let session = state.session(slot, route);
            if let Some(function) = *drop {
                let context = CallContext {
                    deadline: state.deadline_of_call(Instant::now(), link.timeout),
                    trace: state.trace,
                };
                return Box::pin(drop_remote(session, link.clone(), function, id, context));
            }
            session.drop_handle(id);
            None
        }
        (LinkTarget::Unit(unit), Scope::Caller) => Some(state.callee(slot, *unit)),
        (LinkTarget::Unit(unit), Scope::Shared) => {
            let holding = state.holding(slot, *unit);
            holding.dropped(id);
            Some(holding.callee.clone())
        }
        (LinkTarget::Unit(_), Scope::Call) => None,
    };
    Box::pin(async move {
        match callee {
            Some(callee) => Ok(callee.drop_handle(id).await?),
            None => Ok(()),
        }
    })
}

/// Has a resource dropped in another process, and waits for that: its destructor may trap.
async fn drop_remote(
    session: Arc<RouteSession>,
    link: Arc<LinkSpec>,
    function: usize,
    id: u32,
    context: CallContext,
) -> wasmtime::Result<()> {
    let mut params = Writer::default();
    params.handle(HandleRef { id, own: true });
    match session.call(function, params.finish(), context).await {
        Err(cause @ (CallError::Trap(_) | CallError::Deadline)) => {
            let function = "dropping a resource";
            Err(LinkFailure::new(&link, function, cause).into())
        }
        // Any other failure has taken the resource with it.
        Ok(_) | Err(_) => Ok(()),
    }
}
