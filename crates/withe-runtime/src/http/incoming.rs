//! Requests into a component.
//!
//! The guest runs in the task that asked: no task is spawned for a server's request. The guest is polled until it has
//! sent the response's head; if it is not done by then it goes on inside the response's body
//! ([`super::body`]), and is dropped, and so cancelled, with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use opentelemetry::trace::SpanKind;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use wasmtime::component::{ComponentExportIndex, Resource};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p2::bindings::http::types::{self as p2, Scheme};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::p3::Request as P3Request;
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpView};
use withe_provider::{Body, HttpError, HttpErrorKind, IncomingHandler};
use withe_rpc::{CallContext, CallError};

use super::body::{GuestBody, Pace};
use super::declared::DeclaredBody;
use super::errors;
use super::export::{HttpExport, P3Handler};
use super::face::HttpFace;
use super::guest::Guest;
use super::passed;
use super::unread::UnreadWatch;
use crate::core::{Graph, Instance, InstanceState, Unit};
use crate::limits::Streaming;
use crate::quota::{GoesOn, Nested};
use crate::trace::{self, request_span};
use crate::trap;

/// The longest pause in a body of a component that has no limit, for readers that have none either.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The guest's answer.
type Answer = Result<http::Response<WasiBody>, HttpError>;

/// A unit's HTTP handler, as an HTTP server sees it, or a component that is linked to it.
pub struct HttpEntry {
    graph: Arc<Graph>,
    unit: usize,
    /// The name of the export that takes the requests.
    export: Arc<str>,
    /// Where its caller stands, if that is an instance of the same graph: what it causes is put down to that one's
    /// account. Requests from outside have none.
    caller: Option<Nested>,
    unread: Arc<UnreadWatch>,
}

impl HttpEntry {
    /// The first handler of the unit whose root is `component`; `None` if it exports none.
    pub fn new(graph: &Arc<Graph>, component: &str) -> Option<Self> {
        let unit = graph.find(component)?;
        let export = graph.unit(unit).code.http.of_face(HttpFace::Handler)?;
        Some(Self::of(graph, unit, export.clone()))
    }

    /// The export of this name of the unit whose root is `component`; `None` if it is none that takes requests.
    pub fn named(graph: &Arc<Graph>, component: &str, export: &str) -> Option<Self> {
        let unit = graph.find(component)?;
        graph.unit(unit).code.http.get(export)?;
        Some(Self::of(graph, unit, export.into()))
    }

    fn of(graph: &Arc<Graph>, unit: usize, export: Arc<str>) -> Self {
        Self {
            graph: graph.clone(),
            unit,
            export,
            caller: None,
            unread: Arc::default(),
        }
    }

    /// The export with this name of a unit of `graph`, for one exchange of a caller that stands at `caller`.
    pub(super) fn nested(
        graph: Arc<Graph>,
        unit: usize,
        export: Arc<str>,
        caller: Nested,
        unread: Arc<UnreadWatch>,
    ) -> Self {
        Self {
            graph,
            unit,
            export,
            caller: Some(caller),
            unread,
        }
    }

    /// The guest that does `work`. One that another component calls has a task of its own: whoever polls the answer mostly
    /// does so within its own store. A server's requests need none; a provider's may, when an instance waits for it.
    fn guest(&self, work: impl Future<Output = Result<(), CallError>> + Send + 'static) -> Guest {
        let unit = self.graph.unit(self.unit);
        let guest = unit.in_turns(&self.graph.engines, work);
        match &self.caller {
            None => Guest::here(guest),
            Some(_) => Guest::apart(guest),
        }
    }

    /// Whether an instance serves several requests.
    fn reuses(&self) -> bool {
        self.caller.is_none() && self.graph.unit(self.unit).limits.reuse > 1
    }

    /// Starts the guest: its future, where its answer will come, and what keeps it going until the
    /// response's body is through.
    async fn start(
        &self,
        request: http::Request<Body>,
        context: CallContext,
    ) -> Result<Started, HttpError> {
        let (graph, unit) = (&self.graph, self.unit);
        let Some(export) = graph.unit(unit).code.http.get(&self.export) else {
            let text = format!("the component exports no `{}`", self.export);
            return Err(HttpError::new(HttpErrorKind::Internal, text));
        };
        let mut instance = match &self.caller {
            None => Unit::checkout(graph, unit, context).await,
            Some(caller) => Unit::nest(graph, unit, caller, context).await,
        }
        .map_err(errors::from_call)?;
        let request = request.map(|body| body.map_err(errors::to_wasi).boxed_unsync());
        let streaming = instance.store.data_mut().begin_streaming();
        let done = Done {
            // An instance on its caller's account serves nobody else.
            graph: self.caller.is_none().then(|| graph.clone()),
            unit,
            _goes_on: self.caller.as_ref().map(Nested::goes_on),
        };
        match export {
            HttpExport::Incoming(indices) => {
                self.start_incoming(indices, instance, request, streaming, done)
            }
            HttpExport::Outgoing(index) => {
                self.start_outgoing(index, instance, request, streaming, done)
            }
            HttpExport::P3(index) => self.start_p3(index, instance, request, streaming, done),
        }
    }

