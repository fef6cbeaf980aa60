//! Helpers that the tests of this crate share.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test uses a part of it"
)]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use withe_provider::{
    Body, CallError, FunctionName, HttpError, IncomingHandler, Link, LinkId, Payload, Peer,
};
use withe_rpc::{BoxFuture, CallContext, ServedLink, ServedSession};
use withe_testing::nats::NatsServer;
pub use withe_testing::wait::{PATIENCE, eventually, within};
use withe_wasmcloud::{Exports, Ids, Limits, TargetConfig, V1Target, V1Wire};
use withe_wit::{FuncKind, Function, Type};

pub fn broker() -> NatsServer {
    NatsServer::start().unwrap()
}

pub async fn client(broker: &NatsServer) -> async_nats::Client {
    async_nats::connect(broker.url()).await.unwrap()
}

/// Waits until the broker has taken what `client` sent.
pub async fn settle(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut back = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, Bytes::new()).await.unwrap();
    let back = within("a message to ourselves", back.next()).await;
    back.expect("the connection is open");
}

pub async fn wire(broker: &NatsServer) -> V1Wire {
    wire_with(broker, Limits::default()).await
}

pub async fn wire_with(broker: &NatsServer, limits: Limits) -> V1Wire {
    V1Wire::open(client(broker).await, limits).await.unwrap()
}

pub fn name(interface: &str, function: &str) -> FunctionName {
    FunctionName {
        interface: interface.into(),
        function: function.into(),
    }
}

pub fn function(name: &str, params: &[Type], result: Option<Type>) -> Function {
    let param = |(i, ty): (usize, &Type)| (format!("p{i}"), ty.clone());
    Function {
        name: name.into(),
        kind: FuncKind::Free,
        is_async: false,
        params: params.iter().enumerate().map(param).collect(),
        result,
    }
}

/// A target on the lattice `default`, over a connection of its own.
pub async fn target<const N: usize>(
    broker: &NatsServer,
    id: &str,
    functions: [(&str, Function); N],
) -> V1Target {
    let config = TargetConfig {
        wire: wire(broker).await,
        lattice: "default".into(),
        id: id.into(),
        ids: Ids::default(),
    };
    let functions = functions.map(|(interface, f)| (name(interface, &f.name), f));
    V1Target::new(config, functions).unwrap()
}

/// The link `id` from the component `kv` of the application `shop`.
pub fn importer(id: u64, link: &str, functions: &[FunctionName]) -> Link {
    Link {
        id: LinkId(id),
        name: link.into(),
        application: "shop".into(),
        component: "kv".into(),
        config: Default::default(),
        peer: Peer::Importer(functions.into()),
    }
}

/// The behaviour of a served function.
pub enum Answer {
    /// The function returns at once.
    Now(Result<Payload, CallError>),
    /// The function never returns.
    Never,
}

/// Exports `functions`, each of which is answered by `answer`.
pub fn exports<const N: usize>(
    functions: [(&str, Function); N],
    answer: impl Fn(usize, Payload) -> Answer + Send + Sync + 'static,
) -> Exports {
    Exports {
        functions: functions.map(|(i, f)| (name(i, &f.name), f)).into(),
        link: Arc::new(Callee(Arc::new(answer))),
        watching: Vec::new(),
        watcher: None,
        http: None,
        timeout: PATIENCE,
    }
}

type Answers = Arc<dyn Fn(usize, Payload) -> Answer + Send + Sync>;

struct Callee(Answers);

impl ServedLink for Callee {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Session(self.0.clone()))
    }
}

struct Session(Answers);

impl ServedSession for Session {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            match (self.0)(function, params) {
                Answer::Now(result) => result,
                Answer::Never => std::future::pending().await,
            }
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// Answers a `GET` with a greeting, and others with their own body.
pub struct HttpEcho;

#[async_trait::async_trait]
impl IncomingHandler for HttpEcho {
    async fn handle(
        &self,
        request: http::Request<Body>,
        _: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let body = match request.method().as_str() {
            "GET" => text("Hello from wasm!\n"),
            _ => request.into_body(),
        };
        let mut response = http::Response::new(body);
        let plain = http::HeaderValue::from_static("text/plain");
        response.headers_mut().insert("content-type", plain);
        Ok(response)
    }
}

pub fn text(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|e| match e {})
        .boxed_unsync()
}
