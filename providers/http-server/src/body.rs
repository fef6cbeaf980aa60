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
use withe_provider::{Body, HttpError, HttpErrorKind};

use crate::exchange::Route;

/// How long a client may pause in the middle of a request's body.
const READ_STALL: Duration = Duration::from_secs(30);

/// A request's body as the component gets it.
pub(crate) fn from_client(body: Incoming) -> Body {
    if body.is_end_stream() {
        // Nothing to carry, and nothing to allocate.
        return Empty::new().map_err(|never| match never {}).boxed_unsync();
    }
    Body::new(FromClient {
        inner: body,
        clock: None,
    })
}

struct FromClient {
    inner: Incoming,
    /// Runs only while a chunk is waited for.
    clock: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for FromClient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.clock = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        let clock = self
            .clock
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + READ_STALL)));
        clock.as_mut().poll(cx).map(|()| {
            let message = format!("the client sent nothing for {} s", READ_STALL.as_secs());
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

/// A response's body on its way to the client. As long as it lives, its link counts it as work
/// under way; when the link is stopped it breaks off.
pub(crate) struct ToClient {
    inner: Body,
    component: Option<(Arc<Route>, TaskTrackerToken)>,
    /// Waits for the link to be stopped. Made when there is first something to wait for.
    stopped: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ToClient {
    /// A component's body.
    pub(crate) fn component(inner: Body, route: Arc<Route>, token: TaskTrackerToken) -> Self {
        Self {
            inner,
            component: Some((route, token)),
            stopped: None,
        }
    }

    /// A text of the provider's own.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let inner = Full::new(text.into())
            .map_err(|never| match never {})
            .boxed_unsync();
        Self {
            inner,
            component: None,
            stopped: None,
        }
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        let inner = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self {
            inner,
            component: None,
            stopped: None,
        }
    }
}

impl HttpBody for ToClient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            // The client only sees that the response is cut short.
            if let (Some(Err(error)), Some((route, _))) = (&frame, &this.component) {
                tracing::warn!(component = route.name, "response broke off: {error}");
            }
            return Poll::Ready(frame);
        }
        let Some((route, _)) = &this.component else {
            return Poll::Pending;
        };
        let stopped = this.stopped.get_or_insert_with(|| {
            let work = route.work.clone();
            Box::pin(async move { work.stop.wait().await })
        });
        stopped.as_mut().poll(cx).map(|()| {
            let message = "the link was removed, and the time to finish is over";
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
