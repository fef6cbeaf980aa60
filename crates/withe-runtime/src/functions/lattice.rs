//! `wasmcloud:bus/lattice`: a component written for wasmCloud v1 chooses among several links on one
//! interface by name. The choice belongs to the instance: in v1 it was shared by all that ran.

use wasmtime::component::{LinkerInstance, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};

use crate::core::InstanceState;

/// The resource `call-target-interface`: `namespace:package/interface`.
struct CallTarget(String);

/// Version 1 returns nothing; version 2 returns a result.
pub(super) fn define(
    linker: &mut LinkerInstance<'_, InstanceState>,
    member: usize,
    returns_result: bool,
) -> Result<()> {
    linker.resource(
        "call-target-interface",
        ResourceType::host::<CallTarget>(),
        |mut cx, rep| {
            cx.data_mut()
                .table
                .delete(Resource::<CallTarget>::new_own(rep))?;
            Ok(())
        },
    )?;
    linker.func_wrap(
        "[constructor]call-target-interface",
        |mut cx: StoreContextMut<'_, InstanceState>,
         (namespace, package, interface): (String, String, String)| {
            let target = CallTarget(format!("{namespace}:{package}/{interface}"));
            Ok((cx.data_mut().table.push(target)?,))
        },
    )?;
    let set = move |state: &mut InstanceState,
                    name: &str,
                    targets: Vec<Resource<CallTarget>>|
          -> Result<()> {
        for target in targets {
            let CallTarget(interface) = state.table.delete(target)?;
            state.lattice.choose(member, interface, name);
        }
        Ok(())
    };
    type Params = (String, Vec<Resource<CallTarget>>);
    if returns_result {
        linker.func_wrap("set-link-name", move |mut cx, (name, targets): Params| {
            set(cx.data_mut(), &name, targets)?;
            Ok((Ok::<(), String>(()),))
        })
    } else {
        linker.func_wrap("set-link-name", move |mut cx, (name, targets): Params| {
            set(cx.data_mut(), &name, targets)
        })
    }
}
