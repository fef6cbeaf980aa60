//! Requests of a provider, such as an HTTP server, into a component that others run and another provider stands for.
//!
//! They are bounded, counted and traced here, for nothing of the component is in this process. Requests into a component of
//! the application are counted and traced where it runs ([`super::incoming`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use withe_linker::plan::PlannedLink;
use withe_provider::{
    Body, HttpError, HttpErrorKind, IncomingHandler, LinkId, Provider, RequestOptions,
};

use crate::core::Graph;
use crate::metrics::{ErrorKind, LinkCounts, LinkLabels};
use crate::trace;

/// A component that others run, as an HTTP server sees it.
pub struct HttpOfOthers {
    provider: Arc<dyn Provider>,
    /// The link to it, as it knows it.
    link: LinkId,
    counts: Arc<LinkCounts>,
    application: String,
    /// From whom, and to whom, as spans say it.
    name: String,
    /// The longest until the response's head is there, if the link says it. Otherwise the server alone says it.
    timeout: Option<Duration>,
    /// Has the tracer. By this it is known whether what the plan made is needed.
    graph: Arc<Graph>,
}

impl HttpOfOthers {
    /// The component that `provider` stands for, which knows the link as `id`. `interface` takes its requests.
    pub fn new(
        graph: &Arc<Graph>,
        application: &str,
        link: &PlannedLink,
        interface: &str,
        provider: Arc<dyn Provider>,
        id: LinkId,
    ) -> Self {
        let labels = LinkLabels::of(application, link, interface);
        Self {
            provider,
            link: id,
            counts: graph.observer().metrics.link(&labels),
            application: application.to_owned(),
            name: format!("{} → {}", link.source, link.target),
            timeout: (link.timeout_given).then(|| Duration::from_millis(link.timeout_ms)),
            graph: graph.clone(),
        }
    }

    async fn send(
        &self,
        request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let Some(handler) = self.provider.outgoing_http() else {
            let why = format!("{}: the target takes no requests", self.name);
            return Err(HttpError::new(HttpErrorKind::Denied, why));
        };
        let options = RequestOptions {
            first_byte_timeout: Some(deadline.saturating_duration_since(Instant::now())),
            ..RequestOptions::default()
        };
        let sent = handler.send(self.link, request, options);
        timeout_at(deadline.into(), sent).await.unwrap_or_else(|_| {
            let why = "the component did not answer before the request's deadline";
            Err(HttpError::new(HttpErrorKind::Deadline, why))
        })
    }
}

#[async_trait::async_trait]
impl IncomingHandler for HttpOfOthers {
    async fn handle(
        &self,
        mut request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let began = Instant::now();
        let counted = self.counts.call(began, 0);
        let tracer = &self.graph.observer().tracer;
        let mut span = tracer.enter(trace::of_request(&request), || {
            trace::proxied(&self.application, &self.name, &request)
        });
        trace::put_request(&mut request, span.context());
        let own = self.timeout.map(|timeout| began + timeout);
        let deadline = own.map_or(deadline, |own| own.min(deadline));
        let answer = self.send(request, deadline).await;
        counted.ended(answer.as_ref().err().map(ErrorKind::from), 0);
        span.note_http(&answer);
        answer
    }
}
