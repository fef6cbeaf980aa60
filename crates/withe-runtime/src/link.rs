//! A call over a link that is not fused: from the importer's host function to the target.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::time::timeout_at;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut as _, StoreContextMut};
use withe_linker::input::Scope;
use withe_linker::plan::Binding;
use withe_provider::{Call, LinkId, Provider};
use withe_rpc::{CallContext, CallError, HandleRef, Payload, RouteSession, Writer};

use crate::abi::Values;
use crate::callee::Callee;
use crate::functions::rpc;
use crate::graph::{ExportFn, Graph};
use crate::instance::Instance;
use crate::metrics::{ErrorKind, LinkPlace};
use crate::spec::{Identity, LinkSpec};
use crate::state::State;
use crate::stream::{self, Side};
use crate::trace::{Hop, Tracer};

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
    /// Whether its result has the `error` of `wrpc:rpc/error` as its error.
    pub(crate) error_arm: bool,
    /// Mostly one; several are chosen among by link name.
    pub(crate) routes: Vec<Route>,
    pub(crate) tracer: Tracer,
}

/// One way that an imported function can take.
pub(crate) struct Route {
    pub(crate) link: Arc<LinkSpec>,
    pub(crate) via: Via,
    /// Where its calls are counted.
    pub(crate) place: Arc<LinkPlace>,
    /// What their spans are.
    pub(crate) hop: Hop,
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
    /// Another process. `slot` is the caller's place for its session there.
    Remote {
        remote: Arc<withe_rpc::Route>,
        slot: usize,
        function: usize,
    },
}

/// A call's parameters or results, as the importer has them.
pub(crate) type Args = Values<HandleRef, 0>;

impl LinkFn {
    pub(crate) async fn call(
        &self,
        mut cx: StoreContextMut<'_, State>,
        params: Args,
    ) -> wasmtime::Result<Args> {
        let mut payload = Payload::default();
        let prepared = self.prepare(&mut cx, params, &mut payload)?;
        // The store stays borrowed: this guest waits for the call.
        let called = self.run(&prepared, &mut payload).await;
        self.receive(&mut cx, prepared.index, called, payload)
    }

    pub(crate) async fn call_concurrent(
        &self,
        accessor: &Accessor<State>,
        params: Args,
    ) -> wasmtime::Result<Args> {
        let mut payload = Payload::default();
        let prepared = accessor
            .with(|mut access| self.prepare(&mut access.as_context_mut(), params, &mut payload))?;
        let called = self.run(&prepared, &mut payload).await;
        accessor.with(|mut access| {
            self.receive(
                &mut access.as_context_mut(),
                prepared.index,
                called,
                payload,
            )
        })
    }

