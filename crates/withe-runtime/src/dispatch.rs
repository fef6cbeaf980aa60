//! Functions of any shape, as Wasmtime's typed functions: [`crate::abi::Values`] wants the number of
//! flat values as a constant, and the shape is known when a link is made.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{Func, LinkerInstance, ResourceAny, TypedFunc};
use wasmtime::{Result, Store};
use withe_rpc::HandleRef;

use crate::abi::{MAX_FLAT, Shape, Values, dynamic};
use crate::link::LinkFn;
use crate::state::State;

/// Calls an export: its bytes and handles, to the result's.
pub(crate) type ExportCall = for<'a> fn(
    &'a mut Store<State>,
    Func,
    Vec<u8>,
    Vec<ResourceAny>,
) -> BoxFuture<'a, Result<Lifted>>;

/// A result's bytes and handles.
pub(crate) type Lifted = (Vec<u8>, Vec<ResourceAny>);

/// Expands `$action::<$($fixed,)* N>` for the `N` that `$n` is.
macro_rules! with_count {
    ($n:expr, $max:expr, |$count:ident| $action:expr) => {
        with_count!(@ $n, $count, $action, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16, $max)
    };
    (@ $n:expr, $count:ident, $action:expr, $($i:literal)*, $max:expr) => {
        match $n {
            $($i => { const $count: usize = $i; $action })*
            _ => { const $count: usize = $max; $action }
        }
    };
}

/// How to call an export of this shape.
pub(crate) fn export_call(shape: Shape) -> ExportCall {
    if shape.indirect_params() {
        return dynamic::call;
    }
    with_count!(shape.results, MAX_FLAT + 1, |R| call::<R>)
}

fn call<const R: usize>(
    store: &mut Store<State>,
    func: Func,
    bytes: Vec<u8>,
    handles: Vec<ResourceAny>,
) -> BoxFuture<'_, Result<Lifted>> {
    Box::pin(async move {
        type Params = Values<ResourceAny, MAX_FLAT>;
        #[allow(
            unsafe_code,
            reason = "`Values` has the shape that the component's own type says"
        )]
        // SAFETY: `R` is the result's flat count (`export_call`), the parameters are flat and at most
        // `MAX_FLAT`, and `Values` goes by the function's own type; see `abi`.
        let typed = unsafe { TypedFunc::<Params, Values<ResourceAny, R>>::new_unchecked(func) };
        let result = typed.call_async(store, Params::new(bytes, handles)).await?;
        Ok((result.bytes, result.handles))
    })
}

/// Defines an import that leads over a link.
pub(crate) fn define(
    linker: &mut LinkerInstance<'_, State>,
    name: &str,
    shape: Shape,
    function: Arc<LinkFn>,
) -> Result<()> {
    with_count!(shape.params, 0, |P| match shape.results {
        0 => define_exact::<P, 0>(linker, name, shape.is_async, function),
        _ => define_exact::<P, 1>(linker, name, shape.is_async, function),
    })
}

/// `P` is exact where the parameters are flat; `R` is exact where the result is (0 or 1 values).
/// What is not flat goes by way of memory, where neither is looked at.
fn define_exact<const P: usize, const R: usize>(
    linker: &mut LinkerInstance<'_, State>,
    name: &str,
    is_async: bool,
    function: Arc<LinkFn>,
) -> Result<()> {
    type Args<const N: usize> = Values<HandleRef, N>;
    if is_async {
        linker.func_wrap_concurrent(name, move |accessor, params: Args<P>| {
            let function = function.clone();
            Box::pin(async move {
                function
                    .call_concurrent(accessor, params.into())
                    .await
                    .map(Args::<R>::from)
            })
        })
    } else {
        linker.func_wrap_async(name, move |cx, params: Args<P>| {
            let function = function.clone();
            Box::new(async move { function.call(cx, params.into()).await.map(Args::<R>::from) })
        })
    }
}
