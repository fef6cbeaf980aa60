//! Defines an import over a link: a function of the right shape that has a number, and calls the target that its
//! instance's unit has under that number ([`UnitLinks`]). So one definition is right for all units that are made of
//! equal components, whatever they are linked to.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::LinkerInstance;
use withe_rpc::HandleRef;

use crate::abi::{Shape, Values};
use crate::core::InstanceState;
use crate::dispatch::with_count;
use crate::link;
use crate::links::{Numbering, UnitLinks};

/// Defines the function `name`, which has this `number`.
pub(crate) fn function(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &str,
    shape: Shape,
    number: usize,
) -> Result<()> {
    with_count!(shape.params, 0, |P| match shape.results {
        0 => define_exact::<P, 0>(linker, name, shape.is_async, number),
        _ => define_exact::<P, 1>(linker, name, shape.is_async, number),
    })
}

/// `P` is exact where the parameters are flat; `R` is exact where the result is (0 or 1 values). Other values go by
/// way of memory, where `P` and `R` are ignored.
fn define_exact<const P: usize, const R: usize>(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &str,
    is_async: bool,
    number: usize,
) -> Result<()> {
    type Args<const N: usize> = Values<HandleRef, N>;
    if is_async {
        linker.func_wrap_concurrent(name, move |accessor, params: Args<P>| {
            let links: Arc<UnitLinks> = accessor.with(|mut access| access.data_mut().links.clone());
            Box::pin(async move {
                let params = params.reshape();
                let results = link::call_concurrent(&links, number, accessor, params).await?;
                Ok(results.reshape::<R>())
            })
        })
    } else {
        linker.func_wrap_async(name, move |cx, params: Args<P>| {
            let links = cx.data().links.clone();
            Box::new(async move {
                let results = link::call(&links, number, cx, params.reshape()).await?;
                Ok(results.reshape::<R>())
            })
        })
    }
}

/// Defines the resource `name` of the unit's `member`.
pub(crate) fn resource(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &str,
    member: usize,
) -> Result<()> {
    let ty = link::resource_type(member);
    linker.resource_async(name, ty, move |mut cx, rep| {
        let state = cx.data_mut();
        let dropped = match state.links.numbering[member] {
            Numbering::Target { slot } => Some((slot, rep)),
            Numbering::Store => state.linked.dropped(rep).map(|l| (l.slot, l.id)),
        };
        let run = dropped.map(|(slot, id)| link::drop_resource(state, slot, id));
        Box::new(async move {
            match run {
                Some(run) => run.await,
                None => Ok(()),
            }
        })
    })
}