    /// Takes from the caller's store all that the call needs of it.
    fn prepare(
        &self,
        cx: &mut StoreContextMut<'_, State>,
        mut params: Args,
        payload: &mut Payload,
    ) -> wasmtime::Result<Prepared> {
        let state = cx.data_mut();
        let index = self.route(state, &mut params.handles)?;
        let route = &self.routes[index];
        let began = Instant::now();
        let deadline = state.deadline_of_call(began, route.link.timeout);
        let trace = state.trace;
        let target = match &route.via {
            Via::Provider { .. } => Target::Provider,
            Via::Unit { unit, slot, .. } => {
                let callee = match route.link.scope {
                    Scope::Caller => Some(state.callee(*slot, *unit)),
                    Scope::Shared => {
                        let holding = state.holding(*slot, *unit);
                        holding.passed(&params.handles);
                        Some(holding.callee().clone())
                    }
                    Scope::Call => None,
                };
                Target::Unit(state.graph.clone(), callee)
            }
            Via::Remote { remote, slot, .. } => Target::Remote(state.session(*slot, remote)),
        };
        payload.bytes = params.bytes;
        payload.handles = params.handles;
        payload.streams = stream::lead_out(cx, params.streams, self.side(index))?;
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
        cx: &mut StoreContextMut<'_, State>,
        route: usize,
        called: Result<(), Box<LinkFailure>>,
        mut result: Payload,
    ) -> wasmtime::Result<Args> {
        match called {
            Ok(()) => {}
            Err(failure) if self.error_arm => {
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
        if let Route {
            link,
            via: Via::Unit { unit, slot, .. },
            ..
        } = &self.routes[route]
            && link.scope == Scope::Shared
        {
            cx.data_mut().holding(*slot, *unit).given(&result.handles);
        }
        for handle in &mut result.handles {
            handle.id = join_handle(self.routes.len(), route, handle.id);
        }
        Ok(Args {
            bytes: result.bytes,
            handles: result.handles,
            streams: stream::lead_in(cx, result.streams, self.side(route))?,
        })
    }

    fn side(&self, route: usize) -> Side {
        Side::Importer {
            member: self.member,
            routes: self.routes.len(),
            route,
        }
    }

    /// Which route a call takes: that of the resource it is about, else the one whose link was chosen.
    fn route(&self, state: &State, handles: &mut [HandleRef]) -> Result<usize, LinkFailure> {
        if self.routes.len() == 1 {
            return Ok(0);
        }
        let mut of_handles = None;
        for handle in handles {
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

    /// Makes the call: `payload` holds the parameters, and then the results. What is not the call of an
    /// instance of this process is boxed: it would make the future of every call as large as the largest.
    async fn run(
        &self,
        prepared: &Prepared,
        payload: &mut Payload,
    ) -> Result<(), Box<LinkFailure>> {
        let route = &self.routes[prepared.index];
        let counted = route.place.call(prepared.began, payload.bytes.len());
        let mut span = self.tracer.hop(prepared.context.trace, || route.hop.span());
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
                    caller: &self.importer.component,
                    trace: context.trace,
                };
                // A provider may wait for anything; what enters a component already has a timer.
                let result = Box::pin(within(deadline, provider.call(call))).await;
                result.map(|result| *payload = result)
            }
            (Via::Unit { unit, export, .. }, Target::Unit(graph, callee)) => {
                let call = call_unit(graph, *unit, export, callee.as_deref(), payload, context);
                if route.link.timeout_given {
                    Box::pin(within(deadline, call)).await
                } else {
                    call.await
                }
            }
            (Via::Remote { function, .. }, Target::Remote(session)) => {
                let params = std::mem::take(payload);
                let result = Box::pin(session.call(*function, params, context)).await;
                result.map(|result| *payload = result)
            }
            // `prepare` makes the target from `via`.
            (Via::Unit { .. } | Via::Remote { .. }, _) => Err(CallError::Unreachable(
                "the target is of another kind".into(),
            )),
        };
        counted.ended(
            called.as_ref().err().map(ErrorKind::from),
            payload.bytes.len(),
        );
        span.note(called.as_ref().err());
        called.map_err(|cause| Box::new(self.failure(route, cause)))
    }

    fn failure(&self, route: &Route, cause: CallError) -> LinkFailure {
        LinkFailure::new(&route.link, &self.name, cause)
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

pub(crate) fn join_handle(routes: usize, route: usize, id: u32) -> u32 {
    match routes {
        0 | 1 => id,
        _ => (route as u32) << (32 - ROUTE_BITS) | id,
    }
}

struct Prepared {
    /// Which of the routes.
    index: usize,
    began: Instant,
    context: CallContext,
    target: Target,
}

/// What a call reaches, as its caller's store has it.
enum Target {
    Provider,
    /// A unit: the caller's callee, the shared one, or one for this call.
    Unit(Arc<Graph>, Option<Arc<Callee>>),
    Remote(Arc<RouteSession>),
}

pub(crate) async fn within<T>(
    deadline: Instant,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    timeout_at(deadline.into(), call)
        .await
        .unwrap_or(Err(CallError::Deadline))
}

/// Calls an instance: that of `callee`, or one for this call. `payload` holds the parameters, and then
/// the results: so it is not moved through all that the call goes through.
pub(crate) async fn call_unit(
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    callee: Option<&Callee>,
    payload: &mut Payload,
    context: CallContext,
) -> Result<(), CallError> {
    match callee {
        Some(callee) => callee.call(graph, unit, export, payload, context).await,
        None => Box::pin(call_once(graph, unit, export, payload, context)).await,
    }
}

async fn call_once(
    graph: &Arc<Graph>,
    unit: usize,
    export: &ExportFn,
    payload: &mut Payload,
    context: CallContext,
) -> Result<(), CallError> {
    let mut instance = Instance::create(graph, unit, context.deadline).await?;
    instance.call(export, payload, context).await?;
    if payload.handles.is_empty() && payload.streams.is_empty() {
        Ok(())
    } else {
        Err(CallError::TypeMismatch(
            "resources and streams cannot outlive a callee of scope `call`".into(),
        ))
    }
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
    Remote {
        remote: Arc<withe_rpc::Route>,
        slot: usize,
        link: Arc<LinkSpec>,
        /// The function of the link that drops a resource.
        function: Option<usize>,
    },
}

impl ResourceDrop {
    pub(crate) fn run(
        &self,
        state: &mut State,
        id: u32,
    ) -> BoxFuture<'static, wasmtime::Result<()>> {
        let callee = match self {
            Self::Provider { provider, link } => {
                provider.drop_resource(*link, id);
                None
            }
            Self::Remote {
                remote,
                slot,
                link,
                function,
            } => {
                let session = state.session(*slot, remote);
                let context = CallContext {
                    deadline: state.deadline_of_call(Instant::now(), link.timeout),
                    trace: state.trace,
                };
                if let Some(function) = *function {
                    let dropped = drop_remote(session, link.clone(), function, id, context);
                    return Box::pin(dropped);
                }
                session.drop_handle(id);
                None
            }
            Self::Unit {
                unit,
                slot,
                scope: Scope::Caller,
            } => Some(state.callee(*slot, *unit)),
            Self::Unit {
                unit,
                slot,
                scope: Scope::Shared,
            } => {
                let holding = state.holding(*slot, *unit);
                holding.dropped(id);
                Some(holding.callee().clone())
            }
            Self::Unit {
                scope: Scope::Call, ..
            } => None,
        };
        Box::pin(async move {
            match callee {
                Some(callee) => Ok(callee.drop_handle(id).await?),
                None => Ok(()),
            }
        })
    }
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
        // What else may go wrong has taken the resource with it.
        Ok(_) | Err(_) => Ok(()),
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

impl LinkFailure {
    fn new(link: &LinkSpec, function: &str, cause: CallError) -> Self {
        Self {
            link: format!("link `{}` -> `{}`", link.source, link.target_name),
            function: function.to_owned(),
            binding: Some(link.binding),
            cause,
        }
    }
}

impl std::fmt::Display for LinkFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (`{}`", self.link, self.function)?;
        match self.binding {
            Some(Binding::Local) => f.write_str(", local)")?,
            Some(Binding::Host) => f.write_str(", host)")?,
            Some(Binding::Fused) => f.write_str(", fused)")?,
            Some(Binding::Unix) => f.write_str(", unix)")?,
            Some(Binding::Tcp) => f.write_str(", tcp)")?,
            Some(Binding::Nats) => f.write_str(", nats)")?,
            None => f.write_str(")")?,
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for LinkFailure {}
