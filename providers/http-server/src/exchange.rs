//! One request: which link it is for, what the link's policy says, the component's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRAILER, UPGRADE,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::sleep_until;
use tokio_util::task::task_tracker::TaskTrackerToken;
use withe_provider::{Body, HttpError, HttpErrorKind, remove_connection_fields};

use crate::body::{self, FromComponent, ToClient};
use crate::cors::Cors;
use crate::crowd::Crowded;
use crate::link::HttpRoute;
use crate::serving::Front;
use crate::target::{Inbound, LastHost, RequestTarget, Unclear, only};
use crate::trailers::{Trailers, are_wanted};
use crate::transfer::Transfers;

/// A request that has a route.
pub(crate) struct Begun {
    route: Arc<HttpRoute>,
    /// Counts it among the link's requests.
    token: TaskTrackerToken,
    request: Request<Body>,
    /// Whether the client wants trailers, over a protocol that has to be asked for them.
    wants_trailers: bool,
    /// Set when the body turns out to be larger than the link lets through.
    too_large: Option<Arc<AtomicBool>>,
}

/// A response of the provider's own.
pub(crate) type Refusal = Box<Response<ToClient>>;

/// Finds the route of `request` and makes it what the component gets; or answers it.
pub(crate) fn begin(
    front: &Front,
    scheme: &Scheme,
    last: &mut LastHost,
    request: Request<Incoming>,
) -> Result<Begun, Refusal> {
    let (mut parts, incoming) = request.into_parts();
    let inbound = Inbound {
        scheme,
        authority: &front.authority,
    };
    let uri = std::mem::take(&mut parts.uri);
    let (method, version) = (&parts.method, parts.version);
    let mut target = RequestTarget::read(method, version, uri, &mut parts.headers, &inbound, last)
        .map_err(unclear)?;
    // Which link a path belongs to is not known before, so this is the same for all links.
    let ambiguous_paths = front.serving.load().ambiguous_paths;
    target.path = ambiguous_paths.settle(target.path).map_err(unclear)?;

    let mut ended: Option<Arc<HttpRoute>> = None;
    let (route, token) = loop {
        let serving = front.serving.load();
        let table = serving.table.load();
        let host = match serving.host_header == HOST {
            true => Some(target.authority.as_str()),
            false => only(&parts.headers, &serving.host_header)
                .map_err(unclear)?
                .and_then(|v| v.to_str().ok()),
        };
        let route = match table.find(host, &target.scheme, route_path(&target.path)) {
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
        };
        if let Some(token) = route.work.begin() {
            break (route, token);
        }
        // The link has ended since the table was read. Its replacement is in the table that is there now.
        let same = ended.replace(route.clone());
        if same.is_some_and(|same| Arc::ptr_eq(&same, &route)) {
            return Err(refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is stopping",
            ));
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
    if let Some(mut refusal) = refused(&route, &parts, &incoming) {
        if route.access_log {
            Access::of(&parts.method, target.path.path()).log(&route, refusal.status());
        }
        if let Some(cors) = &route.cors {
            cors.decorate(parts.headers.get(ORIGIN), refusal.headers_mut());
        }
        return Err(refusal);
    }

    parts.uri = target.into_uri().map_err(unclear)?;
    let wants_trailers = are_wanted(parts.version, &parts.headers);
    remove_connection_fields(&mut parts.headers);
    let (body, too_large) = body::from_client(incoming, &route.limits);
    Ok(Begun {
        route,
        token,
        request: Request::from_parts(parts, body),
        wants_trailers,
        too_large,
    })
}

/// The answer of a link's policy to a request that it does not let through.
fn refused(route: &HttpRoute, parts: &Parts, body: &Incoming) -> Option<Refusal> {
    if let Some(methods) = &route.methods
        && !methods.contains(&parts.method)
    {
        let allowed = methods.header.to_str().unwrap_or_default();
        let text = format!("only these methods are allowed: {allowed}");
        let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, text);
        refusal.headers_mut().insert(ALLOW, methods.header.clone());
        return Some(refusal);
    }
    if parts.headers.get(UPGRADE).is_some_and(is_websocket) {
        let text = "this server carries no WebSocket: no interface of a component has one; \
                    bodies of requests and responses stream both ways";
        return Some(refuse(StatusCode::NOT_IMPLEMENTED, text));
    }
    let limit = route.limits.body?;
    let length = body.size_hint().lower();
    (length > limit).then(|| too_large(limit))
}

