//! Traces: one span for each hop that a call takes.
//!
//! A hop is where a call goes from one instance to another: over a link on its caller's side, into this process on
//! its callee's. A fused call has none. The W3C context of the hop is passed on; an instance has that of its
//! caller in its store, as it has its deadline, so that nested calls are part of the same trace.
//!
//! Where nothing is recorded, because there is no exporter or the trace's origin did not want it recorded, a hop
//! is one branch, and the context passes as it came.

use std::sync::Arc;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use withe_linker::plan::Binding;
use withe_provider::HttpError;
use withe_rpc::{CallError, TraceContext};

use crate::metrics::ErrorKind;
use crate::metrics::labels::{LinkLabels, binding_name};

/// Records spans, if there is somewhere for them to go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

/// Records spans, and says when.
struct Recorder {
    tracer: BoxedTracer,
    gate: Option<Arc<dyn TraceGate>>,
}

/// Whether anybody wants spans now: where they are kept only while somebody looks, a call pays for them only then.
pub trait TraceGate: Send + Sync {
    /// Whether hops are recorded of this trace, which is under way. Asked for each of them.
    fn records(&self, trace_id: [u8; 16]) -> bool;
    /// Whether a trace begins now that nobody else has begun. Asked once for each that could.
    fn begins(&self) -> bool;
}

impl Tracer {
    /// Records what `tracer` samples.
    pub fn new(tracer: BoxedTracer) -> Self {
        let gate = None;
        Self(Some(Arc::new(Recorder { tracer, gate })))
    }

    /// Records what `tracer` samples while `gate` is open.
    pub fn gated(tracer: BoxedTracer, gate: Arc<dyn TraceGate>) -> Self {
        let gate = Some(gate);
        Self(Some(Arc::new(Recorder { tracer, gate })))
    }

    /// Begins a hop of a call that is part of `parent`. Only a trace that is recorded is gone on with.
    #[inline]
    pub(crate) fn hop(
        &self,
        parent: Option<TraceContext>,
        hop: impl FnOnce() -> SpanBuilder,
    ) -> Span {
        match (&self.0, parent) {
            (Some(recorder), Some(of)) if of.is_sampled() && recorder.records(of) => {
                Span::begin(&recorder.tracer, parent, false, hop())
            }
            _ => Span::passed(parent),
        }
    }

    /// Begins a hop by which work enters. Where it is part of no trace, one begins.
    pub fn enter(&self, parent: Option<TraceContext>, hop: impl FnOnce() -> SpanBuilder) -> Span {
        match (&self.0, parent) {
            (Some(recorder), None) if recorder.begins() => {
                Span::begin(&recorder.tracer, parent, true, hop())
            }
            (Some(recorder), Some(of)) if of.is_sampled() && recorder.records(of) => {
                Span::begin(&recorder.tracer, parent, true, hop())
            }
            _ => Span::passed(parent),
        }
    }
}

impl Recorder {
    fn records(&self, of: TraceContext) -> bool {
        let gate = self.gate.as_ref();
        gate.is_none_or(|gate| gate.records(of.trace_id))
    }

    fn begins(&self) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.begins())
    }
}

/// A hop under way. The hop ends when this is dropped.
pub struct Span {
    context: Option<TraceContext>,
    recorded: Option<Box<BoxedSpan>>,
}

impl Span {
    /// One that is not recorded.
    fn passed(context: Option<TraceContext>) -> Self {
        Self {
            context,
            recorded: None,
        }
    }

    /// `remote` says that the parent is a span of another process.
    #[cold]
    fn begin(
        tracer: &BoxedTracer,
        parent: Option<TraceContext>,
        remote: bool,
        hop: SpanBuilder,
    ) -> Self {
        let of = match parent {
            Some(parent) => Context::new().with_remote_span_context(to_otel(parent, remote)),
            None => Context::new(),
        };
        let span = tracer.build_with_context(hop, &of);
        let context =
            Some(from_otel(span.span_context())).filter(|_| span.span_context().is_valid());
        Self {
            context: context.or(parent),
            recorded: span.is_recording().then(|| Box::new(span)),
        }
    }

    /// The context that goes on with the call.
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// Whether it is recorded.
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Notes how the call failed, if it did.
    pub fn note(&mut self, error: Option<&CallError>) {
        if let (Some(span), Some(error)) = (&mut self.recorded, error) {
            span.set_attribute(KeyValue::new("error.type", ErrorKind::from(error).name()));
            span.set_status(Status::error(error.to_string()));
        }
    }

    /// Notes what a request was answered with, or why not.
    pub fn note_http<T>(&mut self, result: &Result<http::Response<T>, HttpError>) {
        let Some(span) = &mut self.recorded else {
            return;
        };
        match result {
            Ok(response) => {
                let status = response.status();
                let code = i64::from(status.as_u16());
                span.set_attribute(KeyValue::new("http.response.status_code", code));
                if status.is_server_error() {
                    span.set_status(Status::error(""));
                }
            }
            Err(error) => {
                span.set_attribute(KeyValue::new("error.type", ErrorKind::from(error).name()));
                span.set_status(Status::error(error.message.clone()));
            }
        }
    }
}