    /// Starts `wasi:http/incoming-handler` of WASI 0.2.
    fn start_incoming(
        &self,
        indices: &ProxyIndices,
        mut instance: Box<Instance>,
        request: http::Request<WasiBody>,
        streaming: Streaming,
        done: Done,
    ) -> Result<Started, HttpError> {
        let (answer_tx, answer) = oneshot::channel::<Answer>();
        let state = instance.store.data_mut();
        let scheme = match request.uri().scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let request = state
            .http()
            .new_incoming_request(scheme, request)
            .map_err(errors::internal)?;
        let out = state
            .http()
            .new_response_outparam_from_callback(move |answer| {
                streaming.begin();
                _ = answer_tx.send(answer.map_err(|e| errors::from_p2(&e)));
            })
            .map_err(errors::internal)?;
        let Instance {
            store,
            instance: inner,
            ..
        } = &mut *instance;
        let proxy = indices.load(store, inner).map_err(errors::internal)?;
        let work = async move {
            let handler = proxy.wasi_http_incoming_handler();
            match handler.call_handle(&mut instance.store, request, out).await {
                Ok(()) => {
                    done.with(instance);
                    Ok(())
                }
                Err(e) => Err(trap::to_call_error(instance.store.data(), e)),
            }
        };
        Ok(Started {
            guest: self.guest(work),
            answer,
            body_done: None,
            reused: self.reuses(),
        })
    }

    /// Starts `wasi:http/outgoing-handler` of WASI 0.2: the response is one that the component had from elsewhere.
    fn start_outgoing(
        &self,
        index: &ComponentExportIndex,
        mut instance: Box<Instance>,
        request: http::Request<WasiBody>,
        streaming: Streaming,
        done: Done,
    ) -> Result<Started, HttpError> {
        type Params = (
            Resource<HostOutgoingRequest>,
            Option<Resource<RequestOptions>>,
        );
        type Results = (Result<Resource<HostFutureIncomingResponse>, p2::ErrorCode>,);
        let (answer_tx, answer) = oneshot::channel::<Answer>();
        let Instance {
            store,
            instance: inner,
            ..
        } = &mut *instance;
        let func = inner.get_typed_func::<Params, Results>(&mut *store, index);
        let func = func.map_err(errors::internal)?;
        let params = passed::outgoing_request(store.data_mut(), request);
        let params = params.map_err(|e| errors::internal(e.into()))?;
        let work = async move {
            let called = func.call_async(&mut instance.store, params).await;
            let taken = called.and_then(|(answer,)| match answer {
                Ok(response) => Ok(Ok(instance.store.data_mut().table.delete(response)?)),
                Err(e) => Ok(Err(e)),
            });
            let answered = match taken {
                Ok(answered) => answered,
                Err(e) => return Err(trap::to_call_error(instance.store.data(), e)),
            };
            // The component has done its part: its body streams by itself.
            streaming.begin();
            done.with(instance);
            _ = answer_tx.send(match answered {
                Ok(response) => passed::response(response).await,
                Err(e) => Err(errors::from_p2(&e)),
            });
            Ok(())
        };
        Ok(Started {
            guest: self.guest(work),
            answer,
            body_done: None,
            reused: self.reuses(),
        })
    }

    /// The function of WASI 0.3 that takes the requests.
    fn p3_handler(
        &self,
        index: &ComponentExportIndex,
        instance: &mut Instance,
    ) -> wasmtime::Result<P3Handler> {
        if let Some((name, handler)) = &instance.last_handler
            && Arc::ptr_eq(name, &self.export)
        {
            return Ok(*handler);
        }
        let inner = instance.instance;
        let handler: P3Handler = inner.get_typed_func(&mut instance.store, index)?;
        instance.last_handler = Some((self.export.clone(), handler));
        Ok(handler)
    }

