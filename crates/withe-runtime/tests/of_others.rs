//! Providers call a component that others run and another provider stands for: its calls end with the link's timeout, carry
//! no more than calls may, are counted and traced.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use withe_linker::input::Scope;
use withe_linker::plan::{Binding, PlannedInterface, PlannedLink};
use withe_provider::{
    Body, Call, CallTarget as _, FunctionName, HttpError, HttpErrorKind, IncomingHandler as _,
    Link, LinkId, OutgoingHandler, Provider, ProviderError, RequestOptions,
};
use withe_rpc::{CallContext, CallError, Payload, TraceContext, max_payload};
use withe_runtime::trace::Tracer;
use withe_runtime::{
    CalledComponent, EngineOptions, Engines, Graph, HttpOfOthers, Metrics, Observer,
};

const HANDLER: &str = "wasmcloud:messaging/handler@0.2.0";
const HTTP: &str = "wasi:http/incoming-handler@0.2.2";

/// Never answers if `hangs`; otherwise answers with this many bytes.
#[derive(Clone, Copy)]
struct Answers {
    hangs: bool,
    bytes: usize,
}

#[async_trait::async_trait]
impl Provider for Answers {
    async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {}

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        assert_eq!((call.link, call.caller), (LinkId(7), "broker"));
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Ok(payload(self.bytes))
    }

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        Some(self)
    }

    async fn shutdown(&self, _: Duration) {}
}

#[async_trait::async_trait]
impl OutgoingHandler for Answers {
    async fn send(
        &self,
        link: LinkId,
        request: http::Request<Body>,
        _: RequestOptions,
    ) -> Result<http::Response<Body>, HttpError> {
        assert_eq!(link, LinkId(7));
        // The part of the trace that is the component's goes along.
        assert!(request.extensions().get::<TraceContext>().is_some());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Ok(http::Response::new(empty()))
    }
}

fn payload(len: usize) -> Payload {
    Payload {
        bytes: vec![0; len],
        ..Payload::default()
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A link from the provider `broker`.
fn link(interface: &str, timeout_ms: u64) -> PlannedLink {
    PlannedLink {
        source: "broker".into(),
        target: "part".into(),
        name: "default".into(),
        interfaces: vec![PlannedInterface {
            interface: interface.into(),
            import: interface.into(),
            export: interface.into(),
        }],
        binding: Binding::Host,
        by_host: false,
        why: String::new(),
        incoming: false,
        leaves_host: false,
        scope: Scope::Call,
        timeout_ms,
        timeout_given: true,
        locality: None,
        idempotent: false,
        source_config: Default::default(),
        source_secret_keys: Default::default(),
        source_secrets: Vec::new(),
        target_config: Default::default(),
        target_secret_keys: Default::default(),
        target_secrets: Vec::new(),
    }
}

/// Keeps the spans that have ended.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// The observer, and the graph of an application without components.
struct Host {
    metrics: Metrics,
    spans: Kept,
    graph: Arc<Graph>,
}

impl Host {
    fn new() -> Self {
        let (metrics, spans) = (Metrics::default(), Kept::default());
        let traces = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        let tracer = opentelemetry::global::BoxedTracer::new(Box::new(traces.tracer("t")));
        let options = EngineOptions {
            instances: 1,
            observer: Observer {
                metrics: metrics.clone(),
                tracer: Tracer::new(tracer),
            },
            ..EngineOptions::default()
        };
        let graph = Graph::build(&Engines::new(&options).unwrap(), Vec::new(), &|_| {}).unwrap();
        Self {
            metrics,
            spans,
            graph,
        }
    }

    /// Whether the figures have a line that begins so and has each of `parts`.
    fn has(&self, start: &str, parts: &[&str]) -> bool {
        let text = self.metrics.snapshot().to_text().unwrap();
        let is = |line: &str| line.starts_with(start) && parts.iter().all(|p| line.contains(p));
        text.lines().any(is)
    }

    /// The names of the spans that have ended, and whether each failed.
    fn spans(&self) -> Vec<(String, bool)> {
        let spans = self.spans.0.lock().unwrap();
        let failed = |status: &_| matches!(status, opentelemetry::trace::Status::Error { .. });
        let ended = spans.iter();
        ended
            .map(|span| (span.name.to_string(), failed(&span.status)))
            .collect()
    }
}

#[tokio::test]
async fn calls_are_bounded_counted_and_traced() {
    let host = Host::new();
    let called = async |answers: Answers, sent: usize| {
        let names = [FunctionName {
            interface: HANDLER.into(),
            function: "handle-message".into(),
        }];
        let link = link(HANDLER, if answers.hangs { 20 } else { 60_000 });
        let provider = Arc::new(answers);
        let part =
            CalledComponent::of_others(&host.graph, "shop", &link, &names, provider, LinkId(7));
        let context = CallContext {
            deadline: Instant::now() + Duration::from_secs(3600),
            trace: None,
        };
        let results = part.call(0, payload(sent), context).await;
        // The counts go with the last that has the link.
        let is_counted = host.has(
            "withe_link_calls_total",
            &["part", "wasmcloud:messaging/handler\"", " 1"],
        );
        assert!(is_counted);
        results.map(|results| results.bytes.len())
    };
    let answers = |bytes| Answers {
        hangs: false,
        bytes,
    };
    assert_eq!(called(answers(3), 2).await, Ok(3));
    let hangs = Answers {
        hangs: true,
        bytes: 0,
    };
    assert_eq!(called(hangs, 0).await, Err(CallError::Deadline));
    for (sent, bytes) in [(max_payload() + 1, 0), (0, max_payload() + 1)] {
        called(answers(bytes), sent).await.unwrap_err();
    }
    // One that carries too much is not sent.
    let name = "broker → part wasmcloud:messaging/handler.handle-message";
    let spans = [false, true, false].map(|failed| (name.to_owned(), failed));
    assert_eq!(host.spans(), spans);
}

#[tokio::test]
async fn requests_are_bounded_counted_and_traced() {
    let host = Host::new();
    let provider = |hangs| Arc::new(Answers { hangs, bytes: 0 });
    let answered = async |hangs: bool| {
        let link = link(HTTP, if hangs { 20 } else { 60_000 });
        let provider = provider(hangs);
        let part = HttpOfOthers::new(&host.graph, "shop", &link, HTTP, provider, LinkId(7));
        let deadline = Instant::now() + Duration::from_secs(3600);
        let answer = part.handle(http::Request::new(empty()), deadline).await;
        let is_counted = host.has(
            "withe_link_calls_total",
            &["part", "wasi:http/incoming-handler\"", " 1"],
        );
        assert!(is_counted);
        answer.map(|response| response.status().as_u16())
    };
    assert_eq!(answered(false).await.unwrap(), 200);
    let why = answered(true).await.unwrap_err();
    assert_eq!(why.kind, HttpErrorKind::Deadline);
    let name = "GET broker → part".to_owned();
    assert_eq!(host.spans(), [(name.clone(), false), (name, true)]);
}
