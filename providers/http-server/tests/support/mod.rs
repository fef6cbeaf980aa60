//! A fake component, and a client that says exactly what is on the wire.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use withe_provider::{Body, ConfigMap, HttpError, IncomingHandler, Link, LinkId, Peer, Provider};
use withe_provider_http_server::HttpServer;

/// Longer than any test should take; what waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, HttpError>> + Send>>;
type Function = dyn Fn(Request<Body>, Instant) -> Answer + Send + Sync;

/// A component that a closure stands for.
pub(crate) struct Component(Box<Function>);

#[async_trait::async_trait]
impl IncomingHandler for Component {
    async fn handle(
        &self,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<Response<Body>, HttpError> {
        (self.0)(request, deadline).await
    }
}

/// A component that `handle` stands for.
pub(crate) fn component<F, A>(handle: F) -> Peer
where
    F: Fn(Request<Body>, Instant) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<Body>, HttpError>> + Send + 'static,
{
    Peer::Http(Arc::new(Component(Box::new(move |r, d| {
        Box::pin(handle(r, d))
    }))))
}

/// A component that answers `text`.
pub(crate) fn says(text: &'static str) -> Peer {
    component(move |_, _| async move { Ok(Response::new(text_body(text))) })
}

/// A body of `text`.
pub(crate) fn text_body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body of these frames.
pub(crate) fn parts<I>(frames: I) -> Body
where
    I: IntoIterator<Item = Result<Frame<Bytes>, HttpError>>,
    I::IntoIter: Send + 'static,
{
    StreamBody::new(futures::stream::iter(frames)).boxed_unsync()
}

/// A body whose frames are sent one by one.
pub(crate) fn frames() -> (mpsc::Sender<Result<Frame<Bytes>, HttpError>>, Body) {
    let (sender, mut frames) = mpsc::channel(1);
    let frames = futures::stream::poll_fn(move |cx| frames.poll_recv(cx));
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// Read, and not asked for yet.
    ahead: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            ahead: String::new(),
        }
    }

    /// Sends `text` as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        self.try_send(text).await.unwrap();
    }

    /// Sends `text`, unless the server has closed.
    pub(crate) async fn try_send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await
    }

    /// Reads as far as the end of `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.ahead.find(end) {
                let rest = self.ahead.split_off(at + end.len());
                return std::mem::replace(&mut self.ahead, rest);
            }
            let mut bytes = [0; 4096];
            let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            let n = read.expect("something comes").unwrap_or_default();
            assert_ne!(n, 0, "closed after {}", self.ahead);
            self.ahead += std::str::from_utf8(&bytes[..n]).unwrap();
        }
    }

    /// Reads so many bytes.
    pub(crate) async fn exactly(&mut self, bytes: usize) -> String {
        while self.ahead.len() < bytes {
            let mut more = [0; 4096];
            let read = timeout(PATIENCE, self.stream.read(&mut more)).await;
            let n = read.expect("something comes").unwrap_or_default();
            assert_ne!(n, 0, "closed after {}", self.ahead);
            self.ahead += std::str::from_utf8(&more[..n]).unwrap();
        }
        let rest = self.ahead.split_off(bytes);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Reads until the server closes, or breaks off.
    pub(crate) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await;
        // A reset is an end as well.
        let _ = read.expect("it is closed");
        self.ahead + std::str::from_utf8(&bytes).unwrap()
    }
}

/// A map of configuration.
pub(crate) fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// A link to `peer`.
pub(crate) fn link(id: u64, peer: Peer, pairs: &[(&str, &str)]) -> Link {
    Link {
        id: LinkId(id),
        name: "default".into(),
        application: "app".into(),
        component: format!("c{id}"),
        config: config(pairs),
        peer,
    }
}

/// A provider that serves `peer` on a free port as link 1, and the address.
pub(crate) async fn serve(peer: Peer, pairs: &[(&str, &str)]) -> (HttpServer, SocketAddr) {
    let server = HttpServer::new(ConfigMap::new());
    server.start().await.unwrap();
    let mut link = link(1, peer, pairs);
    link.config.insert("address".into(), "127.0.0.1:0".into());
    server.link_put(link).await.unwrap();
    let address = address(&server, 1);
    (server, address)
}

/// The address at which link `id` is served.
pub(crate) fn address(server: &HttpServer, id: u64) -> SocketAddr {
    let endpoint = server
        .endpoints()
        .into_iter()
        .find(|e| e.link == LinkId(id))
        .unwrap();
    let uri: http::Uri = endpoint.url.parse().unwrap();
    uri.authority().unwrap().as_str().parse().unwrap()
}

/// The reply: its status, and all of it as text.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Reply {
    /// The body, if it is not chunked.
    pub(crate) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }
}

/// Sends `request` as it is on a connection of its own and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> Reply {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let text = timeout(PATIENCE, exchange).await.expect("an answer");
    let status = text
        .get(9..12)
        .and_then(|s| s.parse().ok())
        .unwrap_or_default();
    Reply { status, text }
}

/// GETs `path` on `host`.
pub(crate) async fn get(address: SocketAddr, host: &str, path: &str) -> Reply {
    raw(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
    )
    .await
}