    /// Starts `wasi:http/handler` or `wasi:http/client` of WASI 0.3.
    fn start_p3(
        &self,
        index: &ComponentExportIndex,
        mut instance: Box<Instance>,
        request: http::Request<WasiBody>,
        streaming: Streaming,
        done: Done,
    ) -> Result<Started, HttpError> {
        let (answer_tx, answer) = oneshot::channel::<Answer>();
        let func = self.p3_handler(index, &mut instance);
        let func = func.map_err(errors::internal)?;
        let options = passed::options(&request);
        let state = instance.store.data_mut();
        let (mut request, io) = P3Request::from_http(state.http().hooks, request);
        request.options = options.map(Arc::new);
        let request = state
            .table
            .push(request)
            .map_err(|e| errors::internal(e.into()))?;
        let (body_done, body_is_done) = oneshot::channel::<()>();
        let work = async move {
            let run = instance.store.run_concurrent(async |accessor| {
                let (answer,) = func.call_concurrent(accessor, (request,)).await?;
                let answer = match answer {
                    Ok(response) => Ok(accessor.with(|mut access| {
                        let response = access.data_mut().table.delete(response)?;
                        response.into_http_with_getter(&mut access, io, InstanceState::http)
                    })?),
                    Err(e) => Err(errors::from_p3(&e)),
                };
                streaming.begin();
                _ = answer_tx.send(answer);
                // The body comes from the guest's tasks, which run only in here.
                _ = body_is_done.await;
                wasmtime::Result::Ok(())
            });
            match run.await.flatten() {
                Ok(()) => {
                    done.with(instance);
                    Ok(())
                }
                Err(e) => Err(trap::to_call_error(instance.store.data(), e)),
            }
        };
        Ok(Started {
            guest: self.guest(work),
            answer,
            body_done: Some(body_done),
            reused: self.reuses(),
        })
    }
}

/// The way of an instance whose exchange succeeded.
struct Done {
    /// The graph that takes it back for others; `None` if it ends.
    graph: Option<Arc<Graph>>,
    unit: usize,
    /// Its caller may be done before it.
    _goes_on: Option<GoesOn>,
}

impl Done {
    fn with(&self, instance: Box<Instance>) {
        if let Some(graph) = &self.graph {
            graph.unit(self.unit).checkin(instance);
        }
    }
}

struct Started {
    guest: Guest,
    answer: oneshot::Receiver<Answer>,
    body_done: Option<oneshot::Sender<()>>,
    /// Whether its instance serves others when it is done.
    reused: bool,
}

impl Started {
    /// Runs the guest until it has answered or is done.
    async fn answer(
        mut self,
        pace: Pace,
        unread: &Arc<UnreadWatch>,
    ) -> Result<http::Response<Body>, HttpError> {
        let (mut done, mut given_up) = (None, false);
        let answer = std::future::poll_fn(|cx| {
            if done.is_none()
                && let Poll::Ready(result) = Pin::new(&mut self.guest).poll(cx)
            {
                done = Some(result);
            }
            if !given_up {
                match Pin::new(&mut self.answer).poll(cx) {
                    Poll::Ready(Ok(answer)) => return Poll::Ready(Some(answer)),
                    Poll::Ready(Err(_)) => given_up = true,
                    Poll::Pending => {}
                }
            }
            match done {
                Some(_) => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await;
        let response = match (answer, &done) {
            (Some(answer), _) => {
                let (head, body) = answer?.into_parts();
                let body = DeclaredBody::new(body, &head.headers);
                http::Response::from_parts(head, body)
            }
            (None, Some(Err(e))) => return Err(errors::from_call(e.clone())),
            (None, _) => {
                let text = "the component returned without a response";
                return Err(HttpError::new(HttpErrorKind::Handler, text));
            }
        };
        match done {
            Some(Ok(())) => Ok(response.map(BodyExt::boxed_unsync)),
            // The head is out, but the body will not be whole.
            Some(Err(e)) => {
                Ok(response.map(|_| GuestBody::failed(errors::from_call(e)).boxed_unsync()))
            }
            None => Ok(response.map(|body| {
                let (guest, done) = (self.guest, self.body_done);
                GuestBody::new(body, guest, done, self.reused, pace, unread.clone()).boxed_unsync()
            })),
        }
    }
}

#[async_trait::async_trait]
impl IncomingHandler for HttpEntry {
    async fn handle(
        &self,
        mut request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let now = Instant::now();
        let unit = self.graph.unit(self.unit);
        let counted = unit.counts.request(now);
        let tracer = &self.graph.observer().tracer;
        let mut span = tracer.enter(trace::of_request(&request), || {
            request_span(SpanKind::Server, unit.application(), &unit.name, &request)
        });
        if span.is_recorded() {
            // A component that records spans of its own begins where this one does.
            trace::put_request(&mut request, span.context());
        }
        let deadline = unit.deadline(deadline);
        let context = CallContext {
            deadline,
            trace: span.context(),
        };
        // Once the head is out, how long the body may pause is for whoever reads it to say: a stream of events may
        // be silent for longer than an answer may take. The component's own limit holds between any two chunks.
        let pace = Pace {
            pause: unit.limits.time.unwrap_or(LONGEST_PAUSE),
            after: deadline.saturating_duration_since(now),
        };
        let answered = async {
            let started = self.start(request, context).await?;
            started.answer(pace, &self.unread).await
        };
        let answer = timeout_at(deadline.into(), answered)
            .await
            .unwrap_or_else(|_| Err(errors::from_call(CallError::Deadline)));
        if let Ok(response) = &answer {
            counted.answered(response.status());
        }
        span.note_http(&answer);
        answer
    }
}
