//! A request over a link: to a provider, which sends it, or to another component, in this process or behind a wire.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::trace::SpanKind;
use withe_provider::{
    Body, HttpError, HttpErrorKind, IncomingHandler as _, RequestOptions as LinkRequestOptions,
    TraceContext, http_wire,
};

use super::incoming::HttpEntry;
use crate::core::Graph;
use crate::links::OutgoingLink;
use crate::metrics::ErrorKind;
use crate::quota::{CallUnderWay, GoesOn, Nested};
use crate::spec::LinkTarget;
use crate::trace::{self, request_span};

/// A link that was chosen, and what goes along with the request.
pub(super) struct Asked {
    pub(super) link: Arc<OutgoingLink>,
    pub(super) sender: Sender,
    /// Counts until the request is answered.
    pub(super) under_way: CallUnderWay,
}

/// The sending instance, as far as a request needs it.
pub(super) struct Sender {
    pub(super) graph: Arc<Graph>,
    /// Where it stands, for what runs in this process.
    pub(super) nested: Nested,
    /// The request may outlive the call that sends it.
    pub(super) _goes_on: GoesOn,
    /// When a component must have answered.
    pub(super) deadline: Instant,
    /// The trace of the call under way.
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
        match &self.spec.target {
            // A provider says what it has to say to a component.
            LinkTarget::Provider { .. } => answer,
            LinkTarget::Unit(_) | LinkTarget::Remote { .. } => self.failures.told(answer),
        }
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
        match &self.spec.target {
            LinkTarget::Provider { provider, link, .. } => {
                let handler = provider.outgoing_http().ok_or_else(denied)?;
                handler.send(*link, request, options).await
            }
            LinkTarget::Unit(unit) => {
                let export = self.export.clone().ok_or_else(denied)?;
                request.extensions_mut().insert(options);
                let unread = self.unread.clone();
                let entry = HttpEntry::nested(graph, *unit, export, nested, unread);
                // Boxed because components call each other, and may do so in a circle.
                Box::pin(entry.handle(request, deadline)).await
            }
            LinkTarget::Remote {
                http: Some(route), ..
            } => {
                let session = Arc::new(route.session());
                http_wire::call(&session, request, options, deadline).await
            }
            LinkTarget::Remote { http: None, .. } => Err(denied()),
        }
    }
}
