//! Calling an export from outside of all components: with Rust's types, with Wasmtime's values, or, for
//! [`crate::wave`], with text.
//!
//! Each call has an instance as a request has: a fresh one, or one that is kept for more. So nothing that belongs to
//! an instance can be passed or returned: resources, streams, futures. Calls in a row ([`crate::wave`]) share an instance, and pass resources
//! between them.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::time::timeout_at;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::wasm_wave::wasm::DisplayFunc;
pub use wasmtime::component::{ComponentNamedList, Lift, Lower, Val};
use wasmtime::component::{Func, Type};
use withe_rpc::{CallContext, CallError, Payload, PipeReader};
use withe_wit::InterfaceName;

use crate::core::{Graph, Instance, Unit};
use crate::exports::ExportFn;
use crate::fits::misfit;
use crate::inside::run_guest;
use crate::trace::Hop;
use crate::trap;

/// Which function: of an interface, or of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionPath {
    /// `namespace:package/interface`, with or without a version; `None` for the world's own.
    pub interface: Option<String>,
    /// The function's name.
    pub function: String,
}

impl From<&str> for FunctionPath {
    /// `interface#function`, or a function of the world.
    fn from(text: &str) -> Self {
        match text.rsplit_once('#') {
            Some((interface, function)) => Self {
                interface: Some(interface.to_owned()),
                function: function.to_owned(),
            },
            None => Self {
                interface: None,
                function: text.to_owned(),
            },
        }
    }
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// There is no such component to call.
    #[error("`{0}` cannot be called: it is not instantiated on its own")]
    NoComponent(String),
    /// There is no such function, or several.
    #[error("{0}")]
    NoFunction(String),
    /// The arguments are not what the function takes, or its result is not of the type that is wanted.
    #[error("{0}")]
    Types(String),
    /// The function takes or returns what ends with its instance.
    #[error(
        "`{function}` cannot be called from outside: it takes or returns a {kind}, which ends with the call's instance"
    )]
    Handles {
        /// The function.
        function: String,
        /// The kind of value that ends with the instance.
        kind: &'static str,
    },
    /// The call failed.
    #[error("{}", match .0 {
        CallError::Trap(text) => text.clone(),
        other => other.to_string(),
    })]
    Failed(CallError),
}

/// Calls `path` of the unit whose root is `component` with `params`, one for each parameter, in order; returns its
/// result, if it has one.
///
/// # Errors
///
/// See [`InvokeError`].
pub async fn values(
    graph: &Arc<Graph>,
    component: &str,
    path: &FunctionPath,
    params: &[Val],
    deadline: Instant,
) -> Result<Option<Val>, InvokeError> {
    let target = InvokeTarget::find(graph, component, path)?;
    let run = async |context| {
        let call = target.begin(context).await?;
        let ty = call.plain()?;
        check(path, &ty, params)?;
        call.call(params, &ty).await
    };
    target.traced(path, deadline, run).await
}

/// Calls `path` of the unit whose root is `component` with a tuple of its parameters; returns a tuple of its result.
///
/// # Errors
///
/// See [`InvokeError`].
pub async fn typed<Params, Return>(
    graph: &Arc<Graph>,
    component: &str,
    path: &FunctionPath,
    params: Params,
    deadline: Instant,
) -> Result<Return, InvokeError>
where
    Params: ComponentNamedList + Lower + Send + Sync + 'static,
    Return: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let target = InvokeTarget::find(graph, component, path)?;
    let run = async |context| {
        let mut call = target.begin(context).await?;
        let ty = call.plain()?;
        let func = call.func.typed::<Params, Return>(&call.instance.store);
        let func = func.map_err(|e| {
            InvokeError::Types(format!("the function is {}: {e:#}", signature(path, &ty)))
        })?;
        match run_guest(func.call_async(&mut call.instance.store, params)).await {
            Ok(result) => {
                call.done();
                Ok(result)
            }
            Err(e) => Err(call.failed(e)),
        }
    };
    target.traced(path, deadline, run).await
}

/// A function to call.
pub(crate) struct InvokeTarget<'a> {
    graph: &'a Arc<Graph>,
    unit: usize,
    component: &'a str,
    export: &'a ExportFn,
}

/// A call that has its instance.
pub(crate) struct Invocation<'a> {
    target: &'a InvokeTarget<'a>,
    instance: Box<Instance>,
    func: Func,
}

