//! Bodies, streamed in both directions without copying.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;
use withe_provider::{Body, HttpError, HttpErrorKind, remove_from_trailers};

use crate::crowd::UnderWay;
use crate::link::{HttpRoute, RequestLimits};
use crate::trailers::Trailers;
use crate::transfer::{Pace, Transfer, Transfers, Waited};

/// A request's body as the component gets it. How long the client may pause in it, how slow it may be, and how much it may send,
/// `limits` say. With a limit of bytes there is a flag beside the body, which is set when there are more.
pub(crate) fn from_client(
    body: Incoming,
    limits: &RequestLimits,
) -> (Body, Option<Arc<AtomicBool>>) {
    if body.is_end_stream() {
        // Nothing to carry, and nothing to allocate.
        return (nothing(), None);
    }
    let most = (limits.body).map(|most| (most, Arc::new(AtomicBool::new(false))));
    let too_large = most.as_ref().map(|(_, flag)| flag.clone());
    let body = Body::new(FromClient {
        most,
        inner: body,
        idle: limits.idle,
        pace: limits.pace,
        received: 0,
        waited: Waited::default(),
        clock: Clock::default(),
    });
    (body, too_large)
}

fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Measures a pause. Costs nothing as long as there is none.
#[derive(Default)]
struct Clock(Option<Pin<Box<Sleep>>>);

impl Clock {
    /// Stops: there was no pause, or it is over.
    fn stop(&mut self) {
        self.0 = None;
    }

    /// Ready when a pause, which begins now unless there is one already, has taken `limit`, or at `end`.
    fn poll(&mut self, cx: &mut Context<'_>, limit: Duration, end: Option<Instant>) -> Poll<()> {
        let clock = self.0.get_or_insert_with(|| {
            let pause = Instant::now() + limit;
            Box::pin(sleep_until(end.map_or(pause, |end| end.min(pause))))
        });
        clock.as_mut().poll(cx)
    }
}

struct FromClient {
    inner: Incoming,
    /// The most bytes, and the flag that is set when there are more.
    most: Option<(u64, Arc<AtomicBool>)>,
    idle: Duration,
    pace: Pace,
    received: u64,
    /// For the client.
    waited: Waited,
    clock: Clock,
}

impl FromClient {
    fn too_slow(&self) -> HttpError {
        let message = match self.waited.current() >= self.idle {
            true => format!("the client sent nothing for {} ms", self.idle.as_millis()),
            false => slow_client("sent", self.received, self.waited.in_all()),
        };
        HttpError::new(HttpErrorKind::ConnectionTerminated, message)
    }
}

/// The text of an error: a client was too slow.
fn slow_client(did: &str, bytes: u64, waited: Duration) -> String {
    format!(
        "the client was too slow: it {did} {bytes} bytes, and was waited for {} ms (`min_bytes_per_second`, \
         `slow_budget_ms`)",
        waited.as_millis()
    )
}

impl HttpBody for FromClient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.clock.stop();
            this.waited.end();
            if let Some(Ok(frame)) = &frame {
                this.received += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            if let Some((most, is_more)) = &this.most
                && this.received > *most
            {
                is_more.store(true, Ordering::Relaxed);
                let message =
                    format!("the request's body is larger than {most} bytes (`max_body_bytes`)");
                return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Denied, message))));
            }
            return Poll::Ready(frame.map(|frame| frame.map(with_good_trailers).map_err(broken)));
        }
        this.waited.begin();
        let allowed = this.pace.allows(this.received);
        let end = allowed.and_then(|allowed| this.waited.until(allowed));
        let over = this.clock.poll(cx, this.idle, end);
        over.map(|()| Some(Err(this.too_slow())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn broken(error: hyper::Error) -> HttpError {
    let kind = match error.is_parse() {
        true => HttpErrorKind::Protocol,
        false => HttpErrorKind::ConnectionTerminated,
    };
    HttpError::new(kind, format!("the request's body broke off: {error}"))
}

/// The frame, without what must not be in trailers if it is such.
fn with_good_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        remove_from_trailers(trailers);
    }
    frame
}

/// A response's body on its way to the client.
pub(crate) struct ToClient {
    source: Source,
    /// Held until it is sent, no more.
    _under_way: Option<UnderWay>,
}

enum Source {
    /// Of the provider's own.
    Own(Full<Bytes>),
    Component(Arc<Watched>),
    /// The component's, sent in full. Another task waits for the component to finish.
    Sent,
}

