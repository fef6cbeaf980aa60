//! Units served to callers in other processes: the exporting end of a link that is bound over a wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinSet;
use withe_linker::input::Scope;
use withe_rpc::{CallContext, CallError, Payload, ServedLink, ServedSession};

use crate::core::{Callee, Graph};
use crate::exports::ExportFn;
use crate::link::{UnitCallee, call_unit, within};
use crate::trace::Hop;

/// The name of a function that every link to a unit has besides those of its interfaces: it drops its
/// parameter, a resource of the unit, and fails if the destructor does. No function of WIT can have it.
pub const DROP: &str = "[drop]";

/// The callers of a served unit, and how its link shares instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Instances of components: each has a session.
    Components(Scope),
    /// A provider. Its calls come from outside, as requests do: each has an instance that is fresh, or is kept for
    /// more, unless all share one.
    Provider(Scope),
}

impl Graph {
    /// Serves functions of the unit whose root is `component`, each given by the interface it is exported
    /// under (`None`: by the world) and its name, or [`DROP`]. Calls name them by their index.
    ///
    /// # Errors
    ///
    /// [`CallError::Unlinked`] if there is no such unit, or it does not export one of them.
    pub fn serve(
        self: &Arc<Self>,
        component: &str,
        functions: &[(Option<String>, String)],
        callers: Callers,
    ) -> Result<Arc<dyn ServedLink>, CallError> {
        let unit = self.find(component).ok_or_else(|| {
            CallError::Unlinked(format!("`{component}` is not served by this process"))
        })?;
        let functions = functions
            .iter()
            .map(|(interface, function)| {
                if interface.is_none() && function == DROP {
                    return Ok(ServedFunction::Drop);
                }
                let export = self
                    .unit(unit)
                    .code
                    .exports
                    .get(interface.as_deref(), function)
                    .cloned();
                let served = |export: ExportFn| {
                    let application = self.unit(unit).application();
                    ServedFunction::Export(ServedExport {
                        export,
                        is_long: AtomicBool::new(false),
                        hop: Hop::served(application, component, interface.as_deref(), function),
                    })
                };
                let mut export = export.ok_or_else(|| {
                    let of = interface.as_deref().unwrap_or("its world");
                    CallError::Unlinked(format!("`{component}` exports no `{function}` in `{of}`"))
                })?;
                // A provider has no resources of the component, and gives a name.
                if let (Callers::Provider(_), Some(import)) = (callers, &export.first_of) {
                    let opener = self.unit(unit).code.openers.get(&**import);
                    let opener = opener.ok_or_else(|| {
                        CallError::Unlinked(format!(
                            "`{component}` has no link for `{import}`, over which the resource would be opened that \
                             `{function}` is given"
                        ))
                    })?;
                    export.opener = Some(*opener);
                }
                Ok(served(export))
            })
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(ServedUnit {
            graph: self.clone(),
            unit,
            callers,
            functions,
        }))
    }
}

/// A function of a link.
enum ServedFunction {
    Export(ServedExport),
    /// See [`DROP`].
    Drop,
}

struct ServedExport {
    export: ExportFn,
    /// Whether it took long when it was called last.
    is_long: AtomicBool,
    /// The hop of its calls' spans.
    hop: Hop,
}

/// A call that takes longer runs in a task of its own the next time. A call is begun where its frame was read,
/// which is cheapest for short ones; but while it computes there, those behind it wait.
const LONG: Duration = Duration::from_micros(100);

/// A link that ends at a unit.
struct ServedUnit {
    graph: Arc<Graph>,
    unit: usize,
    callers: Callers,
    functions: Arc<[ServedFunction]>,
}

