//! The keys that have changed, for those who watch them.
//!
//! The key alone is kept of a change; its value is read when the component is told. So all backends mean the
//! same by a change, what waits is bounded by keys and not by values, and changes that come faster than a component takes
//! them are told as one. Queues of changes were rejected: Redis says that a key changed and not to what, so a queue could
//! hold no more there, and a value in it is old by the time that it is told.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// The most keys of a link that wait to be told.
const MOST_KEYS: usize = 64 << 10;
/// The most bytes of their names.
const MOST_BYTES: usize = 16 << 20;

/// Keys that a link watches, and which of their changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchedKeys {
    /// A key, or what keys start with.
    pub(crate) name: String,
    pub(crate) is_prefix: bool,
    /// Whether it is told of values that are set.
    pub(crate) set: bool,
    /// Whether it is told of keys that are removed.
    pub(crate) deleted: bool,
}

impl WatchedKeys {
    /// All changes of all keys.
    pub(crate) fn all() -> Self {
        Self {
            name: String::new(),
            is_prefix: true,
            set: true,
            deleted: true,
        }
    }

    fn matches(&self, key: &str) -> bool {
        match self.is_prefix {
            true => key.starts_with(&self.name),
            false => key == self.name,
        }
    }
}

/// The keys of a bucket that have changed since a link's component was told of them.
#[derive(Debug)]
pub(crate) struct ChangedKeys {
    watched: Vec<WatchedKeys>,
    waiting: Mutex<Waiting>,
    news: Notify,
    room: Notify,
    /// Changes for which there was no room.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order in which they changed first.
    order: VecDeque<String>,
    keys: HashSet<String>,
    bytes: usize,
    /// Whether the watch has ended: nothing more is taken, and what waits is told yet.
    is_closed: bool,
}

