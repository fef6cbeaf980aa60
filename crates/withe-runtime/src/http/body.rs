//! A response's body while the guest that writes it still runs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};
use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::CallError;

use super::declared::DeclaredBody;
use super::errors;

/// The guest's work on one request: ends when the guest is done.
pub(super) type Guest = BoxFuture<'static, Result<(), CallError>>;

/// How long a guest may take once its response's head is out.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Between two chunks of the body.
    pub(super) pause: Duration,
    /// Behind the body's end.
    pub(super) after: Duration,
}

/// Polls the guest together with the body it writes. Dropping it cancels the guest.
pub(super) struct GuestBody {
    /// `None` once it is through, or failed.
    body: Option<DeclaredBody>,
    /// `None` once it is done.
    guest: Option<Guest>,
    /// Tells the guest that its body is through.
    body_done: Option<oneshot::Sender<()>>,
    failure: Option<HttpError>,
    pace: Pace,
    stalled: Pin<Box<Sleep>>,
}

impl GuestBody {
    pub(super) fn new(
        body: DeclaredBody,
        guest: Guest,
        body_done: Option<oneshot::Sender<()>>,
        pace: Pace,
    ) -> Self {
        let stalled = Box::pin(sleep(pace.pause));
        Self {
            body: Some(body),
            guest: Some(guest),
            body_done,
            failure: None,
            pace,
            stalled,
        }
    }

    /// A body that fails at once.
    pub(super) fn failed(failure: HttpError) -> Self {
        let stalled = Box::pin(sleep(Duration::ZERO));
        Self {
            body: None,
            guest: None,
            body_done: None,
            failure: Some(failure),
            pace: Pace {
                pause: Duration::ZERO,
                after: Duration::ZERO,
            },
            stalled,
        }
    }

    /// Lets the guest finish what it does after its response.
    fn finish_guest(&mut self) {
        self.body = None;
        drop(self.body_done.take());
        if let Some(guest) = self.guest.take() {
            tokio::spawn(tokio::time::timeout(self.pace.after, async move {
                if let Err(e) = guest.await {
                    tracing::warn!("a component failed after its response: {e}");
                }
            }));
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if let Some(guest) = &mut this.guest
            && let Poll::Ready(result) = guest.as_mut().poll(cx)
        {
            this.guest = None;
            if let Err(e) = result {
                this.body = None;
                return Poll::Ready(Some(Err(errors::from_call(e))));
            }
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(frame)) => {
                this.stalled
                    .as_mut()
                    .reset(Instant::now() + this.pace.pause);
                Poll::Ready(Some(frame))
            }
            Poll::Ready(None) => {
                this.finish_guest();
                Poll::Ready(None)
            }
            Poll::Pending if this.guest.is_some() && this.stalled.as_mut().poll(cx).is_ready() => {
                (this.body, this.guest) = (None, None);
                let pause = this.pace.pause;
                let text = format!("the component wrote nothing for {pause:?}");
                Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Deadline, text))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        // While the guest runs, the end has to be polled for: that is what lets it finish.
        self.body.is_none() && self.guest.is_none() && self.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, |body| body.size_hint())
    }
}
