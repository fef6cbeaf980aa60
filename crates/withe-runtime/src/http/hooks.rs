//! Requests out of a component, once it is known over which link they go.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use opentelemetry::trace::SpanKind;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};
use withe_provider::{
    Body, HttpError, HttpErrorKind, RequestOptions as LinkRequestOptions, TraceContext,
};

use super::errors;
use crate::links::OutgoingLink;
use crate::metrics::ErrorKind;
use crate::quota::CallUnderWay;
use crate::spec::LinkTarget;
use crate::trace::{self, request_span};

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
        let counted = self.counts.call(Instant::now(), 0);
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
    under_way: CallUnderWay,
}

impl OutgoingHooks {
    /// The next request goes over `link`, is part of `trace`, and counts until it is answered.
    pub(crate) fn choose(
        &mut self,
        link: Arc<OutgoingLink>,
        trace: Option<TraceContext>,
        under_way: CallUnderWay,
    ) {
        self.chosen = Some(Chosen {
            link,
            trace,
            under_way,
        });
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
            trace,
            under_way,
        } = chosen;
        Box::new(async move {
            let request = request.map(|body| body.map_err(errors::from_wasi).boxed_unsync());
            let options =
                options.map_or_else(LinkRequestOptions::default, |o| LinkRequestOptions {
                    connect_timeout: o.connect_timeout,
                    first_byte_timeout: o.first_byte_timeout,
                    between_bytes_timeout: o.between_bytes_timeout,
                });
            let response = link.send(request, options, trace).await;
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
