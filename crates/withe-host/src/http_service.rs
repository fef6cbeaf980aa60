//! A component's HTTP handler as a service of `tower`, for servers that a program has already.
//!
//! A service follows its application: when that is replaced, requests reach the handler that is there then, and those
//! under way finish where they are.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use tower_service::Service;
use withe_provider::{Body, HttpError, HttpErrorKind, IncomingHandler};
use withe_runtime::HttpEntry;

/// How long an answer may take, where nobody says.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The handler of one component, as it is now; nothing, once its application has stopped.
pub(crate) type CurrentHandler = ArcSwapOption<HttpEntry>;

/// A component's HTTP handler. Clones are the same one.
#[derive(Clone)]
pub struct HttpService {
    component: Arc<str>,
    handler: Arc<CurrentHandler>,
    timeout: Duration,
}

impl HttpService {
    pub(crate) fn new(component: &str, handler: Arc<CurrentHandler>) -> Self {
        Self {
            component: component.into(),
            handler,
            timeout: TIMEOUT,
        }
    }

    /// The same service, with another time within which an answer has to begin: 30 s, if nobody says.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<B> Service<Request<B>> for HttpService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = BoxFuture<'static, Result<Response<Body>, HttpError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let handler = self.handler.load_full();
        let (component, timeout) = (self.component.clone(), self.timeout);
        Box::pin(async move {
            let Some(handler) = handler else {
                let text = format!("`{component}` has stopped");
                return Err(HttpError::new(HttpErrorKind::Handler, text));
            };
            let request = absolute(request)?.map(|body| {
                body.map_err(|e| HttpError::new(HttpErrorKind::ConnectionTerminated, e.to_string()))
                    .boxed_unsync()
            });
            handler.handle(request, Instant::now() + timeout).await
        })
    }
}

/// The request with an absolute URI: what servers hand on has only a path, and its authority in `Host`.
fn absolute<B>(mut request: Request<B>) -> Result<Request<B>, HttpError> {
    if request.uri().authority().is_some() && request.uri().scheme().is_some() {
        return Ok(request);
    }
    let malformed = |what: &str| HttpError::new(HttpErrorKind::Protocol, what.to_owned());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if parts.authority.is_none() {
        let host = request.headers().get(header::HOST);
        let host = host.map_or(Ok("localhost"), |host| host.to_str());
        let authority = host.ok().and_then(|host| host.parse::<Authority>().ok());
        parts.authority =
            Some(authority.ok_or_else(|| malformed("the field `host` is no authority"))?);
    }
    parts.scheme.get_or_insert(Scheme::HTTP);
    (parts.path_and_query).get_or_insert(PathAndQuery::from_static("/"));
    let uri = Uri::from_parts(parts).map_err(|e| malformed(&e.to_string()))?;
    *request.uri_mut() = uri;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_get_the_authority_that_they_are_for() {
        for (uri, host, wanted) in [
            (
                "/a?b",
                Some("shop.example:8080"),
                "http://shop.example:8080/a?b",
            ),
            ("/", None, "http://localhost/"),
            (
                "https://a.example/b",
                Some("c.example"),
                "https://a.example/b",
            ),
        ] {
            let mut request = Request::new(());
            *request.uri_mut() = uri.parse().unwrap();
            if let Some(host) = host {
                request
                    .headers_mut()
                    .insert(header::HOST, host.parse().unwrap());
            }
            let found = absolute(request).map(|request| request.uri().to_string());
            assert_eq!(found.unwrap(), wanted, "{uri}");
        }
        let mut request = Request::new(());
        request
            .headers_mut()
            .insert(header::HOST, "a b".parse().unwrap());
        assert!(absolute(request).is_err());
    }
}
