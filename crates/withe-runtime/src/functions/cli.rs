//! `wasi:cli/environment`, `stdout` and `stderr` of one component.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::p2::DynOutputStream;

use super::LogStream;
use crate::spec::Identity;
use crate::state::State;

/// `environment`: of WASI 0.2, or of 0.3, where one function has another name.
pub(super) fn environment(
    linker: &mut LinkerInstance<'_, State>,
    who: Arc<Identity>,
    names: &[&str],
) -> Result<()> {
    for name in names {
        match *name {
            "get-environment" => {
                let who = who.clone();
                linker.func_wrap(name, move |_, (): ()| Ok((who.env.clone(),)))?;
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

/// `stdout.get-stdout` or `stderr.get-stderr`.
pub(super) fn output(
    linker: &mut LinkerInstance<'_, State>,
    function: &str,
    stream: LogStream,
) -> Result<()> {
    linker.func_wrap(function, move |mut cx, (): ()| {
        let stream: DynOutputStream = stream.p2_stream();
        let resource: Resource<DynOutputStream> = cx.data_mut().table.push(stream)?;
        Ok((resource,))
    })
}
