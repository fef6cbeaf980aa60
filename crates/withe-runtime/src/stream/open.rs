//! Which streams of a store are open, and why they break off if the store is given up.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use withe_rpc::CallError;

/// The state that the streams of a store share.
#[derive(Default)]
pub(crate) struct Streams {
    /// Made with the first of them.
    open: Option<Arc<OpenStreams>>,
    /// The keeper of the store, if the store goes on only for readers of its streams.
    keeper: Option<Weak<dyn Any + Send + Sync>>,
}

/// Keeps a store going: the store ends when the last holder drops the keeper.
pub(crate) type Keeper = Arc<dyn Any + Send + Sync>;

#[derive(Default)]
struct OpenStreams {
    /// Streams and futures that lead out of or into the store.
    count: AtomicUsize,
    /// Why the store was given up, once it is: streams that end with it did not end of themselves.
    failure: OnceLock<CallError>,
}

impl Streams {
    /// Whether any leads out of or into the store.
    pub(crate) fn any(&self) -> bool {
        let open = |streams: &Arc<OpenStreams>| streams.count.load(Ordering::Relaxed) > 0;
        self.open.as_ref().is_some_and(open)
    }

    /// From here on streams that end were cut off, for this reason; the first one counts.
    pub(crate) fn fail(&self, why: impl FnOnce() -> CallError) {
        if let Some(streams) = &self.open {
            streams.failure.get_or_init(why);
        }
    }

    /// From here on each reader of a stream out of the store holds the keeper.
    pub(crate) fn keep(&mut self, keeper: &Keeper) {
        self.keeper = Some(Arc::downgrade(keeper));
    }

    /// The keeper that each reader of a stream out of the store is to hold.
    pub(super) fn keeper(&self) -> Option<Keeper> {
        self.keeper.as_ref()?.upgrade()
    }

    /// Counts one more.
    pub(super) fn open(&mut self) -> OpenStream {
        let streams = self.open.get_or_insert_default().clone();
        streams.count.fetch_add(1, Ordering::Relaxed);
        OpenStream(streams)
    }
}

/// Counts one open stream.
pub(super) struct OpenStream(Arc<OpenStreams>);

impl OpenStream {
    /// Why the store was given up, if it was.
    pub(super) fn failure(&self) -> Option<&CallError> {
        self.0.failure.get()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
