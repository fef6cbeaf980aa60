//! Gives up responses that nobody reads, with the guests that write them.
//!
//! Most responses are read at once, so watching one has to cost next to nothing: a task for each, which was tried first,
//! is a thread woken for each. One task looks at all responses of a handler now and then, and is there only while there
//! are some.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long a response may be left unread. Servers have limits of their own for slow readers, which are shorter; this is
/// for whoever takes a response and forgets it, with the instance that writes it.
pub(super) const UNREAD: Duration = Duration::from_secs(10 * 60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(60);
/// So many responses are not worth looking through for those that are through.
const FEW: usize = 64;

/// Something that is given up when nobody has read it for too long.
pub(super) trait Unread: Send + Sync + 'static {
    /// When it was read last.
    fn read(&self) -> Instant;
    /// Ends it.
    fn give_up(&self);
}

/// The responses of a handler that somebody has.
#[derive(Default)]
pub(crate) struct UnreadWatch {
    list: Mutex<UnreadList>,
}

#[derive(Default)]
struct UnreadList {
    responses: Vec<Weak<dyn Unread>>,
    /// How many there may be before those are looked for that are through.
    crowded: usize,
    /// Looks at them. Ends when there are none, and with this.
    looking: JoinSet<()>,
}

impl UnreadList {
    fn forget_those_through(&mut self) {
        self.responses
            .retain(|response| response.strong_count() > 0);
        self.crowded = (2 * self.responses.len()).max(FEW);
    }
}

impl UnreadWatch {
    /// Gives `response` up when it has been left unread for too long, as long as somebody has it.
    pub(super) fn watch(self: &Arc<Self>, response: Weak<dyn Unread>) {
        let mut list = self.lock();
        if list.responses.len() >= list.crowded {
            list.forget_those_through();
        }
        list.responses.push(response);
        if list.looking.is_empty()
            // Without a runtime nobody runs the guest either.
            && let Ok(runtime) = Handle::try_current()
        {
            list.looking.spawn_on(look(Arc::downgrade(self)), &runtime);
        }
    }

    /// Gives up those that were left for too long; whether any is left to be watched.
    fn look(&self) -> bool {
        let responses: Vec<_> = {
            let mut list = self.lock();
            list.forget_those_through();
            if list.responses.is_empty() {
                // The task that looks ends now; the next response begins another.
                list.looking.detach_all();
                return false;
            }
            list.responses.iter().filter_map(Weak::upgrade).collect()
        };
        let now = Instant::now();
        for response in &responses {
            if response.read() + UNREAD <= now {
                response.give_up();
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, UnreadList> {
        // Nothing panics while the lock is held.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(watch: Weak<UnreadWatch>) {
    loop {
        sleep(LOOK).await;
        let Some(watch) = watch.upgrade() else { return };
        if !watch.look() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Response {
        read: Mutex<Instant>,
        given_up: AtomicBool,
    }

    impl Response {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                read: Mutex::new(Instant::now()),
                given_up: AtomicBool::new(false),
            })
        }

        fn is_given_up(&self) -> bool {
            self.given_up.load(Ordering::Relaxed)
        }
    }

    impl Unread for Response {
        fn read(&self) -> Instant {
            *self.read.lock().unwrap()
        }

        fn give_up(&self) {
            self.given_up.store(true, Ordering::Relaxed);
        }
    }

    fn weak(response: &Arc<Response>) -> Weak<dyn Unread> {
        let weak: Weak<Response> = Arc::downgrade(response);
        weak
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_left_are_given_up_and_those_that_are_read_are_not() {
        let watch = Arc::new(UnreadWatch::default());
        let (left, read) = (Response::new(), Response::new());
        watch.watch(weak(&left));
        watch.watch(weak(&read));
        for _ in 0..12 {
            sleep(LOOK).await;
            *read.read.lock().unwrap() = Instant::now();
        }
        assert!(left.is_given_up());
        assert!(!read.is_given_up());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_looks_where_there_is_nothing_and_begins_again() {
        let watch = Arc::new(UnreadWatch::default());
        for _ in 0..2 {
            let response = Response::new();
            watch.watch(weak(&response));
            assert!(!watch.lock().looking.is_empty());
            drop(response);
            sleep(LOOK * 2).await;
            assert!(watch.lock().looking.is_empty());
        }
        let response = Response::new();
        watch.watch(weak(&response));
        sleep(UNREAD + LOOK * 2).await;
        assert!(response.is_given_up());
    }

    #[tokio::test]
    async fn those_that_are_through_do_not_pile_up() {
        let watch = Arc::new(UnreadWatch::default());
        let kept = Response::new();
        watch.watch(weak(&kept));
        for _ in 0..10_000 {
            watch.watch(weak(&Response::new()));
        }
        let list = watch.lock();
        assert!(list.responses.len() <= FEW + 1);
        assert!(list.responses.iter().any(|r| r.strong_count() > 0));
    }
}
