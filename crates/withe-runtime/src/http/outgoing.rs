//! Requests out of a component: over its link to a provider, and nowhere else.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use opentelemetry::trace::SpanKind;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut, bail};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::p3::{Request as P3Request, Response as P3Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttp, WasiHttpHooks, WasiHttpView};
use withe_provider::{
    Body, HttpError, HttpErrorKind, RequestOptions as LinkRequestOptions, TraceContext,
};
use withe_wit::InterfaceName;

use super::errors;
use crate::metrics::{ErrorKind, LinkPlace};
use crate::spec::{LinkSpec, LinkTarget};
use crate::state::State;
use crate::trace::{self, Tracer, request_span};

/// Whether an interface is one through which components send requests.
pub(crate) fn is_outgoing(name: &InterfaceName) -> bool {
    name.namespace == "wasi"
        && name.package == "http"
        && matches!(name.interface.as_str(), "outgoing-handler" | "client")
}

/// Defines `wasi:http/outgoing-handler` (0.2) or `wasi:http/client` (0.3) of one component.
pub(crate) fn define_outgoing(
    linker: &mut LinkerInstance<'_, State>,
    name: &InterfaceName,
    member: usize,
    links: Vec<OutgoingLink>,
) -> Result<()> {
    let key = format!("wasi:http/{}", name.interface);
    let links: Arc<[Arc<OutgoingLink>]> = links.into_iter().map(Arc::new).collect();
    let choose = move |state: &mut State| -> Result<()> {
        let link = match &*links {
            [only] => only,
            several => {
                let chosen = state.lattice.chosen(member, &key);
                match several.iter().find(|link| link.spec.name == chosen) {
                    Some(link) => link,
                    None => bail!("`{key}` is not linked under the name `{chosen}`"),
                }
            }
        };
        state.hooks.chosen = Some(Chosen {
            link: link.clone(),
            trace: state.trace,
        });
        Ok(())
    };
    if name.interface == "outgoing-handler" {
        type Params = (
            Resource<HostOutgoingRequest>,
            Option<Resource<wasmtime_wasi_http::p2::bindings::http::types::RequestOptions>>,
        );
        linker.func_wrap(
            "handle",
            move |mut cx: StoreContextMut<'_, State>, (request, options): Params| {
                let state = cx.data_mut();
                choose(state)?;
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
                let chosen = accessor.with(|mut access| choose(access.data_mut()));
                Box::pin(async move {
                    chosen?;
                    let accessor = accessor.with_getter::<WasiHttp>(State::http);
                    let sent: Result<Resource<P3Response>, _> =
                        match <WasiHttp as client::HostWithStore<State>>::send(&accessor, request)
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

/// A link over which requests go out.
pub(crate) struct OutgoingLink {
    pub(crate) spec: Arc<LinkSpec>,
    pub(crate) application: String,
    /// Where requests are counted.
    pub(crate) place: Arc<LinkPlace>,
    pub(crate) tracer: Tracer,
}

impl OutgoingLink {
    /// Sends a request, and returns when the response's head is there. `trace` is that of whoever asks for it.
    async fn send(
        &self,
        mut request: http::Request<Body>,
        options: LinkRequestOptions,
        trace: Option<TraceContext>,
    ) -> Result<http::Response<Body>, HttpError> {
        let denied = || HttpError::new(HttpErrorKind::Denied, "no link sends requests");
        let LinkTarget::Provider { provider, link, .. } = &self.spec.target else {
            return Err(denied());
        };
        let handler = provider.outgoing_http().ok_or_else(denied)?;
        let counted = self.place.call(Instant::now(), 0);
        // A component may record spans of its own, and has then said so in the request.
        let parent = trace::of_request(&request).or(trace);
        let mut span = self.tracer.hop(parent, || {
            let part = format!("{} → {}", self.spec.source, self.spec.target_name);
            request_span(SpanKind::Client, &self.application, &part, &request)
        });
        trace::put_request(&mut request, span.context());
        let answer = handler.send(*link, request, options).await;
        counted.ended(answer.as_ref().err().map(ErrorKind::from), 0);
        span.note_http(&answer);
        answer
    }
}

/// Where the requests of the instance go.
#[derive(Default)]
pub(crate) struct OutgoingHooks {
    /// The link of the call under way.
    chosen: Option<Chosen>,
}

struct Chosen {
    link: Arc<OutgoingLink>,
    trace: Option<TraceContext>,
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished), Error>> + Send>;

impl WasiHttpHooks for OutgoingHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _finished: Finished,
    ) -> Sent {
        let Some(Chosen { link, trace }) = self.chosen.take() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        Box::new(async move {
            let request = request.map(|body| body.map_err(errors::from_wasi).boxed_unsync());
            let options =
                options.map_or_else(LinkRequestOptions::default, |o| LinkRequestOptions {
                    connect_timeout: o.connect_timeout,
                    first_byte_timeout: o.first_byte_timeout,
                    between_bytes_timeout: o.between_bytes_timeout,
                });
            let response = link.send(request, options, trace).await;
            let response = response.map_err(errors::to_wasi)?;
            let finished: Finished = Box::new(std::future::ready(Ok(())));
            Ok((
                response.map(|body| body.map_err(errors::to_wasi).boxed_unsync()),
                finished,
            ))
        })
    }
}
