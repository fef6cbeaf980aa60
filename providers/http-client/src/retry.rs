//! Trying again: requests that may be sent twice, and their bodies.
//!
//! A request is sent again only if a link asks for it (`retries`), if its method says that twice is as good as once (RFC 9110, 9.2.2),
//! and if its body can be sent again. The parts of a body that were sent are kept for that, up to a limit: a body that is still being
//! written does not wait. Rejected was to try again only without a body: whether there is one is unknown of a component that opens it and
//! writes nothing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use withe_provider::{BackOff, Body, HttpError, HttpErrorKind};

/// The most of a body that is kept to be sent again, in bytes.
const KEPT: usize = 64 << 10;
/// The longest pauses between attempts.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(2),
};

/// Whether requests of a method may be sent again.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
    safe.contains(method) || [Method::PUT, Method::DELETE].contains(method)
}

/// Whether the outcome of an attempt is one that another may not have.
pub(crate) fn may_pass<B>(outcome: &Result<Response<B>, HttpError>) -> bool {
    match outcome {
        Ok(response) => matches!(
            response.status(),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ),
        Err(error) => matches!(
            error.kind,
            HttpErrorKind::ConnectionRefused
                | HttpErrorKind::ConnectionTerminated
                | HttpErrorKind::ConnectionTimeout
        ),
    }
}

/// The pause after so many attempts: at random between a half and the whole of the longest, so that clients that failed together
/// do not come back together. A server that says when to come back (`Retry-After`, in seconds) is heard.
pub(crate) fn pause<B>(outcome: &Result<Response<B>, HttpError>, attempts: u32) -> Duration {
    let longest = PAUSES.after(attempts);
    let random = RandomState::new().build_hasher().finish() as u32;
    let pause = longest / 2 + (longest / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
    let asked = outcome.as_ref().ok().and_then(|response| {
        let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
        seconds.trim().parse().ok().map(Duration::from_secs)
    });
    asked.unwrap_or_default().max(pause)
}

/// A request's body for several attempts.
#[derive(Clone)]
pub(crate) struct ReplayedBody(Arc<Mutex<Replay>>);

struct Replay {
    inner: Body,
    /// The data that were sent, in order.
    kept: Vec<Bytes>,
    /// Their sum, in bytes.
    size: usize,
    trailers: Option<HeaderMap>,
    /// The number of the attempt that reads.
    attempt: u32,
    /// Whether the body failed or more than is kept was sent.
    is_lost: bool,
}

/// The body of one attempt.
struct AttemptBody {
    replay: ReplayedBody,
    attempt: u32,
    /// How many of the kept data it has sent.
    sent: usize,
    has_ended: bool,
}

impl ReplayedBody {
    pub(crate) fn new(inner: Body) -> Self {
        Self(Arc::new(Mutex::new(Replay {
            inner,
            kept: Vec::new(),
            size: 0,
            trailers: None,
            attempt: 0,
            is_lost: false,
        })))
    }

    /// The body for the next attempt, from its beginning; `None` if that is no longer known.
    pub(crate) fn next(&self) -> Option<Body> {
        let mut replay = self.lock();
        if replay.is_lost {
            return None;
        }
        replay.attempt += 1;
        Some(Body::new(AttemptBody {
            replay: self.clone(),
            attempt: replay.attempt,
            sent: 0,
            has_ended: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Replay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for AttemptBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        let mut replay = this.replay.lock();
        if replay.attempt != this.attempt {
            let message = "the request is sent again";
            let over = HttpError::new(HttpErrorKind::ConnectionTerminated, message);
            return Poll::Ready(Some(Err(over)));
        }
        if let Some(data) = replay.kept.get(this.sent) {
            this.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if let Some(trailers) = replay.trailers.clone().filter(|_| !this.has_ended) {
            this.has_ended = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Poll::Ready(frame) = Pin::new(&mut replay.inner).poll_frame(cx) else {
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    replay.size += data.len();
                    replay.is_lost |= replay.size > KEPT;
                    if !replay.is_lost {
                        replay.kept.push(data.clone());
                        this.sent += 1;
                    }
                }
                if let Some(trailers) = frame.trailers_ref() {
                    replay.trailers = Some(trailers.clone());
                    this.has_ended = true;
                }
            }
            Some(Err(_)) => replay.is_lost = true,
            None => this.has_ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let replay = self.replay.lock();
        let has_sent_all = self.sent == replay.kept.len();
        has_sent_all
            && (self.has_ended || replay.trailers.is_none())
            && replay.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let replay = self.replay.lock();
        let kept = replay.kept.iter().skip(self.sent);
        let kept: u64 = kept.map(|data| data.len() as u64).sum();
        let inner = replay.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + kept);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + kept);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    async fn all(body: Body) -> Result<Vec<u8>, HttpError> {
        Ok(body.collect().await?.to_bytes().to_vec())
    }

    fn full(bytes: Vec<u8>) -> Body {
        Body::new(Full::new(Bytes::from(bytes)).map_err(|never| match never {}))
    }

    #[tokio::test]
    async fn a_body_is_sent_again_from_its_beginning() {
        let body = ReplayedBody::new(full(b"cart".to_vec()));
        for _ in 0..3 {
            let next = body.next().unwrap();
            assert_eq!(next.size_hint().exact(), Some(4));
            assert_eq!(all(next).await.unwrap(), b"cart");
        }
        let empty = ReplayedBody::new(full(Vec::new()));
        assert!(empty.next().unwrap().is_end_stream());
    }

    #[tokio::test]
    async fn an_attempt_that_is_over_takes_nothing_of_the_next() {
        let frames = ["a", "b", "c"].map(|text| Ok(Frame::data(Bytes::from(text))));
        let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
        let body = ReplayedBody::new(body);
        let mut first = body.next().unwrap();
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "a");
        let second = body.next().unwrap();
        assert!(first.frame().await.unwrap().is_err());
        assert_eq!(all(second).await.unwrap(), b"abc");
    }

    #[tokio::test]
    async fn what_is_not_kept_is_not_sent_again() {
        let large = ReplayedBody::new(full(vec![0; KEPT + 1]));
        assert_eq!(all(large.next().unwrap()).await.unwrap().len(), KEPT + 1);
        assert!(large.next().is_none());
        let failed = HttpError::new(HttpErrorKind::ConnectionTerminated, "gone");
        let frames = [Err(failed)];
        let failing = Body::new(StreamBody::new(futures::stream::iter(frames)));
        let failing = ReplayedBody::new(failing);
        assert!(all(failing.next().unwrap()).await.is_err());
        assert!(failing.next().is_none());
    }

    #[test]
    fn pauses_grow_and_servers_are_heard() {
        let failed =
            || Err::<Response<()>, _>(HttpError::new(HttpErrorKind::ConnectionRefused, ""));
        for (attempts, least, most) in
            [(1, 50, 100), (2, 100, 200), (3, 200, 400), (30, 1000, 2000)]
        {
            let pause = pause(&failed(), attempts).as_millis();
            assert!((least..=most).contains(&pause), "{attempts}: {pause}");
        }
        let busy = |after: &str| {
            let response = Response::builder().status(503).header(RETRY_AFTER, after);
            Ok(response.body(()).unwrap())
        };
        assert_eq!(pause(&busy("7"), 1), Duration::from_secs(7));
        assert!(pause(&busy("tomorrow"), 1) <= PAUSES.first);
    }
}
