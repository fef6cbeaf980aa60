//! Calling an export with values written as text (WAVE), for the command line.

mod arguments;

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;
use wasmtime::component::{Type, Val, wasm_wave};
use withe_rpc::{CallContext, CallError};
use withe_wit::InterfaceName;

use crate::core::{Graph, Unit};
use crate::exports::ExportFn;
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

/// Why a call from text gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaveError {
    /// There is no such component to call.
    #[error("`{0}` cannot be called: it is not instantiated on its own")]
    NoComponent(String),
    /// There is no such function, or several.
    #[error("{0}")]
    NoFunction(String),
    /// The arguments are not what the function takes.
    #[error("{0}")]
    Arguments(String),
    /// The function takes or returns what has no text.
    #[error("{0}")]
    Unprintable(String),
    /// The call failed.
    #[error("{}", match .0 {
        CallError::Trap(text) => text.clone(),
        other => other.to_string(),
    })]
    Failed(CallError),
}

/// Calls `path` of the unit whose root is `component` with `args`, such as `(1, "a")`; returns the
/// result's text, empty if there is none.
///
/// # Errors
///
/// See [`WaveError`].
pub async fn call(
    graph: &Arc<Graph>,
    component: &str,
    path: &FunctionPath,
    args: &str,
    deadline: Instant,
) -> Result<String, WaveError> {
    let unit = graph
        .find(component)
        .ok_or_else(|| WaveError::NoComponent(component.into()))?;
    let export = find_export(graph.unit(unit), path)?;
    let mut span = graph.observer().tracer.enter(None, || {
        let application = graph.unit(unit).application();
        let interface = path.interface.as_deref();
        Hop::called(application, component, interface, &path.function).span()
    });
    let context = CallContext {
        deadline,
        trace: span.context(),
    };
    let run = async {
        let mut instance = Unit::checkout(graph, unit, context)
            .await
            .map_err(WaveError::Failed)?;
        let func = instance
            .instance
            .get_func(&mut instance.store, export.index);
        let func =
            func.ok_or_else(|| WaveError::NoFunction(format!("`{}` is no function", export.name)))?;
        let ty = func.ty(&instance.store);
        if let Some(ty) = ty
            .params()
            .map(|(_, ty)| ty)
            .chain(ty.results())
            .find(has_no_text)
        {
            return Err(WaveError::Unprintable(format!(
                "`{}` cannot be called from the command line: it takes or returns a {}",
                export.name,
                kind(&ty)
            )));
        }
        let params = arguments::parse(args, &path.function, &ty)?;
        let mut results = vec![Val::Bool(false); ty.results().len()];
        if let Err(e) = func
            .call_async(&mut instance.store, &params, &mut results)
            .await
        {
            let error = trap::to_call_error(instance.store.data(), e);
            return Err(WaveError::Failed(error));
        }
        graph.unit(unit).checkin(instance);
        let texts: Result<Vec<_>, _> = results.iter().map(wasm_wave::to_string).collect();
        texts
            .map(|t| t.join(", "))
            .map_err(|e| WaveError::Unprintable(e.to_string()))
    };
    let called = timeout_at(deadline.into(), run)
        .await
        .unwrap_or(Err(WaveError::Failed(CallError::Deadline)));
    if let Err(WaveError::Failed(error)) = &called {
        span.note(Some(error));
    }
    called
}

/// The export of `unit` that a person means by `path`.
fn find_export<'a>(unit: &'a Unit, path: &FunctionPath) -> Result<&'a ExportFn, WaveError> {
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
            Err(WaveError::NoFunction(format!(
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
        several => Err(WaveError::NoFunction(format!(
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

fn has_no_text(ty: &Type) -> bool {
    match ty {
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            true
        }
        Type::List(t) => has_no_text(&t.ty()),
        Type::FixedLengthList(t) => has_no_text(&t.ty()),
        Type::Map(t) => has_no_text(&t.key()) || has_no_text(&t.value()),
        Type::Record(t) => t.fields().any(|f| has_no_text(&f.ty)),
        Type::Tuple(t) => t.types().any(|t| has_no_text(&t)),
        Type::Variant(t) => t.cases().filter_map(|c| c.ty).any(|t| has_no_text(&t)),
        Type::Option(t) => has_no_text(&t.ty()),
        Type::Result(t) => t.ok().into_iter().chain(t.err()).any(|t| has_no_text(&t)),
        _ => false,
    }
}

fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Future(_) => "future",
        Type::Stream(_) => "stream",
        Type::ErrorContext => "error context",
        _ => "resource",
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
