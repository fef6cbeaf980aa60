//! Running a component as a command: `wasi:cli/run`, called once, with the standard streams of this process.
//!
//! A command is a call like any other, but for three things. A command has arguments and the streams of the process,
//! from the first line of its code on, so its instance is made for it. The call has no deadline: the person who
//! started it waits for it, and may stop it. And it ends with a code, by what `run` returns or by `wasi:cli/exit`,
//! which Wasmtime makes an error of.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Val;
use wasmtime_wasi::I32Exit;
use withe_rpc::{CallContext, CallError};
use withe_wit::InterfaceName;

use crate::core::{Graph, Instance};
use crate::inside::run_guest;
use crate::invoke::InvokeError;
use crate::trap;
use crate::wasi::CommandLine;

/// Longer than any command runs; an instant cannot be infinitely far away.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);

/// The exit code of a command whose `run` returns an error.
const FAILED: i32 = 1;

/// Runs the unit whose root is `component` as a command with `arguments`, its own name left out: its exit code.
///
/// # Errors
///
/// See [`InvokeError`].
pub async fn run_command(
    graph: &Arc<Graph>,
    component: &str,
    arguments: Vec<String>,
) -> Result<i32, InvokeError> {
    let found = graph.find(component);
    let found = found.ok_or_else(|| InvokeError::NoComponent(component.into()))?;
    let unit = graph.unit(found);
    let mut exports = unit.code.exports.all();
    let run = exports.find(|(interface, function, _)| *function == "run" && is_run(*interface));
    let Some((_, _, run)) = run else {
        let what = format!("`{component}` exports no `wasi:cli/run`");
        return Err(InvokeError::NoFunction(what));
    };
    let context = CallContext {
        deadline: unit.deadline(Instant::now() + FOREVER),
        trace: None,
    };
    let name = std::iter::once(component.to_owned());
    let command = CommandLine {
        arguments: name.chain(arguments).collect(),
    };
    let deadline = context.deadline;
    let instance = Instance::create_as(graph, found, None, deadline, Some(Arc::new(command)));
    let mut instance = instance.await.map_err(InvokeError::Failed)?;
    instance.store.data_mut().begin(context);
    let func = instance.instance.get_func(&mut instance.store, run.index);
    let func = func.ok_or_else(|| InvokeError::NoFunction(format!("`{}`", run.name)))?;
    let mut results = vec![Val::Bool(false); func.ty(&instance.store).results().len()];
    let call = func.call_async(&mut instance.store, &[], &mut results);
    let called = run_guest(call).await;
    // A last line without a line feed waits in a buffer. Nobody is left to be told that it cannot be written.
    let _ = std::io::stdout().flush();
    match called {
        Ok(()) => Ok(match results.first() {
            Some(Val::Result(Err(_))) => FAILED,
            _ => 0,
        }),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(exit.0),
            None => Err(InvokeError::Failed(failure(&instance, error))),
        },
    }
}

fn failure(instance: &Instance, error: wasmtime::Error) -> CallError {
    trap::to_call_error(instance.store.data(), error)
}

fn is_run(interface: Option<&str>) -> bool {
    let name = interface.and_then(|name| name.parse::<InterfaceName>().ok());
    name.is_some_and(|name| {
        (&*name.namespace, &*name.package, &*name.interface) == ("wasi", "cli", "run")
    })
}
