//! Exchanges, over connections within the process.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_rpc::{
    CallContext, CallError, LinkRequest, Payload, Serve, ServedLink, Session, TraceContext,
};

use super::*;
use crate::testing::session;
use crate::{
    Body, HttpError, HttpErrorKind, IncomingHandler, Link, LinkId, OutgoingHandler, Provider,
    ProviderError, RequestOptions,
};

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

/// One link, whatever is asked for.
struct Only(Arc<dyn ServedLink>);

impl Serve for Only {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        assert!(is_http(&request.functions));
        Ok(self.0.clone())
    }
}

struct Pair {
    session: Arc<Session>,
    server: JoinSet<()>,
}

impl Pair {
    fn new(link: Arc<dyn ServedLink>) -> Self {
        let (session, server) = session(Arc::new(Only(link)), functions());
        Self { session, server }
    }

    /// To a handler that does what `answer` does.
    fn to<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Body>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response<Body>, HttpError>> + Send + 'static,
    {
        struct Handler<F>(F);
        #[async_trait::async_trait]
        impl<F, A> IncomingHandler for Handler<F>
        where
            F: Fn(Request<Body>) -> A + Send + Sync + 'static,
            A: Future<Output = Result<Response<Body>, HttpError>> + Send + 'static,
        {
            async fn handle(
                &self,
                request: Request<Body>,
                _: Instant,
            ) -> Result<Response<Body>, HttpError> {
                (self.0)(request).await
            }
        }
        Self::new(serve(Arc::new(Handler(answer))))
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, HttpError> {
        let answer = IncomingOver(self.session.clone());
        let answer = answer.handle(request, Instant::now() + AGES);
        timeout(AGES, answer).await.expect("an answer in time")
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

type Frames = mpsc::Sender<Result<Frame<Bytes>, HttpError>>;

/// A body whose frames are sent one by one.
fn channel(capacity: usize) -> (Frames, Body) {
    let (frames, mut rx) = mpsc::channel(capacity);
    let stream = futures::stream::poll_fn(move |cx| rx.poll_recv(cx));
    (frames, Body::new(StreamBody::new(stream)))
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, HttpError> {
    Ok(Frame::data(bytes.into()))
}

fn get(body: Body) -> Request<Body> {
    let request = Request::builder().uri("http://example.com/a?b=c");
    request.body(body).unwrap()
}

async fn whole(body: Body) -> (Bytes, Option<HeaderMap>) {
    let collected = timeout(AGES, body.collect()).await.unwrap().unwrap();
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

async fn failure(body: Body) -> HttpError {
    let collected = timeout(AGES, body.collect()).await.unwrap();
    collected.map(|_| ()).expect_err("the body is whole")
}

/// A handler that sends back the request's body.
fn echo() -> Pair {
    Pair::to(|request| async move { Ok(Response::new(request.into_body())) })
}

#[tokio::test]
async fn small_messages_are_one_call_without_streams() {
    let pair = Pair::to(|request| async move {
        assert_eq!(request.uri(), "http://example.com/a?b=c");
        assert_eq!(request.headers()["x-a"], "1");
        assert!(request.body().is_end_stream());
        let mut response = Response::new(full("hello"));
        *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
        response.headers_mut().append("x-b", "2".parse().unwrap());
        Ok(response)
    });
    let mut request = get(empty());
    request.headers_mut().append("x-a", "1".parse().unwrap());
    let response = pair.send(request).await.unwrap();
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["x-b"], "2");
    // All of it is here: nothing has to be waited for.
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert_eq!(whole(response.into_body()).await.0, "hello");

    let payload = body::write(Default::default(), full(vec![0; 64 << 10])).await;
    assert!(payload.0.streams.is_empty() && payload.1.is_none());
    let payload = body::write(Default::default(), full(vec![0; (64 << 10) + 1])).await;
    assert!(payload.0.streams.len() == 2 && payload.1.is_some());
}

#[tokio::test]
async fn large_bodies_follow_in_both_directions_with_their_length() {
    let pair = echo();
    let sent: Bytes = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let response = pair.send(get(full(sent.clone()))).await.unwrap();
    let length = response.body().size_hint().exact();
    assert_eq!(length, Some(sent.len() as u64));
    assert!(whole(response.into_body()).await.0 == sent);
}

#[tokio::test]
async fn frames_and_trailers_come_as_they_are_sent() {
    let pair = echo();
    let (frames, body) = channel(1);
    let response = pair.send(get(body)).await.unwrap();
    let mut body = response.into_body();
    for text in ["one", "two"] {
        frames.send(data(text)).await.unwrap();
        let frame = timeout(AGES, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", "7".parse().unwrap());
    frames
        .send(Ok(Frame::trailers(trailers.clone())))
        .await
        .unwrap();
    drop(frames);
    assert_eq!(whole(body).await, (Bytes::new(), Some(trailers)));
}

#[tokio::test]
async fn trailers_of_a_small_body_go_along() {
    let pair = echo();
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", "7".parse().unwrap());
    let body = full("abc").with_trailers(std::future::ready(Some(Ok(trailers.clone()))));
    let response = pair.send(get(Body::new(body))).await.unwrap();
    assert_eq!(
        whole(response.into_body()).await,
        ("abc".into(), Some(trailers))
    );
}

#[tokio::test]
async fn failures_keep_their_kind() {
    let denied = HttpError::new(HttpErrorKind::Denied, "not there");
    let error = denied.clone();
    let pair = Pair::to(move |_| std::future::ready(Err(error.clone())));
    assert_eq!(pair.send(get(empty())).await.err(), Some(denied));

    // Of a body behind its first bytes, and of one that fails at once.
    let broken = HttpError::new(HttpErrorKind::Tls, "broken");
    for first in [Some("begun"), None] {
        let pair = echo();
        let (frames, body) = channel(2);
        if let Some(first) = first {
            frames.send(data(first)).await.unwrap();
        }
        frames.send(Err(broken.clone())).await.unwrap();
        let response = pair.send(get(body)).await.unwrap();
        assert_eq!(failure(response.into_body()).await, broken);
    }
}

#[tokio::test]
async fn nothing_is_taken_from_a_body_that_nobody_reads() {
    let (frames, body) = channel(1);
    let body = Arc::new(Mutex::new(Some(body)));
    let pair = Pair::to(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        std::future::ready(Ok(Response::new(body)))
    });
    let chunk = Bytes::from(vec![0; 64 << 10]);
    frames.send(data(chunk.clone())).await.unwrap();
    let response = pair.send(get(empty())).await.unwrap();
    // The protocol's window, the frames in between and what is underway: no more than a few hundred KiB.
    let mut sent = 1;
    let full = loop {
        match timeout(Duration::from_millis(500), frames.send(data(chunk.clone()))).await {
            Ok(result) => result.unwrap(),
            Err(_) => break sent,
        }
        sent += 1;
        assert!(sent < 64, "4 MiB were taken, and nothing was read");
    };
    let reading = tokio::spawn(response.into_body().collect());
    for _ in full..64 {
        timeout(AGES, frames.send(data(chunk.clone())))
            .await
            .unwrap()
            .unwrap();
    }
    drop(frames);
    let read = timeout(AGES, reading).await.unwrap().unwrap().unwrap();
    assert_eq!(read.to_bytes().len(), 64 * chunk.len());
}

#[tokio::test]
async fn dropping_a_response_ends_both_bodies() {
    let pair = echo();
    let (frames, body) = channel(1);
    let response = pair.send(get(body)).await.unwrap();
    frames.send(data("x")).await.unwrap();
    drop(response);
    timeout(AGES, frames.closed()).await.unwrap();
}

#[tokio::test]
async fn dropping_a_request_that_is_not_answered_ends_it_there() {
    let (begun, has_begun) = oneshot::channel::<()>();
    let (alive, ended) = oneshot::channel::<()>();
    let both = Arc::new(Mutex::new(Some((begun, alive))));
    let pair = Pair::to(move |request| {
        let (begun, alive) = both.lock().unwrap().take().unwrap();
        async move {
            let _held = (request, alive);
            begun.send(()).unwrap();
            std::future::pending().await
        }
    });
    let (frames, body) = channel(1);
    let mut sending = Box::pin(pair.send(get(body)));
    tokio::select! {
        _ = &mut sending => panic!("nobody answers"),
        begun = has_begun => begun.unwrap(),
    }
    drop(sending);
    assert!(timeout(AGES, ended).await.unwrap().is_err());
    timeout(AGES, frames.closed()).await.unwrap();
}

#[tokio::test]
async fn a_body_whose_writer_was_lost_fails() {
    let (frames, body) = channel(1);
    let body = Mutex::new(Some(body));
    let mut pair = Pair::to(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        std::future::ready(Ok(Response::new(body)))
    });
    frames.send(data("x")).await.unwrap();
    let response = pair.send(get(empty())).await.unwrap();
    pair.server.shutdown().await;
    let error = failure(response.into_body()).await;
    assert_eq!(error.kind, HttpErrorKind::ConnectionTerminated, "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_deadline() {
    let is_first = AtomicBool::new(true);
    let pair = Pair::to(move |_| {
        let answers = is_first.swap(false, Ordering::SeqCst);
        async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(empty()))
        }
    });
    // Who is not even connected in time is told that.
    pair.send(get(empty())).await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(20);
    let answer = call(
        &pair.session,
        get(empty()),
        RequestOptions::default(),
        deadline,
    );
    let error = timeout(AGES, answer).await.unwrap().err().unwrap();
    assert_eq!(error.kind, HttpErrorKind::Deadline);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let pair = Pair::to(|_| async { unreachable!("it cannot be read") });
    let context = CallContext {
        deadline: Instant::now() + AGES,
        trace: None,
    };
    let answer = pair.session.call(HANDLE, Payload::of(&(7u8,)), context);
    assert!(matches!(answer.await, Err(CallError::TypeMismatch(_))));
}

#[tokio::test]
async fn a_provider_sends_requests_over_its_link() {
    struct Sends;
    #[async_trait::async_trait]
    impl Provider for Sends {
        async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
            Ok(())
        }
        async fn link_deleted(&self, _: LinkId, _: Duration) {}
        fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
            Some(self)
        }
        async fn shutdown(&self, _: Duration) {}
    }
    #[async_trait::async_trait]
    impl OutgoingHandler for Sends {
        async fn send(
            &self,
            link: LinkId,
            request: Request<Body>,
            options: RequestOptions,
        ) -> Result<Response<Body>, HttpError> {
            let trace = request.extensions().get::<TraceContext>().unwrap();
            let text = format!("{} {:?} {}", link.0, options.connect_timeout, trace.flags);
            Ok(Response::new(full(text)))
        }
    }
    let pair = Pair::new(serve_outgoing(Arc::new(Sends), LinkId(7)));
    let options = RequestOptions {
        connect_timeout: Some(Duration::from_millis(250)),
        ..RequestOptions::default()
    };
    let mut request = get(empty());
    request.extensions_mut().insert(TraceContext {
        trace_id: [1; 16],
        span_id: [2; 8],
        flags: 1,
    });
    let response = call(&pair.session, request, options, Instant::now() + AGES);
    let response = timeout(AGES, response).await.unwrap().unwrap();
    let (text, _) = whole(response.into_body()).await;
    assert_eq!(text, "7 Some(250ms) 1");
}
