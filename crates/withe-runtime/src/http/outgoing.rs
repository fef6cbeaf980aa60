//! Requests out of a component: over its link to a provider, and nowhere else.

use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut, bail};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::p3::{Request as P3Request, Response as P3Response};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};
use withe_wit::InterfaceName;

use crate::core::InstanceState;
use crate::failure::LinkFailure;

/// Whether an interface is one through which components send requests.
pub(crate) fn is_outgoing(name: &InterfaceName) -> bool {
    name.namespace == "wasi"
        && name.package == "http"
        && matches!(name.interface.as_str(), "outgoing-handler" | "client")
}

/// Defines `wasi:http/outgoing-handler` (0.2) or `wasi:http/client` (0.3): the import that has this `number` among
/// those of the unit through which requests are sent.
pub(crate) fn define_outgoing(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &InterfaceName,
    number: usize,
) -> Result<()> {
    if name.interface == "outgoing-handler" {
        type Params = (
            Resource<HostOutgoingRequest>,
            Option<Resource<wasmtime_wasi_http::p2::bindings::http::types::RequestOptions>>,
        );
        linker.func_wrap(
            "handle",
            move |mut cx: StoreContextMut<'_, InstanceState>, (request, options): Params| {
                let state = cx.data_mut();
                choose(state, number)?;
                let sent: Result<Resource<HostFutureIncomingResponse>, _> =
                    match outgoing_handler::Host::handle(&mut state.http(), request, options) {
                        Ok(response) => Ok(response),
                        Err(e) => Err(e.downcast()?),
                    };
                Ok((sent,))
            },
        )
    } else {
        linker.func_wrap_concurrent(
            "send",
            move |accessor, (request,): (Resource<P3Request>,)| {
                // The request leaves in the first poll of `send`, so nobody else chooses in between.
                let chosen = accessor.with(|mut access| choose(access.data_mut(), number));
                Box::pin(async move {
                    chosen?;
                    let accessor = accessor.with_getter::<WasiHttp>(InstanceState::http);
                    let sent: Result<Resource<P3Response>, _> =
                        match <WasiHttp as client::HostWithStore<InstanceState>>::send(
                            &accessor, request,
                        )
                        .await
                        {
                            Ok(response) => Ok(response),
                            Err(e) => Err(e.downcast()?),
                        };
                    Ok((sent,))
                })
            },
        )
    }
}

/// Chooses the link for the request that is about to be sent.
fn choose(state: &mut InstanceState, number: usize) -> Result<()> {
    let import = &state.links.outgoing[number];
    let link = match import.links.as_slice() {
        [only] => only.clone(),
        several => {
            let chosen = state.lattice.chosen(import.member, &import.interface);
            match several.iter().find(|link| link.spec.name == chosen) {
                Some(link) => link.clone(),
                None => bail!(
                    "`{}` is not linked under the name `{chosen}`",
                    import.interface
                ),
            }
        }
    };
    let account = &state.nested.tenancy.account;
    let under_way = account.call().map_err(|e| {
        let function = &import.interface;
        LinkFailure::new(&link.spec, function, e.into_call_error())
    })?;
    state.hooks.choose(link, state.trace, under_way);
    Ok(())
}
