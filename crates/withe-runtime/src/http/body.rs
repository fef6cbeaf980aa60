//! A response's body while the guest that writes it still runs.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
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

/// How long a body may be left unread. Servers have limits of their own for slow readers, which are shorter; this is for
/// whoever takes a response and forgets it, with the instance that writes it.
const UNREAD: Duration = Duration::from_secs(10 * 60);

/// Polls the guest together with the body it writes. Dropping it cancels the guest.
pub(super) struct GuestBody {
    answer: Arc<Mutex<RunningAnswer>>,
    /// Gives the answer up when nobody reads it; ends with this.
    _watch: JoinSet<()>,
}

/// An answer as far as it has come, and the guest that writes it.
struct RunningAnswer {
    /// `None` once it is through, or failed.
    body: Option<DeclaredBody>,
    /// `None` once it is done.
    guest: Option<Guest>,
    /// Tells the guest that its body is through.
    body_done: Option<oneshot::Sender<()>>,
    failure: Option<HttpError>,
    pace: Pace,
    stalled: Pin<Box<Sleep>>,
    /// When it was last polled.
    read: Instant,
}

impl GuestBody {
    pub(super) fn new(
        body: DeclaredBody,
        guest: Guest,
        body_done: Option<oneshot::Sender<()>>,
        pace: Pace,
    ) -> Self {
        let answer = Arc::new(Mutex::new(RunningAnswer {
            body: Some(body),
            guest: Some(guest),
            body_done,
            failure: None,
            pace,
            stalled: Box::pin(sleep(pace.pause)),
            read: Instant::now(),
        }));
        let mut watch = JoinSet::new();
        watch.spawn(give_up_unread(Arc::downgrade(&answer)));
        Self {
            answer,
            _watch: watch,
        }
    }

    /// A body that fails at once.
    pub(super) fn failed(failure: HttpError) -> Self {
        let answer = RunningAnswer {
            body: None,
            guest: None,
            body_done: None,
            failure: Some(failure),
            pace: Pace {
                pause: Duration::ZERO,
                after: Duration::ZERO,
            },
            stalled: Box::pin(sleep(Duration::ZERO)),
            read: Instant::now(),
        };
        Self {
            answer: Arc::new(Mutex::new(answer)),
            _watch: JoinSet::new(),
        }
    }

    fn answer(&self) -> MutexGuard<'_, RunningAnswer> {
        lock(&self.answer)
    }
}

fn lock(answer: &Mutex<RunningAnswer>) -> MutexGuard<'_, RunningAnswer> {
    // A guest that panics under it is not polled again.
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the answer has been left unread for too long, and drops it with its guest. Whoever drops the body ends the
/// guest at once, so the answer is not held here.
async fn give_up_unread(answer: Weak<Mutex<RunningAnswer>>) {
    loop {
        let Some(until) = answer.upgrade().map(|answer| lock(&answer).read + UNREAD) else {
            return;
        };
        sleep_until(until).await;
        let Some(answer) = answer.upgrade() else {
            return;
        };
        let mut answer = lock(&answer);
        if answer.read + UNREAD > Instant::now() {
            continue;
        }
        let text = format!("nobody read the response for {UNREAD:?}");
        tracing::warn!("a component's answer is given up: {text}");
        (answer.body, answer.guest) = (None, None);
        answer.failure = Some(HttpError::new(HttpErrorKind::Deadline, text));
        return;
    }
}

impl RunningAnswer {
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self.answer();
        this.read = Instant::now();
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
        let answer = self.answer();
        answer.body.is_none() && answer.guest.is_none() && answer.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.answer();
        (answer.body.as_ref()).map_or_else(SizeHint::default, |body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    use super::*;

    /// Tells when it is dropped.
    struct Told(Option<oneshot::Sender<()>>);

    impl Drop for Told {
        fn drop(&mut self) {
            _ = self.0.take().map(|told| told.send(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up_with_its_guest() {
        let (told, dropped) = oneshot::channel();
        let told = Told(Some(told));
        let guest: Guest = Box::pin(async move {
            let _told = told;
            pending().await
        });
        let pace = Pace {
            pause: UNREAD * 2,
            after: Duration::ZERO,
        };
        let text = http_body_util::Full::from("x").map_err(|never| match never {});
        let body = DeclaredBody::new(text.boxed_unsync(), &HeaderMap::new());
        let mut body = GuestBody::new(body, guest, None, pace);
        let begun = Instant::now();
        // One that is read now and then goes on.
        assert!(body.frame().await.unwrap().is_ok());
        dropped.await.unwrap();
        assert!(begun.elapsed() >= UNREAD);
        let failed = body.frame().await.unwrap().unwrap_err();
        assert!(failed.to_string().contains("nobody read"), "{failed}");
        assert!(body.frame().await.is_none());
    }
}