fn is_websocket(protocols: &HeaderValue) -> bool {
    let text = protocols.to_str().unwrap_or_default();
    let mut names = text.split(',').map(|name| name.trim().split('/').next());
    names.any(|name| name.is_some_and(|name| name.eq_ignore_ascii_case("websocket")))
}

/// The answer to a request whose body is larger than this.
fn too_large(limit: u64) -> Refusal {
    let text = format!("the request's body is larger than {limit} bytes");
    let mut refusal = refuse(StatusCode::PAYLOAD_TOO_LARGE, text);
    // The rest of the body is not read.
    let close = HeaderValue::from_static("close");
    refusal.headers_mut().insert(CONNECTION, close);
    refusal
}

/// A request as it stands in the log of those that came. A query may hold what is secret, so it is left out.
struct Access {
    method: Method,
    path: String,
    began: Instant,
}

impl Access {
    fn of(method: &Method, path: &str) -> Self {
        Self {
            method: method.clone(),
            path: path.to_owned(),
            began: Instant::now(),
        }
    }

    /// Logs what the request was answered with.
    fn log(&self, route: &HttpRoute, status: StatusCode) {
        let Self { method, path, .. } = self;
        let (component, status) = (&route.name, status.as_u16());
        let ms = self.began.elapsed().as_millis();
        tracing::info!(component, "{method} {path:?}: {status} in {ms} ms");
    }
}

/// The answer to a request that is one too many.
pub(crate) fn crowded(crowded: Crowded) -> Refusal {
    match crowded {
        Crowded::Listener => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the server has too many requests under way",
        ),
        Crowded::Address => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "your address has too many requests under way",
        ),
    }
}

fn unclear(Unclear { status, why }: Unclear) -> Refusal {
    refuse(status, why)
}

/// The path that routes are compared with. `OPTIONS *` is for the server as a whole: the root.
fn route_path(path: &PathAndQuery) -> &str {
    if path.path() == "*" { "/" } else { path.path() }
}

/// Has the component answer. `trailers` are those of the connection, if it is of HTTP/1.1.
/// The transfers that its client may be too slow over are added to `transfers`.
pub(crate) async fn exchange(
    begun: Begun,
    trailers: Option<&Arc<Trailers>>,
    transfers: &Transfers,
) -> Response<ToClient> {
    let Begun {
        route,
        token,
        request,
        wants_trailers,
        too_large: is_too_large,
    } = begun;
    let access = (route.access_log).then(|| Access::of(request.method(), request.uri().path()));
    let trailers = trailers.filter(|_| wants_trailers);
    let origin = route
        .cors
        .as_ref()
        .and_then(|_| request.headers().get(ORIGIN).cloned());
    let is_head = request.method() == Method::HEAD;
    let limits = &route.limits;
    let begun = Instant::now();
    let end = limits.request.map(|limit| begun + limit);
    let deadline = begun
        + limits
            .request
            .unwrap_or(limits.response)
            .min(limits.response);
    // The clock and the stop signal are only looked at once the component has to be waited for.
    let answer = tokio::select! {
        biased;
        answer = route.handler.handle(request, deadline) => answer,
        () = sleep_until(deadline.into()) => {
            let ms = (deadline - begun).as_millis();
            let message = format!("no response within {ms} ms");
            Err(HttpError::new(HttpErrorKind::Deadline, message))
        }
        () = route.work.stop.wait() => {
            let message = "the link was removed, and the time to finish is over";
            Err(HttpError::new(HttpErrorKind::Exhausted, message))
        }
    };
    let answer = answer.and_then(|answer| {
        let end = end.map(Into::into);
        respond(answer, &route, token, end, is_head, trailers, transfers)
    });
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => match (&is_too_large, limits.body) {
            (Some(is), Some(limit)) if is.load(Ordering::Relaxed) => *too_large(limit),
            _ => failure(&route, &error),
        },
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
    if let Some(access) = access {
        access.log(&route, response.status());
    }
    response
}