/// The constant parts of all spans of one sort, made once.
pub struct Hop {
    name: String,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
}

impl Hop {
    /// Calls of `function` over the link that `labels` names, on their caller's side.
    pub(crate) fn link(labels: &LinkLabels<'_>, function: &str) -> Self {
        let LinkLabels {
            application,
            source,
            target,
            name,
            interface,
            binding,
        } = *labels;
        Self {
            name: format!("{source} → {target} {}", path(interface, function)),
            kind: match binding {
                Binding::Unix | Binding::Tcp | Binding::Nats => SpanKind::Client,
                Binding::Fused | Binding::Local | Binding::Host => SpanKind::Internal,
            },
            attributes: vec![
                KeyValue::new("rpc.system", "withe"),
                text("rpc.service", interface),
                text("rpc.method", function),
                text("withe.application", application),
                text("withe.source", source),
                text("withe.target", target),
                text("withe.link", name),
                KeyValue::new("withe.binding", binding_name(binding)),
            ],
        }
    }

    /// Calls of `function`, of an interface or of the world itself, that enter a part of an application from
    /// another process.
    pub fn served(application: &str, part: &str, interface: Option<&str>, function: &str) -> Self {
        Self::entry(SpanKind::Server, application, part, interface, function)
    }

    /// The same where nobody else has called.
    pub(crate) fn called(
        application: &str,
        part: &str,
        interface: Option<&str>,
        function: &str,
    ) -> Self {
        Self::entry(SpanKind::Internal, application, part, interface, function)
    }

    fn entry(
        kind: SpanKind,
        application: &str,
        part: &str,
        interface: Option<&str>,
        function: &str,
    ) -> Self {
        let interface = interface.unwrap_or(function);
        let interface = interface.split('@').next().unwrap_or_default();
        Self {
            name: format!("{part} {}", path(interface, function)),
            kind,
            attributes: vec![
                KeyValue::new("rpc.system", "withe"),
                text("rpc.service", interface),
                text("rpc.method", function),
                text("withe.application", application),
                text("withe.component", part),
            ],
        }
    }

    /// A span of this sort.
    pub fn span(&self) -> SpanBuilder {
        SpanBuilder::from_name(self.name.clone())
            .with_kind(self.kind.clone())
            .with_attributes(self.attributes.iter().cloned())
    }
}

fn text(key: &'static str, value: &str) -> KeyValue {
    // Shared by all spans.
    KeyValue::new(key, Arc::<str>::from(value))
}

/// `interface.function`, or the function alone where it is of the world itself.
fn path(interface: &str, function: &str) -> String {
    if interface == function {
        return function.to_owned();
    }
    format!("{interface}.{function}")
}

/// The span of a request that comes in for a part of an application on another host; `name` says which.
pub fn proxied<T>(application: &str, name: &str, request: &http::Request<T>) -> SpanBuilder {
    request_span(SpanKind::Server, application, name, request)
}

/// The span of a request into `part` of an application, or out of it.
pub(crate) fn request_span<T>(
    kind: SpanKind,
    application: &str,
    part: &str,
    request: &http::Request<T>,
) -> SpanBuilder {
    let (method, uri) = (request.method(), request.uri());
    let mut attributes = vec![
        KeyValue::new("http.request.method", method.to_string()),
        KeyValue::new("url.path", uri.path().to_owned()),
        KeyValue::new("withe.application", application.to_owned()),
        KeyValue::new("withe.component", part.to_owned()),
    ];
    if let Some(host) = uri.host() {
        attributes.push(KeyValue::new("server.address", host.to_owned()));
    }
    SpanBuilder::from_name(format!("{method} {part}"))
        .with_kind(kind)
        .with_attributes(attributes)
}

/// The header that has a trace context.
const TRACEPARENT: &str = "traceparent";

/// The trace that a request is part of: the one its carrier set, or its header's.
pub fn of_request<T>(request: &http::Request<T>) -> Option<TraceContext> {
    let carried = request.extensions().get().copied();
    carried.or_else(|| TraceContext::parse(request.headers().get(TRACEPARENT)?.to_str().ok()?))
}

/// Makes a request part of a trace, for its carrier and in its header.
pub fn put_request<T>(request: &mut http::Request<T>, trace: Option<TraceContext>) {
    let Some(trace) = trace else { return };
    request.extensions_mut().insert(trace);
    if let Ok(value) = http::HeaderValue::try_from(trace.to_string()) {
        request.headers_mut().insert(TRACEPARENT, value);
    }
}

fn to_otel(context: TraceContext, remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        remote,
        TraceState::NONE,
    )
}

