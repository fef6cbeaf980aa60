//! Requests out of a component: over its links, and nowhere else.

use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use http::uri::{Authority, PathAndQuery, Scheme};
use http_body_util::BodyExt as _;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut, bail};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostOutgoingRequest, HostResponseOutparam,
};
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::p3::{Request as P3Request, Response as P3Response};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};
use withe_provider::RequestOptions;
use withe_wit::InterfaceName;

use super::errors;
use super::face::HttpFace;
use super::hooks::Chosen;
use super::link::{Asked, Sender};
use super::passed;
use crate::core::InstanceState;
use crate::failure::LinkFailure;

/// Whom a request asks that does not say so, where Wasmtime has to have it said.
const NOBODY: &str = "localhost";

/// Defines `wasi:http/outgoing-handler` or `incoming-handler` (0.2), `client` or `handler` (0.3): the import that has
/// this `number` among those of the unit through which requests are sent.
pub(crate) fn define_outgoing(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &InterfaceName,
    number: usize,
) -> Result<()> {
    match name.interface.as_str() {
        "outgoing-handler" => outgoing_handler(linker, number),
        "incoming-handler" => incoming_handler(linker, number),
        "handler" => p3(linker, "handle", number),
        _ => p3(linker, "send", number),
    }
}

fn outgoing_handler(linker: &mut LinkerInstance<'_, InstanceState>, number: usize) -> Result<()> {
    type Params = (
        Resource<HostOutgoingRequest>,
        Option<Resource<wasmtime_wasi_http::p2::bindings::http::types::RequestOptions>>,
    );
    linker.func_wrap(
        "handle",
        move |mut cx: StoreContextMut<'_, InstanceState>, (request, options): Params| {
            let state = cx.data_mut();
            let chosen = chosen(choose(state, number)?, false);
            state.hooks.choose(chosen);
            let handled = outgoing_handler::Host::handle(&mut state.http(), request, options);
            // One that cannot be sent as it is has not taken it.
            state.hooks.forget();
            let sent: Result<Resource<HostFutureIncomingResponse>, _> = match handled {
                Ok(response) => Ok(response),
                Err(e) => Err(e.downcast()?),
            };
            Ok((sent,))
        },
    )
}

/// Passes on a request that came in, and answers whoever waits for the response with what comes back. The caller goes
/// on when the response's head is there.
fn incoming_handler(linker: &mut LinkerInstance<'_, InstanceState>, number: usize) -> Result<()> {
    type Params = (
        Resource<HostIncomingRequest>,
        Resource<HostResponseOutparam>,
    );
    linker.func_wrap_async(
        "handle",
        move |mut cx: StoreContextMut<'_, InstanceState>, (request, out): Params| {
            Box::new(async move {
                let state = cx.data_mut();
                let Asked {
                    link,
                    sender,
                    under_way,
                } = choose(state, number)?;
                let request = passed::incoming_request(state, request)?;
                let out = state.table.delete(out)?;
                let options = RequestOptions::default();
                let answer = link.send(request, options, sender).await;
                drop(under_way);
                (out.send)(match answer {
                    Ok(response) => {
                        Ok(response.map(|body| body.map_err(errors::to_wasi).boxed_unsync()))
                    }
                    Err(error) => Err(errors::to_p2(error)),
                });
                Ok(())
            })
        },
    )
}

/// `handler.handle` and `client.send` have one type, and send a request alike.
fn p3(linker: &mut LinkerInstance<'_, InstanceState>, function: &str, number: usize) -> Result<()> {
    linker.func_wrap_concurrent(
        function,
        move |accessor, (request,): (Resource<P3Request>,)| {
            Box::pin(async move {
                accessor.with(|mut access| {
                    let state = access.data_mut();
                    let asked = choose(state, number)?;
                    let is_relative = match asked.link.face {
                        HttpFace::Handler => complete(state.table.get_mut(&request)?),
                        HttpFace::Client => false,
                    };
                    state.hooks.choose(chosen(asked, is_relative));
                    Ok::<_, wasmtime::Error>(())
                })?;
                let http = accessor.with_getter::<WasiHttp>(InstanceState::http);
                let mut send = pin!(<WasiHttp as client::HostWithStore<InstanceState>>::send(
                    &http, request
                ));
                // The request leaves in the first poll, so nobody else chooses in between. One that cannot be sent as it is
                // has not taken what was chosen.
                let first = futures::poll!(&mut send);
                accessor.with(|mut access| access.data_mut().hooks.forget());
                let answer = match first {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => send.await,
                };
                let sent: Result<Resource<P3Response>, _> = match answer {
                    Ok(response) => Ok(response),
                    Err(e) => Err(e.downcast()?),
                };
                Ok((sent,))
            })
        },
    )
}

/// Says in a request to a handler what only one that goes to the world has to say; whether it did not say whom it
/// asks.
fn complete(request: &mut P3Request) -> bool {
    request.scheme.get_or_insert(Scheme::HTTP);
    let path = || PathAndQuery::from_static("/");
    request.path_with_query.get_or_insert_with(path);
    let is_relative = request.authority.is_none();
    let nobody = || Authority::from_static(NOBODY);
    request.authority.get_or_insert_with(nobody);
    is_relative
}

/// The link of the request that is about to be sent, and what goes along.
fn choose(state: &InstanceState, number: usize) -> Result<Asked> {
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
    let sender = Sender {
        graph: state.graph.clone(),
        nested: state.nested.clone(),
        _goes_on: state.nested.goes_on(),
        deadline: state.deadline_of_call(Instant::now(), link.spec.timeout),
        trace: state.trace,
    };
    Ok(Asked {
        link,
        sender,
        under_way,
    })
}

/// The choice by which the next request is sent.
fn chosen(asked: Asked, is_relative: bool) -> Chosen {
    let Asked {
        link,
        sender,
        under_way,
    } = asked;
    Chosen {
        send: Box::new(move |request, options| {
            Box::pin(async move {
                let answer = link.send(request, options, sender).await;
                drop(under_way);
                answer
            })
        }),
        is_relative,
    }
}
