//! The provider: its links, and a request's way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use withe_provider::settings::describe;
use withe_provider::{
    BackendCalls, BackendCount, Body, ConfigMap, HttpError, HttpErrorKind, Link, LinkId,
    OutgoingHandler, Peer, Provider, ProviderError, RequestOptions, remove_connection_fields,
};

use crate::body::{ResponseBody, WithTrailers};
use crate::config::{self, Config};
use crate::connect::{Connector, client_config};
use crate::failure::classify;
use crate::retry::{ReplayedBody, is_idempotent, may_pass, pause};

/// Connections to one host that are kept while they are not used.
const IDLE_PER_HOST: usize = 64;

/// The provider.
pub struct HttpClient {
    config: ConfigMap,
    /// Read by every request, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<ClientLink>>>,
    /// Held while `links` is replaced.
    changing: Mutex<()>,
    backend_calls: BackendCalls,
}

/// One link.
struct ClientLink {
    config: Config,
    client: Client<Connector, Body>,
    calls: BackendCalls,
}

impl HttpClient {
    /// A provider with this configuration of its own, which is the default of its links.
    pub fn new(config: ConfigMap) -> Self {
        Self {
            config,
            links: ArcSwap::default(),
            changing: Mutex::default(),
            backend_calls: BackendCalls::default(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<LinkId, Arc<ClientLink>>)) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links = HashMap::clone(&self.links.load());
        change(&mut links);
        self.links.store(Arc::new(links));
    }
}

#[async_trait::async_trait]
impl Provider for HttpClient {
    async fn start(&self) -> Result<(), ProviderError> {
        let (_, problems) = config::read(&self.config, &ConfigMap::new());
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let Peer::Importer(_) = link.peer else {
            return Err(ProviderError(
                "the http-client provider calls nothing: it must be the link's target".into(),
            ));
        };
        let (config, problems) = config::read(&self.config, &link.config);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let roots = config.roots.clone();
        let tls = spawn_blocking(move || client_config(&roots)).await;
        let tls = tls.map_err(|e| ProviderError(format!("cannot read certificates: {e}")))?;
        let tls = tls.map_err(|e| ProviderError(e.to_string()))?;
        let proxy = config.proxy.clone().map(Arc::new);
        let connector = Connector::new(tls, config.connect_timeout, proxy);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(connector);
        let linked = Arc::new(ClientLink {
            config,
            client,
            calls: self.backend_calls.clone(),
        });
        self.change(|links| drop(links.insert(link.id, linked)));
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, _grace: Duration) {
        self.change(|links| drop(links.remove(&id)));
    }

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        Some(self)
    }

    fn backend_calls(&self) -> Vec<BackendCount> {
        self.backend_calls.read()
    }

    async fn shutdown(&self, _grace: Duration) {
        self.change(HashMap::clear);
    }
}

#[async_trait::async_trait]
impl OutgoingHandler for HttpClient {
    async fn send(
        &self,
        link: LinkId,
        request: Request<Body>,
        options: RequestOptions,
    ) -> Result<Response<Body>, HttpError> {
        let linked = self.links.load().get(&link).cloned();
        let linked = linked.ok_or_else(|| {
            let message = "the link to the http-client provider was removed";
            HttpError::new(HttpErrorKind::Internal, message)
        })?;
        linked.send(request, options).await
    }
}

impl ClientLink {
    async fn send(
        &self,
        mut request: Request<Body>,
        options: RequestOptions,
    ) -> Result<Response<Body>, HttpError> {
        let destination = self.check(&request)?;
        // The URI names the server to connect to, so it names the host that is asked, too.
        let fields = request.headers_mut();
        fields.remove(HOST);
        // The component's fields about connections are of none that there is here.
        remove_connection_fields(fields);
        // Trailers are kept, and some servers send them to those only who say so. `TE` is of the connection (RFC
        // 9110, 10.1.4); hyper knows that HTTP/2 has no `Connection`.
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
        let proxy = self.config.proxy.as_ref();
        if let Some(login) = proxy.and_then(|proxy| proxy.login(request.uri())) {
            let login = login.clone();
            request.headers_mut().insert(PROXY_AUTHORIZATION, login);
        }
        if request.headers().contains_key(TRAILER) {
            request.headers_mut().remove(CONTENT_LENGTH);
            request = request.map(|body| Body::new(WithTrailers(body)));
        }
        // The protocol of the new connection decides, not the version that the component received.
        *request.version_mut() = Version::HTTP_11;

        let limit =
            |asked: Option<Duration>, limit: Duration| asked.map_or(limit, |a| a.min(limit));
        let connect = limit(options.connect_timeout, self.config.connect_timeout);
        let first_byte = limit(options.first_byte_timeout, self.config.first_byte_timeout);
        let between = limit(
            options.between_bytes_timeout,
            self.config.first_byte_timeout,
        );

        let mut response = if self.config.retries > 0 && is_idempotent(request.method()) {
            self.persist(request, connect, first_byte, &destination)
                .await?
        } else {
            self.exchange(request, connect, first_byte, &destination)
                .await?
        };
        let fields = response.headers_mut();
        if fields.contains_key(TRANSFER_ENCODING) {
            // The body ends where its chunks end, whatever else is said (RFC 9112, 6.3).
            fields.remove(CONTENT_LENGTH);
        }
        remove_connection_fields(fields);
        Ok(response.map(|body| Body::new(ResponseBody::new(body, between))))
    }

