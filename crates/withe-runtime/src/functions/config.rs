//! `wasi:config/runtime` and `wasi:config/store`: the component's own configuration.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{ComponentType, LinkerInstance, Lower};

use crate::spec::Identity;
use crate::state::State;

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
    linker: &mut LinkerInstance<'_, State>,
    who: Arc<Identity>,
    names: &[&str],
) -> Result<()> {
    for name in names {
        let who = who.clone();
        match *name {
            "get" => linker.func_wrap(name, move |_, (key,): (String,)| {
                Ok((Ok::<_, Error>(who.config.get(&key).cloned()),))
            })?,
            "get-all" => linker.func_wrap(name, move |_, (): ()| {
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
