//! Calls of exports of any shape, as Wasmtime's typed functions: [`crate::abi::Values`] wants the number of
//! flat values as a constant, and the shape is known when a graph is made.

use futures::future::BoxFuture;
use wasmtime::component::{
    Accessor, AccessorTask, Func, ResourceAny, TypedFunc, TypedFuncCallConcurrent,
};
use wasmtime::{AsContextMut as _, Result, Store};
use withe_rpc::Payload;

use crate::abi::{MAX_FLAT, Values};
use crate::core::InstanceState;
use crate::exchange::{Params, Results, give};
use crate::task::Reply;

/// Expands `$action` for the constant `$count` that `$n` is; for `$max` if it is more.
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
pub(crate) use with_count;

/// Calls an export that has the store for itself, and whose result is so many flat values.
pub(crate) fn call(
    results: u8,
    store: &mut Store<InstanceState>,
    func: Func,
    params: Params,
) -> BoxFuture<'_, Result<Results>> {
    with_count!(results, MAX_FLAT + 1, |R| call_typed::<R>(
        store, func, params
    ))
}

/// Starts a call of an export as a task of its store, which sends what it returned.
pub(crate) fn spawn(
    results: u8,
    accessor: &Accessor<InstanceState>,
    func: Func,
    params: Params,
    reply: Reply,
) -> Result<()> {
    with_count!(results, MAX_FLAT + 1, |R| spawn_typed::<R>(
        accessor, func, params, reply
    ))
}

fn typed<const R: usize>(func: Func) -> TypedFunc<Params, Values<ResourceAny, R>> {
    #[allow(
        unsafe_code,
        reason = "`Values` has the shape that the component's own type says"
    )]
    // SAFETY: `R` is the result's flat count (`ExportFn::results`), the parameters are flat and at most
    // `MAX_FLAT`, or one that says where they lie, and `Values` goes by the function's own type; see `abi`.
    unsafe {
        TypedFunc::new_unchecked(func)
    }
}

fn call_typed<const R: usize>(
    store: &mut Store<InstanceState>,
    func: Func,
    params: Params,
) -> BoxFuture<'_, Result<Results>> {
    Box::pin(async move {
        let results = typed::<R>(func).call_async(store, params).await?;
        Ok(results.reshape())
    })
}

fn spawn_typed<const R: usize>(
    accessor: &Accessor<InstanceState>,
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
    call: TypedFuncCallConcurrent<InstanceState, Params, Values<ResourceAny, R>>,
    reply: Reply,
}

impl<const R: usize> AccessorTask<InstanceState> for Task<R> {
    async fn run(self, accessor: &Accessor<InstanceState>) -> Result<()> {
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
