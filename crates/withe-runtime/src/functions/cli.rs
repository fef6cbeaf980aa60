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
                linker.func_wrap(name, |_, (): ()| Ok((Vec::<String>::new(),)))?;
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
        let stream = LogStream::stdout(
            cx.data().identity(member).clone(),
            cx.data().nested.tenancy.account.clone(),
        );
        output(cx.data_mut(), &stream)
    })
}

/// `stderr.get-stderr` of WASI 0.2.
pub(super) fn stderr(linker: &mut LinkerInstance<'_, InstanceState>, member: usize) -> Result<()> {
    linker.func_wrap("get-stderr", move |mut cx, (): ()| {
        let state = cx.data();
        let who = state.identity(member).clone();
        let stream = LogStream::stderr(
            who,
            state.nested.tenancy.account.clone(),
            state.last_words.clone(),
        );
        output(cx.data_mut(), &stream)
    })
}

fn output(state: &mut InstanceState, stream: &LogStream) -> Result<(Resource<DynOutputStream>,)> {
    let stream: DynOutputStream = stream.p2_stream();
    Ok((state.table.push(stream)?,))
}
