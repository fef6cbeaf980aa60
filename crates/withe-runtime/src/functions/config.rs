//! `wasi:config/runtime` and `wasi:config/store`: the component's own configuration.

use wasmtime::Result;
use wasmtime::component::{ComponentType, LinkerInstance, Lower};

use crate::core::InstanceState;

/// Both interfaces' error; nothing here can fail, but the type is part of the signature.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[allow(
    dead_code,
    reason = "the configuration is in memory: reading it cannot fail"
)]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

pub(super) fn define(
    linker: &mut LinkerInstance<'_, InstanceState>,
    member: usize,
    names: &[String],
) -> Result<()> {
    for name in names {
        match name.as_str() {
            "get" => linker.func_wrap(name, move |cx, (key,): (String,)| {
                let who = cx.data().identity(member);
                Ok((Ok::<_, Error>(who.config.get(&key).cloned()),))
            })?,
            "get-all" => linker.func_wrap(name, move |cx, (): ()| {
                let who = cx.data().identity(member);
                let all: Vec<_> = who
                    .config
                    .iter()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                Ok((Ok::<_, Error>(all),))
            })?,
            _ => {}
        }
    }
    Ok(())
}
