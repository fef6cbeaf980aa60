//! `--metrics`: an HTTP server for Prometheus, and for probes of whether the host lives and is ready.
//!
//! A host is ready from when it has joined its lattice, or runs its application, until it is told to end. A fault of
//! its broker or of an application changes nothing in that: what is linked goes on, and a host that nobody sends
//! anything to any more would serve less.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use withe_host::Counts;

use crate::http_listener::{self, ConnectionLimits};

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 16,
    // A client that asks now and then connects again.
    lasts: Duration::from_secs(300),
};

/// The content type of Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A server of metrics. The server ends when this is dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    readiness: Readiness,
    _server: JoinSet<()>,
}

/// Whether a host takes requests. Clones are of the same host.
#[derive(Clone, Debug)]
pub(crate) struct Readiness(Arc<Mutex<&'static str>>);

/// The answer of `/readyz` for a host that is ready.
const READY: &str = "ready\n";
const STARTING: &str = "starting\n";
const LEAVING: &str = "leaving\n";

impl Readiness {
    fn starting() -> Self {
        Self(Arc::new(Mutex::new(STARTING)))
    }

    /// The host takes requests from now on.
    pub(crate) fn ready(&self) {
        self.set(READY);
    }

    /// The host takes no more requests, and ends those that are under way.
    pub(crate) fn leaving(&self) {
        self.set(LEAVING);
    }

    fn set(&self, now: &'static str) {
        // A text that a panicking holder left behind is still one.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn get(&self) -> (StatusCode, &'static str) {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            READY => (StatusCode::OK, READY),
            other => (StatusCode::SERVICE_UNAVAILABLE, other),
        }
    }
}

impl Endpoint {
    /// Serves `counts` at `address`.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub(crate) async fn start(address: SocketAddr, counts: Counts) -> anyhow::Result<Self> {
        let failed = || format!("cannot listen at `{address}` for `--metrics`");
        let listener = TcpListener::bind(address).await.with_context(failed)?;
        let address = listener.local_addr().with_context(failed)?;
        let mut server = JoinSet::new();
        let readiness = Readiness::starting();
        let told = readiness.clone();
        server.spawn(http_listener::serve(listener, LIMITS, move |request| {
            answer(request, counts.clone(), told.clone())
        }));
        Ok(Self {
            address,
            readiness,
            _server: server,
        })
    }

    /// Whether the host is ready, as it is told here.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Where they are.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

async fn answer(
    request: Request<Incoming>,
    counts: Counts,
    readiness: Readiness,
) -> Response<Full<Bytes>> {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, content_type, text) = match request.uri().path() {
        _ if !is_get => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "only GET\n".into(),
        ),
        "/metrics" => match counts.snapshot().await.to_text() {
            Ok(text) => (StatusCode::OK, TEXT, text),
            Err(error) => {
                let text = format!("{error}\n");
                (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text)
            }
        },
        "/livez" | "/healthz" => (StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => {
            let (status, text) = readiness.get();
            (status, "text/plain", text.into())
        }
        _ => {
            let text = "there are `/metrics`, `/livez` and `/readyz`\n".to_owned();
            (StatusCode::NOT_FOUND, "text/plain", text)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let content_type = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
