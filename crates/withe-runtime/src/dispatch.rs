//! Functions of any shape, as Wasmtime's typed functions: [`crate::abi::Values`] wants the number of
//! flat values as a constant, and the shape is known when a link is made.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{
    Accessor, AccessorTask, Func, LinkerInstance, ResourceAny, TypedFunc, TypedFuncCallConcurrent,
};
use wasmtime::{AsContextMut as _, Result, Store};
use withe_rpc::{HandleRef, Payload};

use crate::abi::{MAX_FLAT, Shape, Values};
use crate::callee::Reply;
use crate::instance::give;
use crate::link::LinkFn;
use crate::state::State;

/// A call's parameters, as the exporter has them.
pub(crate) type Params = Values<ResourceAny, MAX_FLAT>;

/// A call's results, as the exporter has them.
pub(crate) type Results = Values<ResourceAny, 0>;

/// Calls an export that has the store for itself.
pub(crate) type ExportCall =
    for<'a> fn(&'a mut Store<State>, Func, Params) -> BoxFuture<'a, Result<Results>>;

/// Starts a call of an export as a task of its store, which sends what it returned.
pub(crate) type ExportSpawn = fn(&Accessor<State>, Func, Params, Reply) -> Result<()>;

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
pub(crate) fn export_call(shape: Shape) -> (ExportCall, ExportSpawn) {
    with_count!(shape.results, MAX_FLAT + 1, |R| (call::<R>, spawn::<R>))
}

fn typed<const R: usize>(func: Func) -> TypedFunc<Params, Values<ResourceAny, R>> {
    #[allow(
        unsafe_code,
        reason = "`Values` has the shape that the component's own type says"
    )]
    // SAFETY: `R` is the result's flat count (`export_call`), the parameters are flat and at most
    // `MAX_FLAT`, or one that says where they lie, and `Values` goes by the function's own type; see `abi`.
    unsafe {
        TypedFunc::new_unchecked(func)
    }
}

fn call<const R: usize>(
    store: &mut Store<State>,
    func: Func,
    params: Params,
) -> BoxFuture<'_, Result<Results>> {
    Box::pin(async move {
        let results = typed::<R>(func).call_async(store, params).await?;
        Ok(results.reshape())
    })
}

fn spawn<const R: usize>(
    accessor: &Accessor<State>,
    func: Func,
    params: Params,
    reply: Reply,
) -> Result<()> {
    let typed = typed::<R>(func);
    let call = accessor.with(|access| typed.start_call_concurrent(access, params))?;
    accessor.spawn(Task { typed, call, reply })?;
    Ok(())
}

/// A call that runs as a task of its store.
struct Task<const R: usize> {
    typed: TypedFunc<Params, Values<ResourceAny, R>>,
    call: TypedFuncCallConcurrent<State, Params, Values<ResourceAny, R>>,
    reply: Reply,
}

impl<const R: usize> AccessorTask<State> for Task<R> {
    async fn run(self, accessor: &Accessor<State>) -> Result<()> {
        let Self { typed, call, reply } = self;
        let results = typed.finish_call_concurrent(accessor, call).await?;
        let mut payload = Payload::default();
        let given = accessor.with(|mut access| {
            give(
                &mut access.as_context_mut(),
                results.reshape(),
                &mut payload,
            )
        })?;
        reply.send(given.map(|()| payload));
        Ok(())
    }
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
                let results = function.call_concurrent(accessor, params.reshape()).await?;
                Ok(results.reshape::<R>())
            })
        })
    } else {
        linker.func_wrap_async(name, move |cx, params: Args<P>| {
            let function = function.clone();
            Box::new(async move {
                let results = function.call(cx, params.reshape()).await?;
                Ok(results.reshape::<R>())
            })
        })
    }
}