/// A component's body. As long as it lives, its link counts it as work under way; when the link is stopped it
/// breaks off.
pub(crate) struct FromComponent {
    pub(crate) inner: Body,
    pub(crate) route: Arc<HttpRoute>,
    /// Held, no more.
    pub(crate) _token: TaskTrackerToken,
    /// When all of it must have been written.
    pub(crate) end: Option<Instant>,
    /// The length that the response's head says.
    pub(crate) length: Option<u64>,
    /// Where trailers go that the head does not announce.
    pub(crate) trailers: Option<Arc<Trailers>>,
    pub(crate) progress: Progress,
}

/// How far a component's body has come.
#[derive(Default)]
pub(crate) struct Progress {
    written: u64,
    clock: Clock,
    /// Waits for the link to be stopped. Made when there is first something to wait for.
    stopped: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// A component's body, which is given up if the client takes it too slowly, whether or not anybody asks for it.
struct Watched(Mutex<Taken>);

/// A component's body, and how it is taken.
struct Taken {
    /// `None` once it was given up, or nobody wants it any more.
    body: Option<Box<FromComponent>>,
    /// For the client, to take what there is.
    waited: Waited,
    /// Why it was given up, for the next poll.
    given_up: Option<HttpError>,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        // If the component's body panics, the connection ends.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.waited.end();
        let Some(body) = &mut self.body else {
            return Poll::Ready(self.given_up.take().map(Err));
        };
        let frame = body.poll(cx);
        match &frame {
            Poll::Ready(Some(Ok(_))) => self.waited.begin(),
            // The client only sees that the response is cut short.
            Poll::Ready(Some(Err(error))) => {
                body.route.failed("response broke off", None, error);
            }
            _ => {}
        }
        frame
    }

    /// Why it has to be given up, if it has to.
    fn too_slow(&self, now: Instant) -> Option<HttpError> {
        let body = self.body.as_ref()?;
        if body.end.is_some_and(|end| now >= end) {
            return Some(body.took_too_long());
        }
        let limits = &body.route.limits;
        let (current, in_all) = (self.waited.current(), self.waited.in_all());
        let written = body.progress.written;
        let message = match limits.pace.allows(written) {
            Some(allowed) if current > Duration::ZERO && in_all > allowed => {
                slow_client("took", written, in_all)
            }
            _ if current > limits.idle => {
                let ms = limits.idle.as_millis();
                format!("the client took nothing for {ms} ms (`idle_timeout_ms`)")
            }
            _ => return None,
        };
        let kind = HttpErrorKind::ConnectionTerminated;
        Some(HttpError::new(kind, message))
    }
}

impl Transfer for Watched {
    fn check(&self, now: Instant) {
        // The holder of the lock is asking for more.
        let Ok(mut taken) = self.0.try_lock() else {
            return;
        };
        if let Some(why) = taken.too_slow(now)
            && let Some(body) = taken.body.take()
        {
            body.route.failed("response broke off", None, &why);
            taken.given_up = Some(why);
            drop(taken);
            // With it the component's instance goes.
            drop(body);
        }
    }
}

impl ToClient {
    /// A component's body, which is among the `transfers` of its connection.
    pub(crate) fn component(body: FromComponent, transfers: &Transfers) -> Self {
        let mut waited = Waited::default();
        // The wait lasts until the first poll.
        waited.begin();
        let body = Arc::new(Watched(Mutex::new(Taken {
            body: Some(Box::new(body)),
            waited,
            given_up: None,
        })));
        transfers.add(&body);
        Self::of(Source::Component(body))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            _under_way: None,
        }
    }

    /// The same, counted until it is sent.
    pub(crate) fn counted(mut self, under_way: Option<UnderWay>) -> Self {
        self._under_way = under_way;
        self
    }

    /// A text of the provider's own.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::of(Source::Own(Full::new(text.into())))
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self::text(Bytes::new())
    }
}