impl ServedLink for ServedUnit {
    fn session(&self) -> Arc<dyn ServedSession> {
        let unit = self.graph.unit(self.unit);
        Arc::new(UnitSession {
            graph: self.graph.clone(),
            unit: self.unit,
            callee: match self.callers {
                Callers::Components(Scope::Caller) => UnitCallee::Kept(Arc::new(unit.callee(None))),
                Callers::Components(Scope::Shared) | Callers::Provider(Scope::Shared) => {
                    UnitCallee::Kept(unit.shared())
                }
                Callers::Components(Scope::Call) => UnitCallee::Once(None),
                Callers::Provider(Scope::Caller | Scope::Call) => UnitCallee::Entered,
            },
            functions: self.functions.clone(),
            turn: Arc::default(),
        })
    }
}

/// One caller of a unit.
struct UnitSession {
    graph: Arc<Graph>,
    unit: usize,
    /// Its callee, the one that all share, or one for each call.
    callee: UnitCallee,
    functions: Arc<[ServedFunction]>,
    /// Calls of a callee reach it in the order in which they came, also from tasks of their own.
    turn: Arc<Mutex<()>>,
}

impl UnitSession {
    /// The callee that is kept for more than one call.
    fn kept(&self) -> Option<&Callee> {
        match &self.callee {
            UnitCallee::Kept(callee) => Some(callee),
            UnitCallee::Once(_) | UnitCallee::Entered => None,
        }
    }

    /// Calls an export: `payload` holds the parameters, and then the results.
    async fn export(
        &self,
        served: &ServedExport,
        payload: &mut Payload,
        context: CallContext,
    ) -> Result<(), CallError> {
        let began = Instant::now();
        let (graph, callee) = (&self.graph, &self.callee);
        let tracer = &graph.observer().tracer;
        let mut span = tracer.enter(context.trace, || served.hop.span());
        let context = CallContext {
            trace: span.context(),
            ..context
        };
        let call = call_unit(graph, self.unit, &served.export, callee, payload, context);
        let call = graph.unit(self.unit).in_turns(&graph.engines, call);
        let called = within(context.deadline, call).await;
        span.note(called.as_ref().err());
        served
            .is_long
            .store(began.elapsed() > LONG, Ordering::Relaxed);
        called
    }

    /// The same in a task, which ends when this is dropped.
    async fn export_in_task(
        self: Arc<Self>,
        function: usize,
        mut payload: Payload,
        context: CallContext,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<Payload, CallError> {
        let mut task = JoinSet::new();
        task.spawn(async move {
            // The function was an export when the task was started, and never changes.
            if let Some(ServedFunction::Export(served)) = self.functions.get(function) {
                self.export(served, &mut payload, context).await?;
            }
            drop(turn);
            Ok(payload)
        });
        match task.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(e)) => Err(CallError::Trap(format!("the call was not finished: {e}"))),
            None => Err(CallError::Trap("the call was not begun".into())),
        }
    }
}

impl ServedSession for UnitSession {
    fn call(
        self: Arc<Self>,
        function: usize,
        mut payload: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let deadline = context.deadline;
            // An instance that has a task of its own computes there, and keeps the order itself.
            let computes_here = !self.kept().is_some_and(Callee::has_task);
            let turn = match self.kept() {
                Some(_) if computes_here => Some(self.turn.clone().lock_owned().await),
                _ => None,
            };
            match self.functions.get(function) {
                Some(ServedFunction::Export(served))
                    if computes_here && served.is_long.load(Ordering::Relaxed) =>
                {
                    self.export_in_task(function, payload, context, turn).await
                }
                Some(ServedFunction::Export(served)) => {
                    self.export(served, &mut payload, context).await?;
                    Ok(payload)
                }
                Some(ServedFunction::Drop) => {
                    for handle in payload.handles.iter().filter(|handle| handle.own) {
                        if let Some(callee) = self.kept() {
                            within(deadline, callee.drop_handle(handle.id)).await?;
                        }
                    }
                    Ok(Payload::default())
                }
                None => Err(CallError::TypeMismatch(format!(
                    "the link has no function number {function}"
                ))),
            }
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(callee) = self.kept()
                && let Err(e) = callee.drop_handle(id).await
            {
                let component = &self.graph.unit(self.unit).name;
                tracing::warn!(component, "dropping a resource failed: {e}");
            }
        })
    }
}