impl<'a> InvokeTarget<'a> {
    pub(crate) fn find(
        graph: &'a Arc<Graph>,
        component: &'a str,
        path: &FunctionPath,
    ) -> Result<Self, InvokeError> {
        let unit = graph.find(component);
        let unit = unit.ok_or_else(|| InvokeError::NoComponent(component.into()))?;
        Ok(Self {
            graph,
            unit,
            component,
            export: find_export(graph.unit(unit), path)?,
        })
    }

    /// Runs the call within its time, and records it.
    pub(crate) async fn traced<T>(
        &self,
        path: &FunctionPath,
        deadline: Instant,
        run: impl AsyncFnOnce(CallContext) -> Result<T, InvokeError>,
    ) -> Result<T, InvokeError> {
        let unit = self.graph.unit(self.unit);
        let mut span = self.graph.observer().tracer.enter(None, || {
            let interface = path.interface.as_deref();
            Hop::called(
                unit.application(),
                self.component,
                interface,
                &path.function,
            )
            .span()
        });
        let context = CallContext {
            deadline,
            trace: span.context(),
        };
        let called = timeout_at(deadline.into(), run(context)).await;
        let called = called.unwrap_or(Err(InvokeError::Failed(CallError::Deadline)));
        if let Err(InvokeError::Failed(error)) = &called {
            span.note(Some(error));
        }
        called
    }

    /// Gets the call an instance.
    pub(crate) async fn begin(&self, context: CallContext) -> Result<Invocation<'_>, InvokeError> {
        let instance = Unit::checkout(self.graph, self.unit, context).await;
        let mut instance = instance.map_err(InvokeError::Failed)?;
        let func = self.func(&mut instance)?;
        Ok(Invocation {
            target: self,
            instance,
            func,
        })
    }

    fn func(&self, instance: &mut Instance) -> Result<Func, InvokeError> {
        let func = instance
            .instance
            .get_func(&mut instance.store, self.export.index);
        let name = &self.export.name;
        func.ok_or_else(|| InvokeError::NoFunction(format!("`{name}` is no function")))
    }
}

impl<'a> Invocation<'a> {
    /// The function's type, which has nothing that belongs to an instance.
    ///
    /// # Errors
    ///
    /// If it has.
    pub(crate) fn plain(&self) -> Result<ComponentFunc, InvokeError> {
        let ty = self.func.ty(&self.instance.store);
        let kind = {
            let mut all = ty.params().map(|(_, ty)| ty).chain(ty.results());
            all.find_map(|ty| handle(&ty))
        };
        match kind {
            Some(kind) => Err(InvokeError::Handles {
                function: self.target.export.name.to_string(),
                kind,
            }),
            None => Ok(ty),
        }
    }

    /// Makes the call, and gives the instance back.
    pub(crate) async fn call(
        mut self,
        params: &[Val],
        ty: &ComponentFunc,
    ) -> Result<Option<Val>, InvokeError> {
        let mut results = vec![Val::Bool(false); ty.results().len()];
        let store = &mut self.instance.store;
        match run_guest(self.func.call_async(store, params, &mut results)).await {
            Ok(()) => {
                self.done();
                Ok(results.pop())
            }
            Err(e) => Err(self.failed(e)),
        }
    }

    /// Makes the call with encoded parameters, and keeps the instance: `payload` holds them, and then the results.
    pub(crate) async fn pass(
        &mut self,
        payload: &mut Payload,
        context: CallContext,
    ) -> Result<(), InvokeError> {
        let call = self.instance.call(self.target.export, payload, context);
        run_guest(call).await.map_err(InvokeError::Failed)
    }

    /// Turns to another function of the same component, on the same instance.
    pub(crate) fn turn_to(&mut self, target: &'a InvokeTarget<'a>) -> Result<(), InvokeError> {
        self.func = target.func(&mut self.instance)?;
        self.target = target;
        Ok(())
    }

    /// The instance that is called.
    pub(crate) fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// Drops a resource that a call returned, running its destructor.
    pub(crate) async fn drop_handle(&mut self, id: u32) -> Result<(), InvokeError> {
        let dropped = run_guest(self.instance.drop_handle(id)).await;
        dropped.map_err(|error| self.failed(error))
    }

