//! One request: which link it is for, what the link's policy says, the component's answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;
use withe_provider::{Body, HttpError, HttpErrorKind, IncomingHandler};

use crate::body::{self, ToClient};
use crate::cors::Cors;
use crate::listener::Listener;
use crate::stop::Stop;

/// One version of a link. Requests keep the version they started with.
pub(crate) struct Route {
    /// The application and component at the other end, for people.
    pub(crate) name: String,
    pub(crate) handler: Arc<dyn IncomingHandler>,
    /// How long the component may take until its response's head is there.
    pub(crate) timeout: Duration,
    /// Whether only GET and HEAD are let through.
    pub(crate) readonly: bool,
    /// Whether the connection closes after each response.
    pub(crate) close: bool,
    /// For responses that do not say themselves.
    pub(crate) cache_control: Option<HeaderValue>,
    pub(crate) cors: Option<Cors>,
    pub(crate) work: Arc<Work>,
}

/// A link's requests under way, whichever version of the link they started with.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Holds a token for each until its response is sent.
    pub(crate) requests: TaskTracker,
    /// Given when they have to end.
    pub(crate) stop: Stop,
}

/// The authority that a connection's last request named. Clients name the same one again and
/// again, and parsing it costs an allocation.
#[derive(Default)]
pub(crate) struct LastAuthority(Option<(HeaderValue, Authority)>);

/// A response of the provider's own.
type Refusal = Box<Response<ToClient>>;

/// Finds the route of `request` and makes it what the component gets; or answers it.
pub(crate) fn begin(
    listener: &Listener,
    scheme: &Scheme,
    last: &mut LastAuthority,
    request: Request<Incoming>,
) -> Result<(Arc<Route>, Request<Body>), Refusal> {
    let (mut parts, incoming) = request.into_parts();
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    let authority = match uri.authority.take() {
        Some(authority) => authority,
        None => match (parts.headers.get(HOST), parts.version) {
            (Some(host), _) => last.parse(host)?,
            (None, Version::HTTP_09 | Version::HTTP_10) => listener.authority.clone(),
            (None, _) => return Err(refuse(StatusCode::BAD_REQUEST, "the request has no host")),
        },
    };
    let Some(path) = uri
        .path_and_query
        .filter(|_| parts.method != Method::CONNECT)
    else {
        return Err(refuse(StatusCode::NOT_IMPLEMENTED, "CONNECT is not served"));
    };

    let route = {
        let table = listener.table.load();
        let host = match listener.host_header == HOST {
            true => Some(authority.as_str()),
            false => parts
                .headers
                .get(&listener.host_header)
                .and_then(|v| v.to_str().ok()),
        };
        match table.find(host, route_path(&path)) {
            Some(route) => route.clone(),
            // The last link has gone, and the connection is about to.
            None if table.is_empty() => {
                return Err(refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server is stopping",
                ));
            }
            None => {
                let text = "no component is linked to this host and path";
                return Err(refuse(StatusCode::NOT_FOUND, text));
            }
        }
    };

    if let Some(cors) = &route.cors
        && Cors::is_preflight(&parts.method, &parts.headers)
    {
        let mut response = Response::new(ToClient::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        cors.answer_preflight(&parts.headers, response.headers_mut());
        return Err(Box::new(response));
    }
    if route.readonly && parts.method != Method::GET && parts.method != Method::HEAD {
        let mut refusal = refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are allowed",
        );
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Err(refusal);
    }

    uri.scheme = Some(scheme.clone());
    uri.authority = Some(authority);
    uri.path_and_query = Some(path);
    parts.uri = Uri::from_parts(uri)
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, "the request's target is not a URI"))?;
    Ok((
        route,
        Request::from_parts(parts, body::from_client(incoming)),
    ))
}

impl LastAuthority {
    fn parse(&mut self, host: &HeaderValue) -> Result<Authority, Refusal> {
        if let Some((last, authority)) = &self.0
            && last == host
        {
            return Ok(authority.clone());
        }
        let authority = Authority::try_from(host.as_bytes())
            .map_err(|_| refuse(StatusCode::BAD_REQUEST, "the request's host is not valid"))?;
        self.0 = Some((host.clone(), authority.clone()));
        Ok(authority)
    }
}

/// The path that routes are compared with. `OPTIONS *` is for the server as a whole: the root.
fn route_path(path: &PathAndQuery) -> &str {
    if path.path() == "*" { "/" } else { path.path() }
}

/// Has the component answer.
pub(crate) async fn exchange(route: Arc<Route>, request: Request<Body>) -> Response<ToClient> {
    let token = route.work.requests.token();
    let origin = route
        .cors
        .as_ref()
        .and_then(|_| request.headers().get(ORIGIN).cloned());
    let deadline = Instant::now() + route.timeout;
    // The clock and the stop signal are only looked at once the component has to be waited for.
    let answer = tokio::select! {
        biased;
        answer = route.handler.handle(request, deadline) => answer,
        () = sleep_until(deadline.into()) => {
            let message = format!("no response within {} ms", route.timeout.as_millis());
            Err(HttpError::new(HttpErrorKind::Deadline, message))
        }
        () = route.work.stop.wait() => {
            let message = "the link was removed, and the time to finish is over";
            Err(HttpError::new(HttpErrorKind::Exhausted, message))
        }
    };
    let mut response = match answer {
        Ok(response) => {
            let route = route.clone();
            response.map(|body| ToClient::component(body, route, token))
        }
        Err(error) => failure(&route, &error),
    };
    let headers = response.headers_mut();
    if let Some(cors) = &route.cors {
        cors.decorate(origin.as_ref(), headers);
    }
    if let Some(value) = &route.cache_control {
        headers
            .entry(CACHE_CONTROL)
            .or_insert_with(|| value.clone());
    }
    if route.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn failure(route: &Route, error: &HttpError) -> Response<ToClient> {
    let status = status(error.kind);
    tracing::warn!(
        component = route.name,
        status = status.as_u16(),
        "request failed: {error}"
    );
    // Why is for the log: it names components, files and other hosts. A client is told only what it did.
    let text = status.canonical_reason().unwrap_or("failed");
    *match error.kind {
        HttpErrorKind::InvalidRequest => {
            let reason = error.message.lines().next().unwrap_or_default();
            refuse(status, format!("{text}: {reason}"))
        }
        _ => refuse(status, text),
    }
}

fn status(kind: HttpErrorKind) -> StatusCode {
    match kind {
        HttpErrorKind::Deadline
        | HttpErrorKind::ConnectionTimeout
        | HttpErrorKind::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
        HttpErrorKind::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
        HttpErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
        HttpErrorKind::Handler | HttpErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        HttpErrorKind::Dns
        | HttpErrorKind::Denied
        | HttpErrorKind::ConnectionRefused
        | HttpErrorKind::ConnectionTerminated
        | HttpErrorKind::Tls
        | HttpErrorKind::Protocol => StatusCode::BAD_GATEWAY,
    }
}

fn refuse(status: StatusCode, text: impl Into<String>) -> Refusal {
    let mut text = text.into();
    text.push('\n');
    let mut response = Response::new(ToClient::text(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Box::new(response)
}
