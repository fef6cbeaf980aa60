//! Units served to callers in other processes: the exporting end of a link that is bound over a wire.

use std::sync::Arc;

use futures::future::BoxFuture;
use withe_linker::input::Scope;
use withe_rpc::{CallContext, CallError, Payload, ServedLink, ServedSession};

use crate::callee::Callee;
use crate::graph::{ExportFn, Graph};
use crate::link::{call_unit, within};

/// The name of a function that every link to a unit has besides those of its interfaces: it drops its
/// parameter, a resource of the unit, and fails if the destructor does. No function of WIT can have it.
pub const DROP: &str = "[drop]";

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
        scope: Scope,
    ) -> Result<Arc<dyn ServedLink>, CallError> {
        let unit = self.find(component).ok_or_else(|| {
            CallError::Unlinked(format!("`{component}` is not served by this process"))
        })?;
        let functions = functions
            .iter()
            .map(|name| {
                let (interface, function) = name;
                if interface.is_none() && function == DROP {
                    return Ok(Served::Drop);
                }
                let export = self.unit(unit).export(name).cloned();
                export.map(Served::Export).ok_or_else(|| {
                    let of = interface.as_deref().unwrap_or("its world");
                    CallError::Unlinked(format!("`{component}` exports no `{function}` in `{of}`"))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(ServedUnit {
            graph: self.clone(),
            unit,
            scope,
            functions,
        }))
    }
}

/// What a function of a link is.
enum Served {
    Export(ExportFn),
    /// See [`DROP`].
    Drop,
}

/// A link that ends at a unit.
struct ServedUnit {
    graph: Arc<Graph>,
    unit: usize,
    scope: Scope,
    functions: Arc<[Served]>,
}

impl ServedLink for ServedUnit {
    fn session(&self) -> Arc<dyn ServedSession> {
        let unit = self.graph.unit(self.unit);
        Arc::new(UnitSession {
            graph: self.graph.clone(),
            unit: self.unit,
            callee: match self.scope {
                Scope::Caller => Some(Arc::new(unit.callee())),
                Scope::Shared => Some(unit.shared()),
                Scope::Call => None,
            },
            functions: self.functions.clone(),
        })
    }
}

/// One caller of a unit.
struct UnitSession {
    graph: Arc<Graph>,
    unit: usize,
    /// Its callee, or the one that all share; `None` if there is one for each call.
    callee: Option<Arc<Callee>>,
    functions: Arc<[Served]>,
}

impl ServedSession for UnitSession {
    fn call(
        self: Arc<Self>,
        function: usize,
        mut payload: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let (callee, deadline) = (self.callee.as_deref(), context.deadline);
            match self.functions.get(function) {
                Some(Served::Export(export)) => {
                    let (graph, unit) = (&self.graph, self.unit);
                    let call = call_unit(graph, unit, export, callee, &mut payload, deadline);
                    within(deadline, call).await?;
                    Ok(payload)
                }
                Some(Served::Drop) => {
                    for handle in payload.handles.iter().filter(|handle| handle.own) {
                        if let Some(callee) = callee {
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
            if let Some(callee) = &self.callee
                && let Err(e) = callee.drop_handle(id).await
            {
                let component = self.graph.unit(self.unit).name();
                tracing::warn!(component, "dropping a resource failed: {e}");
            }
        })
    }
}