    /// Lets the instance go on for as long as anybody reads what the call returned.
    pub(crate) fn go_on<'r>(self, returned: impl Iterator<Item = &'r mut PipeReader>) {
        let (graph, unit) = (self.target.graph, self.target.unit);
        if graph.unit(unit).concurrency {
            self.instance.go_on(graph, unit, returned);
            return;
        }
        // Without concurrency an instance runs only within its calls, and has streams only of the host's: it is there for
        // what these hold on to.
        let instance = Arc::new(Mutex::new(self.instance));
        for reader in returned {
            reader.keep(instance.clone());
        }
    }

    fn failed(&self, error: wasmtime::Error) -> InvokeError {
        InvokeError::Failed(trap::to_call_error(self.instance.store.data(), error))
    }

    fn done(self) {
        self.target
            .graph
            .unit(self.target.unit)
            .checkin(self.instance);
    }
}

/// `name: signature`, in backticks.
fn signature(path: &FunctionPath, ty: &ComponentFunc) -> String {
    format!("`{}: {}`", path.function, DisplayFunc(ty.clone()))
}

/// Whether `params` are what a function takes.
fn check(path: &FunctionPath, ty: &ComponentFunc, params: &[Val]) -> Result<(), InvokeError> {
    let wrong = |what: String| {
        Err(InvokeError::Types(format!(
            "{what}; the function is {}",
            signature(path, ty)
        )))
    };
    let expected = ty.params().len();
    if params.len() != expected {
        return wrong(format!(
            "expected {expected} arguments, found {}",
            params.len()
        ));
    }
    for ((name, ty), value) in ty.params().zip(params) {
        if let Some(misfit) = misfit(value, &ty) {
            return wrong(format!("argument `{name}`: {misfit}"));
        }
    }
    Ok(())
}

/// The export of `unit` that a person means by `path`.
fn find_export<'a>(unit: &'a Unit, path: &FunctionPath) -> Result<&'a ExportFn, InvokeError> {
    let mut found: Vec<_> = unit
        .code
        .exports
        .all()
        .filter(|(interface, function, _)| {
            *function == path.function
                && match (&path.interface, interface) {
                    (None, None) => true,
                    (Some(written), Some(export)) => means(written, export),
                    _ => false,
                }
        })
        .collect();
    found.sort_by_key(|(interface, function, _)| (*interface, *function));
    let written = path.interface.as_deref();
    if found.iter().any(|(interface, _, _)| *interface == written) {
        found.retain(|(interface, _, _)| *interface == written);
    }
    match found.as_slice() {
        [(_, _, only)] => Ok(only),
        [] => {
            // As they would have to be written.
            let written = |(interface, function, _): (Option<&str>, &str, _)| match interface {
                Some(interface) => format!("{interface}#{function}"),
                None => function.to_owned(),
            };
            let mut all: Vec<_> = unit.code.exports.all().map(written).collect();
            all.sort_unstable();
            Err(InvokeError::NoFunction(format!(
                "`{}` exports no function `{}`; it exports: {}",
                unit.name,
                path.interface.as_ref().map_or_else(
                    || path.function.clone(),
                    |interface| format!("{interface}#{}", path.function)
                ),
                if all.is_empty() {
                    "none".to_owned()
                } else {
                    all.join(", ")
                }
            )))
        }
        several => Err(InvokeError::NoFunction(format!(
            "`{}` is ambiguous; say which version: {}",
            path.function,
            several
                .iter()
                .filter_map(|(interface, _, _)| *interface)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// The kind of the first part of this type that would belong to an instance.
pub(crate) fn handle(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some("resource"),
        Type::Future(_) => Some("future"),
        Type::Stream(_) => Some("stream"),
        Type::ErrorContext => Some("error context"),
        Type::List(t) => handle(&t.ty()),
        Type::FixedLengthList(t) => handle(&t.ty()),
        Type::Map(t) => handle(&t.key()).or_else(|| handle(&t.value())),
        Type::Record(t) => t.fields().find_map(|f| handle(&f.ty)),
        Type::Tuple(t) => t.types().find_map(|t| handle(&t)),
        Type::Variant(t) => t.cases().filter_map(|c| c.ty).find_map(|t| handle(&t)),
        Type::Option(t) => handle(&t.ty()),
        Type::Result(t) => {
            let mut both = t.ok().into_iter().chain(t.err());
            both.find_map(|t| handle(&t))
        }
        _ => None,
    }
}

/// Whether what a person wrote for an interface means `export`: exactly, or without the version. Where several
/// are meant, the one of the very name goes before the others.
fn means(written: &str, export: &str) -> bool {
    written == export
        || match (
            written.parse::<InterfaceName>(),
            export.parse::<InterfaceName>(),
        ) {
            (Ok(w), Ok(e)) => w.version.is_none() && w.same_interface(&e),
            _ => false,
        }
}
