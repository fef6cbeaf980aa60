//! A response's body while the guest that writes it still runs.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};
use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::CallError;

use super::declared::DeclaredBody;
use super::errors;
use super::guest::Guest;
use super::unread::{UNREAD, Unread, UnreadWatch};

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
    answer: Arc<WatchedAnswer>,
    /// Looks whether the answer is read as long as somebody has it.
    _watch: Option<Arc<UnreadWatch>>,
}

struct WatchedAnswer(Mutex<RunningAnswer>);

/// An answer as far as it has come, and the guest that writes it.
struct RunningAnswer {
    /// `None` once it is through, or failed.
    body: Option<DeclaredBody>,
    /// `None` once it is done.
    guest: Option<Guest>,
    /// Tells the guest that its body is through.
    body_done: Option<oneshot::Sender<()>>,
    /// Whether the guest's instance serves others when it is done.
    reused: bool,
    failure: Option<HttpError>,
    pace: Pace,
    /// When the last part came, and when the next is overdue, once there was one to wait for.
    came: Instant,
    stalled: Option<Pin<Box<Sleep>>>,
    /// When it was last polled.
    read: Instant,
}

impl GuestBody {
    pub(super) fn new(
        body: DeclaredBody,
        guest: Guest,
        body_done: Option<oneshot::Sender<()>>,
        reused: bool,
        pace: Pace,
        watch: Arc<UnreadWatch>,
    ) -> Self {
        let now = Instant::now();
        let answer = WatchedAnswer::new(RunningAnswer {
            body: Some(body),
            guest: Some(guest),
            body_done,
            reused,
            failure: None,
            pace,
            came: now,
            stalled: None,
            read: now,
        });
        watch.watch(Arc::<WatchedAnswer>::downgrade(&answer));
        Self {
            answer,
            _watch: Some(watch),
        }
    }

    /// A body that fails at once.
    pub(super) fn failed(failure: HttpError) -> Self {
        let now = Instant::now();
        let answer = RunningAnswer {
            body: None,
            guest: None,
            body_done: None,
            reused: false,
            failure: Some(failure),
            pace: Pace {
                pause: Duration::ZERO,
                after: Duration::ZERO,
            },
            came: now,
            stalled: None,
            read: now,
        };
        Self {
            answer: WatchedAnswer::new(answer),
            _watch: None,
        }
    }
}

impl WatchedAnswer {
    fn new(answer: RunningAnswer) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answer)))
    }

    fn lock(&self) -> MutexGuard<'_, RunningAnswer> {
        // A guest that panics under it is not polled again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unread for WatchedAnswer {
    fn read(&self) -> Instant {
        // Whoever has it locked reads it.
        let answer = self.0.try_lock();
        answer.map_or_else(|_| Instant::now(), |answer| answer.read)
    }

    fn give_up(&self) {
        let mut answer = self.lock();
        // Somebody may have read the response since.
        if answer.read + UNREAD > Instant::now() {
            return;
        }
        let text = format!("nobody read the response for {UNREAD:?}");
        tracing::warn!("a component's answer is given up: {text}");
        (answer.body, answer.guest) = (None, None);
        answer.failure = Some(HttpError::new(HttpErrorKind::Deadline, text));
    }
}

impl RunningAnswer {
    /// Lets the guest finish what it does after its response. An instance that serves others is mostly done at once, and
    /// is there for the next request. All else is for a task of its own: the response is sent before this thread takes
    /// the instance down.
    fn finish_guest(&mut self, cx: &mut Context<'_>) {
        self.body = None;
        drop(self.body_done.take());
        if self.reused
            && let Some(guest) = &mut self.guest
            && let Poll::Ready(result) = Pin::new(guest).poll(cx)
        {
            self.guest = None;
            note_end(result);
        }
        if let Some(guest) = self.guest.take() {
            tokio::spawn(tokio::time::timeout(self.pace.after, async move {
                note_end(guest.await);
            }));
        }
    }

    /// Whether the next part is overdue.
    fn is_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let overdue = self.came + self.pace.pause;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(overdue)));
        stalled.as_mut().poll(cx).is_ready()
    }
}

/// Says if a guest failed when nobody waits for it any more.
fn note_end(result: Result<(), CallError>) {
    if let Err(e) = result {
        tracing::warn!("a component failed after its response: {e}");
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self.answer.lock();
        this.read = Instant::now();
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if let Some(guest) = &mut this.guest
            && let Poll::Ready(result) = Pin::new(guest).poll(cx)
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
                this.came = this.read;
                this.stalled = None;
                Poll::Ready(Some(frame))
            }
            Poll::Ready(None) => {
                this.finish_guest(cx);
                Poll::Ready(None)
            }
            Poll::Pending if this.guest.is_some() && this.is_stalled(cx) => {
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
        let answer = self.answer.lock();
        answer.body.is_none() && answer.guest.is_none() && answer.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.answer.lock();
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
        let guest = Guest::here(async move {
            let _told = told;
            pending().await
        });
        let pace = Pace {
            pause: UNREAD * 2,
            after: Duration::ZERO,
        };
        let text = http_body_util::Full::from("x").map_err(|never| match never {});
        let body = DeclaredBody::new(text.boxed_unsync(), &HeaderMap::new());
        let watch = Arc::new(UnreadWatch::default());
        let mut body = GuestBody::new(body, guest, None, false, pace, watch);
        let begun = Instant::now();
        // One that is read now and then goes on.
        assert!(body.frame().await.unwrap().is_ok());
        dropped.await.unwrap();
        assert!(begun.elapsed() >= UNREAD);
        let failed = body.frame().await.unwrap().unwrap_err();
        assert!(failed.to_string().contains("nobody read"), "{failed}");
        assert!(body.frame().await.is_none());
    }

    /// A body of one chunk, whose guest waits for its end and then for `behind`.
    fn answer_of(
        reused: bool,
        behind: impl Future<Output = ()> + Send + 'static,
    ) -> (GuestBody, oneshot::Receiver<()>) {
        let (told, ended) = oneshot::channel();
        let (done, body_is_done) = oneshot::channel::<()>();
        let guest = Guest::here(async move {
            _ = body_is_done.await;
            behind.await;
            _ = told.send(());
            Ok(())
        });
        let pace = Pace {
            pause: UNREAD,
            after: UNREAD,
        };
        let text = http_body_util::Full::from("x").map_err(|never| match never {});
        let body = DeclaredBody::new(text.boxed_unsync(), &HeaderMap::new());
        let watch = Arc::new(UnreadWatch::default());
        let body = GuestBody::new(body, guest, Some(done), reused, pace, watch);
        (body, ended)
    }

    #[tokio::test]
    async fn a_reused_instance_is_back_when_its_answer_ends() {
        let (body, mut ended) = answer_of(true, async {});
        body.collect().await.unwrap();
        assert_eq!(ended.try_recv(), Ok(()));
        let (body, mut ended) = answer_of(false, async {});
        body.collect().await.unwrap();
        assert!(ended.try_recv().is_err(), "its end is not waited for");
        ended.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_goes_on_behind_its_answer_does_so_in_a_task_for_as_long_as_it_may() {
        let (body, mut ended) = answer_of(true, tokio::time::sleep(UNREAD / 2));
        body.collect().await.unwrap();
        assert!(ended.try_recv().is_err());
        ended.await.unwrap();
        let (body, ended) = answer_of(true, pending());
        body.collect().await.unwrap();
        assert!(ended.await.is_err(), "it is dropped");
    }
}
