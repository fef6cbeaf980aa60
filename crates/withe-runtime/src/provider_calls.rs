//! Calls of a provider into a component.
//!
//! A provider calls a component as requests come in: from outside. Wherever the component is, its calls are bounded
//! and counted here, as those of a component over a link are where the link is called ([`crate::link`]). The host that runs the
//! component traces its calls; for one that others run, which a provider stands for, they are traced here as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use withe_linker::plan::PlannedLink;
use withe_provider::{Call, CallTarget, FunctionName, LinkId, Provider};
use withe_rpc::{
    BoxFuture, CallContext, CallError, Payload, Route, ServedLink, ServedSession, max_payload,
    payload_exceeded,
};

use crate::core::Graph;
use crate::link::within;
use crate::metrics::{ErrorKind, LinkCounts, LinkLabels};
use crate::trace::{Hop, Tracer};

/// A component that a provider calls over a link.
pub struct CalledComponent {
    way: Way,
    /// By the functions' numbers.
    counts: Vec<Arc<LinkCounts>>,
    /// The longest that a call may take.
    timeout: Duration,
    /// By this it is known whether what the plan made is needed.
    _graph: Arc<Graph>,
}

enum Way {
    /// To a unit of this process.
    Unit(Arc<dyn ServedSession>),
    /// To another process, perhaps of another host.
    Route(Arc<Route>),
    /// To a component that others run.
    Provider(Box<StandsFor>),
}

/// A provider that stands for a component which others run.
struct StandsFor {
    provider: Arc<dyn Provider>,
    /// The link to it, as it knows it.
    link: LinkId,
    /// The name of the provider that calls.
    caller: String,
    /// By the functions' numbers.
    hops: Vec<Hop>,
    tracer: Tracer,
}

impl CalledComponent {
    /// The component of this process that `served` leads to. `interfaces` has the interface of each function, in the
    /// order of the functions, and the world's functions by their names.
    pub fn here(
        graph: &Arc<Graph>,
        application: &str,
        link: &PlannedLink,
        interfaces: &[String],
        served: &Arc<dyn ServedLink>,
    ) -> Self {
        let way = Way::Unit(served.session());
        Self::new(graph, application, link, interfaces, way)
    }

    /// The component that is reached by `route`.
    pub fn away(
        graph: &Arc<Graph>,
        application: &str,
        link: &PlannedLink,
        interfaces: &[String],
        route: Arc<Route>,
    ) -> Self {
        Self::new(graph, application, link, interfaces, Way::Route(route))
    }

    /// The component that others run and `provider` stands for. The provider knows the link as `id`, and has `functions` of
    /// the component.
    pub fn of_others(
        graph: &Arc<Graph>,
        application: &str,
        link: &PlannedLink,
        functions: &[FunctionName],
        provider: Arc<dyn Provider>,
        id: LinkId,
    ) -> Self {
        let hop = |f: &FunctionName| {
            let labels = LinkLabels::of(application, link, &f.interface);
            Hop::link(&labels, &f.function)
        };
        let way = Way::Provider(Box::new(StandsFor {
            provider,
            link: id,
            caller: link.source.clone(),
            hops: functions.iter().map(hop).collect(),
            tracer: graph.observer().tracer.clone(),
        }));
        let interfaces: Vec<_> = functions.iter().map(|f| f.interface.clone()).collect();
        Self::new(graph, application, link, &interfaces, way)
    }

    fn new(
        graph: &Arc<Graph>,
        application: &str,
        link: &PlannedLink,
        interfaces: &[String],
        way: Way,
    ) -> Self {
        let metrics = &graph.observer().metrics;
        let counts = interfaces.iter().map(|interface| {
            let labels = LinkLabels::of(application, link, interface);
            if let Way::Route(route) = &way {
                metrics.route(&labels, route);
            }
            metrics.link(&labels)
        });
        Self {
            counts: counts.collect(),
            way,
            timeout: Duration::from_millis(link.timeout_ms),
            _graph: graph.clone(),
        }
    }

    async fn enter(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        check_size("parameters", &params)?;
        let deadline = context.deadline;
        let called = match &self.way {
            Way::Unit(session) => {
                let call = session.clone().call(function, params, context);
                within(deadline, call).await
            }
            // A session of its own for each call, which goes where there is least to do.
            Way::Route(route) => {
                let session = route.session();
                let called = session.call(function, params, context).await;
                called.map(|mut results| {
                    // The component streams for as long as the session is there, also what its streams bring.
                    if !results.streams.is_empty() {
                        let session = Arc::new(session);
                        let readers = results.streams.iter_mut();
                        readers.for_each(|reader| reader.keep_for_all(session.clone()));
                    }
                    results
                })
            }
            Way::Provider(stands_for) => stands_for.call(function, params, context).await,
        }?;
        check_size("results", &called)?;
        Ok(called)
    }
}

impl StandsFor {
    async fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        // There is a hop for each function that there are counts for.
        let mut span = self
            .tracer
            .enter(context.trace, || self.hops[function].span());
        let call = Call {
            link: self.link,
            function,
            params,
            deadline: context.deadline,
            caller: &self.caller,
            trace: span.context(),
        };
        let called = within(context.deadline, self.provider.call(call)).await;
        span.note(called.as_ref().err());
        called
    }
}

impl CallTarget for CalledComponent {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        Box::pin(async move {
            let Some(counts) = self.counts.get(function) else {
                return Err(CallError::TypeMismatch(format!(
                    "the link has no function number {function}"
                )));
            };
            let began = Instant::now();
            let counted = counts.call(began, params.bytes.len());
            let context = CallContext {
                deadline: context.deadline.min(began + self.timeout),
                ..context
            };
            let called = self.enter(function, params, context).await;
            let received = called.as_ref().map_or(0, |results| results.bytes.len());
            counted.ended(called.as_ref().err().map(ErrorKind::from), received);
            called
        })
    }
}

/// Bounds what one call carries, as links between components do.
fn check_size(what: &str, payload: &Payload) -> Result<(), CallError> {
    let len = payload.bytes.len();
    if len > max_payload() {
        return Err(payload_exceeded(what, len, max_payload() as u64));
    }
    Ok(())
}
