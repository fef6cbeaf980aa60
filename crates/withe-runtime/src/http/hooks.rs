//! Requests out of a component, once it is known over which link they go: to a provider, which sends them, or to
//! another component, in this process or behind a wire.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use opentelemetry::trace::SpanKind;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};
use withe_provider::{
    Body, HttpError, HttpErrorKind, IncomingHandler as _, RequestOptions as LinkRequestOptions,
    TraceContext, http_wire,
};

use super::errors;
use super::incoming::HttpEntry;
use crate::core::Graph;
use crate::links::OutgoingLink;
use crate::metrics::ErrorKind;
use crate::quota::{CallUnderWay, Nested};
use crate::spec::LinkTarget;
use crate::trace::{self, request_span};

/// What a request has of the instance that sends it.
pub(super) struct Sender {
    pub(super) graph: Arc<Graph>,
    /// Where it stands, for what runs in this process.
    pub(super) nested: Nested,
    /// When a component must have answered.
    pub(super) deadline: Instant,
    /// That of the call under way.
    pub(super) trace: Option<TraceContext>,
}

impl OutgoingLink {
    /// Sends a request, and returns when the response's head is there.
    pub(super) async fn send(
        &self,
        mut request: http::Request<Body>,
        options: LinkRequestOptions,
        sender: Sender,
    ) -> Result<http::Response<Body>, HttpError> {
        let counted = self.counts.call(Instant::now(), 0);
        // A component may record spans of its own, and has then said so in the request.
        let parent = trace::of_request(&request).or(sender.trace);
        let mut span = self.tracer.hop(parent, || {
            let part = format!("{} → {}", self.spec.source, self.spec.target_name);
            request_span(SpanKind::Client, &self.application, &part, &request)
        });
        trace::put_request(&mut request, span.context());
        let answer = self.carry(request, options, sender).await;
        counted.ended(answer.as_ref().err().map(ErrorKind::from), 0);
        span.note_http(&answer);
        answer
    }

    /// Takes a request to wherever the link leads.
    async fn carry(
        &self,
        mut request: http::Request<Body>,
        options: LinkRequestOptions,
        sender: Sender,
    ) -> Result<http::Response<Body>, HttpError> {
        let denied = || HttpError::new(HttpErrorKind::Denied, "no link sends requests");
        let Sender {
            graph,
            nested,
            deadline,
            ..
        } = sender;
        let answer = match &self.spec.target {
            LinkTarget::Provider { provider, link, .. } => {
                let handler = provider.outgoing_http().ok_or_else(denied)?;
                return handler.send(*link, request, options).await;
            }
            LinkTarget::Unit(unit) => {
                request.extensions_mut().insert(options);
                let unread = self.unread.clone();
                let entry = HttpEntry::nested(graph, *unit, self.face, nested, unread);
                // Boxed because components call each other, and may do so in a circle.
                Box::pin(entry.handle(request, deadline)).await
            }
            LinkTarget::Remote {
                http: Some(route), ..
            } => {
                let session = Arc::new(route.session());
                http_wire::call(&session, request, options, deadline).await
            }
            LinkTarget::Remote { http: None, .. } => return Err(denied()),
        };
        answer.map_err(|e| HttpError {
            kind: e.kind,
            message: format!("`{}`: {}", self.spec.target_name, e.message),
        })
    }
}

/// Where the requests of the instance go.
#[derive(Default)]
pub(crate) struct OutgoingHooks {
    /// The link of the call under way.
    chosen: Option<Chosen>,
}

pub(super) struct Chosen {
    pub(super) link: Arc<OutgoingLink>,
    pub(super) sender: Sender,
    /// Counts until the request is answered.
    pub(super) under_way: CallUnderWay,
    /// Whether the component did not say whom it asks, for which something stands in the request.
    pub(super) is_relative: bool,
}

impl OutgoingHooks {
    /// The next request goes as `chosen` says.
    pub(super) fn choose(&mut self, chosen: Chosen) {
        self.chosen = Some(chosen);
    }
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
        let Some(chosen) = self.chosen.take() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let Chosen {
            link,
            sender,
            under_way,
            is_relative,
        } = chosen;
        Box::new(async move {
            let mut request = request.map(|body| body.map_err(errors::from_wasi).boxed_unsync());
            if is_relative {
                make_relative(&mut request)?;
            }
            let options =
                options.map_or_else(LinkRequestOptions::default, |o| LinkRequestOptions {
                    connect_timeout: o.connect_timeout,
                    first_byte_timeout: o.first_byte_timeout,
                    between_bytes_timeout: o.between_bytes_timeout,
                });
            let response = link.send(request, options, sender).await;
            drop(under_way);
            let response = response.map_err(errors::to_wasi)?;
            let finished: Finished = Box::new(std::future::ready(Ok(())));
            Ok((
                response.map(|body| body.map_err(errors::to_wasi).boxed_unsync()),
                finished,
            ))
        })
    }
}

/// Takes out of a request whom it asks.
fn make_relative(request: &mut http::Request<Body>) -> Result<(), Error> {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = request.uri().path_and_query().cloned();
    let uri = http::Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = uri;
    request.headers_mut().remove(http::header::HOST);
    Ok(())
}
