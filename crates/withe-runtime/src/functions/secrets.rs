//! `wasmcloud:secrets/store` and `reveal`: the component's own secrets, which the host had fetched before it ran.
//!
//! A secret is a handle until it is revealed, so that a component can pass it to what reveals it without having seen it.

use wasmtime::Result;
use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource, ResourceType};
use withe_linker::secrets::SecretValue as Fetched;

use crate::core::InstanceState;

/// The resource `secret`: its value.
struct Secret(Fetched);

#[derive(ComponentType, Lower)]
#[component(variant)]
#[allow(
    dead_code,
    reason = "the secrets are in memory: reading one cannot fail, but the type is part of the signature"
)]
enum SecretsError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
    #[component(name = "not-found")]
    NotFound,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum SecretValue {
    #[component(name = "string")]
    String(String),
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
}

pub(super) fn store(linker: &mut LinkerInstance<'_, InstanceState>, member: usize) -> Result<()> {
    linker.resource("secret", ResourceType::host::<Secret>(), |mut cx, rep| {
        let secret = Resource::<Secret>::new_own(rep);
        cx.data_mut().table.delete(secret)?;
        Ok(())
    })?;
    linker.func_wrap("get", move |mut cx, (key,): (String,)| {
        let state = cx.data_mut();
        let Some(value) = state.identity(member).secrets.get(&key).cloned() else {
            return Ok((Err(SecretsError::NotFound),));
        };
        Ok((Ok(state.table.push(Secret(value))?),))
    })
}

pub(super) fn reveal(linker: &mut LinkerInstance<'_, InstanceState>) -> Result<()> {
    linker.func_wrap("reveal", |cx, (secret,): (Resource<Secret>,)| {
        let value = match cx.data().table.get(&secret)?.0.clone() {
            Fetched::Text(text) => SecretValue::String(text),
            Fetched::Bytes(bytes) => SecretValue::Bytes(bytes),
        };
        Ok((value,))
    })
}
