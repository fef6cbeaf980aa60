//! Bodies: the response's, with a limit between its chunks, and the request's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use withe_provider::{Body, HttpError, HttpErrorKind, remove_from_trailers};

use crate::failure::classify;

/// A response's body.
pub(crate) struct ResponseBody {
    inner: Incoming,
    limit: Duration,
    /// Runs only while a chunk is waited for.
    clock: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    /// `inner`, whose next chunk may take `limit`.
    pub(crate) fn new(inner: Incoming, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            clock: None,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.clock = None;
            return Poll::Ready(frame.map(|frame| match frame {
                Ok(frame) => Ok(with_good_trailers(frame)),
                Err(error) => Err(classify("the response's body", &error)),
            }));
        }
        let limit = self.limit;
        let clock = self
            .clock
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        clock.as_mut().poll(cx).map(|()| {
            let message = format!("the response paused for {} ms", limit.as_millis());
            Some(Err(HttpError::new(HttpErrorKind::ResponseTimeout, message)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The frame, without what must not be in trailers if it is such.
fn with_good_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        remove_from_trailers(trailers);
    }
    frame
}

/// A request's body with trailers behind it. HTTP/1.1 has them behind chunks only, which hyper sends if it is told no
/// length.
pub(crate) struct WithTrailers(pub(crate) Body);

impl HttpBody for WithTrailers {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        frame.map_ok(with_good_trailers)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
