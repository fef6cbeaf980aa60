//! `wasmcloud:bus/lattice`: a component written for wasmCloud v1 chooses among several links on one
//! interface by name. The choice belongs to the instance: in v1 it was shared by all that ran.

use wasmtime::component::{LinkerInstance, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};

use crate::state::State;

/// The name that a link has unless the manifest gives another.
const DEFAULT: &str = "default";

/// Which link each member of a unit chose for an interface.
#[derive(Default)]
pub(crate) struct LatticeNames {
    chosen: Vec<Choice>,
}

struct Choice {
    member: usize,
    interface: String,
    name: String,
}

impl LatticeNames {
    /// The name of the link that `member` chose for `interface` (`namespace:package/interface`).
    pub(crate) fn chosen(&self, member: usize, interface: &str) -> &str {
        self.chosen
            .iter()
            .find(|c| c.member == member && c.interface == interface)
            .map_or(DEFAULT, |c| c.name.as_str())
    }

    fn choose(&mut self, member: usize, interface: String, name: &str) {
        match self
            .chosen
            .iter_mut()
            .find(|c| c.member == member && c.interface == interface)
        {
            Some(choice) => choice.name = name.to_owned(),
            None => self.chosen.push(Choice {
                member,
                interface,
                name: name.to_owned(),
            }),
        }
    }
}

/// The resource `call-target-interface`: `namespace:package/interface`.
struct CallTarget(String);

/// Version 1 returns nothing; version 2 returns a result.
pub(super) fn define(
    linker: &mut LinkerInstance<'_, State>,
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
        |mut cx: StoreContextMut<'_, State>,
         (namespace, package, interface): (String, String, String)| {
            let target = CallTarget(format!("{namespace}:{package}/{interface}"));
            Ok((cx.data_mut().table.push(target)?,))
        },
    )?;
    let set =
        move |state: &mut State, name: &str, targets: Vec<Resource<CallTarget>>| -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_the_members_own() {
        let mut names = LatticeNames::default();
        names.choose(0, "wasi:keyvalue/store".into(), "cold");
        names.choose(0, "wasi:keyvalue/store".into(), "cache");
        assert_eq!(names.chosen(0, "wasi:keyvalue/store"), "cache");
        assert_eq!(names.chosen(0, "wasi:keyvalue/atomics"), DEFAULT);
        assert_eq!(names.chosen(1, "wasi:keyvalue/store"), DEFAULT);
    }
}