/// Makes a response of the component's that can be sent.
///
/// # Errors
///
/// If it cannot be made: says what is wrong with the component's.
fn respond(
    answer: Response<Body>,
    route: &Arc<HttpRoute>,
    token: TaskTrackerToken,
    end: Option<tokio::time::Instant>,
    is_head: bool,
    trailers: Option<&Arc<Trailers>>,
    transfers: &Transfers,
) -> Result<Response<ToClient>, HttpError> {
    let (mut head, inner) = answer.into_parts();
    // Which version is spoken is between the client and hyper.
    head.version = Version::HTTP_11;
    if head.status.is_informational() {
        let message = format!(
            "the component answered {}, which ends no request",
            head.status
        );
        return Err(HttpError::new(HttpErrorKind::Handler, message));
    }
    remove_connection_fields(&mut head.headers);
    let mut length = content_length(&head.headers)?;
    // RFC 9110, 6.4.1 and 8.6, and what the statuses say.
    let no_content = match head.status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => {
            head.headers.remove(CONTENT_LENGTH);
            true
        }
        StatusCode::NOT_MODIFIED => true,
        _ if is_head => {
            let exact = inner.size_hint().exact().filter(|exact| *exact > 0);
            if let (None, Some(exact)) = (length, exact) {
                head.headers.insert(CONTENT_LENGTH, exact.into());
            }
            true
        }
        _ => false,
    };
    if no_content {
        return Ok(Response::from_parts(head, ToClient::empty()));
    }
    if trailers.is_some() && head.headers.contains_key(TRAILER) && length.is_some() {
        // HTTP/1.1 has trailers behind chunks only, and the component says that there will be some.
        head.headers.remove(CONTENT_LENGTH);
        length = None;
    }
    if let (Some(said), Some(exact)) = (length, inner.size_hint().exact())
        && said != exact
    {
        let message =
            format!("the component said `content-length: {said}`, and its body has {exact} bytes");
        return Err(HttpError::new(HttpErrorKind::Handler, message));
    }
    let trailers = trailers.filter(|_| length.is_none() && !inner.is_end_stream());
    if let Some(trailers) = trailers {
        trailers.allow(&mut head.headers);
    }
    let body = FromComponent {
        inner,
        route: route.clone(),
        _token: token,
        end,
        length,
        trailers: trailers.cloned(),
        progress: body::Progress::default(),
    };
    let body = ToClient::component(body, transfers);
    Ok(Response::from_parts(head, body))
}

/// The length that a head says.
///
/// # Errors
///
/// If it says something that is no length, or several.
fn content_length(head: &http::HeaderMap) -> Result<Option<u64>, HttpError> {
    let mut length = None;
    for value in head.get_all(CONTENT_LENGTH) {
        // A sign would be read as well.
        let digits = value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let read = digits.and_then(|text| text.parse().ok());
        if read.is_none() || length.is_some_and(|before| Some(before) != read) {
            let message = format!("the component's `content-length` is no length: {value:?}");
            return Err(HttpError::new(HttpErrorKind::Handler, message));
        }
        length = read;
    }
    Ok(length)
}

fn failure(route: &HttpRoute, error: &HttpError) -> Response<ToClient> {
    let status = status(error.kind);
    route.failed("request failed", Some(status), error);
    // Why is for the log: it names components, files and other hosts.
    *refuse(status, status.canonical_reason().unwrap_or("failed"))
}

fn status(kind: HttpErrorKind) -> StatusCode {
    match kind {
        HttpErrorKind::Deadline
        | HttpErrorKind::ConnectionTimeout
        | HttpErrorKind::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
        HttpErrorKind::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
        HttpErrorKind::Handler | HttpErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        HttpErrorKind::Dns
        | HttpErrorKind::Denied
        | HttpErrorKind::ConnectionRefused
        | HttpErrorKind::ConnectionTerminated
        | HttpErrorKind::Tls
        // A request that the component sent: the client's was taken before the component was asked.
        | HttpErrorKind::InvalidRequest
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