impl ChangedKeys {
    pub(crate) fn new(watched: Vec<WatchedKeys>) -> Self {
        Self {
            watched,
            waiting: Mutex::default(),
            news: Notify::new(),
            room: Notify::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// The keys that are watched.
    pub(crate) fn watched(&self) -> &[WatchedKeys] {
        &self.watched
    }

    /// Whether the component is told that a value of `key` was set.
    pub(crate) fn tells_set(&self, key: &str) -> bool {
        self.watched
            .iter()
            .any(|keys| keys.set && keys.matches(key))
    }

    /// Whether the component is told that `key` was removed.
    pub(crate) fn tells_deleted(&self, key: &str) -> bool {
        self.watched
            .iter()
            .any(|keys| keys.deleted && keys.matches(key))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key has changed, and whoever changed it cannot wait: a change for which there is no room is counted as lost.
    pub(crate) fn note(&self, key: &str) {
        if !self.put(key) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.news.notify_one();
        }
    }

    /// A key has changed. Waits for room.
    pub(crate) async fn note_in_room(&self, key: &str) {
        while !self.put(key) {
            self.room.notified().await;
        }
    }

    /// Whether there was room for it, or no need for any.
    fn put(&self, key: &str) -> bool {
        if !self.watched.iter().any(|keys| keys.matches(key)) {
            return true;
        }
        let mut waiting = self.waiting();
        if waiting.is_closed || waiting.keys.contains(key) {
            return true;
        }
        if waiting.order.len() >= MOST_KEYS || waiting.bytes + key.len() > MOST_BYTES {
            return false;
        }
        waiting.bytes += key.len();
        waiting.keys.insert(key.to_owned());
        waiting.order.push_back(key.to_owned());
        drop(waiting);
        self.news.notify_one();
        true
    }

    /// The key that waits longest of those that are not `busy`. From here on it may change again.
    pub(crate) fn take(&self, busy: impl Fn(&str) -> bool) -> Option<String> {
        let mut waiting = self.waiting();
        let place = waiting.order.iter().position(|key| !busy(key))?;
        let key = waiting.order.remove(place)?;
        waiting.keys.remove(&key);
        waiting.bytes -= key.len();
        drop(waiting);
        self.room.notify_one();
        Some(key)
    }

    /// Takes no more changes: the watch has ended, and who tells of what waits is to come to an end.
    fn close(&self) {
        self.waiting().is_closed = true;
    }

    fn is_closed(&self) -> bool {
        self.waiting().is_closed
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().order.is_empty()
    }

    /// Waits until there may be something new. One task does.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// How many changes were lost since this was asked last.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// The watchers of what this process writes.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// By bucket.
    all: Mutex<Vec<(String, Weak<ChangedKeys>)>>,
    /// Whether there ever was one: writing asks for no lock before.
    any: AtomicBool,
}

impl Watchers {
    fn all(&self) -> MutexGuard<'_, Vec<(String, Weak<ChangedKeys>)>> {
        // Nothing panics while it is held.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of what changes in `bucket`, until the watch is dropped.
    pub(crate) fn add(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Watch {
        self.all()
            .push((bucket.to_owned(), Arc::downgrade(&changed)));
        self.any.store(true, Ordering::Release);
        Watch {
            changed,
            _task: None,
        }
    }

    /// Whether anybody may watch.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Keys of `bucket` have changed.
    pub(crate) fn tell<'k>(&self, bucket: &str, keys: impl IntoIterator<Item = &'k str>) {
        if !self.any() {
            return;
        }
        let mut all = self.all();
        all.retain(|(_, watcher)| {
            watcher
                .upgrade()
                .is_some_and(|watcher| !watcher.is_closed())
        });
        let watchers: Vec<_> = all
            .iter()
            .filter(|(of, _)| of == bucket)
            .filter_map(|(_, watcher)| watcher.upgrade())
            .collect();
        drop(all);
        if watchers.is_empty() {
            return;
        }
        for key in keys {
            for watcher in &watchers {
                watcher.note(key);
            }
        }
    }
}

/// A source of changes, until it is dropped. From then on no change is noted, whoever makes it: the keys are kept until
/// those that wait were told, and would have no end where somebody goes on writing.
#[derive(Debug)]
pub(crate) struct Watch {
    changed: Arc<ChangedKeys>,
    /// The task that hears of them, where others than this process make them. Kept for its end.
    _task: Option<AbortOnDropHandle<()>>,
}

impl Watch {
    /// Changes are noted by a task.
    pub(crate) fn by(
        changed: Arc<ChangedKeys>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            changed,
            _task: Some(AbortOnDropHandle::new(tokio::spawn(task))),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changed.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str, is_prefix: bool, set: bool, deleted: bool) -> WatchedKeys {
        WatchedKeys {
            name: name.into(),
            is_prefix,
            set,
            deleted,
        }
    }

    #[test]
    fn what_is_watched_waits_once_and_in_order() {
        let changed = ChangedKeys::new(vec![
            keys("a", false, true, false),
            keys("b/", true, false, true),
        ]);
        for key in ["b/1", "a", "ab", "b/1", "b", "a", "b/2"] {
            changed.note(key);
        }
        let free = |_: &str| false;
        assert_eq!(changed.take(|key| key == "b/1").as_deref(), Some("a"));
        // The key has changed again since.
        changed.note("a");
        let rest: Vec<_> = std::iter::from_fn(|| changed.take(free)).collect();
        assert_eq!(rest, ["b/1", "b/2", "a"]);
        assert!(changed.is_empty());
        assert!(changed.tells_set("a") && !changed.tells_deleted("a"));
        assert!(changed.tells_deleted("b/1") && !changed.tells_set("b/1"));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_what_is_lost_is_counted() {
        let changed = Arc::new(ChangedKeys::new(vec![WatchedKeys::all()]));
        for n in 0..MOST_KEYS {
            changed.note(&n.to_string());
        }
        assert_eq!(changed.take_lost(), 0);
        changed.note("one more");
        // One that waits already needs no room.
        changed.note("0");
        assert_eq!(changed.take_lost(), 1);
        let noted = {
            let changed = changed.clone();
            tokio::spawn(async move { changed.note_in_room("later").await })
        };
        assert_eq!(changed.take(|_| false).as_deref(), Some("0"));
        noted.await.unwrap();
        let long = "x".repeat(MOST_BYTES);
        changed.note(&long);
        assert_eq!(changed.take_lost(), 1);
    }

    #[test]
    fn watchers_hear_of_their_bucket_until_their_watch_ends() {
        let watchers = Watchers::default();
        watchers.tell("b", ["k"]);
        let changed = Arc::new(ChangedKeys::new(vec![WatchedKeys::all()]));
        let watch = watchers.add("b", changed.clone());
        watchers.tell("other", ["k"]);
        assert!(changed.is_empty());
        watchers.tell("b", ["k"]);
        assert_eq!(changed.take(|_| false).as_deref(), Some("k"));
        watchers.tell("b", ["waits"]);
        // Who tells of what waits keeps the keys, and is to come to an end.
        drop(watch);
        watchers.tell("b", ["k"]);
        changed.note("k");
        assert_eq!(changed.take(|_| false).as_deref(), Some("waits"));
        assert!(changed.is_empty() && changed.take_lost() == 0);
        assert!(watchers.all().is_empty());
    }
}
