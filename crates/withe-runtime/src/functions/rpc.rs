//! `wrpc:rpc/error`: how a call over a link failed, as a value. A function whose result has it as its
//! error gets it where others trap; what a callee returns as such an error crosses a link as its text.

use wasmtime::component::{LinkerInstance, Resource, ResourceAny, ResourceType};
use wasmtime::{AsContextMut as _, Result, StoreContextMut};
use wasmtime_wasi::p2::bindings::io::error::Error as IoError;

use crate::core::InstanceState;

/// The resource `error`: its text.
struct RpcError(String);

pub(super) fn define(
    linker: &mut LinkerInstance<'_, InstanceState>,
    functions: &[String],
) -> Result<()> {
    linker.resource("error", ResourceType::host::<RpcError>(), |mut cx, rep| {
        let error = Resource::<RpcError>::new_own(rep);
        cx.data_mut().table.delete(error)?;
        Ok(())
    })?;
    // The functions whose types mention `wasi:io` are there only where they are used.
    for function in functions {
        match function.as_str() {
            "[static]error.from-io-error" => linker.func_wrap(
                function,
                |mut cx: StoreContextMut<'_, InstanceState>, (error,): (Resource<IoError>,)| {
                    let table = &mut cx.data_mut().table;
                    let error = table.delete(error)?;
                    let error = table.push(RpcError(format!("{error:#}")))?;
                    Ok((Ok::<_, Resource<IoError>>(error),))
                },
            )?,
            "[method]error.to-debug-string" => linker.func_wrap(
                function,
                |mut cx: StoreContextMut<'_, InstanceState>, (error,): (Resource<RpcError>,)| {
                    Ok((cx.data_mut().table.get(&error)?.0.clone(),))
                },
            )?,
            _ => {}
        }
    }
    Ok(())
}

/// A new error for a guest; the number that its handle is made of.
pub(crate) fn error(state: &mut InstanceState, text: String) -> Result<u32> {
    Ok(state.table.push(RpcError(text))?.rep())
}

/// The text of `handle`, which is used up, if it is such an error.
pub(crate) fn text(
    store: &mut StoreContextMut<'_, InstanceState>,
    handle: ResourceAny,
) -> Result<Option<String>> {
    if handle.ty() != ResourceType::host::<RpcError>() {
        return Ok(None);
    }
    let error = handle.try_into_resource::<RpcError>(store.as_context_mut())?;
    Ok(Some(store.data_mut().table.delete(error)?.0))
}
