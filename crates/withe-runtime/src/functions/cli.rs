//! `wasi:cli/environment`, `stdout` and `stderr` of one component.

use wasmtime::Result;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::p2::DynOutputStream;

use crate::core::InstanceState;
use crate::log_stream::LogStream;

/// `environment`: of WASI 0.2, or of 0.3, where one function has another name.
pub(super) fn environment(
    linker: &mut LinkerInstance<'_, InstanceState>,
    member: usize,
    names: &[String],
) -> Result<()> {
    for name in names {
        match name.as_str() {
            "get-environment" => {
                linker.func_wrap(name, move |cx, (): ()| {
                    Ok((cx.data().identity(member).env.clone(),))
                })?;
            }
            "get-arguments" => {
                // They are the command's: what is fused into it has none.
                linker.func_wrap(name, move |cx, (): ()| {
                    let command = cx.data().command.as_ref().filter(|_| member == 0);
                    let arguments = command.map(|command| command.arguments.clone());
                    Ok((arguments.unwrap_or_default(),))
                })?;
            }
            "initial-cwd" | "get-initial-cwd" => {
                linker.func_wrap(name, |_, (): ()| Ok((None::<String>,)))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// `stdout.get-stdout` of WASI 0.2.
pub(super) fn stdout(linker: &mut LinkerInstance<'_, InstanceState>, member: usize) -> Result<()> {
    linker.func_wrap("get-stdout", move |mut cx, (): ()| {
        if is_command(cx.data(), member) {
            return output(cx.data_mut(), wasmtime_wasi::cli::stdout());
        }
        let stream = LogStream::stdout(
            cx.data().identity(member).clone(),
            cx.data().nested.tenancy.account.clone(),
            cx.data().graph.engines.output().cloned(),
        );
        output(cx.data_mut(), stream)
    })
}

/// Whether a member writes to the streams of this process: what is fused into a command has the log, as it would
/// have if it were not fused.
fn is_command(state: &InstanceState, member: usize) -> bool {
    member == 0 && state.command.is_some()
}

/// `stderr.get-stderr` of WASI 0.2.
pub(super) fn stderr(linker: &mut LinkerInstance<'_, InstanceState>, member: usize) -> Result<()> {
    linker.func_wrap("get-stderr", move |mut cx, (): ()| {
        if is_command(cx.data(), member) {
            return output(cx.data_mut(), wasmtime_wasi::cli::stderr());
        }
        let state = cx.data();
        let who = state.identity(member).clone();
        let stream = LogStream::stderr(
            who,
            state.nested.tenancy.account.clone(),
            state.last_words.clone(),
            state.graph.engines.output().cloned(),
        );
        output(cx.data_mut(), stream)
    })
}

fn output(
    state: &mut InstanceState,
    stream: impl StdoutStream,
) -> Result<(Resource<DynOutputStream>,)> {
    let stream: DynOutputStream = stream.p2_stream();
    Ok((state.table.push(stream)?,))
}