impl FromComponent {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Some(end) = self.end
            && Instant::now() >= end
        {
            return Poll::Ready(Some(Err(self.took_too_long())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.progress.clock.stop();
            return Poll::Ready(match frame {
                Some(Ok(frame)) => self.checked(with_good_trailers(frame)),
                Some(Err(error)) => Some(Err(self.explained(error))),
                None => self.whole().err().map(Err),
            });
        }
        let stopped = self.progress.stopped.get_or_insert_with(|| {
            let work = self.route.work.clone();
            Box::pin(async move { work.stop.wait().await })
        });
        if stopped.as_mut().poll(cx).is_ready() {
            let message = "the link was removed, and the time to finish is over";
            let error = HttpError::new(HttpErrorKind::ConnectionTerminated, message);
            return Poll::Ready(Some(Err(error)));
        }
        let idle = self.route.limits.idle;
        self.progress.clock.poll(cx, idle, self.end).map(|()| {
            Some(Err(match self.end {
                Some(end) if Instant::now() >= end => self.took_too_long(),
                _ => {
                    let ms = idle.as_millis();
                    let message =
                        format!("the component wrote nothing for {ms} ms (`idle_timeout_ms`)");
                    HttpError::new(HttpErrorKind::Deadline, message)
                }
            }))
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            // The head's: what hyper is told must be the same.
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.progress.written)),
            // A length in the head leaves no room for trailers.
            None if self.trailers.is_some() => SizeHint::default(),
            None => self.inner.size_hint(),
        }
    }

    fn took_too_long(&self) -> HttpError {
        let ms = self.route.limits.request.unwrap_or_default().as_millis();
        let message = format!("the request was not over within {ms} ms (`request_timeout_ms`)");
        HttpError::new(HttpErrorKind::Deadline, message)
    }

    /// A frame that may go to the client, or the end.
    fn checked(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, HttpError>> {
        match frame.into_data() {
            Ok(data) => {
                self.progress.written += data.len() as u64;
                match self.length {
                    Some(length) if self.progress.written > length => {
                        Some(Err(self.other_length()))
                    }
                    _ => Some(Ok(Frame::data(data))),
                }
            }
            Err(frame) => match (self.whole(), frame.into_trailers()) {
                (Err(error), _) => Some(Err(error)),
                // Empty ones, hyper writes as if there were a field.
                (Ok(()), Ok(trailers)) if !trailers.is_empty() => {
                    Some(Ok(Frame::trailers(match &self.trailers {
                        Some(unannounced) => unannounced.stand_in(&trailers),
                        None => trailers,
                    })))
                }
                (Ok(()), _) => None,
            },
        }
    }

    /// Whether as much was written as the head says.
    fn whole(&self) -> Result<(), HttpError> {
        match self.length {
            Some(length) if self.progress.written < length => Err(self.other_length()),
            _ => Ok(()),
        }
    }

    /// An error of the component's body. The host may have noticed first that the body has another length than
    /// the head says; it does not say so.
    fn explained(&self, error: HttpError) -> HttpError {
        match (self.length, error.kind) {
            (Some(length), HttpErrorKind::Protocol) if !self.is_sent() => {
                let message = format!(
                    "{error}: the component said `content-length: {length}`, and wrote something else"
                );
                HttpError::new(error.kind, message)
            }
            _ => error,
        }
    }

    fn other_length(&self) -> HttpError {
        let length = self.length.unwrap_or_default();
        let than = match self.progress.written > length {
            true => "more".into(),
            false => format!("{} only", self.progress.written),
        };
        let message = format!(
            "the component said `content-length: {length}` and wrote {than}; let it say what it writes, or nothing"
        );
        HttpError::new(HttpErrorKind::Protocol, message)
    }

    /// Whether the client has all of it.
    fn is_sent(&self) -> bool {
        self.length == Some(self.progress.written)
    }
}

impl HttpBody for ToClient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match &mut self.source {
            Source::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Source::Component(body) => body.lock().poll(cx),
            Source::Sent => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_end_stream(),
            // A length that is not kept has to be found out.
            Source::Component(body) => {
                let taken = body.lock();
                let body = taken.body.as_ref();
                body.is_some_and(|body| body.inner.is_end_stream() && body.whole().is_ok())
            }
            Source::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(body) => body.size_hint(),
            Source::Component(body) => {
                let taken = body.lock();
                let body = taken.body.as_ref();
                body.map_or_else(SizeHint::default, |body| body.size_hint())
            }
            Source::Sent => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ToClient {
    /// hyper asks for nothing behind a response's length. A component that has written all of it may have other
    /// things to do, as behind a response without a length.
    fn drop(&mut self) {
        let Source::Component(watched) = std::mem::replace(&mut self.source, Source::Sent) else {
            return;
        };
        let body = watched.lock().body.take();
        let Some(mut body) = body else {
            return;
        };
        if !body.is_sent() || body.inner.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let ended = std::future::poll_fn(|cx| body.poll(cx)).await;
                if let Some(Err(error)) = ended {
                    body.route.failed("failed after its response", None, &error);
                }
            });
        }
    }
}