    /// Whether the request may and can be sent; returns where to, for people.
    fn check(&self, request: &Request<Body>) -> Result<String, HttpError> {
        let uri = request.uri();
        let invalid = |why: &str| HttpError::new(HttpErrorKind::InvalidRequest, why);
        let Some(authority) = uri.authority() else {
            return Err(invalid("the request has no authority"));
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(invalid(
                "the request's scheme is neither `http` nor `https`",
            ));
        }
        if request.method() == Method::CONNECT {
            return Err(invalid("CONNECT cannot be sent"));
        }
        // The text before an `@` can be a password.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        if !self.config.allow.allows(uri) {
            let message = format!(
                "`{host}` is not allowed: the link's `allow` is `{}`; add `{host}` to it",
                self.config.allow
            );
            return Err(HttpError::new(HttpErrorKind::Denied, message));
        }
        Ok(host.to_owned())
    }

    /// Sends a request, and again as often as the link says where that may help. All attempts together have the time that one may
    /// take.
    async fn persist(
        &self,
        request: Request<Body>,
        connect: Duration,
        first_byte: Duration,
        destination: &str,
    ) -> Result<Response<Incoming>, HttpError> {
        let (parts, body) = request.into_parts();
        let body = ReplayedBody::new(body);
        let end = Instant::now().checked_add(connect.saturating_add(first_byte));
        let left = || {
            end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            })
        };
        let mut outcome = Err(HttpError::new(
            HttpErrorKind::Internal,
            "no attempt was made",
        ));
        for attempt in 0..=self.config.retries {
            if attempt > 0 {
                let pause = pause(&outcome, attempt);
                if !may_pass(&outcome) || pause >= left() {
                    break;
                }
                sleep(pause).await;
            }
            let Some(body) = body.next() else {
                break;
            };
            if let Err(error) = &outcome
                && attempt > 0
            {
                tracing::debug!("sending to {destination} again: {error}");
            }
            let request = Request::from_parts(parts.clone(), body);
            let (connect, first_byte) = (connect.min(left()), first_byte.min(left()));
            outcome = self
                .exchange(request, connect, first_byte, destination)
                .await;
        }
        outcome
    }

    /// Sends a request once, and counts it until the response's head is there.
    async fn exchange(
        &self,
        request: Request<Body>,
        connect: Duration,
        first_byte: Duration,
        destination: &str,
    ) -> Result<Response<Incoming>, HttpError> {
        let method = known(request.method());
        let sending = self.send_once(request, connect, first_byte, destination);
        self.calls.count("http", method, sending).await
    }

    async fn send_once(
        &self,
        mut request: Request<Body>,
        connect: Duration,
        first_byte: Duration,
        destination: &str,
    ) -> Result<Response<Incoming>, HttpError> {
        let failed = |error| classify(destination, &error);
        let mut connection = capture_connection(&mut request);
        let mut response = self.client.request(request);
        // The two limits follow on each other: the second starts when there is a connection.
        let connected = async {
            tokio::select! {
                response = &mut response => Some(response),
                _ = connection.wait_for_connection_metadata() => None,
            }
        };
        match timeout(connect, connected).await {
            Ok(Some(early)) => return early.map_err(failed),
            Ok(None) => {}
            Err(_) => {
                let message = format!(
                    "{destination}: no connection within {} ms",
                    connect.as_millis()
                );
                return Err(HttpError::new(HttpErrorKind::ConnectionTimeout, message));
            }
        }
        match timeout(first_byte, response).await {
            Ok(response) => response.map_err(failed),
            Err(_) => {
                let ms = first_byte.as_millis();
                let message = format!("{destination}: no response within {ms} ms");
                Err(HttpError::new(HttpErrorKind::ResponseTimeout, message))
            }
        }
    }
}

/// The name under which requests of a method are counted: components make up methods, and each name is a series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
