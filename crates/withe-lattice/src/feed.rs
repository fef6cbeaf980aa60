//! From those to whom things happen to one reader who may be slow.
//!
//! A [`Backlog`] keeps the events and stays bounded by merging changes of one key or forgetting the
//! oldest; a task moves them to a channel as the reader takes them. The task ends when the reader goes,
//! or when the [`Feed`] does and all is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

/// Items ready for the reader beyond the backlog, where nothing can be merged any more.
const READY: usize = 16;

/// The events still to be told.
pub(crate) trait Backlog: Send + 'static {
    /// An item for the reader.
    type Item: Send + 'static;

    /// Takes what is to be told next.
    fn next(&mut self) -> Option<Self::Item>;
}

/// The writing end. Dropped, the reader gets what is left, and then the end.
pub(crate) struct Feed<B: Backlog>(Arc<FeedCore<B>>);

struct FeedCore<B> {
    state: Mutex<FeedState<B>>,
    changed: Notify,
    left: Notify,
}

struct FeedState<B> {
    backlog: B,
    /// No more comes.
    ended: bool,
    /// Nobody reads any more.
    unread: bool,
}

impl<B: Backlog> Feed<B> {
    /// A feed and its reader.
    pub(crate) fn new(backlog: B) -> (Self, mpsc::Receiver<B::Item>) {
        let shared = Arc::new(FeedCore {
            state: Mutex::new(FeedState {
                backlog,
                ended: false,
                unread: false,
            }),
            changed: Notify::new(),
            left: Notify::new(),
        });
        let (sender, receiver) = mpsc::channel(READY);
        tokio::spawn(carry(shared.clone(), sender));
        (Self(shared), receiver)
    }

    /// Adds to the backlog.
    pub(crate) fn tell<R>(&self, tell: impl FnOnce(&mut B) -> R) -> R {
        let result = tell(&mut self.0.lock().backlog);
        self.0.changed.notify_one();
        result
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_unread(&self) -> bool {
        self.0.lock().unread
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn unread(&self) {
        // Told once, and kept for one who waits later.
        while !self.is_unread() {
            self.0.left.notified().await;
        }
        self.0.left.notify_one();
    }
}

impl<B: Backlog> Drop for Feed<B> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_one();
    }
}

impl<B> FeedCore<B> {
    fn lock(&self) -> MutexGuard<'_, FeedState<B>> {
        // A backlog is whole between its methods, none of which stops halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self) {
        self.lock().unread = true;
        self.left.notify_one();
    }
}

async fn carry<B: Backlog>(shared: Arc<FeedCore<B>>, reader: mpsc::Sender<B::Item>) {
    // Nothing is taken before there is a place for it: until then it can be put together with more.
    while let Ok(place) = reader.reserve().await {
        let item = loop {
            match shared.lock().next() {
                Next::Item(item) => break item,
                Next::End => return,
                Next::Later => {}
            }
            tokio::select! {
                () = shared.changed.notified() => {}
                () = reader.closed() => return shared.leave(),
            }
        };
        place.send(item);
    }
    shared.leave();
}

enum Next<T> {
    Item(T),
    Later,
    End,
}

impl<B: Backlog> FeedState<B> {
    fn next(&mut self) -> Next<B::Item> {
        match self.backlog.next() {
            Some(item) => Next::Item(item),
            None if self.ended => Next::End,
            None => Next::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Vec<u32>);

    impl Backlog for Numbers {
        type Item = u32;

        fn next(&mut self) -> Option<u32> {
            self.0.pop()
        }
    }

    #[tokio::test]
    async fn the_reader_gets_what_is_left_and_then_the_end() {
        let (feed, mut reader) = Feed::new(Numbers(vec![1]));
        assert_eq!(reader.recv().await, Some(1));
        feed.tell(|numbers| numbers.0.extend([3, 2]));
        drop(feed);
        assert_eq!(reader.recv().await, Some(2));
        assert_eq!(reader.recv().await, Some(3));
        assert_eq!(reader.recv().await, None);
    }

    #[tokio::test]
    async fn a_feed_knows_that_its_reader_is_gone() {
        let (feed, reader) = Feed::new(Numbers(vec![]));
        assert!(!feed.is_unread());
        drop(reader);
        while !feed.is_unread() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn only_a_bounded_part_leaves_the_backlog_unread() {
        let (feed, mut reader) = Feed::new(Numbers((0..100).collect()));
        assert_eq!(reader.recv().await, Some(99));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(feed.tell(|numbers| numbers.0.len()) >= 100 - READY - 2);
    }
}