fn from_otel(context: &SpanContext) -> TraceContext {
    TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        flags: context.trace_flags().to_u8(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};

    use super::*;

    /// Keeps the spans that have ended.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    impl Kept {
        fn tracer(&self, ratio: f64) -> Tracer {
            let root = Sampler::TraceIdRatioBased(ratio);
            let provider = SdkTracerProvider::builder()
                .with_simple_exporter(self.clone())
                .with_sampler(Sampler::ParentBased(Box::new(root)))
                .build();
            Tracer::new(BoxedTracer::new(Box::new(provider.tracer("test"))))
        }

        fn take(&self) -> Vec<SpanData> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    fn parent(flags: u8) -> TraceContext {
        TraceContext {
            trace_id: [1; 16],
            span_id: [2; 8],
            flags,
        }
    }

    fn hop() -> Hop {
        let labels = LinkLabels {
            application: "shop",
            source: "cart",
            target: "prices",
            name: "default",
            interface: "shop:api/prices",
            binding: Binding::Unix,
        };
        Hop::link(&labels, "get")
    }

    /// For spans that must not be made.
    fn never() -> SpanBuilder {
        panic!("a span that nobody records")
    }

    #[test]
    fn without_an_exporter_a_context_passes_as_it_came() {
        let tracer = Tracer::default();
        for context in [None, Some(parent(0)), Some(parent(1))] {
            assert_eq!(tracer.hop(context, never).context(), context);
            assert_eq!(tracer.enter(context, never).context(), context);
        }
    }

    #[test]
    fn what_is_not_sampled_stays_so() {
        let kept = Kept::default();
        let tracer = kept.tracer(1.0);
        let context = Some(parent(0));
        assert_eq!(tracer.enter(context, never).context(), context);
        assert_eq!(tracer.hop(context, never).context(), context);
        // A call that is part of no trace does not begin one; only what enters does.
        assert_eq!(tracer.hop(None, never).context(), None);
        assert!(kept.take().is_empty());

        // The context passed on says that it is not recorded, so that nobody decides again.
        let span = kept.tracer(0.0).enter(None, || hop().span());
        assert!(!span.is_recorded());
        assert!(!span.context().unwrap().is_sampled());
    }

    #[test]
    fn hops_of_a_trace_are_children_of_each_other() {
        let kept = Kept::default();
        let tracer = kept.tracer(0.0);
        let outer = tracer.enter(Some(parent(1)), || {
            Hop::served("shop", "cart", None, "total").span()
        });
        let mut inner = tracer.hop(outer.context(), || hop().span());
        inner.note(Some(&CallError::Deadline));
        drop(inner);
        drop(outer);

        let spans = kept.take();
        let [inner, outer] = spans.as_slice() else {
            panic!("{spans:#?}")
        };
        assert_eq!(outer.name, "cart total");
        assert_eq!(outer.span_kind, SpanKind::Server);
        assert_eq!(outer.span_context.trace_id().to_bytes(), [1; 16]);
        assert_eq!(outer.parent_span_id.to_bytes(), [2; 8]);
        assert!(outer.parent_span_is_remote);
        assert_eq!(outer.status, Status::Unset);

        assert_eq!(inner.name, "cart → prices shop:api/prices.get");
        assert_eq!(inner.span_kind, SpanKind::Client);
        assert_eq!(inner.span_context.trace_id(), outer.span_context.trace_id());
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
        assert!(!inner.parent_span_is_remote);
        assert_eq!(inner.status, Status::error("the deadline passed"));
        for (key, value) in [
            ("withe.binding", "unix"),
            ("rpc.method", "get"),
            ("error.type", "deadline"),
        ] {
            let attribute = KeyValue::new(key, value);
            assert!(inner.attributes.contains(&attribute), "{key} in {inner:#?}");
        }
    }

    /// Is open as long as it is set.
    #[derive(Default)]
    struct Switch(std::sync::atomic::AtomicBool);

    impl TraceGate for Switch {
        fn records(&self, _: [u8; 16]) -> bool {
            self.begins()
        }

        fn begins(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::Relaxed)
        }
    }

    #[test]
    fn behind_a_closed_gate_a_context_passes_as_it_came() {
        let kept = Kept::default();
        let gate = Arc::new(Switch::default());
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .build();
        let tracer = BoxedTracer::new(Box::new(provider.tracer("test")));
        let tracer = Tracer::gated(tracer, gate.clone());
        for context in [None, Some(parent(1))] {
            assert_eq!(tracer.enter(context, never).context(), context);
            assert_eq!(tracer.hop(context, never).context(), context);
        }
        gate.0.store(true, std::sync::atomic::Ordering::Relaxed);
        let outer = tracer.enter(None, || hop().span());
        drop(tracer.hop(outer.context(), || hop().span()));
        drop(outer);
        assert_eq!(kept.take().len(), 2);
    }

    #[test]
    fn a_request_says_which_trace_it_is_part_of() {
        let mut request = http::Request::new(());
        put_request(&mut request, None);
        assert_eq!(of_request(&request), None);
        assert!(request.headers().is_empty());

        put_request(&mut request, Some(parent(1)));
        let header = request.headers()[TRACEPARENT].to_str().unwrap();
        assert_eq!(
            header,
            "00-01010101010101010101010101010101-0202020202020202-01"
        );
        request.extensions_mut().clear();
        assert_eq!(of_request(&request), Some(parent(1)));

        // The carrier of the request knows better than its header.
        request.extensions_mut().insert(parent(0));
        assert_eq!(of_request(&request), Some(parent(0)));
    }
}
