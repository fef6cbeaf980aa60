//! Links that leave the host, as what carries out a plan sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use withe_linker::plan::{Plan, PlannedLink};
use withe_provider::{
    Body, HttpError, IncomingHandler, Link, LinkId, OutgoingHandler, Provider, ProviderError,
    RequestOptions, http_wire,
};
use withe_rpc::{LinkRequest, Route};
use withe_runtime::Graph;
use withe_runtime::trace::{self, Tracer};

use crate::blobs_over;
use crate::claims::Claims;
use crate::parts::Parts;
use crate::request::{
    blobs_request, carries_blobs, http_export, http_request, is_provider, request,
};
use crate::serve::ping_request;
use crate::units::LinkEnd;

/// The longest that a request of a component to the world may take that another process sends for it; what the
/// component asked for is within it.
const OUTGOING: Duration = Duration::from_secs(600);

/// The ways to other hosts.
pub trait Away: Send + Sync {
    /// The way of a link; `None` if there is none at all.
    fn route(&self, request: LinkRequest, link: &PlannedLink) -> Option<Arc<Route>>;

    /// Decides among hosts that run the same provider; `None` where there are no others.
    fn claims(&self) -> Option<Arc<dyn Claims>> {
        None
    }
}

/// The links from components here to what runs on other hosts, by their places in the plan.
pub(crate) fn ends(plan: &Plan, parts: &Parts, away: &dyn Away) -> HashMap<usize, LinkEnd> {
    let links = plan.links.iter().enumerate();
    let leaving = links.filter(|(_, link)| link.leaves_host && !is_provider(plan, &link.source));
    let end = |(place, link): (usize, &PlannedLink)| {
        let to_unit = !is_provider(plan, &link.target);
        let carries_http = http_export(link).is_some();
        if !to_unit && carries_http {
            let route = away.route(http_request(plan, link), link)?;
            return Some((place, http_end(route)));
        }
        if !to_unit && carries_blobs(link) {
            let route = away.route(blobs_request(plan, link), link)?;
            return Some((place, blobs_over::end(route)));
        }
        let route = away.route(request(plan, parts, link), link)?;
        let end = LinkEnd::Remote {
            route,
            to_unit,
            ping: away.route(ping_request(plan, link), link)?,
            http: match carries_http {
                true => Some(away.route(http_request(plan, link), link)?),
                false => None,
            },
        };
        Some((place, end))
    };
    leaving.filter_map(end).collect()
}

/// The handler by which a provider here calls a component that it reaches by `route`. Holders of the handler hold
/// the plan's `graph`, which tells whether the plan's parts are still needed.
pub(crate) fn handler(
    plan: &Plan,
    link: &PlannedLink,
    route: Arc<Route>,
    graph: Arc<Graph>,
    tracer: &Tracer,
) -> Box<dyn IncomingHandler> {
    Box::new(AwayEntry {
        over: HttpOver(route),
        _graph: graph,
        application: plan.application.clone(),
        name: format!("{} → {}", link.source, link.target),
        tracer: tracer.clone(),
    })
}

/// Where a link leads over which a provider behind `route` sends requests.
pub(crate) fn http_end(route: Arc<Route>) -> LinkEnd {
    let (provider, link) = http_provider(route);
    LinkEnd::Provider { provider, link }
}

/// The provider behind `route`, for the requests of one link, and its number of that link.
pub(crate) fn http_provider(route: Arc<Route>) -> (Arc<dyn Provider>, LinkId) {
    // The route is of one link.
    (Arc::new(HttpOver(route)), LinkId(0))
}

/// HTTP that goes to another process. Each exchange goes where there is least to do.
struct HttpOver(Arc<Route>);

/// Where requests come in that other hosts answer.
struct AwayEntry {
    over: HttpOver,
    _graph: Arc<Graph>,
    application: String,
    /// From whom, and to whom, as spans say it.
    name: String,
    tracer: Tracer,
}

#[async_trait]
impl IncomingHandler for AwayEntry {
    async fn handle(
        &self,
        mut request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let mut span = self.tracer.enter(trace::of_request(&request), || {
            trace::proxied(&self.application, &self.name, &request)
        });
        trace::put_request(&mut request, span.context());
        let session = Arc::new(self.over.0.session());
        let answer = http_wire::call(&session, request, RequestOptions::default(), deadline).await;
        span.note_http(&answer);
        answer
    }
}

#[async_trait]
impl OutgoingHandler for HttpOver {
    async fn send(
        &self,
        _: LinkId,
        request: http::Request<Body>,
        options: RequestOptions,
    ) -> Result<http::Response<Body>, HttpError> {
        let session = Arc::new(self.0.session());
        http_wire::call(&session, request, options, Instant::now() + OUTGOING).await
    }
}

#[async_trait]
impl Provider for HttpOver {
    async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {}

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        Some(self)
    }

    async fn shutdown(&self, _: Duration) {}
}
