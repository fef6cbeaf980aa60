//! Bodies, streamed in both directions without copying.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;
use withe_provider::{Body, HttpError, HttpErrorKind, remove_from_trailers};

use crate::link::HttpRoute;
use crate::trailers::Trailers;

/// A request's body as the component gets it. The client may pause for `idle` in it.
pub(crate) fn from_client(body: Incoming, idle: Duration) -> Body {
    if body.is_end_stream() {
        // Nothing to carry, and nothing to allocate.
        return nothing();
    }
    Body::new(FromClient {
        inner: body,
        idle,
        clock: Clock::default(),
    })
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
    idle: Duration,
    clock: Clock,
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
            return Poll::Ready(frame.map(|frame| frame.map(with_good_trailers).map_err(broken)));
        }
        this.clock.poll(cx, this.idle, None).map(|()| {
            let message = format!("the client sent nothing for {} ms", this.idle.as_millis());
            Some(Err(HttpError::new(
                HttpErrorKind::ConnectionTerminated,
                message,
            )))
        })
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
pub(crate) struct ToClient(Source);

enum Source {
    /// Of the provider's own.
    Own(Full<Bytes>),
    Component(Box<FromComponent>),
    /// The component's, sent in full. What the component still does is waited for elsewhere.
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

impl ToClient {
    /// A component's body.
    pub(crate) fn component(body: FromComponent) -> Self {
        Self(Source::Component(Box::new(body)))
    }

    /// A text of the provider's own.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self(Source::Own(Full::new(text.into())))
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
        match &mut self.0 {
            Source::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Source::Component(body) => {
                let frame = body.poll(cx);
                // The client only sees that the response is cut short.
                if let Poll::Ready(Some(Err(error))) = &frame {
                    tracing::warn!(component = body.route.name, "response broke off: {error}");
                }
                frame
            }
            Source::Sent => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Own(body) => body.is_end_stream(),
            // A length that is not kept has to be found out.
            Source::Component(body) => body.inner.is_end_stream() && body.whole().is_ok(),
            Source::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Own(body) => body.size_hint(),
            Source::Component(body) => match body.length {
                // The head's: what hyper is told must be the same.
                Some(length) => SizeHint::with_exact(length.saturating_sub(body.progress.written)),
                // A length in the head leaves no room for trailers.
                None if body.trailers.is_some() => SizeHint::default(),
                None => body.inner.size_hint(),
            },
            Source::Sent => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ToClient {
    /// hyper asks for nothing behind a response's length. A component that has written all of it may have other
    /// things to do, as behind a response without a length.
    fn drop(&mut self) {
        let Source::Component(mut body) = std::mem::replace(&mut self.0, Source::Sent) else {
            return;
        };
        if !body.is_sent() || body.inner.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let ended = std::future::poll_fn(|cx| body.poll(cx)).await;
                if let Some(Err(error)) = ended {
                    let component = &body.route.name;
                    tracing::warn!(component, "failed after its response: {error}");
                }
            });
        }
    }
}
